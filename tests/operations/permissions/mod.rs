//! Who may do what, on a real nats-server with TLS from the files of `natterjack provision --write-config`.
//!
//! A table says of each user what is allowed and what is refused. What is allowed has to have its effect, so
//! that a server that refuses everything fails too; of what is refused the server has to say so.

mod actor;
mod answers;
mod moved;
mod secured;
mod table;
mod tls;

use actor::{Action, Actor};
use natterjack_nats::{
    access::User,
    cluster::{self, JoinError},
    topology::Bucket,
};
use secured::Secured;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_user_may_do_what_the_table_says_and_nothing_else() -> anyhow::Result<()> {
    let secured = Secured::start().await?;
    let admin = Actor::new(&secured, User::Admin).await?;
    table::fill(&admin).await?;
    let mut wrong = Vec::new();
    let mut actors = Vec::new();
    for (user, allowed, refused) in table::TABLE {
        let actor = Actor::new(&secured, *user).await?;
        for action in *allowed {
            if let Err(error) = actor.works(action, &admin).await {
                wrong.push(format!("{user} cannot {action:?}: {error:#}"));
            }
        }
        actors.push((user, actor, *refused));
    }
    let before = admin.stores().await?;
    for (user, actor, refused) in actors {
        for action in refused {
            if let Err(error) = actor.is_refused(action).await {
                wrong.push(format!("{user} {action:?}: {error:#}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What is said to be refused is not done either.
    assert_eq!(admin.stores().await?, before);
    secured.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_hear_each_other_and_nobody_else_does() -> anyhow::Result<()> {
    let secured = Secured::start().await?;
    let (one, other) = (
        Actor::new(&secured, User::Edge).await?,
        Actor::new(&secured, User::Edge).await?,
    );
    for (pattern, subject) in [("live.dm.a.*", "live.dm.a.b"), ("live.group.g", "live.group.g")] {
        one.works(&Action::Hear(pattern, subject), &other).await?;
    }
    // Who types is told among edges alone: not even an admin hears it, and makes up none.
    let admin = Actor::new(&secured, User::Admin).await?;
    let heard = admin.listen("live.>").await?;
    one.works(&Action::Hear("live.dm.a.*", "live.dm.a.b"), &other)
        .await?;
    one.works(&Action::Hear("live.user.u", "live.user.u"), &admin)
        .await?;
    assert_eq!(heard.next_subject().await?, "live.user.u");
    secured.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_write_one_key_of_a_shared_bucket_cannot_wipe_it() -> anyhow::Result<()> {
    let secured = Secured::start().await?;
    let (admin, notifier) = (
        Actor::new(&secured, User::Admin).await?,
        Actor::new(&secured, User::Notifier).await?,
    );
    let shards = Action::Ask("$JS.API.DIRECT.GET.KV_cluster.$KV.cluster.shards", "");
    admin.works(&shards, &admin).await?;
    let before = admin.stores().await?;
    for scope in ["all", "sub"] {
        let answer = notifier.store_over("$KV.cluster.fcm", scope).await?;
        assert!(!answer["error"].is_null(), "{scope}: {answer}");
    }
    assert_eq!(admin.stores().await?, before);
    notifier.works(&Action::Store("$KV.cluster.fcm"), &admin).await?;
    secured.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_read_a_bucket_is_not_told_that_it_is_missing() -> anyhow::Result<()> {
    let secured = Secured::start().await?;
    let context = async |user| {
        let client =
            cluster::connect(secured.nats_args(user).login(user), "permissions test", |_| {}).await?;
        anyhow::Ok(async_nats::jetstream::new(client))
    };
    let edge = context(User::Edge).await?;
    let told = cluster::vapid(&edge).await;
    let Err(JoinError::Unreadable { bucket, .. }) = told else {
        anyhow::bail!(
            "an edge reads a secret, or is told what is not so: {:?}",
            told.map(drop)
        );
    };
    assert_eq!(bucket, "push_keys");
    let admin = context(User::Admin).await?;
    admin.delete_key_value(Bucket::Cluster.name()).await?;
    assert!(matches!(
        cluster::shards(&admin).await,
        Err(JoinError::NotProvisioned)
    ));
    secured.stop().await;
    Ok(())
}

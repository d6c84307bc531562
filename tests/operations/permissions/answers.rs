//! Where answers go. The asker names the place, and nats-server looks at permissions only where a client publishes:
//! what that lets through, what it does not, and what Natterjack's own services make of it.
//! `docs/decisions/one-user-for-each-role.md` says what follows from it.

use std::time::Duration;

use natterjack::role;
use natterjack_nats::access::User;
use natterjack_runtime::{lifecycle::Tasks, metrics::Metrics};
use tokio::time::{Instant, sleep};

use super::{
    actor::{Action, Actor},
    secured::Secured,
};

const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

const GET: &str = "$JS.API.DIRECT.GET.CHAT_0";
const DELETE: &str = "$JS.API.STREAM.DELETE.CHAT_0";
const INFO: &str = "$JS.API.STREAM.INFO.CHAT_0";
const VAPID: &str = "$KV.push_keys.vapid";
const VAPID_NOW: &str = "$JS.API.DIRECT.GET.KV_push_keys.$KV.push_keys.vapid";
const SESSION: &str = "$JS.API.DIRECT.GET.KV_sessions.$KV.sessions.e1.u.d";
const SESSIONS: &str = "$JS.API.STREAM.INFO.KV_sessions";
const RECEIPTS: &str = "$JS.API.STREAM.INFO.RECEIPTS";
const TARGET: &str = "$JS.API.DIRECT.GET.KV_push_targets.$KV.push_targets.u.d";
/// Changes the consumer of presence: what an edge may not ask for.
const PRESENCE_CHANGED: &str = r#"{"stream_name":"KV_edges","config":{"name":"presence","durable_name":"presence","ack_policy":"explicit","deliver_policy":"all","max_ack_pending":1}}"#;
const STRAY: &str = "$KV.presence.stray";
const STRAY_NOW: &str = "$JS.API.DIRECT.GET.KV_presence.$KV.presence.stray";

/// Until a condition holds; else fails with what is wrong then.
async fn until(wrong: &str, mut holds: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await? {
        anyhow::ensure!(Instant::now() < deadline, "{wrong}");
        sleep(POLL).await;
    }
    Ok(())
}

/// A known limit, and no wish: if this fails, a server keeps answers from where the asker may not publish, and
/// the page on users can say less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_limit_an_answer_goes_where_its_asker_may_not_publish() -> anyhow::Result<()> {
    let secured = Secured::start().await?;
    let (admin, persister) = (
        Actor::new(&secured, User::Admin).await?,
        Actor::new(&secured, User::Persister).await?,
    );
    let operator = Actor::new(&secured, User::Operator).await?;

    // JetStream answers into a bucket of another role.
    persister.is_refused(&Action::Store(VAPID)).await?;
    let own = persister.store("chat.0.dm.a.b", "of the persister").await?;
    persister
        .ask_for(GET, format!("{{\"seq\":{own}}}"), VAPID)
        .await?;
    until(
        "an answer of JetStream does not reach another's bucket any more",
        async || Ok(admin.value(VAPID_NOW).await?.as_deref() == Some(b"of the persister")),
    )
    .await?;

    // With the header of a message that replaces all others.
    for key in ["$KV.sessions.e1.u.d1", "$KV.sessions.e1.u.d2"] {
        admin.works(&Action::Store(key), &admin).await?;
    }
    let stored = persister.store_over("$KV.push_targets.u.d", "all").await?;
    anyhow::ensure!(stored["error"].is_null(), "{stored}");
    persister
        .ask_for(TARGET, String::new(), "$KV.sessions.e1.u.d3")
        .await?;
    until(
        "an answer of JetStream does not wipe another's bucket any more",
        async || Ok(admin.told(SESSIONS, "").await?["state"]["messages"] == 1),
    )
    .await?;

    // A client that answers is let through everywhere too, in the account of who asked: an edge as well.
    for answering in [persister, Actor::new(&secured, User::Edge).await?] {
        answering.is_refused(&Action::Store(STRAY)).await?;
        let answers = answering.answer_next("svc.process.info").await?;
        operator.ask_for("svc.process.info", String::new(), STRAY).await?;
        answers.await?;
        until(
            "an answer of a client does not reach another's bucket any more",
            async || Ok(admin.value(STRAY_NOW).await?.as_deref() == Some(b"answered")),
        )
        .await?;
        admin.works(&Action::Store(STRAY), &admin).await?;
    }

    // JetStream answers to itself, and what it answers is empty: just what a deletion has to be.
    let persister = Actor::new(&secured, User::Persister).await?;
    persister.is_refused(&Action::Ask(DELETE, "")).await?;
    let empty = persister.store("chat.0.dm.a.b", "").await?;
    persister
        .ask_for(GET, format!("{{\"seq\":{empty}}}"), DELETE)
        .await?;
    until(
        "an answer of JetStream does not delete a stream any more",
        async || Ok(admin.told(INFO, "").await?["error"]["code"] == 404),
    )
    .await?;
    secured.stop().await;
    Ok(())
}

/// An edge is in an account of its own: an answer goes only where an edge may publish anyway.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_edge_is_answered_reaches_nothing_that_it_may_not_publish_to() -> anyhow::Result<()> {
    let secured = Secured::start().await?;
    let (admin, edge) = (
        Actor::new(&secured, User::Admin).await?,
        Actor::new(&secured, User::Edge).await?,
    );
    for key in ["$KV.edges.e1", "$KV.devices.u.d1", "$KV.devices.u.d2", VAPID] {
        admin.works(&Action::Store(key), &admin).await?;
    }
    let words = |seq: u64| format!("{{\"seq\":{seq}}}");
    let text = words(edge.store("chat.0.dm.a.b", "of the edge").await?);
    let empty = words(edge.store("chat.0.dm.a.b", "").await?);
    let first = words(edge.store("chat.0.dm.a.b", "{\"seq\":2}").await?);
    let other = words(edge.store("chat.0.dm.a.b", PRESENCE_CHANGED).await?);
    let stored = edge.store_over("$KV.sessions.e1.u.d", "all").await?;
    anyhow::ensure!(stored["error"].is_null(), "{stored}");

    // What each tries has its effect where an edge may publish: else it would show nothing.
    let arrives = async || {
        let stored = async || anyhow::Ok(admin.told(RECEIPTS, "").await?["state"]["messages"].clone());
        let before = stored().await?;
        edge.ask_for(GET, text.clone(), "receipt.0").await?;
        until("an answer does not come where it may", async || {
            Ok(stored().await? != before)
        })
        .await
    };
    arrives().await?;
    let stores = async || {
        let mut all = admin.stores().await?;
        // What the edge writes itself.
        all.retain(|stored| stored[0]["name"] != "RECEIPTS");
        anyhow::Ok(all)
    };
    let before = stores().await?;
    let heard = [
        admin.listen("live.user.u").await?,
        admin.listen("_INBOX_persister.x").await?,
        admin.listen("svc.push.replay").await?,
    ];
    for (get, what, place) in [
        (GET, &text, VAPID),
        (GET, &text, "$KV.devices.u.d1"),
        (GET, &text, STRAY),
        (GET, &text, "chat.0.user.u"),
        (GET, &text, "live.user.u"),
        (GET, &text, "_INBOX_persister.x"),
        (GET, &text, "svc.push.replay"),
        (SESSION, &String::new(), "$KV.devices.u.d3"),
        (GET, &empty, "$JS.API.STREAM.PURGE.CHAT_0"),
        (GET, &first, "$JS.API.STREAM.PURGE.CHAT_0"),
        (GET, &first, "$JS.API.STREAM.MSG.DELETE.CHAT_0"),
        (GET, &empty, "$JS.API.CONSUMER.DELETE.CHAT_0.persister"),
        // These lie within what an edge may ask for, and are denied to it.
        (GET, &other, "$JS.API.CONSUMER.CREATE.KV_edges.presence"),
        (GET, &empty, "$JS.API.CONSUMER.DELETE.KV_edges.presence"),
        (GET, &empty, DELETE),
    ] {
        edge.ask_for(get, what.clone(), place).await?;
        // An answer of the same stream that comes later has arrived: so would this one.
        arrives().await?;
        assert_eq!(stores().await?, before, "an answer to {place} changed something");
    }
    for (ear, own) in heard
        .iter()
        .zip(["live.user.u", "_INBOX_persister.x", "svc.push.replay"])
    {
        admin
            .ask_for(own, "of the admin".into(), "_INBOX_admin.nobody")
            .await?;
        assert_eq!(ear.next_text().await?, "of the admin");
    }
    secured.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acks_are_no_place_for_answers_and_consumers_deliver_no_orders() -> anyhow::Result<()> {
    let secured = Secured::start().await?;
    let (admin, edge) = (
        Actor::new(&secured, User::Admin).await?,
        Actor::new(&secured, User::Edge).await?,
    );
    let written = Action::Store("$KV.edges.e1");
    edge.works(&written, &admin).await?;
    for ack in [
        "$JS.ACK.CHAT_0.persister.1.1.1.1.1",
        "$JS.ACK._.hash.CHAT_0.persister.1.1.1.1.1",
    ] {
        edge.is_refused_for(GET, ack).await?;
    }
    let stores = async || {
        let mut all = admin.stores().await?;
        // What the edge writes itself.
        all.retain(|stored| stored[0]["name"] != "KV_edges");
        anyhow::Ok(all)
    };
    let before = stores().await?;
    for (make, look, config) in [
        (
            "$JS.API.CONSUMER.CREATE.KV_edges.orders",
            "$JS.API.CONSUMER.INFO.KV_edges.orders",
            r#"{"stream_name":"KV_edges","config":{"name":"orders","deliver_subject":"$JS.API.STREAM.DELETE.CHAT_0","deliver_policy":"all","ack_policy":"none"}}"#,
        ),
        (
            "$JS.API.CONSUMER.CREATE.KV_edges.values",
            "$JS.API.CONSUMER.INFO.KV_edges.values",
            r#"{"stream_name":"KV_edges","config":{"name":"values","deliver_subject":"$KV.push_keys.vapid","deliver_policy":"all","ack_policy":"none"}}"#,
        ),
    ] {
        let made = edge.told(make, config).await?;
        anyhow::ensure!(made["error"].is_null(), "{made}");
        // The server delivers only where somebody listens on just that subject, which neither the API nor a bucket
        // does. What is written now would go there too.
        edge.works(&written, &admin).await?;
        edge.works(&written, &admin).await?;
        let told = edge.told(look, "").await?;
        assert_eq!(told["delivered"]["consumer_seq"], 0, "{told}");
        assert!(told["num_pending"].as_u64() > Some(0), "{told}");
    }
    assert_eq!(stores().await?, before);
    secured.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_answer_inboxes_alone() -> anyhow::Result<()> {
    let secured = Secured::start().await?;
    let (admin, operator) = (
        Actor::new(&secured, User::Admin).await?,
        Actor::new(&secured, User::Operator).await?,
    );
    let nats = secured.nats_args(User::Presence);
    let path = |path: Option<std::path::PathBuf>| path.unwrap_or_default().display().to_string();
    let (nkey, ca) = (path(nats.nkey), path(nats.ca));
    let args: natterjack_presence::Args = role::args(&[
        ("--nats-url", &nats.url),
        ("--nats-nkey", &nkey),
        ("--nats-ca", &ca),
    ])?;
    let (tasks, metrics) = (Tasks::new(), Metrics::new("presence"));
    Box::pin(natterjack_presence::run_with(&args, &tasks, metrics.clone())).await?;

    operator.ask_for("svc.process.info", "{}".into(), STRAY).await?;
    // It was seen, and is over: presence counts it then.
    until("presence does not say that it refused it", async || {
        let text = metrics.encode();
        Ok(text.lines().any(|line| {
            line.contains("service_requests_total")
                && line.contains("verb=\"info\"")
                && line.contains("outcome=\"bad_request\"")
                && line.ends_with(" 1")
        }))
    })
    .await?;
    assert_eq!(admin.value(STRAY_NOW).await?, None);
    // Whoever has an inbox is answered.
    let told = operator.told("svc.process.info", "{}").await?;
    assert_eq!(told["role"], "presence", "{told}");
    assert_eq!(admin.value(STRAY_NOW).await?, None);
    tasks.stop(PATIENCE).await?;
    secured.stop().await;
    Ok(())
}

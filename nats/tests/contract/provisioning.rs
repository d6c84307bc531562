//! Provisioning: again, beside a drift, and what it never replaces.

use async_nats::jetstream::Context;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::{FutureExt as _, StreamExt as _};
use natterjack_nats::{
    cluster,
    provision::{ProvisionError, Report, provision},
    subjects::kv,
    topology::{Bucket, Settings},
};

use crate::{Fixture, settings};

#[tokio::test]
async fn provisioning_is_idempotent_reports_drift_and_refuses_other_shards() {
    let fixture = Fixture::new().await;
    assert!(matches!(
        cluster::shards(&fixture.context).await,
        Err(cluster::JoinError::NotProvisioned)
    ));

    let client = fixture.context.client();
    let mut changes = client
        .subscribe("$JS.API.STREAM.UPDATE.>")
        .await
        .expect("subscribed");
    client.flush().await.expect("subscribed");
    let first = provision(&fixture.context, &settings(2), false)
        .await
        .expect("provisioned");
    // It came before what the server answered last.
    let changed = changes.next().now_or_never().flatten();
    assert!(
        changed.is_none(),
        "cut in between, it would leave what is not as it should be: {:?}",
        changed.map(|request| request.subject)
    );
    drop(changes);
    assert_eq!(
        first.created.len(),
        5 + 9 + 10 + 1,
        "streams, buckets, consumers, the key of Web Push: {:?}",
        first.created
    );
    assert_eq!(
        cluster::shards(&fixture.context).await.expect("recorded").count(),
        2
    );
    let second = provision(&fixture.context, &settings(2), false)
        .await
        .expect("again");
    assert_eq!(second, Report::default());

    let wanted = Settings {
        chat_bytes_max: 16 << 20,
        ..settings(2)
    };
    let drift = provision(&fixture.context, &wanted, false)
        .await
        .expect("reported")
        .drift;
    assert!(
        drift
            .iter()
            .any(|drift| drift.of == "stream CHAT_0" && drift.setting == "max_bytes"),
        "{drift:?}"
    );
    let applied = provision(&fixture.context, &wanted, true).await.expect("applied");
    assert!(
        applied.updated.contains(&"stream CHAT_1".to_owned()),
        "{applied:?}"
    );
    let settled = provision(&fixture.context, &wanted, false)
        .await
        .expect("settled");
    assert_eq!(settled.drift, []);

    let refused = provision(&fixture.context, &settings(3), true)
        .await
        .expect_err("shards never change");
    assert!(matches!(refused, ProvisionError::Shards { found: 2, wanted: 3 }));
}

/// The public half as clients read it.
async fn told(context: &Context) -> String {
    let bucket = context
        .get_key_value(Bucket::Cluster.name())
        .await
        .expect("there");
    let value = bucket.get(kv::cluster::VAPID).await.expect("read").expect("told");
    String::from_utf8(value.to_vec()).expect("text")
}

#[tokio::test]
async fn the_key_of_web_push_is_made_once_and_never_replaced() {
    let fixture = Fixture::new().await;
    let context = &fixture.context;
    assert!(matches!(
        cluster::vapid(context).await,
        Err(cluster::JoinError::NotProvisioned)
    ));
    // All at once: they agree on one.
    let settings = settings(1);
    let made = futures::future::join_all((0..4).map(|_| provision(context, &settings, false))).await;
    let made = made.into_iter().filter_map(Result::ok);
    let makers = made.filter(|report| report.created.contains(&"key vapid".to_owned()));
    assert_eq!(makers.count(), 1);
    let first = cluster::vapid(context).await.expect("kept");
    // As the Push API wants it: an uncompressed point on P-256.
    let point = BASE64_URL_SAFE_NO_PAD
        .decode(&first.public_key)
        .expect("base64url");
    assert_eq!((point.len(), point[0]), (65, 4));
    assert_eq!(told(context).await, first.public_key);
    assert!(first.created_at > 1_577_836_800_000, "{}", first.created_at);
    assert!(!format!("{first:?}").contains(&first.private_key));

    let again = provision(context, &settings, true).await.expect("again");
    assert_eq!(again, Report::default());
    assert_eq!(cluster::vapid(context).await.expect("kept"), first);

    // Died between the two halves: the public one is told later.
    let cluster_bucket = context
        .get_key_value(Bucket::Cluster.name())
        .await
        .expect("there");
    cluster_bucket.delete(kv::cluster::VAPID).await.expect("deleted");
    provision(context, &settings, false).await.expect("told again");
    assert_eq!(told(context).await, first.public_key);

    // Another public half is reported, and put right if that is wanted.
    cluster_bucket
        .put(kv::cluster::VAPID, "another".into())
        .await
        .expect("put");
    let drift = provision(context, &settings, false)
        .await
        .expect("reported")
        .drift;
    assert_eq!(
        (drift[0].of.as_str(), drift[0].found.as_str()),
        ("key vapid", "another")
    );
    provision(context, &settings, true).await.expect("put right");
    assert_eq!(told(context).await, first.public_key);

    // A private half that is lost or broken is not replaced silently.
    let keys = context
        .get_key_value(Bucket::PushKeys.name())
        .await
        .expect("there");
    keys.put(kv::push_keys::VAPID, "{}".into()).await.expect("put");
    let refused = provision(context, &settings, true).await.expect_err("broken");
    assert!(refused.to_string().contains("backup"), "{refused}");
    assert!(matches!(
        cluster::vapid(context).await,
        Err(cluster::JoinError::BadVapid)
    ));
    keys.delete(kv::push_keys::VAPID).await.expect("deleted");
    let refused = provision(context, &settings, true).await.expect_err("lost");
    assert!(refused.to_string().contains("subscribe anew"), "{refused}");
    assert_eq!(told(context).await, first.public_key);
}

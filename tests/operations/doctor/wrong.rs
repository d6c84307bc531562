//! What is made wrong in a cluster that was well, one thing after another, and put right again.

use std::{path::Path, time::Duration};

use async_nats::{
    Client,
    jetstream::{self, consumer::PullConsumer},
};
use natterjack::fleet::RoleProcess;
use natterjack_nats::{
    Conversation, Shards, cluster,
    ids::{DeviceId, EdgeId, UserId},
    services::edge::{Drain, Undrain},
    subjects::{self, kv},
    topology::{Bucket, PERSISTER, PUSH_DEAD, chat_stream},
    wire::Channel,
};
use tokio::process::Command;

use super::patient::{BINARY, Patient};

/// What no persister can write: it is kept as a dead letter.
const JUNK_BYTES: usize = 40_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_wrong_is_named_and_nothing_else() -> anyhow::Result<()> {
    let patient = Patient::new().await?;
    let client = cluster::connect(patient.fleet.ground().nats_url(), "doctor test", |_| {}).await?;
    patient.shows(&[], &[]).await?;
    an_edge_drains(&patient, &client).await?;
    an_edge_is_announced_where_nobody_is(&patient).await?;
    the_key_of_web_push_is_lost(&patient, &client).await?;
    a_push_was_given_up(&patient, &client).await?;
    a_consumer_drifted(&patient, &client).await?;
    nobody_writes_history(&patient, &client).await?;
    a_stream_is_nearly_full(&patient, &client).await?;
    forgive(&patient).await?;
    patient.shows(&[], &[]).await?;
    patient.finish().await
}

async fn an_edge_drains(patient: &Patient, client: &Client) -> anyhow::Result<()> {
    let context = jetstream::new(client.clone());
    let edges = context.get_key_value(Bucket::Edges.name()).await?;
    let ids: Vec<String> = futures::TryStreamExt::try_collect(edges.keys().await?).await?;
    let edge: EdgeId = ids.first().expect("an edge").parse()?;
    client
        .request(subjects::svc::of_edge::<Drain>(edge), "".into())
        .await?;
    let seen = patient.shows(&[], &["edges.leases"]).await?;
    assert!(seen.words("edges.leases").starts_with(&format!("{edge}: drains")));
    client
        .request(subjects::svc::of_edge::<Undrain>(edge), "".into())
        .await?;
    patient.shows(&[], &[]).await?;
    Ok(())
}

async fn an_edge_is_announced_where_nobody_is(patient: &Patient) -> anyhow::Result<()> {
    let ground = patient.fleet.ground();
    let options = [
        "--nats-url",
        ground.nats_url(),
        "--public-url",
        "http://127.0.0.1:1",
    ];
    let dir = ground.path().join("lost-edge");
    let edge = RoleProcess::start(Path::new(BINARY), "edge", "--listen", &options, &dir).await?;
    let seen = patient.shows(&["edges.ready"], &[]).await?;
    assert!(seen.words("edges.ready").contains("http://127.0.0.1:1"));
    // What is each machine's own address is not asked here if there is one for all edges.
    let all = patient.fleet.urls().remove(0);
    let seen = patient.doctor(&["--edge-url", &all]).await?;
    assert_eq!(seen.words("edges.ready"), "", "{:#}", seen.report);
    edge.stop().await?;
    patient.shows(&[], &[]).await?;
    Ok(())
}

async fn the_key_of_web_push_is_lost(patient: &Patient, client: &Client) -> anyhow::Result<()> {
    let context = jetstream::new(client.clone());
    let keys = context.get_key_value(Bucket::PushKeys.name()).await?;
    let key = keys.get(kv::push_keys::VAPID).await?.expect("a key");
    keys.delete(kv::push_keys::VAPID).await?;
    let seen = patient.shows(&["push.web"], &[]).await?;
    assert!(seen.words("push.web").contains("from a backup"));
    assert!(!seen.report.to_string().contains("private_key"));
    keys.put(kv::push_keys::VAPID, key).await?;
    patient.shows(&[], &[]).await?;
    Ok(())
}

async fn a_push_was_given_up(patient: &Patient, client: &Client) -> anyhow::Result<()> {
    let context = jetstream::new(client.clone());
    let subject = subjects::push::dead(
        Channel::ALL[0],
        UserId::from_parts(1, 1),
        DeviceId::from_parts(1, 1),
    );
    context.publish(subject, "{}".into()).await?.await?;
    let seen = patient.shows(&[], &["dead.pushes"]).await?;
    assert!(seen.words("dead.pushes").contains("svc.push.replay"));
    context.get_stream(PUSH_DEAD).await?.purge().await?;
    Ok(())
}

async fn a_consumer_drifted(patient: &Patient, client: &Client) -> anyhow::Result<()> {
    let context = jetstream::new(client.clone());
    let stream = context.get_stream("CHAT_0").await?;
    let consumer: PullConsumer = stream
        .get_consumer(PERSISTER)
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    let mut config = consumer.cached_info().config.clone();
    config.ack_wait = Duration::from_secs(47);
    let config: jetstream::consumer::pull::Config =
        jetstream::consumer::FromConsumer::try_from_consumer_config(config)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
    stream.update_consumer(config).await?;
    let seen = patient.shows(&[], &["streams.topology"]).await?;
    let words = seen.words("streams.topology");
    assert!(
        words.contains("CHAT_0 > persister") && words.contains("ack_wait"),
        "{words}"
    );
    put_right(patient).await
}

/// What the doctor says is to be done, done.
async fn put_right(patient: &Patient) -> anyhow::Result<()> {
    let url = patient.fleet.ground().nats_url();
    let ended = Command::new(BINARY)
        .args(["provision", "--apply", "--nats-url", url])
        .output()
        .await?;
    anyhow::ensure!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    patient.shows(&[], &[]).await?;
    Ok(())
}

/// A conversation in the stream `CHAT_1`.
fn conversation(shards: Shards) -> Conversation {
    (1..)
        .map(|number| Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(number, 2)))
        .find(|conversation| chat_stream(shards.of(conversation)) == "CHAT_1")
        .expect("one of them")
}

async fn nobody_writes_history(patient: &Patient, client: &Client) -> anyhow::Result<()> {
    let persister = &patient.fleet.persisters[0];
    persister.stop().await?;
    let context = jetstream::new(client.clone());
    let shards = patient.fleet.ground().settings().shards;
    let subject = subjects::chat::subject(shards, &conversation(shards));
    context
        .publish(subject, vec![b'x'; JUNK_BYTES].into())
        .await?
        .await?;
    let seen = patient.shows(&["roles.running", "streams.lag"], &[]).await?;
    let words = seen.words("streams.lag");
    assert!(
        words.starts_with("CHAT_1 > persister: 1 messages wait and nobody takes"),
        "{words}"
    );
    assert!(seen.words("roles.running").starts_with("persister: "));
    persister.restart().await?;
    let seen = patient.shows(&["dead.history"], &[]).await?;
    assert!(
        seen.words("dead.history")
            .contains("1 messages could not be written")
    );
    Ok(())
}

async fn a_stream_is_nearly_full(patient: &Patient, client: &Client) -> anyhow::Result<()> {
    let context = jetstream::new(client.clone());
    let mut stream = context.get_stream("CHAT_1").await?;
    let info = stream.info().await?;
    let mut config = info.config.clone();
    config.max_bytes = i64::try_from(info.state.bytes * 100 / 95)?;
    context.update_stream(config).await?;
    let seen = patient
        .shows(&["dead.history", "streams.fill"], &["streams.topology"])
        .await?;
    assert!(seen.words("streams.fill").contains("refuses what is sent"));
    Ok(())
}

/// Takes the dead letter away and the stream's bound back.
async fn forgive(patient: &Patient) -> anyhow::Result<()> {
    let (database, connection) =
        tokio_postgres::connect(patient.fleet.ground().database_url(), tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    database.execute("delete from dead_letters", &[]).await?;
    drop(database);
    connection.await??;
    put_right(patient).await
}

//! What a run must not leave behind.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use async_nats::{
    Client,
    jetstream::{self, consumer::PullConsumer},
};
use natterjack_nats::{
    cluster::{self, Login},
    direct::{self, Bounds},
    subjects::kv,
    topology::{self, Bucket, Settings},
};
use natterjack_persister::db::{Address, Db, DbError, Tx};
use natterjack_runtime::metrics::Metrics;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

/// How long the persister and presence may take to catch up with a test, on a busy machine.
const PERSISTED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
const PAGE: Bounds = Bounds {
    messages: 1_000,
    bytes: 1 << 20,
    timeout: Duration::from_secs(10),
};

/// Waits until the persister has acked all that its streams hold.
///
/// # Errors
/// One has not after a minute, or NATS does not answer.
pub async fn persisted(nats: impl Into<Login>, settings: &Settings) -> anyhow::Result<()> {
    let client = cluster::connect(nats, "natterjack audit", |_| {}).await?;
    let context = jetstream::new(client);
    let deadline = Instant::now() + PERSISTED_WITHIN;
    for (stream, config) in topology::consumers(settings) {
        let name = config.durable_name.unwrap_or_default();
        if name != topology::PERSISTER {
            // Nothing of what others read ends up in Postgres.
            continue;
        }
        loop {
            let consumer: PullConsumer = context
                .get_consumer_from_stream(&name, &stream)
                .await
                .with_context(|| format!("{stream} > {name}"))?;
            let info = consumer.cached_info();
            let (pending, unacked) = (info.num_pending, info.num_ack_pending);
            if pending == 0 && unacked == 0 {
                break;
            }
            if Instant::now() > deadline {
                bail!("{stream} > {name} has {pending} messages pending and {unacked} unacked");
            }
            sleep(POLL).await;
        }
    }
    Ok(())
}

/// Everything that a KV bucket has, by key.
///
/// # Errors
/// NATS does not answer, or a value is none of that kind.
pub async fn bucket<T: DeserializeOwned>(
    client: &Client,
    bucket: Bucket,
) -> anyhow::Result<BTreeMap<String, T>> {
    let (mut all, mut from) = (BTreeMap::new(), 1);
    loop {
        let subject = kv::subject(bucket, ">");
        let page = direct::next_by_subject(client, &bucket.stream_name(), &subject, from, PAGE).await?;
        for message in &page.messages {
            // What only says that the key has no value any more.
            let marks = ["KV-Operation", "Nats-Marker-Reason"];
            if marks.iter().any(|name| message.headers.get(*name).is_some()) {
                continue;
            }
            let key = kv::key(bucket, &message.subject).context("a subject of the bucket")?;
            let value = serde_json::from_slice(&message.payload);
            let value = value.with_context(|| format!("{} > {key}", bucket.name()))?;
            all.insert(key.to_owned(), value);
        }
        match page.messages.last() {
            Some(last) if page.more => from = last.seq + 1,
            _ => return Ok(all),
        }
    }
}

/// Fails if there are dead letters, or events that were not published.
///
/// # Errors
/// What was found.
pub async fn nothing_left(database: impl Into<Address>) -> anyhow::Result<()> {
    let db = Db::open(database, 1, &Metrics::new("audit")).await?;
    let read = |tx: Tx| async move {
        let letters = tx
            .query(
                "select stream, seq, subject, error from dead_letters order by at",
                &[],
            )
            .await?;
        let waiting = tx.query_one("select count(*) from outbox", &[]).await?;
        Ok::<_, DbError>((letters, waiting.get::<_, i64>(0)))
    };
    let (letters, waiting) = db.read("audit", read).await?;
    let letters: Vec<String> = letters
        .iter()
        .map(|row| {
            let (stream, seq, subject, error): (&str, i64, &str, &str) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            format!("{stream} {seq} on {subject}: {error}")
        })
        .collect();
    anyhow::ensure!(letters.is_empty(), "dead letters:\n{}", letters.join("\n"));
    anyhow::ensure!(waiting == 0, "{waiting} events were not published");
    Ok(())
}

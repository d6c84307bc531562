//! How fast one process decides what has waited for it: a measurement, run by hand with
//! `cargo test --workspace --release --test deciding -- --ignored --nocapture speed`.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use natterjack_nats::{
    subjects::receipt,
    wire::{Channel, Cursor, ReceiptBatch, ReceiptOf},
};

use natterjack_runtime::{lifecycle::Tasks, metrics::Metrics};

use crate::{World, device, dm, user, world::until};

const ME: u128 = 1;
const MESSAGES: u128 = 20_000;
const AT_ONCE: usize = 256;

/// Which of the users is what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Everybody {
    Confirmed,
    Unregistered,
    Registered,
}

async fn measure(everybody: Everybody) -> anyhow::Result<()> {
    let world = &World::new().await?;
    let _persister = world.persister().await?;
    if everybody == Everybody::Registered {
        let all = stream::iter(2..2 + MESSAGES);
        let registered = all.map(|other| world.register(user(other), device(other), Channel::Fcm));
        registered.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    }
    let all = stream::iter(2..2 + MESSAGES);
    let sent = all.map(async |other| {
        let seq = world
            .send(dm(ME, other), user(ME), "Shall we meet at eight?")
            .await?;
        Ok::<_, anyhow::Error>((other, seq))
    });
    let sent: Vec<(u128, u64)> = sent.buffer_unordered(AT_ONCE).try_collect().await?;
    if everybody == Everybody::Confirmed {
        for part in sent.chunks(1_000) {
            let receipt = |(other, seq): &(u128, u64)| ReceiptOf {
                conversation: dm(ME, *other),
                user: user(*other),
                cursor: Cursor {
                    delivered: *seq,
                    read: 0,
                },
                foreground: *seq,
            };
            let batch = ReceiptBatch {
                receipts: part.iter().map(receipt).collect(),
            };
            let subject = receipt::subject(world.shards.of(&dm(ME, 2)));
            let ack = world
                .jetstream
                .publish(subject, serde_json::to_vec(&batch)?.into());
            ack.await?.await?;
        }
    }
    tokio::time::sleep(Duration::from_millis(world.args.grace_ms)).await;
    let started = Instant::now();
    let (tasks, metrics) = (Tasks::new(), Metrics::new("notifier"));
    natterjack_notifier::run_with(&world.args, &tasks, metrics.clone()).await?;
    let ready = started.elapsed();
    until("everything is decided", async || {
        world.settled().await?;
        Ok(Some(()))
    })
    .await?;
    let took = started.elapsed() - ready;
    let a_second = (f64::from(u32::try_from(MESSAGES)?) / took.as_secs_f64()).round();
    println!(
        "speed: {everybody:?}: {MESSAGES} messages in {took:.2?} = {a_second} a second; {} handed over",
        world.writes().await?
    );
    let encoded = metrics.encode();
    let of_batches =
        |line: &&str| line.starts_with("natterjack_push_decide_seconds_") && !line.contains("_bucket{");
    for line in encoded.lines().filter(of_batches) {
        println!("speed: {line}");
    }
    tasks.stop(Duration::from_secs(10)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn speed() -> anyhow::Result<()> {
    measure(Everybody::Confirmed).await?;
    measure(Everybody::Unregistered).await?;
    measure(Everybody::Registered).await
}

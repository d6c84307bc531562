//! `natterjack bench push`: pushes a second and what one costs, and how long after the ack of a message
//! its push is with the push service.
//!
//! Nobody is connected, and every user has one browser that is registered. The push service is on this
//! machine and takes everything at once, so that it is the notifier that is measured. The two halves are
//! measured apart, each with a backlog: deciding, while the consumer of the pushes is held, and pushing,
//! once it is let go. The baseline is the least that a push can cost: to encrypt and to sign it, in this
//! process, on one core.

mod people;
mod result;
mod service;

use std::{
    hint::black_box,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use async_nats::Client;
use futures::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use natterjack_nats::{
    Conversation, UserId, cluster,
    subjects::kv::push_keys,
    topology::{self, Bucket},
    wire::Channel,
};
use natterjack_notifier::sample::Sealing;
use natterjack_runtime::servers::Progress;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{
    cluster::{Cluster, ClusterArgs, LOAD, Roles},
    cost::{Cost, Meter},
    figure::number,
    hold::{hold, hold_one},
    options::Measure,
    pace::pace,
    population::text,
    raw::Raw,
    report::About,
    stage::Stage,
    steps::Steps,
};
pub use result::Result;
use result::{Delay, Half, Once};
use service::PushService;

/// Messages that are under way while the backlog is published.
const FILLING: usize = 256;
/// How long the notifier may take with a backlog.
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(5);
/// How long it is waited for the last pushes of the paced messages, beside the grace.
const LATE: Duration = Duration::from_secs(10);

/// Options of `natterjack bench push`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Users who are away, each with one browser; as many messages are the backlog
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000), value_name = "N")]
    users: u32,
    /// Messages a second while the delay is measured
    #[arg(long, default_value_t = 200.0, value_name = "RATE")]
    rate: f64,
    /// Size of the text of each message, in bytes
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "BYTES")]
    text_bytes: u32,
    /// The notifiers' grace: what the delay cannot be below
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u64).range(100..=60_000), value_name = "MS")]
    grace_ms: u64,
    /// Notifiers, each a process
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    notifiers: u8,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) measure: Measure,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) cluster: ClusterArgs,
}

/// Runs it.
///
/// # Errors
/// Whatever kept it from its end.
pub async fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Result> {
    args.cluster
        .needs_own("its notifiers push to this machine, with a grace of its own")?;
    let repetitions = args.measure.repetitions;
    let mut steps = Steps::new(progress, 2 * repetitions as usize + 1);
    let roles = Roles {
        notifiers: usize::from(args.notifiers),
        push_grace_ms: args.grace_ms,
        ..Roles::usual(1)
    };
    let cluster = Cluster::start_with(&args.cluster, roles, progress).await?;
    let service = PushService::start(args.users as usize).await?;
    let targets = people::register(&cluster, &service.url, args.users as usize).await?;
    let backlog = Backlog::new(args, &cluster, &service, targets).await?;
    let key = cluster.jetstream().get_key_value(Bucket::PushKeys.name()).await?;
    let key = key.get(push_keys::VAPID).await?.context("the key of Web Push")?;
    let sealing = Sealing::new(&serde_json::from_slice(&key)?, &text(args.text_bytes as usize))?;
    let sealing = Arc::new(sealing);
    let (mut sealed, mut decided, mut pushed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repetitions {
        sealed.push(seal(&sealing, args, &cluster).await?);
        steps.say(&format!(
            "encrypt {:>7} a second on one core",
            number(sealed.last().map_or(0.0, |once| once.per_second))
        ));
        let (decide, push) = backlog.measure().await?;
        steps.say(&format!(
            "decide  {:>7} messages a second, push {} a second",
            number(decide.per_second),
            number(push.per_second)
        ));
        decided.push(decide);
        pushed.push(push);
    }
    let delay = backlog.delay().await?;
    steps.say(&format!("pushed {} ms after the ack", number(delay.p50_ms)));
    let bytes = f64::from(u32::try_from(service.taken().bytes)?);
    let count = f64::from(u32::try_from(service.taken().count)?);
    let result = Result {
        about: About::of("push", args, &cluster)?,
        users: args.users,
        encrypt: Half::of(&sealed),
        decide: Half::of(&decided),
        push: Half::of(&pushed),
        body_bytes: bytes / count.max(1.0),
        delay,
    };
    drop(backlog);
    cluster.stop().await?;
    Ok(result)
}

/// Encrypts and signs on one core, in this process.
async fn seal(sealing: &Arc<Sealing>, args: &Args, cluster: &Cluster) -> anyhow::Result<Once> {
    let length = args.measure.length();
    let sealing = Arc::clone(sealing);
    let meter = Meter::start(cluster);
    let worked = tokio::task::spawn_blocking(move || {
        let (begun, mut count) = (std::time::Instant::now(), 0_u32);
        while begun.elapsed() < length {
            black_box(sealing.seal()?);
            count += 1;
        }
        anyhow::Ok((count, begun.elapsed()))
    });
    let (count, took) = worked.await??;
    // Its own CPU, so that others who take the core away do not count.
    let cost = meter.stop(cluster);
    let cpu_s = cost.cpu_s.get(LOAD).copied().unwrap_or_default();
    Ok(Once {
        per_second: f64::from(count) / took.as_secs_f64(),
        cpu_us_each: [("encrypt".to_owned(), cpu_s * 1e6 / f64::from(count))].into(),
    })
}

/// As many messages as there are users, each for another one.
struct Backlog<'a> {
    args: &'a Args,
    cluster: &'a Cluster,
    service: &'a PushService,
    raw: Arc<Raw>,
    client: Client,
    text: String,
}

impl<'a> Backlog<'a> {
    async fn new(
        args: &'a Args,
        cluster: &'a Cluster,
        service: &'a PushService,
        targets: Vec<(UserId, Conversation)>,
    ) -> anyhow::Result<Self> {
        let text = text(args.text_bytes as usize);
        let raw = Raw::connect(&cluster.nats_url, cluster.shards, text.clone(), targets).await?;
        Ok(Self {
            args,
            cluster,
            service,
            raw: Arc::new(raw),
            client: cluster::connect(&cluster.nats_url, "natterjack bench push", |_| {}).await?,
            text,
        })
    }

    /// Publishes it and measures both halves, one after the other.
    async fn measure(&self) -> anyhow::Result<(Once, Once)> {
        let count = self.args.users as usize;
        let pushes = Bucket::Pushes.stream_name();
        let channel = Channel::WebPush.as_str();
        hold(self.cluster, &self.client, topology::NOTIFIER, true).await?;
        hold_one(&self.client, &pushes, channel, true).await?;
        let publishing = stream::iter(0..count)
            .map(|number| self.raw.publish(number, &self.text))
            .buffer_unordered(FILLING);
        publishing.try_collect::<()>().await?;
        // The persister has them too, and the last of them is due.
        self.cluster.settle().await?;
        sleep(Duration::from_millis(self.args.grace_ms)).await;
        self.service.begin();
        let meter = Meter::start(self.cluster);
        hold(self.cluster, &self.client, topology::NOTIFIER, false).await?;
        self.decided().await?;
        let decide = once(&meter.stop(self.cluster), self.args.users);
        let meter = Meter::start(self.cluster);
        hold_one(&self.client, &pushes, channel, false).await?;
        self.service.until(count).await?;
        let push = once(&meter.stop(self.cluster), self.args.users);
        Ok((decide, push))
    }

    /// Waits until nothing of the chat streams is undecided.
    async fn decided(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut left = 0;
            for shard in self.cluster.shards.all() {
                let stream = self
                    .cluster
                    .jetstream()
                    .get_stream(topology::chat_stream(shard))
                    .await?;
                let info = stream.consumer_info(topology::NOTIFIER).await?;
                left += info.num_pending + info.num_ack_pending as u64;
            }
            if left == 0 {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{left} messages are undecided after {PATIENCE:?}"
            );
            sleep(POLL).await;
        }
    }

    /// How long after its ack a message is pushed, at a steady rate.
    async fn delay(&self) -> anyhow::Result<Delay> {
        self.service.begin();
        let stage = Stage::default();
        let all = self.args.measure.warm_up() + self.args.measure.length();
        let count = (all.as_secs_f64() * self.args.rate).min(f64::from(self.args.users));
        let mut due = pace(self.args.rate, 1, stage.clone()).remove(0);
        let acked = Arc::new(Mutex::new(Vec::new()));
        let mut publishing = tokio::task::JoinSet::new();
        let mut number = 0_usize;
        while f64::from(u32::try_from(number)?) < count && due.recv().await.is_some() {
            let (raw, text, acked) = (Arc::clone(&self.raw), self.text.clone(), Arc::clone(&acked));
            publishing.spawn(async move {
                raw.publish(number, &text).await?;
                let mut acked = acked.lock().unwrap_or_else(PoisonError::into_inner);
                acked.push((number, Instant::now()));
                anyhow::Ok(())
            });
            number += 1;
        }
        stage.stop();
        while let Some(published) = publishing.join_next().await {
            published??;
        }
        let deadline = Instant::now() + Duration::from_millis(self.args.grace_ms) + LATE;
        while self.service.taken().reached < number && Instant::now() < deadline {
            sleep(POLL).await;
        }
        let mut delays_us = Histogram::<u64>::new(3)?;
        let taken = self.service.taken();
        for (device, acked) in acked.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let pushed = taken.at.get(*device).copied().flatten();
            let pushed = pushed.ok_or_else(|| anyhow::anyhow!("a message was not pushed within {LATE:?}"))?;
            let delay = pushed.saturating_duration_since(*acked);
            delays_us.record(u64::try_from(delay.as_micros())?)?;
        }
        drop(taken);
        let ms = |quantile: f64| {
            f64::from(u32::try_from(delays_us.value_at_quantile(quantile)).unwrap_or(u32::MAX)) / 1e3
        };
        Ok(Delay {
            messages: delays_us.len(),
            grace_ms: self.args.grace_ms,
            rate: self.args.rate,
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            max_ms: ms(1.0),
        })
    }
}

fn once(cost: &Cost, count: u32) -> Once {
    let us = |(role, seconds): (&String, &f64)| (role.clone(), seconds * 1e6 / f64::from(count));
    Once {
        per_second: f64::from(count) / cost.seconds,
        cpu_us_each: cost.cpu_s.iter().map(us).collect(),
    }
}

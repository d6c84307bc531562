//! `natterjack bench history`: pages, the conversation list with its unread counts, the ingest and
//! the space of a long history.
//!
//! Postgres is filled with as many messages as are asked for, in the persister's own schema. Then
//! each kind of page is asked for in three ways, in turns: `postgres` fetches the same rows by one
//! prepared statement, which is what any backend would have to do; `service` asks the persister over
//! NATS; `edge` asks over HTTP. Last, messages are put into the streams while the persister's
//! consumers are held, and they are let go: how fast it catches up, next to bare inserts of the same rows.

mod ask;
mod result;
mod scene;

use anyhow::Context;
use natterjack_persister::sample::{Reader, Sample, Shape};
use natterjack_runtime::servers::Progress;
use serde::Serialize;

use super::{
    Measure, Steps,
    cluster::{Cluster, ClusterArgs},
    figure::number,
    ingest,
    population::sign_up,
    report::About,
};
use ask::{Asker, Load, Way};
pub use result::Result;
use result::{Scene as Measured, Space, Ways};
use scene::Scene;

/// Conversations of the user who has few, and of the one who has many.
const FEW: usize = 25;

/// Options of `natterjack bench history`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Messages in Postgres
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1_000..), value_name = "N")]
    pub rows: u64,
    /// Bytes of a message's text
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..), value_name = "BYTES")]
    pub text_bytes: u32,
    /// Conversations of the user who has many
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    pub conversations: usize,
    /// Pages asked for at a time, as many as possible a second
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub in_flight: u16,
    /// Pages a second where their latency is measured
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    pub rate: f64,
    /// Messages that the persister has to catch up with; 0 leaves the ingest out
    #[arg(long, default_value_t = 40_000, value_name = "N")]
    pub ingest_rows: usize,
    /// Only kinds of pages whose name contains this
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub only: String,
    #[command(flatten)]
    #[serde(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub measure: Measure,
}

/// Runs it.
///
/// # Errors
/// Whatever kept it from its end.
pub async fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Result> {
    args.cluster.needs_own("it fills Postgres")?;
    anyhow::ensure!(args.rate > 0.0, "--rate must be above 0");
    anyhow::ensure!(
        args.conversations >= FEW,
        "--conversations must be {FEW} at least"
    );
    let cluster = Cluster::start(&args.cluster, 1, progress).await?;
    let url = cluster
        .database_url()
        .context("a Postgres of its own")?
        .to_owned();
    let readers = sign_up(&cluster.edge_urls, "reader", 2).await?;
    let [few, many] = readers.as_slice() else {
        anyhow::bail!("two readers were signed up");
    };
    let sample = Sample::open(&url).await?;
    let shape = Shape {
        rows: args.rows,
        text_bytes: args.text_bytes,
        readers: [(few, FEW), (many, args.conversations)]
            .map(|(reader, conversations)| Reader {
                user: reader.user().id,
                conversations,
            })
            .into(),
    };
    let told = |made: u64| {
        if made == args.rows || made.is_multiple_of(1_000_000) {
            progress.say(&format!("{made} messages in Postgres …"));
        }
    };
    sample.fill(&shape, &told).await?;
    let space = Space::of(&sample).await?;
    let mut scenes = scene::all(&sample, few, many).await?;
    scenes.retain(|scene| scene.name.contains(&args.only));
    anyhow::ensure!(
        !scenes.is_empty(),
        "--only names no kind of page; leave it out to see all"
    );
    let asker = Asker::new(&cluster, &url, [few, many], args.in_flight.into()).await?;
    let windows = scenes.len() * Way::ALL.len() * 2 * args.measure.repetitions as usize;
    let mut steps = Steps::new(progress, windows);
    let mut measured = Vec::new();
    for scene in &scenes {
        measured.push(one(args, &cluster, &asker, scene, &sample, &mut steps).await?);
    }
    let ingest = match args.ingest_rows {
        0 => None,
        rows => Some(ingest::measure(&cluster, &sample, &url, rows, args, progress).await?),
    };
    let result = Result {
        about: About::of("history", args, &cluster)?,
        space,
        scenes: measured,
        ingest,
    };
    cluster.stop().await?;
    Ok(result)
}

async fn one(
    args: &Args,
    cluster: &Cluster,
    asker: &Asker,
    scene: &Scene,
    sample: &Sample,
    steps: &mut Steps<'_>,
) -> anyhow::Result<Measured> {
    let mut loads = Vec::new();
    for load in [Load::Closed, Load::Open(args.rate)] {
        let mut windows = Ways::<Vec<_>>::default();
        let mut blocks = Vec::new();
        for _ in 0..args.measure.repetitions {
            for way in Way::ALL {
                let before = sample.blocks().await?;
                let window = asker.window(cluster, scene, way, load, &args.measure).await?;
                let after = sample.blocks().await?;
                if way == Way::Service && window.count > 0 {
                    blocks.push((after.read.saturating_sub(before.read), window.count));
                }
                let (rate, p99) = (number(window.per_second), number(window.latency_ms.p99));
                steps.say(&format!(
                    "{:<26} {load} {:<9} {rate:>6} pages/s, p99 {p99} ms",
                    scene.name,
                    way.name()
                ));
                windows.of(way).push(window);
            }
        }
        loads.push((windows.medians()?, blocks));
    }
    Measured::of(scene.name, loads)
}

//! `natterjack bench send`: durable acks a second and their latency.
//!
//! Three ways, in turns, with the same messages: `raw` publishes to JetStream while the persister
//! stands still, which is what NATS can do; `raw, persisted` does so while the persister writes
//! to Postgres, which is what of that is left on this machine when history is kept; `natterjack`
//! is clients over WebSockets through an edge, with the persister at work. First each goes as fast
//! as it can with so many messages in flight; then all go at the same fixed rates, below what the
//! slowest of them can do, which compares what one message costs and how long it takes.

mod load;
mod result;
mod ways;

use natterjack_runtime::servers::Progress;
use serde::Serialize;

use super::{
    Measure, Steps,
    cluster::{Cluster, ClusterArgs},
    report::About,
};
use load::Load;
pub use result::Result;
use result::{AtShards, Closed, Open};
use ways::Bench;

/// Options of `natterjack bench send`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Messages in flight over all clients, one measurement each
    #[arg(long, value_delimiter = ',', default_value = "16,64,256", value_name = "N,…")]
    pub in_flight: Vec<usize>,
    /// Clients that share them, each with a WebSocket
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub senders: usize,
    /// Users to whom each of them writes in turn; they are not connected
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub peers: usize,
    /// Further users who are connected and hear nothing of it
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub connected: usize,
    /// Further conversations that the streams hold already, with a message each
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub conversations: usize,
    /// Bytes of a message's text
    #[arg(long, default_value_t = 200, value_name = "BYTES")]
    pub text_bytes: usize,
    /// Edges, each a process
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub edges: u8,
    /// Fixed rates, in percent of the lowest of the ways' highest rates
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "25,50,75",
        value_name = "PERCENT,…"
    )]
    pub load_percent: Vec<f64>,
    /// Fixed rates, a second, instead of --load-percent
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    pub rate: Vec<f64>,
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
    anyhow::ensure!(
        args.senders > 0 && args.peers > 0,
        "there is nobody to send to, or nobody who sends"
    );
    anyhow::ensure!(
        !args.in_flight.contains(&0) && (!args.in_flight.is_empty() || !args.rate.is_empty()),
        "at least one message must be in flight"
    );
    let clusters = args.cluster.of_each_shards();
    let rates = if args.rate.is_empty() {
        args.load_percent.len()
    } else {
        args.rate.len()
    };
    let loads = args.in_flight.len() + rates;
    // The persister of a cluster that runs already is not ours to be held still.
    let ways = if args.cluster.is_foreign() { 2 } else { 3 };
    let measurements = clusters.len() * loads * ways * args.measure.repetitions as usize;
    let mut steps = Steps::new(progress, measurements);
    let (mut about, mut shards): (Option<About>, _) = (None, Vec::new());
    for one in &clusters {
        let cluster = Cluster::start(one, usize::from(args.edges), progress).await?;
        let bench = Bench::prepare(args, cluster, progress).await?;
        shards.push(at_shards(args, &bench, &mut steps).await?);
        match &mut about {
            Some(about) => about.quality.add(&bench.cluster.taken.quality()),
            None => about = Some(About::of("send", args, &bench.cluster)?),
        }
        bench.cluster.stop().await?;
    }
    match about {
        Some(about) => Ok(Result { about, shards }),
        None => anyhow::bail!("nothing was measured"),
    }
}

async fn at_shards(args: &Args, bench: &Bench<'_>, steps: &mut Steps<'_>) -> anyhow::Result<AtShards> {
    let mut closed = Vec::new();
    for &in_flight in &args.in_flight {
        closed.push(Closed::of(
            in_flight,
            bench.in_turns(steps, Load::Closed(in_flight)).await?,
        ));
    }
    let mut result = AtShards::of(bench.cluster.facts.shards, closed);
    let rates = if args.rate.is_empty() {
        let percent = |percent: &f64| (result.lowest_peak() * percent / 100.0).max(1.0).round();
        args.load_percent.iter().map(percent).collect()
    } else {
        args.rate.clone()
    };
    for rate in rates {
        result
            .open
            .push(Open::of(rate, bench.in_turns(steps, Load::Open(rate)).await?));
    }
    Ok(result)
}

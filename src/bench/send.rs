//! `natterjack bench send`: durable acks a second and their latency.
//!
//! Three ways, in turns, with the same messages: `raw` publishes to JetStream while the persister
//! stands still, which is what NATS can do; `raw, persisted` does so while the persister writes
//! to Postgres, which is what of that is left on this machine when history is kept; `natterjack`
//! is clients over WebSockets through an edge, with the persister at work.

mod result;

use std::collections::BTreeMap;

use natterjack_client::Account;
use natterjack_nats::{Conversation, UserId};
use natterjack_runtime::servers::Progress;

use super::{
    Measure, Steps,
    cluster::{Cluster, ClusterArgs},
    machine::Machine,
    pace::pace,
    population::{sign_up, text},
    raw::Raw,
    senders::Sender,
    stage::Stage,
    window::{Window, Workers, measure},
};

pub use result::Result;
use result::{Closed, Open};

/// Options of `natterjack bench send`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Messages in flight over all clients, one measurement each
    #[arg(long, value_delimiter = ',', default_value = "16,64,256", value_name = "N,…")]
    in_flight: Vec<usize>,
    /// Clients that share them, each with a WebSocket
    #[arg(long, default_value_t = 16, value_name = "N")]
    senders: usize,
    /// Users to whom each of them writes in turn; they are not connected
    #[arg(long, default_value_t = 64, value_name = "N")]
    peers: usize,
    /// Bytes of a message's text
    #[arg(long, default_value_t = 200, value_name = "BYTES")]
    text_bytes: usize,
    /// Edges, each a process
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    edges: u8,
    /// The rate at which latency is measured open-loop, a second [default: half the lower peak]
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    pub(super) measure: Measure,
}

/// The three ways of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Raw,
    RawPersisted,
    Natterjack,
}

impl Way {
    const ALL: [Self; 3] = [Self::Raw, Self::RawPersisted, Self::Natterjack];

    const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::RawPersisted => "raw, persisted",
            Self::Natterjack => "natterjack",
        }
    }
}

struct Bench<'a> {
    args: &'a Args,
    cluster: Cluster,
    senders: Vec<Account>,
    conversations: Vec<Vec<Conversation>>,
    raw: Raw,
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
    let cluster = Cluster::start(&args.cluster, usize::from(args.edges), progress).await?;
    let bench = Bench::prepare(args, cluster, progress).await?;
    let result = bench.all(progress).await?;
    bench.cluster.stop().await?;
    Ok(result)
}

impl<'a> Bench<'a> {
    async fn prepare(args: &'a Args, cluster: Cluster, progress: &dyn Progress) -> anyhow::Result<Self> {
        progress.say("signing up users …");
        let senders = sign_up(&cluster.edge_urls, "sender", args.senders).await?;
        let peers = sign_up(&cluster.edge_urls, "peer", args.peers).await?;
        let with_all = |sender: &Account| {
            peers
                .iter()
                .map(|peer| Conversation::dm(sender.user().id, peer.user().id))
                .collect::<Vec<_>>()
        };
        let conversations: Vec<_> = senders.iter().map(with_all).collect();
        // The order in which the clients take their turns too.
        let targets: Vec<(UserId, Conversation)> = (0..args.peers)
            .flat_map(|peer| {
                senders
                    .iter()
                    .zip(&conversations)
                    .map(move |(sender, all)| (sender.user().id, all[peer]))
            })
            .collect();
        let raw = Raw::connect(&cluster.nats_url, cluster.shards, text(args.text_bytes), targets).await?;
        Ok(Self {
            args,
            cluster,
            senders,
            conversations,
            raw,
        })
    }

    async fn all(&self, progress: &dyn Progress) -> anyhow::Result<Result> {
        let repetitions = self.args.measure.repetitions;
        let mut steps = Steps::new(
            progress,
            (self.args.in_flight.len() + 1) * 3 * repetitions as usize,
        );
        let mut closed = Vec::new();
        for &in_flight in &self.args.in_flight {
            let [raw, raw_persisted, natterjack] = self.in_turns(&mut steps, Load::Closed(in_flight)).await?;
            closed.push(Closed {
                in_flight,
                ratio_to_raw: natterjack.per_second / raw.per_second,
                ratio_to_raw_persisted: natterjack.per_second / raw_persisted.per_second,
                raw,
                raw_persisted,
                natterjack,
            });
        }
        let peak =
            |of: &dyn Fn(&Closed) -> &Window| closed.iter().map(|one| of(one).per_second).fold(0.0, f64::max);
        let peaks = (
            peak(&|one| &one.raw),
            peak(&|one| &one.raw_persisted),
            peak(&|one| &one.natterjack),
        );
        let rate = self
            .args
            .rate
            .unwrap_or_else(|| (peaks.0.min(peaks.1).min(peaks.2) / 2.0).max(1.0).round());
        let [raw, raw_persisted, natterjack] = self.in_turns(&mut steps, Load::Open(rate)).await?;
        let open = Open {
            rate,
            p99_to_raw: natterjack.latency_ms.p99 / raw.latency_ms.p99,
            p99_to_raw_persisted: natterjack.latency_ms.p99 / raw_persisted.latency_ms.p99,
            raw,
            raw_persisted,
            natterjack,
        };
        Ok(Result {
            benchmark: "send",
            machine: Machine::here(),
            cluster: self.cluster.facts.clone(),
            settings: self.settings(),
            closed,
            open,
            ratio_to_raw: peaks.2 / peaks.0,
            ratio_to_raw_persisted: peaks.2 / peaks.1,
        })
    }

    fn settings(&self) -> BTreeMap<&'static str, serde_json::Value> {
        let args = self.args;
        BTreeMap::from([
            ("senders", args.senders.into()),
            ("conversations", (args.senders * args.peers).into()),
            ("text_bytes", args.text_bytes.into()),
            ("jetstream_sync", "always".into()),
            ("warm_up_ms", args.measure.warm_up_ms.into()),
            ("measure_ms", args.measure.measure_ms.into()),
            ("repetitions", args.measure.repetitions.into()),
        ])
    }

    /// Each way once, then each again, so that a machine that slows down slows down all three.
    async fn in_turns(&self, steps: &mut Steps<'_>, load: Load) -> anyhow::Result<[Window; 3]> {
        let mut windows: [Vec<Window>; 3] = Default::default();
        for _ in 0..self.args.measure.repetitions {
            for (way, windows) in Way::ALL.into_iter().zip(&mut windows) {
                let window = self.window(way, load).await?;
                let (rate, p99) = (window.per_second, window.latency_ms.p99);
                steps.say(&format!(
                    "{:<15} {load}: {rate:>7.0} acks/s, p99 {p99:.2} ms",
                    way.name()
                ));
                windows.push(window);
            }
        }
        let medians = windows.map(|windows| Window::median(&windows));
        match medians {
            [Some(raw), Some(raw_persisted), Some(natterjack)] => Ok([raw, raw_persisted, natterjack]),
            _ => anyhow::bail!("nothing was measured"),
        }
    }

    async fn window(&self, way: Way, load: Load) -> anyhow::Result<Window> {
        let stage = Stage::default();
        let alone = way == Way::Raw && self.cluster.pause_persister();
        let workers = match way {
            Way::Raw | Way::RawPersisted => self.publishers(load, &stage),
            Way::Natterjack => self.clients(load, &stage).await?,
        };
        let measure = measure(
            &self.cluster,
            &stage,
            workers,
            self.args.measure.warm_up(),
            self.args.measure.length(),
        );
        let window = measure.await;
        if alone {
            self.cluster.resume_persister();
        }
        self.cluster.settle().await?;
        window
    }

    fn publishers(&self, load: Load, stage: &Stage) -> Workers {
        match load {
            Load::Closed(in_flight) => self.raw.closed(in_flight, stage),
            Load::Open(rate) => match pace(rate, 1, stage.clone()).pop() {
                Some(due) => self.raw.open(due, stage),
                None => Workers::new(),
            },
        }
    }

    async fn clients(&self, load: Load, stage: &Stage) -> anyhow::Result<Workers> {
        let mut clients = Vec::new();
        for (account, conversations) in self.senders.iter().zip(&self.conversations) {
            clients.push(Sender::connect(account, conversations.clone()).await?);
        }
        let count = clients.len();
        let mut workers = Workers::new();
        match load {
            Load::Closed(in_flight) => {
                for (index, client) in clients.into_iter().enumerate() {
                    // What does not divide goes to the first.
                    let own = in_flight / count + usize::from(index < in_flight % count);
                    workers.spawn(client.closed(own, text(self.args.text_bytes), stage.clone()));
                }
            }
            Load::Open(rate) => {
                for (client, due) in clients.into_iter().zip(pace(rate, count, stage.clone())) {
                    workers.spawn(client.open(due, text(self.args.text_bytes), stage.clone()));
                }
            }
        }
        Ok(workers)
    }
}

/// How the load is made.
#[derive(Debug, Clone, Copy)]
enum Load {
    /// So many in flight.
    Closed(usize),
    /// So many a second.
    Open(f64),
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed(in_flight) => write!(f, "{in_flight:>4} in flight"),
            Self::Open(rate) => write!(f, "{rate:.0} a second"),
        }
    }
}

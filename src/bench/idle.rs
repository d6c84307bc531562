//! `natterjack bench idle`: what a connection costs when nothing happens, how fast connections come
//! up, and what it takes when all of them come back at once.
//!
//! Memory is what a process has for itself (`RssAnon`), afterwards less before, divided by the
//! connections. The baseline is a gateway that copies NATS subjects to WebSockets, with the three
//! subscriptions for each client that a chat needs at least.

pub(super) mod crew;
pub mod crowd;
pub(super) mod memory;
pub(super) mod population;
mod result;

use std::{net::SocketAddr, time::Duration};

use anyhow::ensure;
use natterjack_nats::{subjects, wire::Hello};
use natterjack_runtime::{clock::Clock, servers::Progress};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use self::{
    crew::{Crew, Gathering},
    memory::Bytes,
    population::Shape,
    result::{Arriving, ByRole, Held, Idle, Storm},
};
use super::{
    Output, Steps,
    cluster::{Cluster, ClusterArgs},
    cost::{Cost, Meter},
    fill::fill,
    report::About,
};

pub use result::Result;

const EDGE: &str = "edge";
const GATEWAY: &str = "gateway";
/// Of the messages in further conversations.
const TEXT_BYTES: usize = 200;
/// Files that a process needs besides its connections.
const FILES: usize = 500;

/// Options of `natterjack bench idle`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Clients, each another user
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub(super) clients: usize,
    /// 1:1 chats of each user
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(super) partners: usize,
    /// Groups of each user
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(super) groups: usize,
    /// Members of a group
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(super) members: usize,
    /// Further conversations that the streams hold, with a message each, which Postgres has as well
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) stored: usize,
    /// Edges, each a process, over which the clients are spread
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    pub(super) edges: u8,
    /// Connections that are being opened at a time, the storm excepted
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub(super) at_once: usize,
    /// How long everything rests once all are connected, before memory and CPU are looked at
    #[arg(long, default_value_t = 5_000, value_name = "MS")]
    pub(super) settle_ms: u64,
    /// How long the CPU of idle connections is measured; they are pinged every 25 s
    #[arg(long, default_value_t = 25_000, value_name = "MS")]
    pub(super) idle_ms: u64,
    /// How often all of it is done; medians are reported
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100), value_name = "N")]
    pub(super) repetitions: u32,
    #[command(flatten)]
    #[serde(skip)]
    pub(super) output: Output,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) cluster: ClusterArgs,
}

/// Runs it.
///
/// # Errors
/// Whatever kept it from its end.
pub async fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Result> {
    check(args)?;
    let mut cluster = Cluster::start(&args.cluster, usize::from(args.edges), progress).await?;
    progress.say("making users …");
    let shape = Shape {
        users: args.clients,
        partners: args.partners,
        groups: args.groups,
        members: args.members,
    };
    let people = population::populate(&cluster, shape).await?;
    if args.stored > 0 {
        progress.say(&format!("filling {} conversations …", args.stored));
        fill(&cluster, args.stored, TEXT_BYTES).await?;
    }
    let mut steps = Steps::new(progress, 2 * args.repetitions as usize);
    let (mut bare, mut ours, mut idle, mut storms) = (vec![], vec![], vec![], vec![]);
    for _ in 0..args.repetitions {
        let held = hold_bare(args, &mut cluster, &people).await?;
        steps.say(&format!(
            "bare        {:>6.0} bytes a connection",
            held.bytes_each[GATEWAY]
        ));
        bare.push(held);
        let scene = Scene::set(args, &mut cluster, &people).await?;
        let held = scene.hold(&cluster).await?;
        steps.say(&format!(
            "natterjack  {:>6.0} bytes a connection",
            held.bytes_each[EDGE]
        ));
        ours.push(held);
        idle.push(scene.rest(&cluster).await?);
        storms.push(scene.storm(&cluster).await?);
        cluster.stop_more();
    }
    let (bare, natterjack) = (Held::median(&bare), Held::median(&ours));
    let about = About::of("idle", args, &cluster)?;
    cluster.stop().await?;
    Ok(Result {
        about,
        bytes_to_bare: natterjack.bytes_each[EDGE] / bare.bytes_each[GATEWAY],
        bare,
        natterjack,
        idle: Idle::median(&idle),
        storm: Storm::median(&storms),
    })
}

fn check(args: &Args) -> anyhow::Result<()> {
    ensure!(
        args.partners.is_multiple_of(2) && args.clients > args.partners,
        "--partners must be even and less than --clients"
    );
    ensure!(args.members >= 2, "a group has two --members or more");
    let each = args.clients.div_ceil(usize::from(args.edges));
    if let Some(files) = memory::open_files_max() {
        ensure!(
            each + FILES <= files,
            "an edge would hold {each} connections, but a process may open only {files} files here: \
             raise the limit (ulimit -n) or the number of --edges"
        );
    }
    Ok(())
}

/// The clients of one measurement and what was there before them.
struct Scene<'a> {
    args: &'a Args,
    crew: Crew,
    before: Bytes,
    kernel_before: f64,
}

async fn hold_bare(
    args: &Args,
    cluster: &mut Cluster,
    people: &[population::Person],
) -> anyhow::Result<Held> {
    let mut gateways = Vec::new();
    for index in 0..cluster.edge_urls.len() {
        gateways.push(cluster.start_more(GATEWAY, &["gateway"], index).await?);
    }
    let clients = people.iter().enumerate().map(|(number, person)| {
        let path = format!("/{}", subjects::live::of_user(person.user).join(","));
        client(&gateways, number, path, None)
    });
    let clients: Vec<_> = clients.collect::<anyhow::Result<_>>()?;
    let scene = Scene::begin(args, cluster, &clients).await?;
    let held = scene.hold(cluster).await;
    cluster.stop_more();
    held
}

fn client(
    urls: &[String],
    number: usize,
    path: String,
    hello: Option<String>,
) -> anyhow::Result<crowd::Person> {
    let url = &urls[number % urls.len()];
    let address: SocketAddr = url.trim_start_matches("http://").parse()?;
    Ok(crowd::Person {
        number,
        address,
        path,
        hello,
    })
}

impl<'a> Scene<'a> {
    /// Edges that nobody was connected to, and clients who were here before.
    async fn set(
        args: &'a Args,
        cluster: &mut Cluster,
        people: &[population::Person],
    ) -> anyhow::Result<Self> {
        cluster.kill_edges().await;
        cluster.restart_edges().await?;
        let urls = cluster.edge_urls.clone();
        let clients = people.iter().enumerate().map(|(number, person)| {
            let hello = Hello {
                token: person.token.clone(),
                device: None,
                client: "bench".into(),
                resume: Some(person.cursors.iter().copied().collect()),
                active: true,
            };
            let frame = natterjack_nats::wire::ClientFrame::Hello(Box::new(hello));
            client(
                &urls,
                number,
                "/v1/ws".into(),
                Some(serde_json::to_string(&frame)?),
            )
        });
        let clients: Vec<_> = clients.collect::<anyhow::Result<_>>()?;
        Self::begin(args, cluster, &clients).await
    }

    async fn begin(args: &'a Args, cluster: &mut Cluster, clients: &[crowd::Person]) -> anyhow::Result<Self> {
        let crew = Crew::start(cluster, clients).await?;
        sleep(Duration::from_millis(args.settle_ms / 2)).await;
        Ok(Self {
            args,
            crew,
            before: memory::anonymous(&cluster.processes()),
            kernel_before: memory::socket_buffers().unwrap_or_default(),
        })
    }

    /// Lets them connect, and looks at the memory once they have settled.
    async fn hold(&self, cluster: &Cluster) -> anyhow::Result<Held> {
        let (meter, started_ms) = (Meter::start(cluster), Clock::system().now_ms());
        let gathering = self.crew.connect(cluster, self.args.at_once).await?;
        // Heads are compared a moment after a session has opened: that is a part of what it costs.
        sleep(Duration::from_millis(self.args.settle_ms)).await;
        let arriving = self.arriving(&gathering, started_ms, &meter.stop(cluster));
        let kernel = memory::socket_buffers().unwrap_or_default() - self.kernel_before;
        Ok(Held {
            bytes_each: self.bytes_each(cluster, &self.before),
            kernel_bytes_each: kernel / self.clients(),
            arriving,
        })
    }

    async fn rest(&self, cluster: &Cluster) -> anyhow::Result<Idle> {
        let meter = Meter::start(cluster);
        sleep(Duration::from_millis(self.args.idle_ms)).await;
        let cost = meter.stop(cluster);
        Ok(Idle {
            cpu_ms_each_hour: self.cpu_us_each(&cost, cost.seconds / 3.6),
        })
    }

    async fn storm(&self, cluster: &Cluster) -> anyhow::Result<Storm> {
        let (meter, started_ms, begun) = (Meter::start(cluster), Clock::system().now_ms(), Instant::now());
        cluster.kill_edges().await;
        self.crew.scattered().await?;
        cluster.restart_edges().await?;
        let empty = memory::anonymous(&cluster.processes());
        let edges_ready_s = begun.elapsed().as_secs_f64();
        let gathering = self.crew.gather(cluster).await?;
        sleep(Duration::from_millis(self.args.settle_ms)).await;
        let arriving = self.arriving(&gathering, started_ms, &meter.stop(cluster));
        let mut back_s: Vec<f64> = gathering
            .arrivals
            .iter()
            .map(|arrival| seconds(arrival.at_ms.saturating_sub(started_ms)))
            .collect();
        back_s.sort_unstable_by(f64::total_cmp);
        let after = self.bytes_each(cluster, &empty);
        Ok(Storm {
            edges_ready_s,
            half_s: quantile(&back_s, 0.5),
            p99_s: quantile(&back_s, 0.99),
            all_s: quantile(&back_s, 1.0),
            arriving,
            tries_each: f64::from(u32::try_from(gathering.tries)?) / self.clients(),
            failures: gathering.failures,
            peak_mib: gathering
                .peak
                .into_iter()
                .map(|(role, bytes)| (role, bytes / f64::from(1 << 20)))
                .collect(),
            edge_bytes_each_after: after.get(EDGE).copied().unwrap_or_default(),
        })
    }

    fn clients(&self) -> f64 {
        f64::from(u32::try_from(self.args.clients).unwrap_or(u32::MAX))
    }

    fn bytes_each(&self, cluster: &Cluster, before: &Bytes) -> ByRole {
        let now = memory::anonymous(&cluster.processes());
        let each = |(role, bytes): (&String, &f64)| {
            let more = bytes - before.get(role).copied().unwrap_or_default();
            (role.clone(), more / self.clients())
        };
        now.iter().map(each).collect()
    }

    fn arriving(&self, gathering: &Gathering, started_ms: u64, cost: &Cost) -> Arriving {
        let mut took_ms: Vec<f64> = gathering
            .arrivals
            .iter()
            .map(|arrival| micros(arrival.took_us) * 1_000.0)
            .collect();
        took_ms.sort_unstable_by(f64::total_cmp);
        let last_ms = gathering.arrivals.iter().map(|arrival| arrival.at_ms).max();
        let seconds = seconds(last_ms.unwrap_or_default().saturating_sub(started_ms));
        Arriving {
            seconds,
            per_second: self.clients() / seconds,
            p50_ms: quantile(&took_ms, 0.5),
            p99_ms: quantile(&took_ms, 0.99),
            max_ms: quantile(&took_ms, 1.0),
            cpu_us_each: self.cpu_us_each(cost, 1.0),
        }
    }

    /// Microseconds for each client, divided once more.
    fn cpu_us_each(&self, cost: &Cost, divisor: f64) -> ByRole {
        let each = |(role, used_s): (&String, &f64)| {
            let us = used_s * 1_000_000.0 / self.clients() / divisor;
            (role.clone(), us)
        };
        cost.cpu_s.iter().map(each).collect()
    }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn micros(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

fn quantile(sorted: &[f64], quantile: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (f64::from(u32::try_from(last).unwrap_or(u32::MAX)) * quantile).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

//! `natterjack bench presence`: how many transitions a second, how soon they are told, and what it
//! costs that somebody is online or watched.
//!
//! A transition is a user who comes or goes. The way without sockets writes sessions straight into
//! their bucket, as edges do, so that it is presence that is measured; the way with sockets is the
//! whole of it. The baseline is two bare writes of the same size into a bucket of their own, one after
//! the other: what an edge must say, and what follows from it.

mod heard;
mod raw;
mod result;
mod shown;
mod sockets;
mod stand_in;
mod watching;

use std::{sync::atomic::AtomicUsize, time::Duration};

use anyhow::ensure;
use natterjack_nats::wire::PresenceState;
use natterjack_runtime::servers::Progress;
use serde::Serialize;
use tokio::time::sleep;

use super::{
    cluster::{Cluster, ClusterArgs, Roles},
    cost::{Cost, Meter},
    figure::{Figure, number},
    idle::{
        memory,
        population::{self, Shape},
    },
    options::Measure,
    report::About,
    steps::Steps,
};
use heard::{Heard, Stretch};
use raw::Pairs;
pub use result::Result;
use result::{ByRole, Once, Way, each, figures};
use sockets::Sockets;
use stand_in::{Seat, StandIns};
use watching::{Load, Watchers};

/// Edges that are none.
const STAND_INS: usize = 4;

/// Options of `natterjack bench presence`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Users whose sessions are written straight into the bucket
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000), value_name = "N")]
    users: u32,
    /// Clients that connect through edges
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    clients: u32,
    /// Writes that are under way at a time
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    in_flight: u32,
    /// Connections that are being opened at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    at_once: u32,
    /// Users who come and go one after the other while somebody watches them
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1_000), value_name = "N")]
    samples: u32,
    /// Sockets that watch others
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5_000), value_name = "N")]
    watchers: u32,
    /// People whom each of them watches
    #[arg(long, default_value = "10,500", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000), value_name = "N,…")]
    watched: Vec<u32>,
    /// Changes of presence a second while they watch
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=100_000), value_name = "N")]
    rate: u64,
    /// Edges, each a process
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    edges: u8,
    /// Presence processes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    presences: u8,
    /// How long a lower state waits before it is told
    #[arg(long, default_value_t = 3_000, value_name = "MS")]
    grace_ms: u64,
    /// How long everything rests before memory is looked at
    #[arg(long, default_value_t = 2_000, value_name = "MS")]
    settle_ms: u64,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) measure: Measure,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) cluster: ClusterArgs,
}

impl Args {
    fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }

    fn in_flight(&self) -> usize {
        self.in_flight as usize
    }
}

/// What came out of sessions that were written straight into the bucket.
struct Written {
    come: Once,
    go: Once,
    bytes_each: ByRole,
}

/// Runs it.
///
/// # Errors
/// Whatever kept it from its end.
pub async fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Result> {
    args.cluster
        .needs_own("each repetition is measured on one where nobody was yet")?;
    ensure!(
        args.watched.iter().all(|watched| *watched <= args.users),
        "nobody can watch more people (--watched) than there are (--users)"
    );
    let repetitions = args.measure.repetitions as usize;
    let mut steps = Steps::new(progress, 3 * repetitions + 1 + args.watched.len());
    let (mut raw, mut written, mut sockets) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    let mut quality = None;
    for repetition in 1..=repetitions {
        let seats = Seat::fresh(args.users as usize);
        let nobody = Roles {
            edges: 0,
            presences: 0,
            grace_ms: 0,
            ..Roles::usual(0)
        };
        let own = args.cluster.below(&format!("raw-{repetition}"));
        let bare = Cluster::start_with(&own, nobody, progress).await?;
        let pairs = raw::pairs(&bare, &seats, args.in_flight(), args.settle()).await?;
        steps.say(&format!(
            "raw      {:>7} pairs a second",
            number(pairs.per_second)
        ));
        raw.push(pairs);
        note(&mut quality, &bare);
        bare.stop().await?;

        let mut cluster = start(args, repetition, progress).await?;
        let heard = Heard::start(&cluster.nats_url).await?;
        let stand_ins = StandIns::start(&cluster.nats_url, STAND_INS).await?;
        stand_ins.enrol(&seats, args.in_flight()).await?;
        let once = write(args, &cluster, &stand_ins, &heard, &seats).await?;
        steps.say(&format!(
            "written  {:>7} come a second, {} go",
            number(once.come.per_second),
            number(once.go.per_second)
        ));
        written.push(once);
        let people = people(&cluster, args.clients as usize).await?;
        let at_once = args.at_once as usize;
        let once = sockets::measure(&mut cluster, &people, &heard, at_once, args.settle()).await?;
        steps.say(&format!(
            "sockets  {:>7} connect a second, {} vanish",
            number(once.connect.per_second),
            number(once.vanish.per_second)
        ));
        sockets.push(once);
        if repetition == repetitions {
            last = Some((cluster, stand_ins, heard, seats));
        } else {
            note(&mut quality, &cluster);
            drop((stand_ins, heard));
            cluster.stop().await?;
        }
    }
    let Some((cluster, stand_ins, heard, seats)) = last else {
        anyhow::bail!("nothing was measured")
    };
    let people = people(&cluster, (args.samples + args.watchers + 1) as usize).await?;
    let (watcher, people) = people.split_at(1);
    let (samples, watchers) = people.split_at(args.samples as usize);
    let shown = shown::measure(&cluster, &watcher[0], samples, args.grace_ms).await?;
    steps.say(&format!("told after {} ms", number(shown.online_p50_ms)));
    stand_ins.come(&seats, true, args.in_flight()).await?;
    heard
        .until(seats.iter().map(|seat| seat.user), PresenceState::Online)
        .await?;
    let load = Load {
        stand_ins: &stand_ins,
        seats: &seats,
        heard: &heard,
        rate: args.rate,
        grace: Duration::from_millis(args.grace_ms),
        turn: AtomicUsize::new(0),
        in_flight: args.in_flight(),
        warm_up: args.measure.warm_up() + Duration::from_millis(args.grace_ms),
        length: args.measure.length(),
        settle: args.settle(),
    };
    let mut watchers = Watchers::connect(&cluster, watchers).await?;
    let mut watching = Vec::new();
    for watched in &args.watched {
        let one = watchers.measure(&cluster, &load, *watched as usize).await?;
        steps.say(&format!(
            "{watched} watched: {} µs of edges a change",
            number(one.cpu_us_each.get("edge").copied().unwrap_or_default())
        ));
        watching.push(one);
    }
    drop(watchers);
    let mut about = About::of("presence", args, &cluster)?;
    if let Some(before) = quality {
        about.quality.add(&before);
    }
    drop((stand_ins, heard));
    cluster.stop().await?;
    let ways = |of: &dyn Fn(&Written) -> Once| Way::of(&written.iter().map(of).collect::<Vec<_>>());
    let clients = |of: &dyn Fn(&Sockets) -> Once| Way::of(&sockets.iter().map(of).collect::<Vec<_>>());
    let bare = raw.iter().map(|pairs| Once {
        per_second: pairs.per_second,
        cpu_us_each: pairs.cpu_us_each.clone(),
    });
    let (bare, come) = (
        Way::of(&bare.collect::<Vec<_>>()),
        ways(&|once| once.come.clone()),
    );
    Ok(Result {
        about,
        users: args.users as usize,
        clients: args.clients as usize,
        come_to_raw: come.per_second.median / bare.per_second.median,
        raw: bare,
        come,
        go: ways(&|once| once.go.clone()),
        connect: clients(&|once| once.connect.clone()),
        vanish: clients(&|once| once.vanish.clone()),
        bytes_each: figures(written.iter().map(|once| &once.bytes_each)),
        raw_bytes_each: figures(raw.iter().map(|pairs| &pairs.bytes_each)),
        client_bytes_each: figures(sockets.iter().map(|once| &once.bytes_each)),
        raw_alone_ms: Figure::of(raw.iter().map(|pairs: &Pairs| pairs.alone_ms)),
        shown,
        watching,
    })
}

/// A cluster with as many presence processes as are asked for.
async fn start(args: &Args, repetition: usize, progress: &dyn Progress) -> anyhow::Result<Cluster> {
    let roles = Roles {
        edges: usize::from(args.edges),
        presences: usize::from(args.presences),
        grace_ms: args.grace_ms,
        ..Roles::usual(0)
    };
    let own = args.cluster.below(&format!("presence-{repetition}"));
    Cluster::start_with(&own, roles, progress).await
}

fn note(quality: &mut Option<super::cost::Quality>, cluster: &Cluster) {
    let taken = cluster.taken.quality();
    match quality {
        Some(quality) => quality.add(&taken),
        None => *quality = Some(taken),
    }
}

/// Users who can connect, and know nobody.
async fn people(cluster: &Cluster, users: usize) -> anyhow::Result<Vec<population::Person>> {
    let shape = Shape {
        users,
        partners: 0,
        groups: 0,
        members: 2,
    };
    population::populate(cluster, shape).await
}

/// All come, rest, and go.
async fn write(
    args: &Args,
    cluster: &Cluster,
    stand_ins: &StandIns,
    heard: &Heard,
    seats: &[Seat],
) -> anyhow::Result<Written> {
    let users = seats.iter().map(|seat| seat.user);
    sleep(args.settle()).await;
    let before = memory::anonymous(&cluster.processes());
    heard.begin();
    let meter = Meter::start(cluster);
    stand_ins.come(seats, true, args.in_flight()).await?;
    let stretch = heard.until(users.clone(), PresenceState::Online).await?;
    let come = once(&stretch, &meter.stop(cluster), seats.len());
    sleep(args.settle()).await;
    let held = memory::anonymous(&cluster.processes());
    let bytes_each = held.into_iter().map(|(role, bytes)| {
        let more = bytes - before.get(&role).copied().unwrap_or_default();
        (role, more / each(seats.len()))
    });
    let bytes_each = bytes_each.collect();
    heard.begin();
    let meter = Meter::start(cluster);
    stand_ins.go(seats, args.in_flight()).await?;
    let stretch = heard.until(users, PresenceState::Offline).await?;
    let go = once(&stretch, &meter.stop(cluster), seats.len());
    Ok(Written { come, go, bytes_each })
}

/// One measurement of transitions.
fn once(stretch: &Stretch, cost: &Cost, count: usize) -> Once {
    let us = |(role, seconds): (&String, &f64)| (role.clone(), seconds * 1e6 / each(count));
    Once {
        per_second: stretch.per_second(),
        cpu_us_each: cost.cpu_s.iter().map(us).collect(),
    }
}

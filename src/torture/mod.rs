//! `natterjack torture`: a seeded fault run that a sceptic can repeat.
//!
//! A [`plan`] of faults is drawn from the seed. A [`stage`] of real servers and roles, each a
//! process, is set up with links between all of them; a [`crowd`] of clients talks in 1:1 chats and
//! groups, and everything that it is told goes into a [`crate::check::Journal`]. [`act`] lets the
//! faults happen and heals them. At the end the journal is compared with the history, and the
//! [`verdict`] names the first broken promise, with what surrounds it.
//!
//! The plan repeats exactly; what the machine makes of it does not, because processes and networks
//! have their own time. A seed that found something is run again as often as it takes.

pub mod act;
pub mod crowd;
pub mod fault;
pub mod plan;
mod presence;
pub mod stage;
pub mod verdict;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use natterjack_runtime::{
    clock::Clock,
    servers::{Progress, StderrProgress, testing_tools_dir},
};
use tokio::time::Instant;

use crate::{check::Summary, fleet::Scratch};
use crowd::Crowd;
use fault::Kind;
use plan::{Length, Plan, Shape};
use stage::{Means, Stage};
use verdict::{Evidence, Verdict};

/// How long everything may take to come to rest after the last fault, on a busy machine.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
/// Streams that the conversations share.
const SHARDS: u16 = 4;

/// Options of `natterjack torture`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Draws the faults and what the clients do; a fresh one, which is printed, if absent
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// For how many minutes faults happen
    #[arg(long, value_name = "M", conflicts_with = "faults")]
    minutes: Option<u64>,
    /// How many faults happen
    #[arg(long, value_name = "K", default_value_t = 40)]
    faults: usize,
    /// Edges
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = few)]
    edges: usize,
    /// Persisters
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = few)]
    persisters: usize,
    /// Presence processes
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = few)]
    presences: usize,
    /// Clients, some of them second devices of the same user
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = many)]
    clients: usize,
    /// nats-servers: one, or a cluster of three
    #[arg(long, default_value_t = 1, value_name = "1|3", value_parser = nodes)]
    nats_nodes: usize,
    /// Mean time between two things that a client does
    #[arg(long, default_value_t = 800, value_name = "MS")]
    pace_ms: u64,
    /// Only faults of these kinds
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    faults_of: Vec<Kind>,
    /// Print the plan and do nothing
    #[arg(long)]
    plan: bool,
    /// Where servers and roles keep their data and logs; kept afterwards
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,
    /// Print the verdict as JSON, for machines
    #[arg(long)]
    json: bool,
    /// Where installed servers are kept
    #[arg(long, env = "NATTERJACK_TOOLS_DIR", value_name = "DIRECTORY")]
    tools_dir: Option<PathBuf>,
}

fn few(text: &str) -> Result<usize, String> {
    within(text, 1..=16)
}

fn many(text: &str) -> Result<usize, String> {
    within(text, 6..=2_000)
}

fn nodes(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("one nats-server, or a cluster of 3".into()),
    }
}

fn within(text: &str, range: std::ops::RangeInclusive<usize>) -> Result<usize, String> {
    let number = text.parse().map_err(|error| format!("{error}"))?;
    let out = || format!("{} to {}", range.start(), range.end());
    range.contains(&number).then_some(number).ok_or_else(out)
}

/// Runs it, and prints the plan and the verdict.
///
/// # Errors
/// A promise was broken: the verdict says which.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let (seed, shape, kinds) = (args.seed(), args.shape(), args.kinds());
    if args.plan {
        print!("{}", Plan::draw(seed, shape, &kinds, args.length()));
        return Ok(());
    }
    let (means, kinds, left_out) = args.means(&kinds);
    let plan = Plan::draw(seed, shape, &kinds, args.length());
    let progress = StderrProgress;
    progress.say(&format!("seed {seed}; {}", args.command(seed)));
    for line in &left_out {
        progress.say(&format!("LEFT OUT: {line}"));
    }
    progress.say(&format!("{} faults:\n{plan}", plan.faults.len()));
    let ground = Where::of(&args)?;
    let began = Instant::now();
    let mut left = None;
    let outcome = torture(&args, &plan, means, ground.path(), &mut left, &progress).await;
    let seconds = began.elapsed().as_secs_f64();
    let mut verdict = Verdict::new(plan, args.command(seed), left_out, seconds);
    if let Some(evidence) = &left {
        verdict = verdict.with(evidence);
    }
    let verdict = match &outcome {
        Ok(summary) => verdict.kept(summary),
        Err(error) => verdict.broken(error),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&verdict)?);
    } else {
        println!("{verdict}");
    }
    match outcome {
        Ok(_) => ground.finish(),
        Err(_) => {
            // Dropped here, so that it says where everything is.
            drop(ground);
            anyhow::bail!("a promise was broken")
        }
    }
}

/// One run, from an empty directory to the checks.
async fn torture(
    args: &Args,
    plan: &Plan,
    means: Means,
    dir: &std::path::Path,
    left: &mut Option<Evidence>,
    progress: &dyn Progress,
) -> anyhow::Result<Summary> {
    progress.say("starting servers and roles …");
    let tools_dir = args.tools_dir.clone().unwrap_or_else(testing_tools_dir);
    let stage = Arc::new(Stage::start(dir, &tools_dir, plan.shape, means).await?);
    progress.say("gathering clients …");
    let mut crowd = Crowd::gather(&stage.urls(), plan.shape.clients, plan.seed).await?;
    crowd.talk(plan.seed, Duration::from_millis(args.pace_ms));
    progress.say("they talk; now the faults");
    let done = act::act(plan, &stage, &crowd, progress).await?;
    progress.say("all is healed; waiting for rest …");
    let evidence = left.insert(Evidence::of(done));
    crowd.hush().await?;
    evidence.probes = crowd.probes().await?;
    evidence.latencies = crowd.recorder.latencies();
    crowd.recorder.settle(SETTLED_WITHIN).await?;
    stage.persisted().await?;
    crowd.look_around().await?;
    let summary = crowd.recorder.check(SETTLED_WITHIN).await?;
    let unexplained = crowd.unexplained();
    anyhow::ensure!(unexplained.is_empty(), "refused for no reason: {unexplained:?}");
    let shown = presence::at_rest(&stage, &crowd, SETTLED_WITHIN).await?;
    let summary = Summary { shown, ..summary };
    crowd.leave().await?;
    let stage = Arc::try_unwrap(stage)
        .ok()
        .context("nobody works on it any more")?;
    stage.finish().await?;
    Ok(summary)
}

impl Args {
    fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| Clock::system().now_ms())
    }

    const fn shape(&self) -> Shape {
        Shape {
            edges: self.edges,
            persisters: self.persisters,
            presences: self.presences,
            nats_nodes: self.nats_nodes,
            clients: self.clients,
            shards: SHARDS,
        }
    }

    fn length(&self) -> Length {
        self.minutes.map_or(Length::Faults(self.faults), Length::Minutes)
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = self.faults_of.clone();
        kinds.sort_unstable();
        kinds.dedup();
        if kinds.is_empty() {
            Kind::ALL.to_vec()
        } else {
            kinds
        }
    }

    /// What this machine allows, the kinds that are left with it, and what is left out.
    fn means(&self, kinds: &[Kind]) -> (Means, Vec<Kind>, Vec<String>) {
        let mut left_out = Vec::new();
        let wanted = |kind| kinds.contains(&kind);
        let disks = wanted(Kind::Disk) && stage::enter_namespace();
        if wanted(Kind::Disk) && !disks {
            left_out.push("full disks: they need root, `unshare`, `mkfs.ext4` and loop mounts".into());
        }
        let clocks = wanted(Kind::Clock).then(stage::library).flatten();
        if wanted(Kind::Clock) && clocks.is_none() {
            left_out.push("wrong clocks: they need libfaketime (`apt install faketime`)".into());
        }
        let able = |kind: &Kind| match kind {
            Kind::Disk => disks,
            Kind::Clock => clocks.is_some(),
            _ => true,
        };
        let kinds = kinds.iter().copied().filter(able).collect();
        let minutes = self.minutes.unwrap_or(self.faults as u64 / 40);
        let means = Means {
            disks,
            clocks,
            minutes,
        };
        (means, kinds, left_out)
    }

    /// The command that repeats this run.
    fn command(&self, seed: u64) -> String {
        let mut words = format!("natterjack torture --seed {seed}");
        match self.minutes {
            Some(minutes) => words += &format!(" --minutes {minutes}"),
            None => words += &format!(" --faults {}", self.faults),
        }
        let Self {
            edges,
            persisters,
            presences,
            clients,
            nats_nodes,
            pace_ms,
            ..
        } = self;
        words += &format!(
            " --edges {edges} --persisters {persisters} --presences {presences} --clients {clients} --nats-nodes {nats_nodes} --pace-ms {pace_ms}"
        );
        if !self.faults_of.is_empty() {
            let names = self
                .kinds()
                .iter()
                .map(|kind| format!("{kind:?}").to_lowercase())
                .collect::<Vec<_>>();
            words += &format!(" --faults-of {}", names.join(","));
        }
        words
    }
}

/// The directory of a run.
enum Where {
    /// Removed if all went well.
    Scratch(Scratch),
    /// Kept.
    Named(PathBuf),
}

impl Where {
    fn of(args: &Args) -> anyhow::Result<Self> {
        let Some(dir) = &args.keep else {
            return Scratch::new().map(Self::Scratch);
        };
        let fresh = std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
        anyhow::ensure!(
            fresh,
            "{} holds something already; name another directory",
            dir.display()
        );
        std::fs::create_dir_all(dir).with_context(|| format!("{}", dir.display()))?;
        // The servers' command lines name it, whatever directory they run in.
        Ok(Self::Named(std::fs::canonicalize(dir)?))
    }

    fn path(&self) -> &std::path::Path {
        match self {
            Self::Scratch(scratch) => scratch.path(),
            Self::Named(path) => path,
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Scratch(scratch) => scratch.remove(),
            Self::Named(_) => Ok(()),
        }
    }
}

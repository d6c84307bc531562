//! `natterjack bench growth`: what one of something costs as there are more and more of it.
//!
//! Each axis is another benchmark, run again with a size that grows by tens, on a cluster of its
//! own each time and with that benchmark's own baseline beside it. What is looked at is the cost
//! of *one*: of an ack, a delivery, a connection. While that stays flat, the whole grows in
//! proportion to its size; the exponent of a fit (x twice as large, the cost 2^exponent times as
//! high) says how far from flat it is.

mod axis;
mod chart;
mod curve;
mod result;
mod svg;

use std::path::PathBuf;

use anyhow::Context;
use natterjack_runtime::servers::Progress;
use serde::Serialize;

use super::{
    cluster::ClusterArgs,
    options::Output,
    report::{About, Report as _},
    steps::Steps,
};
use axis::Axis;
use curve::Curve;
use result::AlongAxis;
pub use result::Result;

/// Options of `natterjack bench growth`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// What grows; all of it if absent
    #[arg(long, value_enum, value_delimiter = ',', value_name = "AXIS,…")]
    axes: Vec<Axis>,
    /// A taste of it: fewer and smaller sizes, measured once
    #[arg(long)]
    quick: bool,
    /// Sizes instead of the usual ones, for a single axis
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    sizes: Vec<u32>,
    /// How long each measurement runs before it counts
    #[arg(long, default_value_t = 500, value_name = "MS")]
    warm_up_ms: u64,
    /// How long each measurement counts
    #[arg(long, default_value_t = 2_000, value_name = "MS")]
    measure_ms: u64,
    /// How often each is measured, in turns; medians are reported [default: 3, with --quick 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100), value_name = "N")]
    repetitions: Option<u32>,
    /// Where to write a picture of each axis, as SVG
    #[arg(long, value_name = "DIRECTORY")]
    #[serde(skip)]
    svg: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub(super) output: Output,
}

impl Args {
    fn repetitions(&self) -> u32 {
        self.repetitions.unwrap_or(if self.quick { 1 } else { 3 })
    }

    /// Axes with their sizes.
    fn plan(&self) -> anyhow::Result<Vec<(Axis, Vec<u32>)>> {
        let axes = if self.axes.is_empty() {
            Axis::all().to_vec()
        } else {
            self.axes.clone()
        };
        anyhow::ensure!(
            self.sizes.is_empty() || axes.len() == 1,
            "--sizes are those of one axis: name it with --axes"
        );
        anyhow::ensure!(!self.sizes.contains(&0), "a size is 1 or more");
        let sizes = |axis: &Axis| {
            if self.sizes.is_empty() {
                axis.sizes(self.quick)
            } else {
                self.sizes.clone()
            }
        };
        Ok(axes.iter().map(|axis| (*axis, sizes(axis))).collect())
    }
}

/// Runs it.
///
/// # Errors
/// Whatever kept one of the benchmarks from its end, or the pictures from being written.
pub async fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Result> {
    args.cluster
        .needs_own("each size is measured on one that is empty at first")?;
    let plan = args.plan()?;
    let mut steps = Steps::new(progress, plan.iter().map(|(_, sizes)| sizes.len()).sum());
    let (mut about, mut axes): (Option<About>, _) = (None, Vec::new());
    for (axis, sizes) in plan {
        let mut curves: Vec<Curve> = axis.curves();
        for &size in &sizes {
            let found = axis
                .measure(args, size, &Within { axis, size, progress })
                .await
                .with_context(|| format!("{} {size}", axis.name()))?;
            for curve in &mut curves {
                curve.add(size, &found.json)?;
            }
            match &mut about {
                Some(about) => about.quality.add(&found.about.quality),
                None => about = Some(found.about),
            }
            steps.say(&format!("{} {size}: {}", axis.name(), curve::last(&curves)));
        }
        curves.iter_mut().for_each(Curve::fit);
        axes.push(AlongAxis::of(axis, curves));
    }
    let about = about.context("nothing was measured")?.renamed("growth", args)?;
    let result = Result { about, axes };
    if let Some(dir) = &args.svg {
        chart::write_all(dir, result.about(), &result.axes)
            .with_context(|| format!("the pictures could not be written to {}", dir.display()))?;
        progress.say(&format!("the pictures are in {}", dir.display()));
    }
    Ok(result)
}

/// Tells what a benchmark within this one does, so that it can be told apart.
struct Within<'a> {
    axis: Axis,
    size: u32,
    progress: &'a dyn Progress,
}

impl Progress for Within<'_> {
    fn say(&self, line: &str) {
        self.progress
            .say(&format!("    {} {}: {line}", self.axis.name(), self.size));
    }
}

//! What every benchmark's result has in common, and the one place where it is printed.

use serde::Serialize;

use super::{
    cluster::{Cluster, Facts},
    cost::Quality,
    machine::Machine,
    options::Output,
    page::Page,
};

/// What a benchmark found: serialised for machines, a page for people.
///
/// `about` is a field that is flattened into the JSON, so that all results begin alike.
pub trait Report: Serialize {
    /// On what it was measured, and how.
    fn about(&self) -> &About;

    /// The figures for a person. Where and how they were measured is printed before them, and what
    /// disturbed after them.
    fn page(&self) -> Page;
}

/// On what something was measured, and how.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    /// Which benchmark.
    pub benchmark: &'static str,
    /// The command that measures it again.
    pub command: String,
    /// The machine and the build.
    pub machine: Machine,
    /// The cluster; the first of several.
    pub cluster: Facts,
    /// All options, those with their default too.
    pub settings: serde_json::Value,
    /// How far the figures can be trusted.
    pub quality: Quality,
}

impl About {
    /// To be called when all is measured; `args` are the benchmark's options.
    ///
    /// # Errors
    /// Never with options that serialise.
    pub fn of(benchmark: &'static str, args: &impl Serialize, cluster: &Cluster) -> anyhow::Result<Self> {
        Ok(Self {
            benchmark,
            command: command(),
            machine: Machine::here(),
            cluster: cluster.facts.clone(),
            settings: serde_json::to_value(args)?,
            quality: cluster.taken.quality(),
        })
    }

    /// The same for a benchmark that is made of others.
    ///
    /// # Errors
    /// As [`About::of`].
    pub fn renamed(mut self, benchmark: &'static str, args: &impl Serialize) -> anyhow::Result<Self> {
        self.benchmark = benchmark;
        self.settings = serde_json::to_value(args)?;
        Ok(self)
    }

    /// The machine in one line, for a title.
    #[must_use]
    pub fn machine_line(&self) -> String {
        let Machine {
            cores,
            memory_mib,
            processor,
            system,
            ..
        } = &self.machine;
        format!("{cores} cores of {processor}, {memory_mib} MiB, {system}")
    }

    fn page(&self) -> Page {
        let (machine, cluster) = (&self.machine, &self.cluster);
        let build = &machine.build;
        let debug = if build.optimised {
            String::new()
        } else {
            " without optimisation, so the figures are worth nothing".into()
        };
        let known = |what: &str, value: Option<&str>| {
            value.map_or_else(String::new, |value| format!(", {what}{value}"))
        };
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let text = format!(
            "natterjack {}{} (built with {}, opt-level {}, lto {}{debug}), nats-server {}{}, {} shard{}, {} edge{}{}{}; on {}.",
            machine.natterjack,
            machine
                .commit
                .map_or_else(String::new, |commit| format!(" at {commit}")),
            machine.rustc,
            build.opt_level,
            build.lto,
            cluster.nats_server,
            known("Postgres ", cluster.postgres.as_deref()),
            cluster.shards,
            plural(usize::from(cluster.shards)),
            cluster.edges,
            plural(cluster.edges),
            known("data on ", cluster.file_system.as_deref()),
            if cluster.own {
                ""
            } else {
                ", a cluster that ran already"
            },
            self.machine_line(),
        );
        Page::default().text(text)
    }
}

/// Prints a result on stdout, in the form that was asked for.
///
/// # Errors
/// Never with a result that serialises.
pub fn print(report: &impl Report, output: &Output) -> anyhow::Result<()> {
    let text = if output.json {
        serde_json::to_string_pretty(report)?
    } else {
        let about = report.about();
        let mut page = about.page().and(report.page());
        for warning in about.quality.warnings() {
            page = page.text(warning);
        }
        if output.markdown {
            page.text(format!("```sh\n{}\n```", about.command)).markdown()
        } else {
            page.plain()
        }
    };
    println!("{text}");
    Ok(())
}

/// The command line of this process. A URL may hold a password, and a path is this machine's.
fn command() -> String {
    let word = |word: String| {
        if word.contains('/') {
            "…".to_owned()
        } else {
            word
        }
    };
    let words = std::env::args().skip(1).map(word);
    std::iter::once("natterjack".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

//! Who is looked at: all roles as processes on servers of their own.

use std::{collections::BTreeSet, path::Path, process::Stdio};

use anyhow::Context;
use natterjack::fleet::{Fleet, FleetConfig, Ground, GroundConfig};
use serde_json::Value;
use tokio::{process::Command, time::Instant};

use super::OF_THIS_MACHINE;

/// The program.
pub const BINARY: &str = env!("CARGO_BIN_EXE_natterjack");

/// How long something may take to be found, on a busy machine.
const FOUND_WITHIN: std::time::Duration = std::time::Duration::from_secs(40);

/// What the doctor said.
#[derive(Debug)]
pub struct Seen {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its report.
    pub report: Value,
}

impl Seen {
    /// The checks that found something in this state, but for what is this machine's.
    pub fn checks(&self, state: &str) -> BTreeSet<&str> {
        self.findings()
            .filter(|finding| finding["state"] == state)
            .filter_map(|finding| finding["check"].as_str())
            .filter(|check| !OF_THIS_MACHINE.contains(check))
            .collect()
    }

    /// The words of a check that are no `ok`, each with of what it is and what to do.
    pub fn words(&self, check: &str) -> String {
        let found = self
            .findings()
            .filter(|finding| finding["check"] == check && finding["state"] != "ok");
        let words = found.map(|finding| {
            format!(
                "{}: {} → {}",
                finding["of"].as_str().unwrap_or_default(),
                finding["finding"].as_str().unwrap_or_default(),
                finding["do"].as_str().unwrap_or_default()
            )
        });
        words.collect::<Vec<_>>().join("\n")
    }

    fn findings(&self) -> impl Iterator<Item = &Value> {
        self.report["findings"].as_array().into_iter().flatten()
    }
}

/// Runs the doctor with exactly these options.
pub async fn doctor(options: &[&str]) -> anyhow::Result<Seen> {
    let output = Command::new(BINARY)
        .arg("doctor")
        .arg("--json")
        .args(options)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text)
        .with_context(|| format!("{text}\n{}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(Seen {
        code: output.status.code(),
        report,
    })
}

/// A whole Natterjack.
pub struct Patient {
    pub fleet: Fleet,
}

impl Patient {
    /// Two edges, and one of each other role.
    pub async fn new() -> anyhow::Result<Self> {
        let config = GroundConfig {
            open: true,
            ..GroundConfig::default()
        };
        let ground = Ground::start(config).await?;
        let config = FleetConfig {
            notifiers: 1,
            ..FleetConfig::new(Path::new(BINARY))
        };
        let fleet = Fleet::start(ground, &config).await?;
        Ok(Self { fleet })
    }

    /// Has it looked at.
    pub async fn doctor(&self, options: &[&str]) -> anyhow::Result<Seen> {
        let ground = self.fleet.ground();
        let monitor = ground.nats().monitor_url();
        let own = [
            "--nats-url",
            ground.nats_url(),
            "--nats-monitor",
            &monitor,
            "--database-url",
            ground.database_url(),
        ];
        doctor(&[&own, options].concat()).await
    }

    /// Looks until exactly these checks fail and warn.
    pub async fn shows(&self, failures: &[&str], warnings: &[&str]) -> anyhow::Result<Seen> {
        let deadline = Instant::now() + FOUND_WITHIN;
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let found = |seen: &Seen, state: &str| {
            let checks = seen.checks(state).into_iter();
            checks.map(ToString::to_string).collect::<BTreeSet<_>>()
        };
        loop {
            let seen = self.doctor(&[]).await?;
            let (failed, warned) = (found(&seen, "failure"), found(&seen, "warning"));
            if failed == set(failures) && warned == set(warnings) {
                assert_eq!(seen.code, Some(i32::from(!failures.is_empty())));
                return Ok(seen);
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "wanted {failures:?} and {warnings:?}, found {failed:?} and {warned:?}:\n{:#}",
                seen.report
            );
        }
    }

    pub async fn finish(self) -> anyhow::Result<()> {
        self.fleet.finish().await
    }
}

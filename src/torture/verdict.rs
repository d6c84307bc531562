//! What a run showed.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::{act::Done, crowd::Probes, fault::Kind, plan::Plan};
use crate::check::{Summary, Violation};

/// Faults that are named beside a violation.
const FAULTS_SHOWN: usize = 40;

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// The command that repeats it.
    pub command: String,
    /// The plan, with its seed.
    pub plan: Plan,
    /// Whether every promise was kept.
    pub kept: bool,
    /// The first promise that was broken.
    pub violation: Option<Broken>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
    /// How long everything took.
    pub seconds: f64,
    /// What was checked, if nothing was broken.
    pub checked: Option<Checked>,
    /// How many faults of each kind there were.
    pub faults: BTreeMap<Kind, usize>,
    /// Longest time from the end of a fault of the server until a message sent after it was
    /// acknowledged, in milliseconds, and that fault.
    pub slowest_recovery: Option<(u64, String)>,
    /// How long acks took, from when the application handed the message over, in milliseconds.
    pub acks_ms: Option<Acks>,
    /// What happened when, in words.
    #[serde(skip)]
    story: Vec<String>,
}

/// A broken promise.
#[derive(Debug, Serialize)]
pub struct Broken {
    /// Which.
    pub promise: String,
    /// What happened.
    pub what: String,
    /// The history around it.
    pub around: Vec<String>,
}

/// What was checked.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Checked {
    /// Messages that were acknowledged.
    pub acked: usize,
    /// Messages in history.
    pub stored: usize,
    /// Deliveries to devices.
    pub delivered: usize,
    /// Devices times conversations.
    pub receivers: usize,
    /// Edits and deletions.
    pub changed: usize,
    /// Memberships that began or ended.
    pub memberships: usize,
    /// Cursors and unread counts.
    pub cursors: usize,
    /// What watchers were told last of others.
    pub shown: usize,
}

/// Percentiles of ack latency, in milliseconds; outages are part of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Acks {
    /// Half of them.
    pub p50: u64,
    /// 99 of 100.
    pub p99: u64,
    /// The slowest.
    pub max: u64,
}

/// What a run leaves for its verdict.
pub struct Evidence {
    /// The faults.
    pub done: Vec<Done>,
    /// What the probe found.
    pub probes: Probes,
    /// How long acks took.
    pub latencies: Vec<Duration>,
}

impl Evidence {
    /// As soon as the faults are over.
    pub fn of(done: Vec<Done>) -> Self {
        Self {
            done,
            probes: Probes::default(),
            latencies: Vec::new(),
        }
    }
}

impl Verdict {
    /// A verdict on a run of that plan.
    pub fn new(plan: Plan, command: String, left_out: Vec<String>, seconds: f64) -> Self {
        Self {
            command,
            plan,
            kept: false,
            violation: None,
            left_out,
            seconds,
            checked: None,
            faults: BTreeMap::new(),
            slowest_recovery: None,
            acks_ms: None,
            story: Vec::new(),
        }
    }

    /// With what the run left.
    pub fn with(mut self, evidence: &Evidence) -> Self {
        for done in &evidence.done {
            *self.faults.entry(done.planned.fault.kind()).or_default() += 1;
            let note = done.note.as_deref().unwrap_or_default();
            let (from, to) = (done.span.from.as_secs_f64(), done.span.to.as_secs_f64());
            self.story.push(format!(
                "{from:9.3}–{to:.3} s  #{} {} {note}",
                done.planned.number, done.planned.fault
            ));
        }
        let of_server = evidence.done.iter().filter(|done| done.planned.fault.of_server());
        let recoveries = of_server.filter_map(|done| {
            let recovery = evidence.probes.recovery(done.span.to)?;
            Some((millis(recovery), done.planned.fault.to_string()))
        });
        self.slowest_recovery = recoveries.max();
        self.acks_ms = acks(evidence.latencies.clone());
        self
    }

    /// All went well.
    pub fn kept(mut self, summary: &Summary) -> Self {
        self.kept = true;
        self.checked = Some(Checked {
            acked: summary.acked,
            stored: summary.stored,
            delivered: summary.delivered,
            receivers: summary.receivers,
            changed: summary.changed,
            memberships: summary.memberships,
            cursors: summary.cursors,
            shown: summary.shown,
        });
        self
    }

    /// A promise was broken, or the run did not come to its end, which is a promise too.
    pub fn broken(mut self, error: &anyhow::Error) -> Self {
        let broken = match error.downcast_ref::<Violation>() {
            Some(violation) => Broken {
                promise: violation.promise.into(),
                what: violation.what.clone(),
                around: violation.around.clone(),
            },
            None => Broken {
                promise: "everything comes to rest, and nothing ends by itself".into(),
                what: format!("{error:#}"),
                around: Vec::new(),
            },
        };
        self.violation = Some(broken);
        self
    }
}

fn acks(mut latencies: Vec<Duration>) -> Option<Acks> {
    latencies.sort_unstable();
    let at = |hundredths: usize| {
        let index = (latencies.len() * hundredths / 100).min(latencies.len().checked_sub(1)?);
        latencies.get(index).copied().map(millis)
    };
    Some(Acks {
        p50: at(50)?,
        p99: at(99)?,
        max: at(100)?,
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(broken) = &self.violation {
            writeln!(f, "BROKEN: {}\n  {}", broken.promise, broken.what)?;
            for line in &broken.around {
                writeln!(f, "    {line}")?;
            }
            writeln!(f, "faults, in seconds since the record began:")?;
            let skipped = self.story.len().saturating_sub(FAULTS_SHOWN);
            for line in &self.story[skipped..] {
                writeln!(f, "  {line}")?;
            }
        }
        if let Some(checked) = &self.checked {
            writeln!(f, "every promise was kept")?;
            let rows = [
                ("messages acknowledged", checked.acked),
                ("messages stored", checked.stored),
                ("deliveries, in order and without a hole", checked.delivered),
                ("receivers (devices × conversations)", checked.receivers),
                ("texts edited or deleted, everywhere the same", checked.changed),
                ("memberships begun or ended", checked.memberships),
                ("unread counts compared", checked.cursors),
                ("users whose presence a watcher was told rightly", checked.shown),
            ];
            for (name, count) in rows {
                writeln!(f, "  {count:>9}  {name}")?;
            }
        }
        let kinds = self
            .faults
            .iter()
            .map(|(kind, count)| format!("{count} {kind:?}").to_lowercase());
        let kinds: Vec<_> = kinds.collect();
        writeln!(
            f,
            "faults: {} ({})",
            self.faults.values().sum::<usize>(),
            kinds.join(", ")
        )?;
        if let Some((ms, fault)) = &self.slowest_recovery {
            writeln!(f, "slowest recovery: {ms} ms after: {fault}")?;
        }
        if let Some(Acks { p50, p99, max }) = self.acks_ms {
            writeln!(
                f,
                "acks, outages included: p50 {p50} ms, p99 {p99} ms, slowest {max} ms"
            )?;
        }
        for line in &self.left_out {
            writeln!(f, "LEFT OUT: {line}")?;
        }
        write!(
            f,
            "{:.0} s; seed {}; again with: {}",
            self.seconds, self.plan.seed, self.command
        )
    }
}

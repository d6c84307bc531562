//! The streams: whether they are what was provisioned, have all their copies, and have room.

use async_nats::jetstream::stream::{ClusterInfo, DiscardPolicy, Info};
use natterjack_runtime::clock::Clock;

use super::seen;
use crate::doctor::{facts::Facts, finding::Findings, format};

/// Percent of a stream that refuses when it is full, from which somebody should act.
const FULL_WARNING: u64 = 75;
/// Percent from which it is urgent.
const FULL_FAILURE: u64 = 90;
/// What a stream holds tells of a rate only after a while.
const RATE_AFTER_S: u64 = 3_600;
/// A copy may be this many operations behind for a moment.
const LAG_MAX: u64 = 1_000;
/// So many servers can hold three copies.
const SERVERS_FOR_COPIES: usize = 3;

pub fn shards(facts: &Facts, findings: &mut Findings) {
    let Some(nats) = seen(&facts.nats, "nats.reached", findings) else {
        return;
    };
    let shards = match &nats.shards {
        Ok(shards) => shards,
        Err(why) => {
            return findings.fail(
                "",
                why,
                "run `natterjack provision` with the number of shards that was meant",
            );
        }
    };
    let wanted = usize::from(shards.count());
    let found = nats
        .streams
        .keys()
        .filter(|name| name.starts_with("CHAT_"))
        .count();
    if found == wanted {
        findings.ok("", format!("{wanted} shards, and as many chat streams"));
    } else {
        findings.fail(
            "",
            format!("{wanted} shards are recorded, and {found} chat streams are there"),
            "the number of shards never changes: if a stream was lost, see \"JetStream was lost\" in \
             nats/README.md before anything is provisioned",
        );
    }
}

pub fn topology(facts: &Facts, findings: &mut Findings) {
    let Some(nats) = seen(&facts.nats, "nats.reached", findings) else {
        return;
    };
    let report = match &nats.drift {
        Some(Ok(report)) => report,
        Some(Err(why)) => {
            return findings.fail(
                "",
                format!("what is there could not be compared with what should be: {why}"),
                "look whether that stream has a leader, and at this user's permissions",
            );
        }
        None => return findings.see("streams.shards"),
    };
    for missing in &report.missing {
        findings.fail(
            missing,
            "is missing",
            "run `natterjack provision`, which makes what is missing",
        );
    }
    for closed in &report.closed {
        findings.fail(
            closed,
            "takes no messages until a persister has opened it",
            "start a persister, or look at the log of the one that should run",
        );
    }
    for drift in &report.drift {
        findings.warn(
            &drift.of,
            format!("{} is {}, not {}", drift.setting, drift.found, drift.wanted),
            "run `natterjack provision --apply`, or give the doctor the settings that are meant",
        );
    }
    if findings.all_well() {
        findings.ok("", "streams, buckets and consumers are as provisioned");
    }
}

pub fn replicas(facts: &Facts, findings: &mut Findings) {
    let Some(nats) = seen(&facts.nats, "nats.reached", findings) else {
        return;
    };
    for name in nats.unseen() {
        findings.fail(
            name,
            "is not there, or has no leader",
            "see whether most of the servers that hold it run",
        );
    }
    for (name, info) in &nats.streams {
        copies(name, info, findings);
    }
    let servers = facts.servers.as_ref().map_or(nats.nodes, |servers| {
        let of_jetstream = servers.iter().filter(|server| server.jetstream.config.is_some());
        of_jetstream.count()
    });
    let copies = nats.settings.as_ref().map_or(1, |settings| settings.replicas);
    if copies < 3 && servers >= SERVERS_FOR_COPIES {
        findings.fail(
            "",
            format!("streams have {copies} copy each, on {servers} servers: one disk lost is messages lost"),
            "run `natterjack provision --replicas 3 --apply`",
        );
    }
    if findings.all_well() {
        findings.ok("", format!("{copies} of each stream, all present and up to date"));
    }
}

fn copies(name: &str, info: &Info, findings: &mut Findings) {
    let Some(ClusterInfo { leader, replicas, .. }) = &info.cluster else {
        return;
    };
    if leader.as_deref().unwrap_or_default().is_empty() {
        findings.fail(
            name,
            "has no leader",
            "see whether most of the servers that hold it run",
        );
    }
    for copy in replicas {
        if copy.offline {
            findings.fail(
                name,
                format!(
                    "its copy on {} is away: one more lost stops the stream",
                    copy.name
                ),
                "start that server again; if it is gone for good, an empty one in its place is filled from the others",
            );
        } else if !copy.current || copy.lag.unwrap_or_default() > LAG_MAX {
            findings.warn(
                name,
                format!(
                    "its copy on {} is behind by {} operations",
                    copy.name,
                    copy.lag.unwrap_or_default()
                ),
                "it catches up by itself after a restart; if it does not within minutes, look at that server's \
                 disk and network",
            );
        }
    }
    let found = replicas.len() + 1;
    if found < info.config.num_replicas {
        findings.fail(
            name,
            format!("has {found} copies of {}", info.config.num_replicas),
            "see whether enough servers run to place them on",
        );
    }
}

pub fn fill(facts: &Facts, findings: &mut Findings) {
    let Some(nats) = seen(&facts.nats, "nats.reached", findings) else {
        return;
    };
    let refusing = nats
        .streams
        .iter()
        .filter(|(_, info)| info.config.discard == DiscardPolicy::New && info.config.max_bytes > 0);
    let mut fullest = (0, "");
    for (name, info) in refusing {
        let max = u64::try_from(info.config.max_bytes).unwrap_or_default();
        let percent = format::percent(info.state.bytes, max);
        fullest = fullest.max((percent, name));
        let words = format!(
            "holds {} of {}",
            format::bytes(info.state.bytes),
            format::bytes(max)
        );
        let todo = "look at streams.lag first: the persister trims what is in Postgres; if it does, raise \
                    NATTERJACK_CHAT_BYTES_MAX and provision with --apply";
        if percent >= FULL_FAILURE {
            findings.fail(name, format!("{words}; a full stream refuses what is sent"), todo);
        } else if percent >= FULL_WARNING {
            findings.warn(name, words, todo);
        } else if let Some(hours) = full_in_hours(info, max, facts.args.tail_window_hours) {
            findings.warn(
                name,
                format!("{words}, and at the present rate is full in {hours} h, before the tail window ends"),
                "raise NATTERJACK_CHAT_BYTES_MAX and provision with --apply, or lower \
                 NATTERJACK_TAIL_WINDOW_HOURS",
            );
        }
    }
    if findings.all_well() {
        let (percent, name) = fullest;
        findings.ok("", format!("the fullest, {name}, is {percent} % full"));
    }
}

/// When a stream is full at the rate at which it came to hold what it holds, if it is before the persister
/// begins to trim it.
fn full_in_hours(info: &Info, max: u64, window_hours: u32) -> Option<u64> {
    let first_s = u64::try_from(info.state.first_timestamp.unix_timestamp()).ok()?;
    let age_s = (Clock::system().now_ms() / 1_000).checked_sub(first_s)?;
    let window_s = u64::from(window_hours) * 3_600;
    if info.state.messages == 0 || age_s < RATE_AFTER_S || age_s >= window_s {
        return None;
    }
    let full_after_s =
        u64::try_from(u128::from(max) * u128::from(age_s) / u128::from(info.state.bytes.max(1))).ok()?;
    (full_after_s < window_s).then(|| full_after_s.saturating_sub(age_s) / 3_600)
}

//! The streams: whether they are what was provisioned, have all their copies, and have room.

use std::time::Duration;

use async_nats::jetstream::stream::{ClusterInfo, DiscardPolicy, Info};
use natterjack_runtime::clock::Clock;

use super::seen;
use crate::doctor::{
    facts::{Facts, Nats},
    finding::Findings,
    format,
};

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
/// Copies are heard of every second.
const UNHEARD_MAX: Duration = Duration::from_secs(8);
const NO_LEADER: &str = "see whether most of the servers that hold it run: until they do it takes and gives nothing, \
                         and nothing of it is lost";

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
        .chain(nats.silent.keys())
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
    let Some(report) = &nats.drift else {
        return findings.see("streams.shards");
    };
    for why in &report.silent {
        findings.fail(
            "",
            format!("what is there could not be compared with what should be: {why}"),
            "look whether it has a leader, and at this user's permissions",
        );
    }
    if !nats.silent.is_empty() {
        let names: Vec<String> = nats.silent.keys().cloned().collect();
        findings.skip(
            format!("{} could not be compared: no answer", format::some(&names)),
            "see streams.replicas",
        );
    }
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
        let mend = match &drift.refused {
            Some(why) => format!("`natterjack provision --apply` leaves it alone: {why}"),
            None => {
                "run `natterjack provision --apply`, or give the doctor the settings that are meant".into()
            }
        };
        findings.warn(
            &drift.of,
            format!("{} is {}, not {}", drift.setting, drift.found, drift.wanted),
            mend,
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
    for name in nats.missing() {
        findings.fail(
            name,
            "is not there",
            "run `natterjack provision`, which makes what is missing; if it was there before, see \"JetStream was \
             lost\" in nats/README.md first",
        );
    }
    for (name, why) in &nats.silent {
        findings.fail(name, format!("has no leader that answers: {why}"), NO_LEADER);
    }
    for (name, info) in &nats.streams {
        copies(name, info, findings);
    }
    let found = nats.streams.values().map(|info| info.config.num_replicas).max();
    let meant = nats.settings.as_ref().map(|settings| settings.replicas);
    let copies = meant.or(found).unwrap_or(1);
    let servers = servers(facts, nats);
    if copies < SERVERS_FOR_COPIES && servers >= SERVERS_FOR_COPIES {
        findings.fail(
            "",
            format!("streams have {copies} copy each, on {servers} servers: one disk lost is messages lost"),
            "run `natterjack provision --replicas 3 --apply`, and what it says to do about the streams that it \
             leaves alone",
        );
    } else if copies < SERVERS_FOR_COPIES && nats.clustered && facts.servers.is_err() {
        findings.skip(
            format!("streams have {copies} copy each, and how many servers there are for more is not known"),
            "see nats.servers",
        );
    }
    if findings.all_well() {
        findings.ok("", format!("{copies} of each stream, all present and up to date"));
    }
}

/// How many there are to hold copies, as far as it is seen.
fn servers(facts: &Facts, nats: &Nats) -> usize {
    match &facts.servers {
        Ok(servers) => {
            let of_jetstream = servers.iter().filter(|server| server.jetstream.config.is_some());
            of_jetstream.count() + facts.servers_away.len()
        }
        Err(_) => nats.holders().len(),
    }
}

fn copies(name: &str, info: &Info, findings: &mut Findings) {
    let Some(ClusterInfo { leader, replicas, .. }) = &info.cluster else {
        return;
    };
    if leader.as_deref().unwrap_or_default().is_empty() {
        findings.fail(name, "has no leader", NO_LEADER);
    }
    for copy in replicas {
        // A server that died without a word counts as offline only after minutes.
        if copy.offline || (!copy.current && copy.active > UNHEARD_MAX) {
            findings.fail(
                name,
                format!(
                    "its copy on {} is away: one more lost stops the stream",
                    copy.name
                ),
                "start that server again, with its disk or with an empty one, which is filled from the others; if it \
                 never comes back, see \"A node that is lost\" in nats/README.md",
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

//! What the consumers have before them.

use natterjack_nats::topology::{NOTIFIER, PERSISTER, PRESENCE};
use natterjack_runtime::clock::Clock;

use super::seen;
use crate::doctor::{
    facts::{Backlog, Facts},
    finding::Findings,
    format,
};

/// Somebody took nothing for this long though there was something.
const STUCK_S: u64 = 30;
/// More than a busy cluster ever has before it.
const MANY: u64 = 20_000;

pub fn lag(facts: &Facts, findings: &mut Findings) {
    let Some(nats) = seen(&facts.nats, "nats.reached", findings) else {
        return;
    };
    for backlog in &nats.backlogs {
        look(backlog, findings);
    }
    // Of consumers without a leader the server says nothing at all: they are missing in its list.
    for stream in nats.leaderless() {
        findings.fail(
            stream,
            "has no leader, so that nobody takes anything from it",
            "see streams.replicas",
        );
    }
    for (stream, why) in &nats.silent_consumers {
        findings.fail(
            stream,
            format!("its consumers do not answer: {why}"),
            "without a leader they cannot: see whether most of the servers that hold the stream run; nothing is lost",
        );
    }
    if findings.all_well() {
        let waiting: u64 = nats.backlogs.iter().map(waiting).sum();
        let consumers = nats.backlogs.len();
        findings.ok(
            "",
            format!("{consumers} consumers keep up; {waiting} messages are before them"),
        );
    }
}

/// What was not looked at; and of the persister's, what is not in Postgres. Others hold back by design what
/// they put off.
fn waiting(backlog: &Backlog) -> u64 {
    let info = &backlog.info;
    let held = if info.name == PERSISTER {
        info.num_ack_pending
    } else {
        0
    };
    info.num_pending + u64::try_from(held).unwrap_or_default()
}

fn look(backlog: &Backlog, findings: &mut Findings) {
    let Backlog { info, before } = backlog;
    let waiting = waiting(backlog);
    if waiting == 0 {
        return;
    }
    let of = format!("{} > {}", info.stream_name, info.name);
    let moved = info.ack_floor.stream_sequence > before.ack_floor.stream_sequence
        || info.delivered.stream_sequence > before.delivered.stream_sequence;
    let idle_s = idle_s(backlog);
    if !moved && info.num_waiting == 0 && before.num_waiting == 0 {
        findings.fail(
            of,
            format!("{waiting} messages wait and nobody takes them"),
            format!("start a {}: nothing is lost, and it catches up", role(&info.name)),
        );
    } else if !moved && idle_s > STUCK_S {
        findings.fail(
            of,
            format!(
                "{waiting} messages wait, and none was done for {}",
                format::seconds(idle_s)
            ),
            format!(
                "look at the log of the {}, and at what it writes to",
                role(&info.name)
            ),
        );
    } else if waiting > MANY || info.num_pending > before.num_pending + MANY / 10 {
        let done = info.ack_floor.stream_sequence
            - before
                .ack_floor
                .stream_sequence
                .min(info.ack_floor.stream_sequence);
        findings.warn(
            of,
            format!("{waiting} messages wait; {done} were done in the last 2 s"),
            format!(
                "it may be catching up: look again in a minute; if it grows, run another {} or look at what it \
                 writes to",
                role(&info.name)
            ),
        );
    }
}

/// How long ago something was acknowledged, or the consumer was made.
fn idle_s(backlog: &Backlog) -> u64 {
    let info = &backlog.info;
    let last = [
        info.ack_floor.last_active,
        info.delivered.last_active,
        Some(info.created),
    ];
    let last = last.into_iter().flatten().max();
    let last_s = last.and_then(|time| u64::try_from(time.unix_timestamp()).ok());
    let now_s = Clock::system().now_ms() / 1_000;
    last_s.map_or(0, |last_s| now_s.saturating_sub(last_s))
}

fn role(consumer: &str) -> &'static str {
    match consumer {
        PERSISTER => "persister",
        PRESENCE => "presence process",
        NOTIFIER => "notifier",
        _ => "notifier (it also sends)",
    }
}

//! The trace in words.

use std::collections::HashSet;

use natterjack_nats::{
    DeviceId, UserId,
    wire::{Kind, PushOutcome, PushReason, PushTrace, Verdict},
};

/// Most users that one line names.
const NAMED_MAX: usize = 20;

/// What is asked.
pub struct Asked {
    /// Of which message.
    pub seq: u64,
    /// For whom; everybody if absent.
    pub user: Option<UserId>,
    /// Their devices.
    pub devices: Option<HashSet<DeviceId>>,
    /// The grace, in milliseconds.
    pub grace_ms: u64,
    /// By the servers' clock, Unix milliseconds.
    pub now_ms: u64,
}

/// The message, as its stream has it.
pub struct Message {
    /// When it was stored, Unix milliseconds.
    pub stored_ms: u64,
    /// By whom.
    pub sender: UserId,
    /// What it is.
    pub kind: Kind,
}

/// Whether an entry is about the message and the user.
pub fn concerns(asked: &Asked, entry: &PushTrace) -> bool {
    let whose = |of: &UserId| asked.user.is_none_or(|user| user == *of);
    match entry {
        PushTrace::Decided { seq, verdicts, .. } => {
            *seq == asked.seq && verdicts.iter().any(|verdict| verdict.users.iter().any(whose))
        }
        PushTrace::Attempted { seq, user, .. } | PushTrace::Withdrawn { seq, user, .. } => {
            *seq == asked.seq && whose(user)
        }
    }
}

/// Tells it, a line each. `trace` is all that is known of the conversation since the message was stored.
pub fn explain(asked: &Asked, message: Option<&Message>, trace: &[PushTrace]) -> Vec<String> {
    let mut lines = Vec::new();
    match message {
        Some(message) => lines.push(format!(
            "message {} was sent by {} and stored {} ago",
            asked.seq,
            message.sender,
            seconds(asked.now_ms.saturating_sub(message.stored_ms)),
        )),
        None => lines.push(format!(
            "there is no message {} of this conversation in its stream: never, or not any more",
            asked.seq
        )),
    }
    let told = lines.len();
    for entry in trace {
        tell(asked, message, entry, &mut lines);
    }
    if lines.len() == told {
        lines.push(nothing(asked, message, trace));
    }
    if let Some(later) = later(asked, trace) {
        lines.push(format!(
            "message {later} of the conversation, which came after it, was pushed and stands for both: ask for that one"
        ));
    }
    lines
}

fn tell(asked: &Asked, message: Option<&Message>, entry: &PushTrace, lines: &mut Vec<String>) {
    if !concerns(asked, entry) {
        return;
    }
    let after = |at: u64| match message {
        Some(message) => format!("after {}", seconds(at.saturating_sub(message.stored_ms))),
        None => format!("at {at}"),
    };
    match entry {
        PushTrace::Decided { age_ms, verdicts, .. } => {
            for verdict in verdicts {
                if let Some(line) = decided(asked, verdict) {
                    lines.push(format!("after {}: {line}", seconds(*age_ms)));
                }
            }
        }
        PushTrace::Attempted {
            device,
            channel,
            at,
            attempt,
            outcome,
            detail,
            retry_at,
            ..
        } => {
            let again = retry_at.map(|again| format!("; again in {}", seconds(again.saturating_sub(*at))));
            lines.push(format!(
                "{}: device {device} ({channel}), attempt {attempt}: {}: {detail}{}",
                after(*at),
                outcome_words(*outcome),
                again.unwrap_or_default(),
            ));
        }
        PushTrace::Withdrawn {
            device, at, reason, ..
        } => lines.push(format!(
            "{}: taken back from device {device}: {reason}",
            after(*at)
        )),
    }
}

fn decided(asked: &Asked, verdict: &Verdict) -> Option<String> {
    let who = match asked.user {
        Some(user) => verdict.users.contains(&user).then(|| user.to_string())?,
        None => {
            let named: Vec<String> = verdict
                .users
                .iter()
                .take(NAMED_MAX)
                .map(ToString::to_string)
                .collect();
            let more = verdict.users.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!("{}{more}", named.join(", "))
        }
    };
    let own = |device: &&DeviceId| asked.devices.as_ref().is_none_or(|own| own.contains(device));
    let devices: Vec<String> = verdict
        .devices
        .iter()
        .filter(own)
        .map(ToString::to_string)
        .collect();
    let pushed = if devices.is_empty() {
        String::new()
    } else {
        format!("; handed over for device {}", devices.join(", "))
    };
    Some(format!("{who}: {}{pushed}", reason_words(verdict.reason)))
}

/// Why there is nothing to tell.
fn nothing(asked: &Asked, message: Option<&Message>, trace: &[PushTrace]) -> String {
    let decided = trace
        .iter()
        .any(|entry| matches!(entry, PushTrace::Decided { seq, .. } if *seq == asked.seq));
    match (message, asked.user) {
        (_, Some(user)) if decided => format!("{user} was not in the conversation: not pushed"),
        (None, _) => "nothing is known of it: the trace is kept for a day".into(),
        (Some(message), _) if message.kind != Kind::Text => {
            format!("it is {}: not pushed", kind_words(message.kind))
        }
        (Some(message), _) => {
            let age_ms = asked.now_ms.saturating_sub(message.stored_ms);
            if age_ms < asked.grace_ms {
                let grace = seconds(asked.grace_ms);
                format!("it is not decided yet: devices in the foreground have {grace} to confirm it")
            } else {
                "it is not decided, or longer ago than the trace is kept, a day: if it is young, see /readyz of \
                 the notifiers and `nats consumer report` of its stream"
                    .into()
            }
        }
    }
}

/// The first message after this one that was handed over for the user, if this one was not because of it.
fn later(asked: &Asked, trace: &[PushTrace]) -> Option<u64> {
    let user = asked.user?;
    let of = |wanted: fn(&Verdict) -> bool| {
        trace.iter().filter_map(move |entry| match entry {
            PushTrace::Decided { seq, verdicts, .. } => {
                let own = |verdict: &&Verdict| verdict.users.contains(&user) && wanted(verdict);
                verdicts.iter().find(own).map(|_| *seq)
            }
            _ => None,
        })
    };
    of(|verdict| verdict.reason == PushReason::Queued).find(|seq| *seq == asked.seq)?;
    // Its own devices were handed over at another look.
    if of(|verdict| !verdict.devices.is_empty()).any(|seq| seq == asked.seq) {
        return None;
    }
    of(|verdict| !verdict.devices.is_empty())
        .filter(|seq| *seq > asked.seq)
        .min()
}

const fn reason_words(reason: PushReason) -> &'static str {
    match reason {
        PushReason::Unconfirmed => "no device in the foreground had confirmed it",
        PushReason::Nudged => {
            "a device in the foreground had not confirmed it: it was nudged, and has a second grace"
        }
        PushReason::Confirmed => "a device in the foreground had confirmed it: not pushed",
        PushReason::Read => "it was read: not pushed",
        PushReason::Own => "the sender: not pushed",
        PushReason::Muted => "the conversation is muted: not pushed",
        PushReason::JoinedLater => "came into the group after it: not pushed",
        PushReason::NotRegistered => "no device is registered for pushes: not pushed",
        PushReason::Queued => {
            "each device was told of it, or of a later message of the conversation, already"
        }
        PushReason::NotAText => "it is not a text: not pushed",
        PushReason::Deleted => "it was deleted before it was due: not pushed",
        PushReason::TooOld => "it was older than messages are pushed (--ttl-hours): not pushed",
    }
}

const fn outcome_words(outcome: PushOutcome) -> &'static str {
    match outcome {
        PushOutcome::Accepted => "the push service has taken it",
        PushOutcome::Retry => "failed",
        PushOutcome::Gone => "the device is gone, its registration was removed",
        PushOutcome::GivenUp => "given up, see svc.push.dead",
        PushOutcome::Dropped => "not needed any more",
    }
}

const fn kind_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Edit => "an edit",
        Kind::Delete => "a deletion",
        Kind::Event => "an event",
        Kind::Duplicate => "a second copy of another message",
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use natterjack_nats::{MessageId, wire::Channel};

    use super::*;

    fn user(number: u128) -> UserId {
        UserId::from_parts(1, number)
    }

    fn device(number: u128) -> DeviceId {
        DeviceId::from_parts(1, number)
    }

    fn asked(of: Option<u128>) -> Asked {
        Asked {
            seq: 7,
            user: of.map(user),
            devices: of.map(|number| [device(number)].into()),
            grace_ms: 5_000,
            now_ms: 20_000,
        }
    }

    const MESSAGE: Message = Message {
        stored_ms: 1_000,
        sender: UserId::from_parts(1, 9),
        kind: Kind::Text,
    };

    fn decided(seq: u64, verdicts: &[(PushReason, &[u128], &[u128])]) -> PushTrace {
        let verdict = |(reason, users, devices): &(PushReason, &[u128], &[u128])| Verdict {
            reason: *reason,
            users: users.iter().copied().map(user).collect(),
            devices: devices.iter().copied().map(device).collect(),
        };
        PushTrace::Decided {
            seq,
            id: MessageId::generate(1),
            at: 6_100,
            age_ms: 5_100,
            verdicts: verdicts.iter().map(verdict).collect(),
        }
    }

    #[test]
    fn a_push_is_told_from_its_message_to_its_answer() {
        let trace = [
            decided(
                7,
                &[
                    (PushReason::Own, &[9], &[]),
                    (PushReason::Unconfirmed, &[1, 2], &[1, 2]),
                ],
            ),
            PushTrace::Attempted {
                seq: 7,
                user: user(1),
                device: device(1),
                channel: Channel::Fcm,
                at: 6_250,
                attempt: 1,
                outcome: PushOutcome::Accepted,
                detail: "200".into(),
                retry_at: None,
            },
        ];
        let lines = explain(&asked(Some(1)), Some(&MESSAGE), &trace);
        let expected = [
            format!("message 7 was sent by {} and stored 19.000 s ago", user(9)),
            format!(
                "after 5.100 s: {}: no device in the foreground had confirmed it; handed over for device {}",
                user(1),
                device(1)
            ),
            format!(
                "after 5.250 s: device {} (fcm), attempt 1: the push service has taken it: 200",
                device(1)
            ),
        ];
        assert_eq!(lines, expected);
        let all = explain(&asked(None), Some(&MESSAGE), &trace);
        assert_eq!(all.len(), 4, "{all:?}");
        let stranger = explain(&asked(Some(5)), Some(&MESSAGE), &trace);
        assert!(
            stranger[1].contains("was not in the conversation"),
            "{stranger:?}"
        );
    }

    #[test]
    fn what_a_later_message_stands_for() {
        let trace = [
            decided(7, &[(PushReason::Queued, &[1], &[])]),
            decided(9, &[(PushReason::Unconfirmed, &[1], &[1])]),
        ];
        let lines = explain(&asked(Some(1)), Some(&MESSAGE), &trace);
        assert!(
            lines.last().is_some_and(|line| line.contains("message 9")),
            "{lines:?}"
        );
        let own = [
            decided(7, &[(PushReason::Unconfirmed, &[1], &[1])]),
            decided(7, &[(PushReason::Queued, &[1], &[])]),
            decided(9, &[(PushReason::Unconfirmed, &[1], &[1])]),
        ];
        let lines = explain(&asked(Some(1)), Some(&MESSAGE), &own);
        assert_eq!(lines.len(), 3, "{lines:?}");
    }

    #[test]
    fn nothing_is_told_with_its_reason() {
        let mut asked = asked(Some(1));
        let line = |asked: &Asked, message| explain(asked, message, &[]).remove(1);
        assert!(line(&asked, None).contains("kept for a day"));
        assert!(line(&asked, Some(&MESSAGE)).contains("/readyz"));
        asked.now_ms = 2_000;
        assert!(line(&asked, Some(&MESSAGE)).contains("not decided yet"));
        let edit = Message {
            kind: Kind::Edit,
            ..MESSAGE
        };
        assert!(line(&asked, Some(&edit)).contains("an edit"));
    }
}

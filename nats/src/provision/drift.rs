//! What differs from what was asked for, and whether it may be changed while everything runs.
//!
//! A change is safe if nothing that is stored is lost by it and nobody is refused who was not before.
//! Anything else is left to a person, with the reason and, where there is one, the way.

use std::{fmt::Display, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// One setting that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Of which stream, bucket or consumer.
    pub of: String,
    /// Which setting, in the server's own words.
    pub setting: String,
    /// What the server has.
    pub found: String,
    /// What was asked for.
    pub wanted: String,
    /// Why it is not changed, even if that is wanted, and what to do; `None`: it may be changed.
    pub refused: Option<String>,
}

impl Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            of,
            setting,
            found,
            wanted,
            refused,
        } = self;
        write!(f, "{of}: {setting} is {found}, not {wanted}")?;
        match refused {
            Some(why) => write!(f, " (left alone: {why})"),
            None => Ok(()),
        }
    }
}

/// Settings of a stream that matter to Natterjack, by their names in the server's API.
pub(super) const STREAM: &[&str] = &[
    "description",
    "subjects",
    "retention",
    "storage",
    "num_replicas",
    "max_msgs",
    "max_bytes",
    "max_age",
    "max_msg_size",
    "max_consumers",
    "no_ack",
    "discard",
    "discard_new_per_subject",
    "duplicate_window",
    "allow_direct",
    "republish",
    "max_msgs_per_subject",
    "sealed",
    "deny_delete",
    "deny_purge",
    "persist_mode",
];

/// Settings of a bucket's stream that matter to Natterjack.
pub(super) const BUCKET: &[&str] = &[
    "description",
    "storage",
    "num_replicas",
    "max_bytes",
    "max_age",
    "subject_delete_marker_ttl",
    "republish",
    "max_msgs_per_subject",
    "allow_rollup_hdrs",
];

/// Settings of a consumer that matter to Natterjack.
pub(super) const CONSUMER: &[&str] = &[
    "description",
    "deliver_policy",
    "ack_policy",
    "ack_wait",
    "max_deliver",
    "max_ack_pending",
    "filter_subject",
    "filter_subjects",
    "inactive_threshold",
    "num_replicas",
];

/// What is compared: the settings of one thing, and how many bytes it has stored.
pub(super) struct Pair<'a, T> {
    pub of: &'a str,
    pub names: &'a [&'a str],
    pub found: &'a T,
    pub wanted: &'a T,
    pub bytes: u64,
}

/// The settings that differ, and what was found with those of them changed that may be.
pub(super) struct Compared<T> {
    pub drift: Vec<Drift>,
    pub mended: T,
}

impl<T: Serialize + DeserializeOwned + Clone> Pair<'_, T> {
    /// The settings whose JSON differs; absent, zero and -1 are the same "no limit".
    pub fn compare(&self) -> Compared<T> {
        let json = |config: &T| serde_json::to_value(config).unwrap_or_default();
        let (found, wanted) = (json(self.found), json(self.wanted));
        let is_async = found["persist_mode"] == "async";
        let (mut drift, mut mended) = (Vec::new(), found.clone());
        for name in self.names {
            let (found, wanted) = (&found[*name], &wanted[*name]);
            if found == wanted || (unset(found) && unset(wanted)) {
                continue;
            }
            let copies_nothing = *name == "num_replicas" && is_async;
            let refused = if copies_nothing && wanted.as_u64() > Some(1) {
                Some(NO_COPIES.to_owned())
            } else {
                refused(name, found, wanted, self.bytes)
            };
            if refused.is_none() {
                mended[*name] = wanted.clone();
            }
            drift.push(Drift {
                of: self.of.to_owned(),
                setting: (*name).to_owned(),
                found: shown(name, found),
                wanted: shown(name, wanted),
                refused,
            });
        }
        Compared {
            drift,
            // What was a configuration is one.
            mended: serde_json::from_value(mended).unwrap_or_else(|_| self.found.clone()),
        }
    }
}

fn unset(value: &Value) -> bool {
    matches!(value.as_i64(), Some(0 | -1)) || value.is_null() || value == &Value::Bool(false) || value == ""
}

/// Durations are nanoseconds to the server.
fn shown(name: &str, value: &Value) -> String {
    const DURATIONS: &[&str] = &[
        "max_age",
        "duplicate_window",
        "ack_wait",
        "subject_delete_marker_ttl",
        "inactive_threshold",
    ];
    match value.as_u64() {
        Some(nanoseconds) if DURATIONS.contains(&name) => {
            format!("{:?}", Duration::from_nanos(nanoseconds))
        }
        _ if unset(value) => "unset".to_owned(),
        _ => value.to_string(),
    }
}

/// Only one stream is written so: [`crate::topology::PUSH_TRACE`].
const NO_COPIES: &str = "the server copies no stream whose persist_mode is async. It holds a day of why messages were \
    pushed or not: if that may go, run `nats --context natterjack-admin stream rm PUSH_TRACE --force`, and provision \
    again, which makes it with all its copies";

/// Why a setting is not changed; `None` if it may be.
fn refused(name: &str, found: &Value, wanted: &Value, bytes: u64) -> Option<String> {
    let why = match name {
        "storage" | "retention" | "persist_mode" | "sealed" | "deny_delete" | "deny_purge" => {
            "the server cannot change it back; back the stream up, and make it anew: see nats/README.md"
        }
        "deliver_policy" | "ack_policy" => {
            "the server cannot change it; remove the consumer with `nats consumer rm`, and provision again: it \
             then reads its stream from the beginning"
        }
        "subjects" if !covered(found, wanted) => {
            "what comes on the subjects that would go is stored now and would be no more; look who needs it, \
             then use `nats stream edit --subjects`"
        }
        "num_replicas" if found.as_u64().unwrap_or(1) > wanted.as_u64().unwrap_or(1) => {
            "fewer copies survive less; give --replicas as it is, or use `nats stream edit --replicas` if it is \
             meant"
        }
        "max_bytes" if shrinks(found, wanted) && bytes > wanted.as_u64().unwrap_or(u64::MAX) => {
            "more than that is stored; give a larger --chat-bytes-max, or trim first"
        }
        "max_age" | "max_msgs" | "max_msgs_per_subject" if shrinks(found, wanted) => {
            "that would delete what is stored; use `nats stream edit` if it is meant"
        }
        "duplicate_window" if shrinks(found, wanted) => {
            "edges that run rely on the longer one; stop them all, then use `nats stream edit --dupe-window`"
        }
        _ => return None,
    };
    Some(why.to_owned())
}

/// Whether a limit would be lower than it is; none is the highest.
fn shrinks(found: &Value, wanted: &Value) -> bool {
    !unset(wanted) && (unset(found) || wanted.as_u64() < found.as_u64())
}

/// Whether everything that is stored now is stored afterwards.
fn covered(found: &Value, wanted: &Value) -> bool {
    let list = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(|subject| subject.as_str().map(str::to_owned))
            .collect()
    };
    let wanted = list(wanted);
    list(found)
        .iter()
        .all(|subject| wanted.iter().any(|wanted| covers(wanted, subject)))
}

/// Whether one subject matches all that another matches.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refuses(name: &str, found: &Value, wanted: &Value) -> bool {
        let (found, wanted) = (json!({ name: found }), json!({ name: wanted }));
        let pair = Pair {
            of: "it",
            names: &[name],
            found: &found,
            wanted: &wanted,
            bytes: 1_000,
        };
        let compared = pair.compare();
        assert_eq!(compared.drift.len(), 1, "{name}");
        let refused = compared.drift[0].refused.is_some();
        assert_eq!(compared.mended, if refused { found } else { wanted }, "{name}");
        refused
    }

    #[test]
    fn what_keeps_everything_is_changed_and_what_may_lose_is_not() {
        let safe = [
            ("max_bytes", json!(100), json!(2_000)),
            ("max_bytes", json!(5_000), json!(-1)),
            ("max_bytes", json!(5_000), json!(2_000)),
            ("max_age", json!(5), json!(0)),
            ("num_replicas", json!(1), json!(3)),
            ("discard", json!("old"), json!("new")),
            ("duplicate_window", json!(1), json!(2)),
            (
                "subjects",
                json!(["chat.0.dm.>", "chat.0.*.x"]),
                json!(["chat.0.>"]),
            ),
            ("ack_wait", json!(1), json!(2)),
            ("description", json!("a"), json!("b")),
            ("republish", json!(null), json!({"src": "a"})),
        ];
        for (name, found, wanted) in safe {
            assert!(!refuses(name, &found, &wanted), "{name} {found} {wanted}");
        }
        let unsafe_ones = [
            ("max_bytes", json!(5_000), json!(999)),
            ("max_bytes", json!(-1), json!(999)),
            ("max_age", json!(0), json!(5)),
            ("max_age", json!(6), json!(5)),
            ("num_replicas", json!(3), json!(1)),
            ("storage", json!("memory"), json!("file")),
            ("duplicate_window", json!(2), json!(1)),
            ("subjects", json!(["chat.0.>", "other"]), json!(["chat.0.>"])),
            ("subjects", json!(["chat.>"]), json!(["chat.0.>"])),
            ("deliver_policy", json!("new"), json!("all")),
        ];
        for (name, found, wanted) in unsafe_ones {
            assert!(refuses(name, &found, &wanted), "{name} {found} {wanted}");
        }
    }

    #[test]
    fn what_is_written_async_gets_no_copies() {
        let found = json!({"num_replicas": 1, "persist_mode": "async", "max_age": 1});
        let wanted = json!({"num_replicas": 3, "max_age": 2});
        let pair = Pair {
            of: "it",
            names: STREAM,
            found: &found,
            wanted: &wanted,
            bytes: 0,
        };
        let compared = pair.compare();
        let refused: Vec<_> = compared
            .drift
            .iter()
            .filter(|drift| drift.refused.is_some())
            .collect();
        let names: Vec<_> = refused.iter().map(|drift| &*drift.setting).collect();
        assert_eq!(names, ["num_replicas", "persist_mode"]);
        assert_eq!(refused[0].refused.as_deref(), Some(NO_COPIES));
        let mended = json!({"num_replicas": 1, "persist_mode": "async", "max_age": 2});
        assert_eq!(compared.mended, mended, "the rest is changed");
    }

    #[test]
    fn absent_zero_and_minus_one_are_no_limit() {
        let (found, wanted) = (json!({"max_age": 0, "max_bytes": -1}), json!({"max_bytes": 0}));
        let pair = Pair {
            of: "it",
            names: &["max_age", "max_bytes"],
            found: &found,
            wanted: &wanted,
            bytes: 0,
        };
        assert_eq!(pair.compare().drift, []);
    }
}

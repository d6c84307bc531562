//! Streams.
//!
//! | stream | subjects | keeps |
//! |---|---|---|
//! | `CHAT_<shard>` | `chat.<shard>.>` | until the persister has it in Postgres and the tail window has passed; full: refuses |
//! | `RECEIPTS` | `receipt.*` | a day |
//! | `PUSH_TRACE` | `push.trace.>` | why messages were pushed or not: a day, and no more than a bound in bytes |
//! | `PUSH_DEAD` | `push.dead.>` | pushes that were given up: 30 days |

use std::time::Duration;

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, Republish, RetentionPolicy, StorageType,
};

use super::Settings;
use crate::{
    shard::Shard,
    subjects::{chat, live, push, receipt},
};

/// The stream of receipts.
pub const RECEIPTS: &str = "RECEIPTS";

/// The stream of what was decided about pushes, and what became of them.
pub const PUSH_TRACE: &str = "PUSH_TRACE";

/// The stream of pushes that were given up.
pub const PUSH_DEAD: &str = "PUSH_DEAD";

/// The stream that holds a shard's conversations, and beside them its refusals.
#[must_use]
pub fn chat_stream(shard: Shard) -> String {
    format!("CHAT_{shard}")
}

/// All streams.
#[must_use]
pub fn streams(settings: &Settings) -> Vec<Config> {
    settings
        .shards
        .all()
        .map(|shard| chat(settings, shard))
        .chain([receipts(settings), push_trace(settings), push_dead(settings)])
        .collect()
}

/// Whether a chat stream takes no messages: a new one does not before the persister has seen up to where
/// the history of its shard counts, so that a stream that was lost never begins at 1 again.
#[must_use]
pub fn is_closed(shard: Shard, config: &Config) -> bool {
    config.subjects == [chat::closed(shard)]
}

/// Lets a chat stream take messages, or no more.
pub fn set_closed(shard: Shard, config: &mut Config, closed: bool) {
    config.subjects = vec![if closed {
        chat::closed(shard)
    } else {
        chat::wildcard(shard)
    }];
}

fn chat(settings: &Settings, shard: Shard) -> Config {
    Config {
        name: chat_stream(shard),
        description: Some("Messages and events; trimmed by the persister once they are in Postgres".into()),
        subjects: vec![chat::wildcard(shard)],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: settings.replicas,
        // Nothing leaves before Postgres has it: no age limit, and a full stream refuses.
        max_bytes: settings.chat_bytes_max,
        discard: DiscardPolicy::New,
        duplicate_window: settings.dedupe_window,
        allow_direct: true,
        republish: Some(Republish {
            source: chat::wildcard(shard),
            destination: live::ALL.into(),
            headers_only: false,
        }),
        ..Config::default()
    }
}

fn receipts(settings: &Settings) -> Config {
    Config {
        name: RECEIPTS.into(),
        description: Some("Batches of delivered and read cursors".into()),
        subjects: vec![receipt::ALL.into()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: settings.replicas,
        max_age: Duration::from_hours(24),
        max_bytes: settings.chat_bytes_max / 4,
        // A lost cursor is set again by the next one; a full stream drops the oldest.
        discard: DiscardPolicy::Old,
        duplicate_window: settings.dedupe_window,
        allow_direct: true,
        ..Config::default()
    }
}

fn push_trace(settings: &Settings) -> Config {
    Config {
        name: PUSH_TRACE.into(),
        description: Some("Why messages were pushed to whom, or not, and what became of it".into()),
        subjects: vec![push::TRACES.into()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: settings.replicas,
        max_age: Duration::from_hours(24),
        max_bytes: settings.chat_bytes_max / 4,
        discard: DiscardPolicy::Old,
        duplicate_window: settings.dedupe_window,
        allow_direct: true,
        // An entry for every message: what a power cut takes of them is not worth a sync each. Only a
        // stream without replicas can do without.
        persist_mode: (settings.replicas == 1).then_some(PersistenceMode::Async),
        ..Config::default()
    }
}

fn push_dead(settings: &Settings) -> Config {
    Config {
        name: PUSH_DEAD.into(),
        description: Some("Pushes that were given up; `svc.push.replay` pushes them again".into()),
        subjects: vec![push::DEAD.into()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: settings.replicas,
        max_age: Duration::from_hours(30 * 24),
        max_bytes: settings.chat_bytes_max / 4,
        discard: DiscardPolicy::Old,
        duplicate_window: settings.dedupe_window,
        allow_direct: true,
        ..Config::default()
    }
}

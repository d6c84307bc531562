//! Where messages wait for the grace: bounded, and for a short time only.
//!
//! The stream is read a grace behind its head. So while messages come steadily, the next ones are nearly due
//! when those before are decided, and none has to be put off.

use std::time::Duration;

use natterjack_nats::{
    Shards,
    subjects::chat,
    wire::{Kind, Stored},
};
use rand::RngExt as _;
use tokio::sync::mpsc;

use super::{Decider, decider::Deletion, look::Text};
use crate::source::{Delivered, FETCH_MAX};

/// Messages that wait in one shard's room.
const ROOM_MAX: usize = 2 * FETCH_MAX;
/// What is not due within this waits in the consumer, and not here: others get it if this process dies, and
/// it must not come again by itself meanwhile.
const HOLD_MAX_MS: u64 = 10_000;
/// What becomes due so soon after another is decided with it.
const TOGETHER: Duration = Duration::from_millis(20);
/// The longest pause after something was away that deciding needs, in milliseconds.
const AWAY_MS: u64 = 500;
/// Most messages that are decided together.
const BATCH_MAX: usize = FETCH_MAX;

/// A message that waits.
enum Waiting {
    Text(Text),
    Deletion(Deletion),
}

impl Waiting {
    const fn delivered(&self) -> &Delivered {
        match self {
            Self::Text(text) => &text.delivered,
            Self::Deletion(deletion) => &deletion.delivered,
        }
    }
}

/// Takes messages of one shard until none come any more, and has them decided when they are due.
pub async fn run(decider: Decider, mut messages: mpsc::Receiver<Delivered>) {
    // In the order in which they are due.
    let mut room: Vec<Waiting> = Vec::new();
    let mut came = Vec::with_capacity(FETCH_MAX);
    loop {
        let due = take_due(&decider, &mut room);
        if !due.is_empty() {
            decide(&decider, due).await;
            continue;
        }
        let rest = room.first().map(|first| {
            let rest_ms = due_ms(&decider, first).saturating_sub(decider.time.now_ms());
            Duration::from_millis(rest_ms) + TOGETHER
        });
        tokio::select! {
            count = messages.recv_many(&mut came, FETCH_MAX), if room.len() < ROOM_MAX => {
                if count == 0 {
                    break;
                }
                for message in came.drain(..) {
                    enter(&decider, &mut room, message).await;
                }
                room.sort_by_key(|waiting| (waiting.delivered().stored_ms, waiting.delivered().seq));
            }
            () = tokio::time::sleep(rest.unwrap_or(Duration::MAX)), if rest.is_some() => {}
        }
    }
    for waiting in room {
        waiting.delivered().hand_back().await;
    }
    // What was answered last must be out before the connection goes with its last user.
    if let Err(error) = decider.client.flush().await {
        tracing::debug!(%error, "what was answered last comes again");
    }
}

async fn decide(decider: &Decider, due: Vec<Waiting>) {
    let (mut texts, mut deletions) = (Vec::new(), Vec::new());
    for waiting in due {
        match waiting {
            Waiting::Text(text) => texts.push(text),
            Waiting::Deletion(deletion) => deletions.push(deletion),
        }
    }
    if !texts.is_empty() && !decider.decide(texts).await {
        // All that waits comes again and again meanwhile, and must not keep the server busy with nothing.
        let pause_ms = rand::rng().random_range(AWAY_MS / 2..=AWAY_MS);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    if !deletions.is_empty() {
        decider.take_back_deleted(deletions).await;
    }
}

fn due_ms(decider: &Decider, waiting: &Waiting) -> u64 {
    waiting.delivered().stored_ms.saturating_add(decider.grace_ms)
}

fn take_due(decider: &Decider, room: &mut Vec<Waiting>) -> Vec<Waiting> {
    let now_ms = decider.time.now_ms();
    let due = room.partition_point(|waiting| due_ms(decider, waiting) <= now_ms);
    room.drain(..due.min(BATCH_MAX)).collect()
}

/// Lets a message in, if it has to wait for something; all but texts and deletions are settled by having come.
async fn enter(decider: &Decider, room: &mut Vec<Waiting>, message: Delivered) {
    decider.time.at_least(message.stored_ms);
    let Some(waiting) = read(decider.shards, message).await else {
        return;
    };
    let rest_ms = due_ms(decider, &waiting).saturating_sub(decider.time.now_ms());
    if rest_ms > HOLD_MAX_MS {
        waiting.delivered().later(Duration::from_millis(rest_ms)).await;
        return;
    }
    room.push(waiting);
}

async fn read(shards: Shards, delivered: Delivered) -> Option<Waiting> {
    let subject = &delivered.message.subject;
    let Some(conversation) = chat::parse(shards, subject) else {
        tracing::error!(%subject, "a message of no conversation; ignoring it");
        delivered.done().await;
        return None;
    };
    let stored: Stored = match serde_json::from_slice(&delivered.message.payload) {
        Ok(stored) => stored,
        Err(error) => {
            tracing::error!(%conversation, message.seq = delivered.seq, %error, "a message does not decode; nobody is pushed for it");
            delivered.done().await;
            return None;
        }
    };
    match (stored.kind, stored.target) {
        (Kind::Text, _) => Some(Waiting::Text(Text {
            delivered,
            conversation,
            stored,
        })),
        (Kind::Delete, Some(target)) => Some(Waiting::Deletion(Deletion {
            delivered,
            conversation,
            target,
        })),
        (Kind::Delete | Kind::Edit | Kind::Event | Kind::Duplicate, _) => {
            delivered.done().await;
            None
        }
    }
}

//! `svc.push.why`: tells an operator why a message was pushed to somebody, or was not, from the stream
//! `PUSH_TRACE`.

mod words;

use std::{collections::HashSet, time::Duration};

use async_nats::Client;
use natterjack_nats::{
    Conversation, DeviceId, Shards, UserId,
    direct::{self, Bounds, Direct, DirectError, lasts},
    services::push::{Explanation, Why},
    subjects::{chat, kv as keys, push},
    topology::{Bucket, PUSH_TRACE, chat_stream},
    wire::{Code, PushTrace, Stored, WireError},
};
use natterjack_runtime::server_time::ServerTime;
use natterjack_service::Hosted;

use crate::Parts;
use words::{Asked, Message};

const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// Entries of the trace that one question reads: of the one conversation, since the message was stored.
const PAGE_MAX: usize = 500;
const PAGE_BYTES_MAX: usize = 1 << 20;
const PAGES_MAX: usize = 20;

/// What answering takes; cheap to clone.
#[derive(Clone)]
struct Explainer {
    client: Client,
    shards: Shards,
    time: ServerTime,
    grace_ms: u64,
}

/// Answers for this service.
///
/// # Errors
/// NATS is away.
pub async fn serve(parts: &Parts, time: &ServerTime, service: &Hosted) -> anyhow::Result<()> {
    let explainer = Explainer {
        client: parts.client.clone(),
        shards: parts.shards,
        time: time.clone(),
        grace_ms: parts.args.grace_ms,
    };
    let answer = async |explainer: Explainer, why: Why| {
        let explained = explainer.explain(&why).await;
        explained.map_err(|error| WireError::new(Code::Unavailable, error.to_string()).retry_after_ms(1_000))
    };
    service.verb(&explainer, answer).await
}

impl Explainer {
    async fn explain(&self, why: &Why) -> Result<Explanation, DirectError> {
        let message = self.message(why.conversation, why.seq).await?;
        let (mut trace, whole) = self.trace(why, message.as_ref()).await?;
        trace.sort_by_key(PushTrace::at);
        let devices = match why.user {
            Some(user) => Some(self.devices(user).await?),
            None => None,
        };
        let asked = Asked {
            seq: why.seq,
            user: why.user,
            devices,
            grace_ms: self.grace_ms,
            now_ms: self.time.now_ms(),
        };
        let mut answer = words::explain(&asked, message.as_ref(), &trace);
        if !whole {
            answer.push(format!(
                "more was said of this conversation since then than is read here: \
                 nats stream view {PUSH_TRACE} --subject {}",
                push::trace(&why.conversation)
            ));
        }
        let trace = trace
            .into_iter()
            .filter(|entry| words::concerns(&asked, entry))
            .collect();
        Ok(Explanation { answer, trace })
    }

    async fn message(&self, conversation: Conversation, seq: u64) -> Result<Option<Message>, DirectError> {
        let stream = chat_stream(self.shards.of(&conversation));
        let found = direct::get(&self.client, &stream, seq, READ_TIMEOUT).await?;
        let found = found.filter(|message| chat::parse(self.shards, &message.subject) == Some(conversation));
        Ok(found.and_then(|message| {
            let stored: Stored = serde_json::from_slice(&message.payload).ok()?;
            Some(Message {
                stored_ms: message.stored_at_ms(),
                sender: stored.sender,
                kind: stored.kind,
            })
        }))
    }

    /// What was traced of the conversation since the message was stored, and whether that is all.
    async fn trace(
        &self,
        why: &Why,
        message: Option<&Message>,
    ) -> Result<(Vec<PushTrace>, bool), DirectError> {
        let since_ms = message.map_or(0, |message| message.stored_ms);
        let first = direct::first_since(&self.client, PUSH_TRACE, since_ms, READ_TIMEOUT).await?;
        let Some(mut from) = first.map(|first| first.seq) else {
            return Ok((Vec::new(), true));
        };
        let subject = push::trace(&why.conversation);
        let bounds = Bounds {
            messages: PAGE_MAX,
            bytes: PAGE_BYTES_MAX,
            timeout: READ_TIMEOUT,
        };
        let mut trace = Vec::new();
        for _ in 0..PAGES_MAX {
            let batch = direct::next_by_subject(&self.client, PUSH_TRACE, &subject, from, bounds).await?;
            trace.extend(batch.messages.iter().filter_map(decode));
            match batch.messages.last() {
                Some(last) if batch.more => from = last.seq + 1,
                _ => return Ok((trace, true)),
            }
        }
        Ok((trace, false))
    }

    /// The devices of a user, whether they are registered or not.
    async fn devices(&self, user: UserId) -> Result<HashSet<DeviceId>, DirectError> {
        let filter = keys::subject(Bucket::Devices, &keys::devices_of(user));
        let found = lasts(&self.client, &Bucket::Devices.stream_name(), &[filter]).await?;
        let devices = found.iter().filter_map(|message| {
            let key = keys::key(Bucket::Devices, &message.subject)?;
            keys::parse_device(key).map(|(_, device)| device)
        });
        Ok(devices.collect())
    }
}

fn decode(message: &Direct) -> Option<PushTrace> {
    let entry = serde_json::from_slice(&message.payload);
    if let Err(error) = &entry {
        tracing::error!(trace.seq = message.seq, %error, "an entry of the trace does not decode; leaving it out");
    }
    entry.ok()
}

//! What the streams say: texts, confirmations, and what was decided.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use async_nats::Client;
use natterjack_nats::{
    Conversation, UserId,
    direct::{self, Bounds, Direct},
    subjects::chat,
    topology::{PUSH_TRACE, RECEIPTS, Settings, chat_stream},
    wire::{Kind, PushTrace, ReceiptBatch, Stored, Verdict},
};

const PAGE: Bounds = Bounds {
    messages: 1_000,
    bytes: 1 << 20,
    timeout: Duration::from_secs(10),
};

/// Where a message stands.
pub type Place = (Conversation, u64);

/// A text.
#[derive(Debug)]
pub struct Text {
    pub sender: UserId,
    pub stored_at_ms: u64,
    pub text: String,
}

/// All that is on record.
#[derive(Debug, Default)]
pub struct Record {
    pub texts: BTreeMap<Place, Text>,
    /// What devices in the foreground confirmed: when it was stored, and up to where; ascending.
    pub confirmed: BTreeMap<(Conversation, UserId), Vec<(u64, u64)>>,
    pub verdicts: BTreeMap<Place, Vec<Verdict>>,
}

impl Record {
    pub async fn read(nats: &Client, settings: &Settings) -> anyhow::Result<Self> {
        let mut record = Self::default();
        for shard in settings.shards.all() {
            for message in all(nats, &chat_stream(shard)).await? {
                if chat::parse(settings.shards, &message.subject).is_none() {
                    continue;
                }
                let stored: Stored = serde_json::from_slice(&message.payload)?;
                if stored.kind == Kind::Text {
                    let text = Text {
                        sender: stored.sender,
                        stored_at_ms: message.stored_at_ms(),
                        text: stored.text.unwrap_or_default(),
                    };
                    record.texts.insert((stored.conversation, message.seq), text);
                }
            }
        }
        for message in all(nats, RECEIPTS).await? {
            let at_ms = message.stored_at_ms();
            ensure!(at_ms > 0, "a receipt without a time");
            let batch: ReceiptBatch = serde_json::from_slice(&message.payload)?;
            for receipt in batch.receipts.iter().filter(|receipt| receipt.foreground > 0) {
                let of = (receipt.conversation, receipt.user);
                let confirmed = record.confirmed.entry(of).or_default();
                confirmed.push((at_ms, receipt.foreground));
            }
        }
        for message in all(nats, PUSH_TRACE).await? {
            let trace: PushTrace = serde_json::from_slice(&message.payload)?;
            let name = message.subject.trim_start_matches("push.trace.");
            if let PushTrace::Decided { seq, verdicts, .. } = trace {
                let place = (name.parse()?, seq);
                record.verdicts.entry(place).or_default().extend(verdicts);
            }
        }
        Ok(record)
    }

    /// When a device of the user in the foreground had confirmed a message; `None`: never.
    pub fn confirmed_at_ms(&self, (conversation, seq): Place, user: UserId) -> Option<u64> {
        let confirmed = self.confirmed.get(&(conversation, user))?;
        let covers = |(_, up_to): &&(u64, u64)| *up_to >= seq;
        confirmed.iter().find(covers).map(|(at_ms, _)| *at_ms)
    }
}

async fn all(nats: &Client, stream: &str) -> anyhow::Result<Vec<Direct>> {
    let (mut all, mut from) = (Vec::new(), 1);
    loop {
        let page = direct::next(nats, stream, from, PAGE).await?;
        let more = page.more;
        all.extend(page.messages);
        match all.last() {
            Some(last) if more => from = last.seq + 1,
            _ => return Ok(all),
        }
    }
}

//! The stream of a shard, as the index reads it.

use std::{sync::Arc, time::Duration};

use async_nats::Client;
use natterjack_nats::{
    Shard, Shards,
    direct::{self, Bounds, Direct, DirectError},
    subjects,
    topology::chat_stream,
};

use super::{
    index::Head,
    line::{Part, Source},
};
use crate::{conversations::PREVIEW_CHARS, ingest::decode};

/// Of one request.
const BOUNDS: Bounds = Bounds {
    messages: 1_000,
    bytes: 1 << 20,
    timeout: Duration::from_secs(3),
};

/// A shard's stream.
#[derive(Debug)]
pub struct Stream {
    client: Client,
    shards: Shards,
    name: String,
}

impl Stream {
    /// That of one shard.
    pub fn new(client: &Client, shards: Shards, shard: Shard) -> Self {
        Self {
            client: client.clone(),
            shards,
            name: chat_stream(shard),
        }
    }
}

impl Source for Stream {
    async fn after(&self, seq: u64) -> Result<Part, DirectError> {
        let batch = direct::next(&self.client, &self.name, seq + 1, BOUNDS).await?;
        let messages = batch.messages.iter();
        Ok(Part {
            bytes: messages.clone().map(|message| message.payload.len()).sum(),
            messages: messages
                .map(|message| {
                    let conversation = subjects::chat::parse(self.shards, &message.subject);
                    (conversation, head(self.shards, message))
                })
                .collect(),
            left: batch.left,
        })
    }
}

/// As the ingest sees it: what will be a dead letter is no preview.
pub fn head(shards: Shards, message: &Direct) -> Head {
    let entry = decode::decode(shards, &message.subject, message.seq, &message.payload);
    let mut stored = entry.ok().map(|entry| entry.stored);
    // Of many conversations only the previews are wanted.
    if let Some(text) = stored.as_mut().and_then(|stored| stored.text.as_mut()) {
        *text = text.chars().take(PREVIEW_CHARS).collect();
    }
    Head {
        seq: message.seq,
        stored: stored.map(Arc::new),
    }
}

#[cfg(test)]
mod tests {
    use natterjack_nats::{
        Conversation, MessageId, UserId,
        wire::{Content, Stored},
    };

    use super::*;

    #[test]
    fn what_the_ingest_refuses_is_no_preview() {
        let shards = Shards::new(4).expect("in range");
        let me = UserId::from_parts(1, 1);
        let conversation = Conversation::dm(me, me);
        let of = |text: &str| {
            let content = Content::Text {
                text: text.into(),
                reply_to: None,
            };
            let stored = Stored::new(conversation, MessageId::generate(1), me, 1, content);
            let direct = Direct {
                subject: subjects::chat::subject(shards, &conversation),
                seq: 7,
                payload: serde_json::to_vec(&stored).expect("plain").into(),
                headers: async_nats::HeaderMap::new(),
            };
            let head = head(shards, &direct);
            assert_eq!(head.seq, 7);
            head.stored.and_then(|stored| stored.text.clone())
        };
        assert_eq!(of("a\0b"), None);
        assert_eq!(of(&"é".repeat(300)), Some("é".repeat(PREVIEW_CHARS)));
    }
}

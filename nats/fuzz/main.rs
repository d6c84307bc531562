//! Fuzz targets of the contract: whatever arrives is decoded or refused, and what was decoded
//! encodes and decodes to itself. docs/fuzzing.md tells how to run them for long.

use async_nats::HeaderMap;
use bolero::{check, generator::*};
use natterjack_nats::{
    Conversation, DeviceId, MessageId, Shards, UserId,
    headers::{self, Position},
    subjects,
    wire::{
        ClientFrame, ConversationSummary, Cursor, Message, Page, ReceiptBatch, ServerFrame, Stored, SyncPage,
        Void, WireError, splice,
    },
};
use serde::{Serialize, de::DeserializeOwned};

mod spoil;

use spoil::Spoiled;

/// Decodes, and if that works encodes and decodes once more.
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let again = serde_json::to_vec(&value).expect("what was decoded encodes");
    let decoded: T = serde_json::from_slice(&again).expect("what was encoded decodes");
    assert_eq!(decoded, value);
    Some(value)
}

fn frames(bytes: &[u8]) {
    round_trip::<ClientFrame>(bytes);
    round_trip::<ServerFrame>(bytes);
    round_trip::<Message>(bytes);
    round_trip::<Page>(bytes);
    round_trip::<SyncPage>(bytes);
    round_trip::<ConversationSummary>(bytes);
    round_trip::<WireError>(bytes);
    // Neither is ever taken for the other.
    assert!(round_trip::<Void>(bytes).is_none() || round_trip::<Stored>(bytes).is_none());
}

#[test]
fn frames_from_bytes() {
    check!().for_each(frames);
}

#[test]
fn frames_from_examples() {
    check!()
        .with_type()
        .for_each(|spoiled: &Spoiled| frames(&spoiled.bytes()));
}

/// What JetStream holds: an edge splices it unread, the persister decodes it.
fn stored(payload: &[u8], position: Position) {
    let spliced = splice(position, payload);
    if let Some(frame) = &spliced {
        let object = std::str::from_utf8(payload).expect("only UTF-8 is spliced");
        assert!(frame.ends_with(&object[1..]), "the payload goes on as it is");
    }
    let Some(stored) = round_trip::<Stored>(payload) else {
        return;
    };
    // As the server writes it: then the spliced frame is the message at its place.
    let payload = serde_json::to_vec(&stored).expect("plain");
    let frame = splice(position, &payload).expect("an object");
    let message = serde_json::from_str(&frame).expect("a frame");
    assert_eq!(ServerFrame::Message(Box::new(stored.at(position))), message);
}

#[test]
fn stored_from_bytes() {
    check!()
        .with_type()
        .for_each(|(seq, prev, payload): &(u64, u64, Vec<u8>)| {
            let (seq, prev) = (*seq, *prev);
            stored(payload, Position { seq, prev });
        });
}

#[test]
fn stored_from_examples() {
    check!()
        .with_type()
        .for_each(|(seq, prev, spoiled): &(u64, u64, Spoiled)| {
            let (seq, prev) = (*seq, *prev);
            stored(&spoiled.bytes(), Position { seq, prev });
        });
}

#[test]
fn receipts() {
    check!().with_type().for_each(|spoiled: &Spoiled| {
        let Some(batch) = round_trip::<ReceiptBatch>(&spoiled.bytes()) else {
            return;
        };
        // Applied in any order, and twice, cursors only rise and read implies delivered.
        let all = |cursor: Cursor, receipt: &natterjack_nats::wire::ReceiptOf| {
            let next = cursor.advanced_to(receipt.cursor);
            assert!(next.delivered >= cursor.delivered && next.read >= cursor.read);
            assert!(next.delivered >= next.read);
            next
        };
        let once = batch.receipts.iter().fold(Cursor::default(), all);
        assert_eq!(batch.receipts.iter().rev().fold(Cursor::default(), all), once);
        assert_eq!(batch.receipts.iter().fold(once, all), once);
    });
}

/// Names of ids, conversations, subjects and keys: whatever parses is spelt as we would spell it.
fn names(text: &str, shards: Shards) {
    if let Ok(id) = text.parse::<UserId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(id) = text.parse::<MessageId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(conversation) = text.parse::<Conversation>() {
        assert_eq!(conversation.to_string(), text);
        assert_eq!(conversation.key(), conversation.key());
        let subject = subjects::chat::subject(shards, &conversation);
        assert_eq!(subjects::chat::parse(shards, &subject), Some(conversation));
        let subject = subjects::live::subject(&conversation);
        assert_eq!(subjects::live::parse(&subject), Some(conversation));
    }
    if let Some(conversation) = subjects::chat::parse(shards, text) {
        assert_eq!(subjects::chat::subject(shards, &conversation), text);
    }
    if let Some(shard) = subjects::chat::parse_void(shards, text) {
        assert_eq!(subjects::chat::void(shard), text);
        assert_eq!(subjects::chat::parse(shards, text), None);
    }
    if let Some(conversation) = subjects::live::parse(text) {
        assert_eq!(subjects::live::subject(&conversation), text);
    }
    if let Some((user, device)) = subjects::kv::parse_device(text) {
        let (user, device): (UserId, DeviceId) = (user, device);
        assert_eq!(subjects::kv::device(user, device), text);
    }
}

/// A name put together from parts, since chance finds none of 26 characters.
#[derive(Debug, Clone, TypeGenerator)]
enum Part {
    Id(u64, u64),
    Dm,
    Group,
    User,
    Live,
    Chat(u16),
    Message(u64),
    Other(String),
    Wild,
    Void,
}

impl Part {
    fn text(&self) -> String {
        match self {
            Self::Id(ms, random) => UserId::from_parts(*ms, u128::from(*random)).to_string(),
            Self::Dm => "dm".into(),
            Self::Group => "group".into(),
            Self::User => "user".into(),
            Self::Live => "live".into(),
            Self::Chat(shard) => format!("chat.{shard}"),
            Self::Message(ms) => MessageId::generate(*ms).to_string(),
            Self::Other(text) => text.clone(),
            Self::Wild => "*".into(),
            Self::Void => "void".into(),
        }
    }
}

#[test]
fn names_from_parts() {
    let parts = produce::<Vec<Part>>().with().len(0..6_usize);
    check!()
        .with_generator((parts, 0..300_u16))
        .for_each(|(parts, count)| {
            let Some(shards) = Shards::new(*count) else {
                return;
            };
            let texts: Vec<_> = parts.iter().map(Part::text).collect();
            names(&texts.join("."), shards);
        });
}

#[test]
fn names_from_bytes() {
    let shards = Shards::new(4).expect("in range");
    check!().for_each(|bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            names(text, shards);
        }
    });
}

#[test]
fn positions() {
    check!().with_type().for_each(|(seq, prev): &(String, String)| {
        let mut map = HeaderMap::new();
        for (name, value) in [("Nats-Sequence", seq), ("Nats-Last-Sequence", prev)] {
            if let Ok(value) = value.parse::<async_nats::HeaderValue>() {
                map.insert(name, value);
            }
        }
        if let Some(position) = headers::position(Some(&map)) {
            assert_eq!(seq.parse(), Ok(position.seq));
            assert_eq!(prev.parse(), Ok(position.prev));
        }
        assert!(!headers::is_event(Some(&map)));
    });
}

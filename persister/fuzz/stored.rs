//! Fuzz target of what the persister reads from the streams: a message that Postgres takes and readers
//! understand, or a dead letter that says why.

use bolero::check;
use natterjack_nats::{Shards, subjects::chat, wire::Stored};

use super::decode;

#[path = "../../nats/fuzz/spoil.rs"]
mod spoil;

use spoil::Spoiled;

fn one(seq: u64, payload: &[u8]) {
    let shards = Shards::new(4).expect("in range");
    // Where it says that it belongs, as far as that can be told.
    let said = serde_json::from_slice::<Stored>(payload).ok();
    let subject = said
        .as_ref()
        .map(|stored| chat::subject(shards, &stored.conversation));
    let subject = subject.unwrap_or_else(|| "chat.0.group.x".to_owned());
    match decode(shards, &subject, seq, payload) {
        Ok(entry) => {
            assert_eq!(Some(&entry.stored), said.as_ref());
            assert_eq!(u64::try_from(entry.seq), Ok(seq));
            assert!(entry.stored.text.iter().all(|text| !text.contains('\0')));
            // And nowhere else.
            assert!(decode(shards, "chat.0.group.x", seq, payload).is_err());
        }
        Err(poison) => assert!(!poison.to_string().is_empty()),
    }
}

#[test]
fn from_bytes() {
    check!()
        .with_type()
        .for_each(|(seq, payload): &(u64, Vec<u8>)| one(*seq, payload));
}

#[test]
fn from_examples() {
    check!()
        .with_type()
        .for_each(|(seq, spoiled): &(u64, Spoiled)| one(*seq, &spoiled.bytes()));
}

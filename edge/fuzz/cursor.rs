//! Fuzz target of sync cursors: whatever a client hands back is ours, spelt as we spell it, or is
//! refused.

use bolero::{check, generator::*};
use natterjack_nats::{Shards, wire::Code};

use super::SyncCursor;

fn one(text: &str, count: u16) {
    let Some(shards) = Shards::new(count) else {
        return;
    };
    match SyncCursor::parse(text, shards) {
        Ok(cursor) => {
            assert_eq!(cursor.0.len(), usize::from(count));
            assert_eq!(SyncCursor::parse(&cursor.to_string(), shards), Ok(cursor));
        }
        Err(error) => assert_eq!(error.code, Code::BadRequest),
    }
}

#[test]
fn from_bytes() {
    check!().for_each(|bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            one(text, 2);
        }
    });
}

#[test]
fn from_parts() {
    let numbers = produce::<Vec<u64>>().with().len(0..9_usize);
    check!()
        .with_generator((numbers, 0..9_u16, produce::<Option<String>>()))
        .for_each(|(numbers, count, odd)| {
            let mut text = SyncCursor(numbers.clone()).to_string();
            text.extend(odd.iter().map(String::as_str));
            one(&text, *count);
        });
}

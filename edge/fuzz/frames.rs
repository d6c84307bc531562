//! Fuzz targets of the frames of clients, as the socket decodes them: any text is a frame or is
//! refused with a short reason, and an id comes back as it was sent or not at all.

use bolero::{check, generator::*};
use natterjack_nats::wire::{ClientFrame, Code};

use super::{ID_BYTES_MAX, decode};

use crate::spoil::Spoiled;

fn one(text: &str) {
    // As it stands in the text, unless it was written with escapes.
    let echoes = |id: &str| id.len() <= ID_BYTES_MAX && (text.contains(id) || text.contains('\\'));
    match decode(text) {
        Ok(frame) => {
            let again = serde_json::to_string(&frame).expect("what was decoded encodes");
            assert_eq!(decode(&again), Ok(frame.clone()));
            if let ClientFrame::History { id, .. } | ClientFrame::Token { id, .. } = &frame {
                assert!(echoes(id), "{id}");
            }
        }
        Err(refused) => {
            let error = refused.error;
            assert!(
                matches!(error.code, Code::BadRequest | Code::UnknownType),
                "{error}"
            );
            assert!(error.message.len() < 1_000, "quoted at length");
            if let Some(id) = refused.id {
                assert!(echoes(&id), "{id}");
            }
        }
    }
}

#[test]
fn from_bytes() {
    check!().for_each(|bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            one(text);
        }
    });
}

#[test]
fn from_examples() {
    check!().with_type().for_each(|spoiled: &Spoiled| {
        if let Ok(text) = String::from_utf8(spoiled.bytes()) {
            one(&text);
        }
    });
}

/// A field twice, of which serde takes neither: there is no telling what was meant.
#[test]
fn arrays_and_depths() {
    let text = (produce::<String>(), 0..2_000_usize);
    check!().with_generator(text).for_each(|(inner, depth)| {
        one(&format!("{}{inner}{}", "[".repeat(*depth), "]".repeat(*depth)));
        one(&format!(r#"{{"type":{inner},"id":"1"}}"#));
    });
}

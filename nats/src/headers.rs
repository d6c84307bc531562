//! Headers on stored and republished messages.

use async_nats::{HeaderMap, header};

/// Marks a stored message whose kind matters to those who route it, so that they need not decode
/// the payload: set to [`KIND_EVENT`] on membership events, absent otherwise.
pub const KIND: &str = "Natterjack-Kind";

/// The value of [`KIND`] on membership events.
pub const KIND_EVENT: &str = "event";

/// On membership events: a number that rises from one change of a group to the next, whatever any clock
/// says. The same change may be told under several numbers, all of them between those of the changes
/// before and after it.
pub const CHANGE: &str = "Natterjack-Change";

/// On a marker in the bucket `sessions`: presence took the session out itself, because its edge is gone, and nobody
/// needs to look at its user again.
pub const SWEPT: &str = "Natterjack-Swept";

/// Sequence and predecessor of a republished message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The message's sequence in its stream, and so in its conversation.
    pub seq: u64,
    /// The sequence of its predecessor in the same conversation, as far as the stream still holds
    /// it: 0 means "none in the stream", which is not "none ever".
    pub prev: u64,
}

/// The position of a republished message; `None` for an ephemeral frame.
#[must_use]
pub fn position(headers: Option<&HeaderMap>) -> Option<Position> {
    let number = |name: &str| headers?.get(name)?.as_str().parse().ok();
    Some(Position {
        seq: number(header::NATS_SEQUENCE.as_ref())?,
        prev: number(header::NATS_LAST_SEQUENCE.as_ref())?,
    })
}

/// The [`CHANGE`] of a membership event.
#[must_use]
pub fn change(headers: Option<&HeaderMap>) -> Option<u64> {
    headers?.get(CHANGE)?.as_str().parse().ok()
}

/// What the headers of a message say to those who route it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// Its position; `None` for an ephemeral frame.
    pub position: Option<Position>,
    /// Whether it is a membership event.
    pub is_event: bool,
    /// The [`CHANGE`] of a membership event.
    pub change: Option<u64>,
}

/// Reads the marks from a block of headers as it stands on the wire (ADR-4 of NATS: a version line,
/// then `Name: value` lines), without taking it apart: the live tail does it for every message.
/// The first of several headers of one name counts, as in [`position`].
#[must_use]
pub fn scan(block: &[u8]) -> Marks {
    let (mut seq, mut prev, mut kind, mut change) = (None, None, None, None);
    for line in block.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let place = match name {
            b"Nats-Sequence" => &mut seq,
            b"Nats-Last-Sequence" => &mut prev,
            name if name == KIND.as_bytes() => &mut kind,
            name if name == CHANGE.as_bytes() => &mut change,
            _ => continue,
        };
        place.get_or_insert(value);
    }
    let number = |value: Option<&[u8]>| std::str::from_utf8(value?).ok()?.parse().ok();
    let position = number(seq).zip(number(prev));
    Marks {
        position: position.map(|(seq, prev)| Position { seq, prev }),
        is_event: kind == Some(KIND_EVENT.as_bytes()),
        change: number(change),
    }
}

/// Whether a stored or republished message is a membership event.
#[must_use]
pub fn is_event(headers: Option<&HeaderMap>) -> bool {
    headers
        .and_then(|headers| headers.get(KIND))
        .is_some_and(|value| value.as_str() == KIND_EVENT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The block that a server sends for these headers.
    fn block(headers: &[(&str, &str)]) -> Vec<u8> {
        let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("NATS/1.0\r\n{}\r\n", lines.collect::<String>()).into_bytes()
    }

    #[test]
    fn marks_are_found_among_others() {
        let republished = block(&[
            ("Nats-Msg-Id", "x:y"),
            ("Natterjack-Kind", "event"),
            ("Natterjack-Change", "5"),
            ("Nats-Stream", "CHAT_0"),
            ("Nats-Sequence", "12"),
            ("Nats-Last-Sequence", "7"),
            ("Nats-Last-Sequence", "8"),
        ]);
        let position = Some(Position { seq: 12, prev: 7 });
        let marks = Marks {
            position,
            is_event: true,
            change: Some(5),
        };
        assert_eq!(scan(&republished), marks);
        let half = block(&[("Nats-Sequence", "12"), ("Nats-Last-Sequence", "x")]);
        assert_eq!(scan(&half), Marks::default());
        assert_eq!(scan(b"NATS/1.0\r\n\r\n"), Marks::default());
        assert_eq!(
            scan(b"Nats-Sequence: 12\r\n"),
            Marks::default(),
            "that is the version line"
        );
    }

    proptest! {
        #[test]
        fn the_block_says_what_the_map_says(seq: u64, prev: u64, event: bool, other in "[A-Za-z-]{1,20}") {
            let (seq, prev) = (seq.to_string(), prev.to_string());
            let kind = if event { KIND_EVENT } else { "other" };
            let headers = [(KIND, kind), (CHANGE, &seq), (other.as_str(), "1"), ("Nats-Sequence", &seq), ("Nats-Last-Sequence", &prev)];
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, value);
            }
            let marks = scan(&block(&headers));
            prop_assert_eq!(marks.position, position(Some(&map)));
            prop_assert_eq!(marks.is_event, is_event(Some(&map)));
            prop_assert_eq!(marks.change, change(Some(&map)));
        }

        #[test]
        fn garbage_has_no_marks_that_panic(block: Vec<u8>) {
            let _ = scan(&block);
        }
    }
}

//! A stored message, checked for all that Postgres or a reader would trip over.

use natterjack_nats::{
    Conversation, Shards,
    subjects::chat,
    wire::{Event, Kind, Stored},
};

/// Why a message is a dead letter.
#[derive(Debug, thiserror::Error)]
pub enum Poison {
    /// The payload is no message.
    #[error("the payload does not decode: {0}")]
    Payload(#[from] serde_json::Error),
    /// It was stored where it does not belong.
    #[error("it says that it belongs to {0}, which is not where it was stored")]
    Place(Conversation),
    /// A field is missing or does not belong there.
    #[error("a message of the kind {0:?} does not look like this")]
    Shape(Kind),
    /// Postgres takes no NUL in a text.
    #[error("its text holds a NUL character")]
    Nul,
    /// A number is beyond 63 bits.
    #[error("a number in it is out of range")]
    Range,
}

/// A message at its place.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its sequence.
    pub seq: i64,
    /// When it was sent.
    pub sent_at: i64,
    /// What it answers.
    pub reply_to: Option<i64>,
    /// What it changes.
    pub target: Option<i64>,
    /// All of it.
    pub stored: Stored,
}

/// Decodes and checks a stored message.
pub fn decode(shards: Shards, subject: &str, seq: u64, payload: &[u8]) -> Result<Entry, Poison> {
    let stored: Stored = serde_json::from_slice(payload)?;
    if chat::parse(shards, subject) != Some(stored.conversation) {
        return Err(Poison::Place(stored.conversation));
    }
    let Stored {
        kind,
        text,
        reply_to,
        target,
        event,
        ..
    } = &stored;
    let shape = (text.is_some(), target.is_some(), event.is_some());
    let fits = match kind {
        Kind::Text => shape == (true, false, false),
        Kind::Edit => shape == (true, true, false),
        Kind::Delete => shape == (false, true, false),
        Kind::Event => shape == (false, false, true),
        Kind::Duplicate => false,
    };
    if !fits || (reply_to.is_some() && *kind != Kind::Text) {
        return Err(Poison::Shape(*kind));
    }
    let title = match event {
        Some(Event::Created { title } | Event::Renamed { title }) => Some(title),
        _ => None,
    };
    if text.iter().chain(title).any(|text| text.contains('\0')) {
        return Err(Poison::Nul);
    }
    let signed = |number: u64| i64::try_from(number).map_err(|_| Poison::Range);
    Ok(Entry {
        seq: signed(seq)?,
        sent_at: signed(stored.sent_at)?,
        reply_to: reply_to.map(signed).transpose()?,
        target: target.map(signed).transpose()?,
        stored,
    })
}

#[cfg(test)]
#[path = "../../fuzz/stored.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use natterjack_nats::{MessageId, UserId, wire::Content};

    use super::*;

    fn shards() -> Shards {
        Shards::new(4).expect("in range")
    }

    fn stored(content: Content) -> Stored {
        let (a, b) = (UserId::from_parts(1, 1), UserId::from_parts(1, 2));
        Stored::new(Conversation::dm(a, b), MessageId::generate(1), a, 1, content)
    }

    fn text(text: &str) -> Stored {
        stored(Content::Text {
            text: text.into(),
            reply_to: None,
        })
    }

    fn check(stored: &Stored) -> Result<Entry, Poison> {
        let subject = chat::subject(shards(), &stored.conversation);
        decode(shards(), &subject, 7, &serde_json::to_vec(stored).expect("plain"))
    }

    #[test]
    fn what_fits_is_taken() {
        assert_eq!(check(&text("hi")).expect("fits").seq, 7);
        let edit = Content::Edit {
            target: 3,
            text: String::new(),
        };
        assert_eq!(check(&stored(edit)).expect("fits").target, Some(3));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(matches!(check(&text("a\0b")), Err(Poison::Nul)));
        assert!(matches!(
            check(&stored(Content::Delete { target: u64::MAX })),
            Err(Poison::Range)
        ));
        let mut bare = text("hi");
        bare.text = None;
        assert!(matches!(check(&bare), Err(Poison::Shape(Kind::Text))));
        let mut copy = text("hi");
        copy.kind = Kind::Duplicate;
        assert!(matches!(check(&copy), Err(Poison::Shape(Kind::Duplicate))));
        assert!(matches!(
            decode(shards(), "chat.0.x", 1, b"{}"),
            Err(Poison::Payload(_))
        ));
        let elsewhere = chat::subject(shards(), &Conversation::User(UserId::from_parts(1, 1)));
        let payload = serde_json::to_vec(&text("hi")).expect("plain");
        assert!(matches!(
            decode(shards(), &elsewhere, 1, &payload),
            Err(Poison::Place(_))
        ));
    }
}

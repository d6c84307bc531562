//! What a device is told of a message: as much as the deployment allows and the user wants.

use natterjack_nats::{
    Conversation, MessageId,
    wire::{Notice, PushPreview},
};
use unicode_segmentation::UnicodeSegmentation as _;

/// What stands above where neither sender nor text may be told.
const NEUTRAL: &str = "New message";
/// Most bytes of a body: no push service takes more than about 4 KB in all. Who sends it cuts it further.
const BODY_BYTES_MAX: usize = 2_000;

/// A message, as it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Where.
    pub conversation: Conversation,
    /// Its place.
    pub seq: u64,
    /// Its id.
    pub id: MessageId,
    /// When it was sent, Unix milliseconds.
    pub sent_at: u64,
    /// Its text.
    pub text: &'a str,
    /// The sender's name, if they still have one.
    pub sender: Option<&'a str>,
    /// A group's title.
    pub title: Option<&'a str>,
}

/// The notice for a user. `preview` is what the deployment and the user agree on.
#[must_use]
pub fn notice(shown: &Shown<'_>, preview: PushPreview, badge: u32, mention: bool) -> Notice {
    let sender = shown.sender.unwrap_or("Somebody");
    let (title, body) = match (preview, shown.conversation) {
        (PushPreview::None, _) => (NEUTRAL.to_owned(), None),
        (PushPreview::Sender, Conversation::Group(_)) => {
            let title = shown.title.map(|title| format!("{sender} · {title}"));
            (title.unwrap_or_else(|| sender.to_owned()), None)
        }
        (PushPreview::Sender, _) => (sender.to_owned(), None),
        (PushPreview::Full, Conversation::Group(_)) => {
            let body = format!("{sender}: {}", cut(shown.text, BODY_BYTES_MAX));
            let title = shown.title.unwrap_or(NEUTRAL).to_owned();
            (title, Some(cut(&body, BODY_BYTES_MAX).to_owned()))
        }
        (PushPreview::Full, _) => (
            sender.to_owned(),
            Some(cut(shown.text, BODY_BYTES_MAX).to_owned()),
        ),
    };
    Notice::Message {
        conversation: shown.conversation,
        seq: shown.seq,
        id: shown.id,
        sent_at: shown.sent_at,
        title,
        body,
        badge,
        mention,
    }
}

/// The beginning of a text in at most so many bytes, ending where a character that a reader sees ends
/// (UAX #29).
fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    // No further than one character beyond the bound is looked at.
    let ends = text
        .grapheme_indices(true)
        .map(|(at, grapheme)| at + grapheme.len());
    let end = ends.take_while(|end| *end <= bytes_max).last().unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use natterjack_nats::{GroupId, UserId};
    use proptest::prelude::*;

    use super::*;

    fn shown(conversation: Conversation, text: &str) -> Shown<'_> {
        Shown {
            conversation,
            seq: 7,
            id: MessageId::generate(1_700_000_000_000),
            sent_at: 1,
            text,
            sender: Some("Ada"),
            title: matches!(conversation, Conversation::Group(_)).then_some("Ponds"),
        }
    }

    fn told(notice: &Notice) -> (&str, Option<&str>) {
        match notice {
            Notice::Message { title, body, .. } => (title, body.as_deref()),
            Notice::Withdraw { .. } => panic!("not a message"),
        }
    }

    #[test]
    fn as_much_as_is_wanted() {
        let (one, other) = (UserId::from_parts(1, 1), UserId::from_parts(1, 2));
        let (dm, group) = (
            Conversation::dm(one, other),
            Conversation::Group(GroupId::from_parts(1, 1)),
        );
        let table = [
            (dm, PushPreview::Full, "Ada", Some("Hi 🦎")),
            (dm, PushPreview::Sender, "Ada", None),
            (dm, PushPreview::None, NEUTRAL, None),
            (group, PushPreview::Full, "Ponds", Some("Ada: Hi 🦎")),
            (group, PushPreview::Sender, "Ada · Ponds", None),
            (group, PushPreview::None, NEUTRAL, None),
        ];
        for (conversation, preview, title, body) in table {
            let notice = notice(&shown(conversation, "Hi 🦎"), preview, 3, false);
            assert_eq!(told(&notice), (title, body), "{conversation:?} {preview:?}");
        }
    }

    #[test]
    fn a_family_is_not_torn_apart() {
        let family = "👨‍👩‍👧";
        assert_eq!(cut(&format!("a{family}"), 1 + family.len()), format!("a{family}"));
        assert_eq!(cut(&format!("a{family}b"), family.len()), "a");
        assert_eq!(cut(&format!("a{family}"), 0), "");
    }

    proptest! {
        #[test]
        fn a_cut_text_fits_and_ends_between_graphemes(text in any::<String>(), bytes_max in 0_usize..64) {
            let short = cut(&text, bytes_max);
            prop_assert!(short.len() <= bytes_max && text.starts_with(short));
            let ends = text.grapheme_indices(true).any(|(at, _)| at == short.len());
            prop_assert!(ends || short.len() == text.len());
        }
    }
}

//! A notice as bytes, its text cut to fit.

use natterjack_nats::wire::Notice;
use unicode_segmentation::UnicodeSegmentation as _;

/// Bytes of a payload before it is encrypted.
///
/// RFC 8291 has push services take 4,096 bytes of body, which holds 3,993; `ece` fills up to a multiple of
/// 128, of which 3,967 fit. This leaves a margin for push services that count more than the body, and is
/// more than a notification shows; one that takes less still says 413.
pub(super) const PAYLOAD_BYTES_MAX: usize = 3_052;

/// Stands where text was cut off.
const CUT: &str = "…";

/// A payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payload {
    /// JSON.
    pub(super) bytes: Vec<u8>,
    /// Whether it has text that could be cut further.
    pub(super) has_body: bool,
}

/// A notice as JSON of at most `bytes_max` bytes: its body is cut after as many whole graphemes as fit,
/// and left out if none does. Without its body it is as long as it is: a few hundred bytes.
pub(super) fn fit(notice: &Notice, bytes_max: usize) -> serde_json::Result<Payload> {
    let Notice::Message { body: Some(body), .. } = notice else {
        return plain(notice, false);
    };
    let whole = plain(notice, true)?;
    if whole.bytes.len() <= bytes_max {
        return Ok(whole);
    }
    let mut notice = notice.clone();
    let mut with = |text: Option<&str>| {
        if let Notice::Message { body, .. } = &mut notice {
            *body = text.map(|text| format!("{text}{CUT}"));
        }
        plain(&notice, text.is_some())
    };
    // Where it may be cut: after each grapheme but the last. A longer text is longer as JSON too, so
    // that the place can be halved in on.
    let ends: Vec<usize> = body
        .grapheme_indices(true)
        .map(|(start, _)| start)
        .skip(1)
        .collect();
    let (mut fitting, mut low, mut high) = (None, 0, ends.len());
    while low < high {
        let middle = low.midpoint(high);
        let tried = with(Some(&body[..ends[middle]]))?;
        if tried.bytes.len() <= bytes_max {
            (fitting, low) = (Some(tried), middle + 1);
        } else {
            high = middle;
        }
    }
    match fitting {
        Some(fitting) => Ok(fitting),
        None => with(None),
    }
}

fn plain(notice: &Notice, has_body: bool) -> serde_json::Result<Payload> {
    Ok(Payload {
        bytes: serde_json::to_vec(notice)?,
        has_body,
    })
}

#[cfg(test)]
mod tests {
    use natterjack_nats::{Conversation, UserId};
    use proptest::prelude::*;

    use super::*;

    fn message(body: Option<&str>) -> Notice {
        Notice::Message {
            conversation: Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(2, 2)),
            seq: 42,
            id: natterjack_nats::MessageId::generate(1_800_000_000_000),
            sent_at: 1_800_000_000_000,
            title: "Ada".into(),
            body: body.map(str::to_owned),
            badge: 3,
            mention: false,
        }
    }

    /// The body that a payload has.
    fn body_of(payload: &Payload) -> Option<String> {
        match serde_json::from_slice(&payload.bytes).expect("a notice") {
            Notice::Message { body, .. } => body,
            Notice::Withdraw { .. } => None,
        }
    }

    fn without_body() -> usize {
        fit(&message(None), usize::MAX).expect("JSON").bytes.len()
    }

    #[test]
    fn what_fits_is_left_alone() {
        let notice = message(Some("hello"));
        let payload = fit(&notice, PAYLOAD_BYTES_MAX).expect("JSON");
        assert_eq!(payload.bytes, serde_json::to_vec(&notice).expect("JSON"));
        assert!(payload.has_body);
        // To the byte.
        let exact = fit(&notice, payload.bytes.len()).expect("JSON");
        assert_eq!(exact, payload);
    }

    #[test]
    fn families_flags_and_accents_stay_whole() {
        for (grapheme, count) in [("👨‍👩‍👧‍👦", 3), ("🇩🇪", 9), ("e\u{301}", 26), ("\r\n", 20)]
        {
            let text = grapheme.repeat(200);
            let room = without_body() + r#","body":"""#.len() + CUT.len();
            let one = serde_json::to_vec(grapheme).expect("JSON").len() - 2;
            let payload = fit(&message(Some(&text)), room + one * count + one - 1).expect("JSON");
            assert_eq!(
                body_of(&payload),
                Some(format!("{}{CUT}", grapheme.repeat(count)))
            );
        }
    }

    #[test]
    fn one_grapheme_that_is_too_large_leaves_no_body() {
        let zalgo = format!("a{}", "\u{301}".repeat(900));
        let payload = fit(&message(Some(&zalgo)), 500).expect("JSON");
        assert_eq!(body_of(&payload), None);
        assert!(!payload.has_body);
    }

    #[test]
    fn a_withdrawal_has_nothing_to_cut() {
        let notice = Notice::Withdraw {
            conversation: Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(2, 2)),
            seq: 42,
            badge: 0,
        };
        let payload = fit(&notice, 1).expect("JSON");
        assert_eq!(payload.bytes, serde_json::to_vec(&notice).expect("JSON"));
        assert!(!payload.has_body);
    }

    fn text() -> impl Strategy<Value = String> {
        let pieces = prop_oneof![
            Just("a".to_owned()),
            Just("\"".to_owned()),
            Just("\\".to_owned()),
            Just("\u{1}".to_owned()),
            Just("\r\n".to_owned()),
            Just("ß".to_owned()),
            Just("\u{301}".to_owned()),
            Just("👩🏽‍🚀".to_owned()),
            Just("🇦".to_owned()),
            any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(pieces, 0..300).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn it_fits_is_whole_graphemes_and_never_cut_more_than_needed(
            text in text(),
            bytes_max in 150_usize..2_500,
        ) {
            let notice = message(Some(&text));
            let payload = fit(&notice, bytes_max).expect("JSON");
            let bodiless = without_body();
            prop_assert!(payload.bytes.len() <= bytes_max.max(bodiless));
            let length = |body: &str| serde_json::to_vec(&message(Some(body))).expect("JSON").len();
            let graphemes: Vec<&str> = text.graphemes(true).collect();
            let prefix = |count: usize| format!("{}{CUT}", graphemes[..count].concat());
            prop_assert_eq!(body_of(&payload).is_some(), payload.has_body);
            match body_of(&payload) {
                Some(body) if body == text => prop_assert!(length(&text) <= bytes_max),
                Some(body) => {
                    prop_assert!(length(&text) > bytes_max, "was cut without need");
                    let kept = (1..graphemes.len()).find(|count| prefix(*count) == body);
                    let kept = kept.expect("the first graphemes, and the mark");
                    if kept + 1 < graphemes.len() {
                        prop_assert!(length(&prefix(kept + 1)) > bytes_max, "one more would fit");
                    }
                }
                None => prop_assert!(
                    length(&text) > bytes_max
                        && (graphemes.len() < 2 || length(&prefix(1)) > bytes_max)
                ),
            }
        }
    }
}

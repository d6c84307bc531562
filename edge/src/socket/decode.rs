//! From a text frame to a [`ClientFrame`], or to what is wrong with it. No I/O.

use natterjack_nats::wire::{ClientFrame, Code, WireError};
use serde::Deserialize;

/// Types that this server knows.
const TYPES: &[&str] = &[
    "hello",
    "send",
    "edit",
    "delete",
    "receipt",
    "typing",
    "history",
    "conversations",
    "token",
    "active",
    "watch",
    "ping",
];
/// Longest id that is echoed, in bytes.
const ID_BYTES_MAX: usize = 64;
/// Longest description of what is wrong; the decoder quotes what it found.
const REASON_CHARS_MAX: usize = 200;

/// A frame that cannot be taken, with its id if it has one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) id: Option<String>,
    pub(super) error: WireError,
}

#[derive(Deserialize)]
struct Outline {
    r#type: Option<String>,
    id: Option<serde_json::Value>,
}

pub(super) fn decode(text: &str) -> Result<ClientFrame, Refused> {
    let frame: ClientFrame = serde_json::from_str(text).map_err(|error| refuse(text, &error))?;
    match &frame {
        ClientFrame::History { id, .. }
        | ClientFrame::Conversations { id, .. }
        | ClientFrame::Token { id, .. }
        | ClientFrame::Watch { id, .. }
        | ClientFrame::Ping { id: Some(id) }
            if id.len() > ID_BYTES_MAX =>
        {
            Err(Refused {
                id: None,
                error: bad(format!("a frame's id has at most {ID_BYTES_MAX} bytes")),
            })
        }
        _ => Ok(frame),
    }
}

fn refuse(text: &str, error: &serde_json::Error) -> Refused {
    let Ok(outline) = serde_json::from_str::<Outline>(text) else {
        return Refused {
            id: None,
            error: bad("a frame is a JSON object with a `type`"),
        };
    };
    let id = outline.id.and_then(|id| Some(id.as_str()?.to_owned()));
    let id = id.filter(|id| id.len() <= ID_BYTES_MAX);
    let error = match outline.r#type {
        None => bad("the frame has no `type`"),
        Some(name) if TYPES.contains(&name.as_str()) => bad(error
            .to_string()
            .chars()
            .take(REASON_CHARS_MAX)
            .collect::<String>()),
        Some(_) => WireError::new(Code::UnknownType, "this server does not know this type of frame"),
    };
    Refused { id, error }
}

fn bad(reason: impl Into<std::borrow::Cow<'static, str>>) -> WireError {
    WireError::new(Code::BadRequest, reason)
}

/// The type of a frame, for a metric.
pub(super) const fn name(frame: &ClientFrame) -> &'static str {
    match frame {
        ClientFrame::Hello(_) => "hello",
        ClientFrame::Send { .. } => "send",
        ClientFrame::Edit { .. } => "edit",
        ClientFrame::Delete { .. } => "delete",
        ClientFrame::Receipt { .. } => "receipt",
        ClientFrame::Typing { .. } => "typing",
        ClientFrame::History { .. } => "history",
        ClientFrame::Conversations { .. } => "conversations",
        ClientFrame::Token { .. } => "token",
        ClientFrame::Watch { .. } => "watch",
        ClientFrame::Active { .. } => "active",
        ClientFrame::Ping { .. } => "ping",
    }
}

#[cfg(test)]
#[path = "../../fuzz/frames.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> (Option<String>, Code) {
        let refused = decode(text).expect_err("refused");
        (refused.id, refused.error.code)
    }

    #[test]
    fn what_is_wrong_is_told_to_the_request_that_is_wrong() {
        assert_eq!(code("garbage"), (None, Code::BadRequest));
        assert_eq!(code("[1]"), (None, Code::BadRequest));
        assert_eq!(code("{}"), (None, Code::BadRequest));
        assert_eq!(
            code(r#"{"type":"dance","id":"7"}"#),
            (Some("7".into()), Code::UnknownType)
        );
        assert_eq!(
            code(r#"{"type":"history","id":"7"}"#),
            (Some("7".into()), Code::BadRequest)
        );
        assert_eq!(code(r#"{"type":"send","id":7}"#), (None, Code::BadRequest));
        let long = format!(r#"{{"type":"ping","id":"{}"}}"#, "7".repeat(65));
        assert_eq!(code(&long), (None, Code::BadRequest));
    }

    #[test]
    fn what_was_found_is_not_quoted_at_length() {
        let text = format!(r#"{{"type":"send","id":"{}"}}"#, "x".repeat(100_000));
        let refused = decode(&text).expect_err("no message id");
        assert!(refused.error.message.len() < 1_000);
    }

    #[test]
    fn every_type_is_known() {
        for name in TYPES {
            let refused = decode(&format!(
                r#"{{"type":"{name}","conversation":5,"id":5,"token":5,"active":5}}"#
            ));
            assert_eq!(
                refused.expect_err("5 is wrong everywhere").error.code,
                Code::BadRequest,
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "\\PC{0,200}") {
            let _ = decode(&text);
        }

        #[test]
        fn half_a_frame_is_refused(cut in 0..49_usize) {
            let frame = r#"{"type":"typing","conversation":"user.x","active":true}"#;
            prop_assert!(decode(&frame[..cut]).is_err());
        }
    }
}

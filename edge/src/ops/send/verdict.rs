//! The decisions of the send path, as functions of what was found. No I/O.

use std::error::Error as _;

use async_nats::jetstream::{
    self, ErrorCode,
    context::{PublishError, PublishErrorKind},
};
use natterjack_nats::{
    Conversation, UserId,
    services::history::Inspected,
    wire::{Code, WireError},
};

/// A message id that was used before.
pub(super) fn conflict() -> WireError {
    WireError::new(
        Code::Conflict,
        "this message id was used before with another content; make a new id",
    )
}

/// Whether a message may be edited or, with `deletes`, deleted.
pub(super) fn may_change(found: &Inspected, user: UserId, deletes: bool) -> Result<(), WireError> {
    if found.sender != user && !(deletes && found.moderator) {
        let who = if deletes {
            "only its sender or a group's admins may delete a message"
        } else {
            "only its sender may edit a message"
        };
        return Err(WireError::new(Code::Forbidden, who));
    }
    if !found.standing_text {
        return Err(WireError::new(
            Code::NotFound,
            "the target is not a text, or was deleted before",
        ));
    }
    Ok(())
}

pub(super) fn not_member() -> WireError {
    WireError::new(Code::NotMember, "you are not in this conversation")
}

/// Whether a refusal is for good and may yet be younger than an earlier try: who was removed was a
/// member before, and a peer is believed to exist while nobody can tell. Who is no party of a 1:1 chat
/// never was.
pub(super) fn may_be_new(refusal: &WireError, conversation: &Conversation) -> bool {
    match conversation {
        Conversation::Group(_) => matches!(refusal.code, Code::NotMember | Code::Forbidden | Code::NotFound),
        Conversation::Dm(_) => refusal.code == Code::NotFound,
        Conversation::User(_) => false,
    }
}

/// What a failed try to publish means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Whether it was stored is not known: try again under the same `Nats-Msg-Id`.
    Unknown,
    /// It was not stored, and may be if tried again soon.
    NotYet,
    /// It was not stored, and the client is to hear why.
    Refused(WireError),
}

/// What only a limit of the stream says, and nothing that happens after the message was taken.
const FULL: [&str; 3] = [
    "maximum bytes exceeded",
    "maximum messages exceeded",
    "maximum messages per subject exceeded",
];

pub(super) fn failure(error: &PublishError) -> Failure {
    match error.kind() {
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Failure::Unknown,
        // No responders: no leader yet, or JetStream still recovers.
        PublishErrorKind::StreamNotFound | PublishErrorKind::MaxAckPending => Failure::NotYet,
        PublishErrorKind::MaxPayloadExceeded => too_large(),
        _ => match error
            .source()
            .and_then(|source| source.downcast_ref::<jetstream::Error>())
        {
            Some(error) => refusal(error),
            None => Failure::Unknown,
        },
    }
}

/// Only what the server says before it gives a message to the store or to its peers means that it was
/// not stored. Anything else may come after that: "no space left on device" after bytes that a restart
/// finds whole, "store is closed" from a leader that leaves while its peers store the message.
fn refusal(error: &jetstream::Error) -> Failure {
    // It begins with the server's own description.
    let text = error.to_string();
    let says = |what: &str| text.starts_with(what);
    match error.error_code() {
        ErrorCode::STREAM_STORE_FAILED if FULL.iter().any(|limit| says(limit)) => overloaded(error),
        ErrorCode::STREAM_STORE_FAILED if says("message too large") => too_large(),
        ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED => overloaded(error),
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => too_large(),
        // Temporary by its own word, and before anything else.
        ErrorCode::CLUSTER_NOT_AVAILABLE => Failure::NotYet,
        // An earlier try is on its way through the cluster.
        ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT => Failure::Unknown,
        ErrorCode::STREAM_SEALED => {
            tracing::error!(nats.error = %error, "JetStream refused a message");
            Failure::Refused(WireError::new(
                Code::Internal,
                "the message could not be stored; it was not",
            ))
        }
        _ => {
            tracing::warn!(nats.error = %error, "JetStream does not say whether it stored a message");
            Failure::Unknown
        }
    }
}

fn too_large() -> Failure {
    Failure::Refused(WireError::new(
        Code::TooLarge,
        "the message is larger than the server's streams take",
    ))
}

fn overloaded(error: &jetstream::Error) -> Failure {
    tracing::warn!(nats.error = %error, "JetStream has no room for a message");
    Failure::Refused(
        WireError::new(
            Code::Overloaded,
            "the server cannot store more for now; nothing was stored, try again soon",
        )
        .retry_after_ms(1_000),
    )
}

/// The outcome after all tries failed.
pub(super) fn exhausted(unknown: bool) -> WireError {
    if unknown {
        WireError::new(
            Code::Timeout,
            "whether the message was stored is not known; retry with the same id",
        )
    } else {
        WireError::new(
            Code::Unavailable,
            "the server's storage is away; the message was not stored, try again soon",
        )
        .retry_after_ms(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_change_what() {
        let (me, other) = (UserId::from_parts(1, 1), UserId::from_parts(1, 2));
        let found = |sender, standing_text, moderator| Inspected {
            sender,
            standing_text,
            moderator,
        };
        let code = |found, deletes| may_change(&found, me, deletes).map_err(|error| error.code);
        for deletes in [false, true] {
            assert_eq!(code(found(me, true, false), deletes), Ok(()));
            assert_eq!(code(found(me, false, false), deletes), Err(Code::NotFound));
            assert_eq!(code(found(other, true, false), deletes), Err(Code::Forbidden));
            // Nor does a stranger learn whether a message stands.
            assert_eq!(code(found(other, false, false), deletes), Err(Code::Forbidden));
        }
        assert_eq!(code(found(other, true, true), true), Ok(()));
        assert_eq!(code(found(other, true, true), false), Err(Code::Forbidden));
    }

    #[test]
    fn a_lost_ack_is_never_a_failure() {
        let kind = |kind| failure(&PublishError::new(kind));
        assert_eq!(kind(PublishErrorKind::TimedOut), Failure::Unknown);
        assert_eq!(kind(PublishErrorKind::BrokenPipe), Failure::Unknown);
        assert_eq!(kind(PublishErrorKind::Other), Failure::Unknown);
        assert_eq!(kind(PublishErrorKind::StreamNotFound), Failure::NotYet);
        assert_eq!(exhausted(true).code, Code::Timeout);
        assert_eq!(exhausted(false).code, Code::Unavailable);
    }

    #[test]
    fn only_what_is_said_before_the_store_means_not_stored() {
        for (http, err_code, description, refused) in [
            (503, 10077, "maximum bytes exceeded", Some(Code::Overloaded)),
            (503, 10077, "maximum messages exceeded", Some(Code::Overloaded)),
            (
                503,
                10077,
                "maximum messages per subject exceeded",
                Some(Code::Overloaded),
            ),
            (503, 10077, "message too large", Some(Code::TooLarge)),
            // A write that failed half-way, and a leader that leaves while its peers store the message.
            (503, 10077, "write 1.blk: no space left on device", None),
            (503, 10077, "sync 1.blk: input/output error", None),
            (503, 10077, "store is closed", None),
            (503, 10077, "", None),
            (503, 10023, "insufficient resources", Some(Code::Overloaded)),
            (
                400,
                10002,
                "resource limits exceeded for account",
                Some(Code::Overloaded),
            ),
            (
                500,
                10047,
                "insufficient storage resources available",
                Some(Code::Overloaded),
            ),
            (
                500,
                10028,
                "insufficient memory resources available",
                Some(Code::Overloaded),
            ),
            (
                400,
                10054,
                "message size exceeds maximum allowed",
                Some(Code::TooLarge),
            ),
            (
                400,
                10097,
                "header size exceeds maximum allowed of 64k",
                Some(Code::TooLarge),
            ),
            (
                400,
                10109,
                "invalid operation on sealed stream",
                Some(Code::Internal),
            ),
            (409, 10158, "duplicate message id is in process", None),
            (500, 10009, "JetStream cluster can not handle request", None),
            (500, 10118, "stream is offline", None),
            (503, 19999, "of a later server", None),
        ] {
            let error: jetstream::Error = serde_json::from_value(serde_json::json!({
                "code": http, "err_code": err_code, "description": description
            }))
            .expect("the server's form");
            let outcome = failure(&PublishError::with_source(PublishErrorKind::Other, error));
            match refused {
                Some(code) => assert!(
                    matches!(&outcome, Failure::Refused(error) if error.code == code),
                    "{err_code} {description}: {outcome:?}"
                ),
                None => assert_eq!(outcome, Failure::Unknown, "{err_code} {description}"),
            }
        }
        let away: jetstream::Error = serde_json::from_value(serde_json::json!({
            "code": 503, "err_code": 10008, "description": "JetStream system temporarily unavailable"
        }))
        .expect("the server's form");
        let away = PublishError::with_source(PublishErrorKind::Other, away);
        assert_eq!(failure(&away), Failure::NotYet);
    }
}

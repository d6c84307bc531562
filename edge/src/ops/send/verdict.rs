//! The decisions of the send path, as functions of what was found. No I/O.

use std::error::Error as _;

use async_nats::jetstream::{
    self, ErrorCode,
    context::{PublishError, PublishErrorKind},
};
use natterjack_nats::{
    UserId,
    services::history::Inspected,
    wire::{Code, WireError},
};

/// A message id that was used before: the first one's place if it says the same.
pub(super) fn same(same: bool, seq: u64) -> Result<u64, WireError> {
    same.then_some(seq).ok_or_else(|| {
        WireError::new(
            Code::Conflict,
            "this message id was used before with another content; make a new id",
        )
    })
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

pub(super) fn failure(error: &PublishError) -> Failure {
    match error.kind() {
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Failure::Unknown,
        // No responders: no leader yet, or JetStream still recovers.
        PublishErrorKind::StreamNotFound | PublishErrorKind::MaxAckPending => Failure::NotYet,
        PublishErrorKind::MaxPayloadExceeded => Failure::Refused(WireError::new(
            Code::TooLarge,
            "the message is larger than the server's streams take",
        )),
        _ => match error
            .source()
            .and_then(|source| source.downcast_ref::<jetstream::Error>())
        {
            Some(error) => refusal(error),
            None => Failure::Unknown,
        },
    }
}

fn refusal(error: &jetstream::Error) -> Failure {
    match error.error_code() {
        // The stream refuses new messages when it is full; so does a server without space.
        ErrorCode::STREAM_STORE_FAILED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED => {
            tracing::warn!(nats.error = %error, "JetStream has no room for a message");
            Failure::Refused(
                WireError::new(
                    Code::Overloaded,
                    "the server cannot store more for now; nothing was stored, try again soon",
                )
                .retry_after_ms(1_000),
            )
        }
        // Temporary by its own word: no quorum, a leader that changes.
        _ if error.code() == 503 => Failure::NotYet,
        _ => {
            tracing::error!(nats.error = %error, "JetStream refused a message");
            Failure::Refused(WireError::new(
                Code::Internal,
                "the message could not be stored; it was not",
            ))
        }
    }
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
    fn a_full_stream_is_overload() {
        let error: jetstream::Error = serde_json::from_value(serde_json::json!({
            "code": 503, "err_code": 10077, "description": "maximum bytes exceeded"
        }))
        .expect("the server's form");
        let error = PublishError::with_source(PublishErrorKind::Other, error);
        assert!(matches!(failure(&error), Failure::Refused(error) if error.code == Code::Overloaded));
    }
}

//! What a caller hears when something about conversations fails.

use natterjack_nats::wire::Code;

use super::rights::Refusal;
use crate::failure::Failure;

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::NotMember => Code::NotMember,
            Refusal::Forbidden(_) => Code::Forbidden,
            Refusal::NoSuchMember | Refusal::NoSuchUsers(_) => Code::NotFound,
            Refusal::LastOwner => Code::LastOwner,
            Refusal::Full { .. } => Code::GroupFull,
        };
        Self::wire(code, refusal.to_string())
    }
}

/// A 1:1 chat of others, or a user's log, which is nobody's to list.
pub fn not_yours() -> Failure {
    Failure::wire(Code::NotMember, "you are not in this conversation")
}

/// The other user of a 1:1 chat does not exist.
pub fn no_such_peer() -> Failure {
    Failure::wire(
        Code::NotFound,
        "there is no such user to chat with; look the user up first",
    )
}

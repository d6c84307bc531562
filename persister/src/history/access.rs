//! Who may read a conversation.

use natterjack_nats::{Conversation, UserId, wire::Code};

use crate::{
    db::{DbError, Tx},
    failure::Failure,
};

const ROLE: &str = "select role from members where conversation = $1 and user_id = $2";

/// The failure of those who may not.
pub fn not_member() -> Failure {
    Failure::wire(Code::NotMember, "you are not in this conversation")
}

/// What the name alone tells: `Ok(true)` if it settles the matter, `Ok(false)` if members must be
/// asked.
pub fn by_name(conversation: &Conversation, user: UserId) -> Result<bool, Failure> {
    match conversation.admits(user) {
        Some(true) => Ok(true),
        Some(false) => Err(not_member()),
        None => Ok(false),
    }
}

/// A user's role in a group, as its number; `None` for those who are not in it.
pub async fn role(tx: &Tx, conversation: &Conversation, user: UserId) -> Result<Option<i16>, DbError> {
    let row = tx
        .query_opt(ROLE, &[&conversation.key(), &user.as_uuid()])
        .await?;
    Ok(row.map(|row| row.get(0)))
}

/// Lets only those through who may read it.
pub async fn check(tx: &Tx, conversation: &Conversation, user: UserId) -> Result<(), Failure> {
    if by_name(conversation, user)? || role(tx, conversation, user).await?.is_some() {
        Ok(())
    } else {
        Err(not_member())
    }
}

//! `svc.history.inspect`: who sent a message, and may it be edited or deleted?

use natterjack_nats::{
    services::history::{Inspect, Inspected},
    wire::{Code, Kind, Message},
};

use super::{
    access, facts,
    overlay::Overlay,
    rows::{self, columns},
    tail::{self, Most},
};
use crate::{Shared, failure::Failure};

const BY_SEQ: &str = concat!(
    "select ",
    columns!(),
    " from messages m where m.conversation = $1 and m.seq = $2"
);
/// An edit or deletion further away than this is judged when it is written.
const MOST: Most = Most {
    messages: 1_000,
    bytes: 1024 * 1024,
};

/// Answers from Postgres and the tail.
pub async fn inspect(shared: Shared, request: Inspect) -> Result<Inspected, Failure> {
    let Inspect {
        user,
        conversation,
        target,
    } = request;
    access::by_name(&conversation, user)?;
    // Before anything else is read.
    let watermark = shared.watermarks.of(shared.shards.of(&conversation));
    let seq = i64::try_from(target).map_err(|_| not_found())?;
    let seq = &seq;
    let from_postgres = shared.db.read("inspect", |tx| async move {
        access::check(&tx, &conversation, user).await?;
        let moderator = access::role(&tx, &conversation, user)
            .await?
            .is_some_and(|role| role >= 1);
        let row = tx.query_opt(BY_SEQ, &[&conversation.key(), seq]).await?;
        let message = row.map(|row| rows::message(conversation, &row)).transpose()?;
        Ok::<_, Failure>((moderator, message))
    });
    let from_stream = tail::read(&shared, &conversation, target.max(watermark + 1), MOST);
    let (rows, tail) = tokio::join!(from_postgres, from_stream);
    let ((moderator, row), tail) = (rows?, tail?.messages);
    let in_tail = || tail.iter().find(|message| message.seq == target).cloned();
    let mut found: Message = row.or_else(in_tail).ok_or_else(not_found)?;
    if !tail.is_empty() {
        let tail = &tail;
        let facts = shared
            .db
            .read("history_facts", |tx| async move {
                facts::gather(&tx, &conversation, tail).await
            })
            .await?;
        Overlay::new(tail, &facts).apply(std::slice::from_mut(&mut found));
    }
    Ok(Inspected {
        sender: found.sender,
        standing_text: found.kind == Kind::Text && found.deleted.is_none(),
        moderator,
    })
}

fn not_found() -> Failure {
    Failure::wire(Code::NotFound, "there is no such message in this conversation")
}

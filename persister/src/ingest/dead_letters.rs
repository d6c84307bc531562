//! What could not be written, kept for an operator to look at and replay.

use crate::db::{Db, DbError};

/// A message that could not be written.
pub struct Letter<'a> {
    /// Of which stream.
    pub stream: &'a str,
    /// Its sequence there.
    pub seq: u64,
    /// Its subject.
    pub subject: &'a str,
    /// Its payload, as it is.
    pub payload: &'a [u8],
    /// What is wrong with it.
    pub error: &'a str,
    /// When that was found, Unix milliseconds.
    pub at: u64,
}

const KEEP: &str = "\
    insert into dead_letters (stream, seq, subject, payload, error, at) values ($1, $2, $3, $4, $5, $6) \
    on conflict do nothing";

/// Keeps it. The same one again changes nothing.
pub async fn keep(db: &Db, letter: &Letter<'_>) -> Result<(), DbError> {
    let (seq, at) = (letter.seq.cast_signed(), letter.at.cast_signed());
    // Postgres takes no NUL in a text, and the error may quote one.
    let error = letter.error.replace('\0', "\u{fffd}");
    let (seq, at, error) = (&seq, &at, &error);
    db.tx("dead_letter", |tx| async move {
        tx.execute(
            KEEP,
            &[&letter.stream, seq, &letter.subject, &letter.payload, error, at],
        )
        .await
        .map(drop)
    })
    .await
}

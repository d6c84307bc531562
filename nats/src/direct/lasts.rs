//! The last message of each of many subjects, however many a wildcard stands for: how buckets are read.

use std::time::Duration;

use async_nats::Client;
use futures::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};

use super::{Bounds, Direct, DirectError, last_by_subject_from, next_by_subject};

/// How long one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// The server answers no question about more subjects than that.
const SUBJECTS_MAX: usize = 1_024;
/// Filters of one question: a user has a few devices, so that one question is nearly always enough.
const FILTERS_MAX: usize = 128;
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Questions at once.
const AT_ONCE: usize = 4;

const BOUNDS: Bounds = Bounds {
    messages: SUBJECTS_MAX,
    bytes: PAGE_BYTES_MAX,
    timeout: READ_TIMEOUT,
};

/// The last messages on the subjects that these filters match, in any order.
///
/// A wildcard that matches more than the server answers for at once gives all of its messages: these are the last
/// ones in a stream that keeps one for each subject, as buckets do.
///
/// # Errors
/// [`DirectError`], but never [`DirectError::TooMany`].
pub async fn lasts(client: &Client, stream: &str, filters: &[String]) -> Result<Vec<Direct>, DirectError> {
    let parts = filters.chunks(FILTERS_MAX);
    let questions: Vec<_> = parts.map(|part| part_of(client, stream, part)).collect();
    let answers = stream::iter(questions).buffer_unordered(AT_ONCE);
    let answers: Vec<Vec<Direct>> = answers.try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

fn part_of<'a>(
    client: &'a Client,
    stream: &'a str,
    filters: &'a [String],
) -> BoxFuture<'a, Result<Vec<Direct>, DirectError>> {
    Box::pin(async move {
        match pages(client, stream, filters).await {
            Err(DirectError::TooMany) => match filters {
                [only] => in_order(client, stream, only).await,
                _ => {
                    let (one, other) = filters.split_at(filters.len() / 2);
                    let mut found = part_of(client, stream, one).await?;
                    found.extend(part_of(client, stream, other).await?);
                    Ok(found)
                }
            },
            answer => answer,
        }
    })
}

async fn pages(client: &Client, stream: &str, filters: &[String]) -> Result<Vec<Direct>, DirectError> {
    let (mut found, mut from) = (Vec::new(), 1);
    loop {
        let batch = last_by_subject_from(client, stream, filters, from, BOUNDS).await?;
        found.extend(batch.messages);
        match found.last() {
            Some(last) if batch.more => from = last.seq + 1,
            _ => return Ok(found),
        }
    }
}

/// All messages on a filter's subjects, which are the last ones too.
async fn in_order(client: &Client, stream: &str, filter: &str) -> Result<Vec<Direct>, DirectError> {
    let (mut found, mut from) = (Vec::new(), 1);
    loop {
        let batch = next_by_subject(client, stream, filter, from, BOUNDS).await?;
        found.extend(batch.messages);
        match found.last() {
            Some(last) if batch.more => from = last.seq + 1,
            _ => return Ok(found),
        }
    }
}

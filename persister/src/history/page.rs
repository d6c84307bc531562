//! `svc.history.page`.

use natterjack_nats::{
    Conversation, UserId,
    limits::PAGE_MESSAGES_MAX,
    services::history::ReadPage,
    topology,
    wire::{Code, HistoryQuery, Page},
};

use super::{
    access, facts, moment,
    overlay::{Facts, Overlay},
    rows,
    tail::{self, Most, Tail},
    timeline::{self, Rows, Window},
};
use crate::{
    Shared,
    failure::Failure,
    recent::{HoldOne, Missing},
};

const LIMIT_DEFAULT: usize = 50;
/// Of a page after a sequence: what the page can hold, and as much again to look for edits in.
const FORWARD: Most = Most {
    messages: 1_000,
    bytes: 1024 * 1024,
};
/// Of any other page, which needs the tail to its end.
const WHOLE: Most = Most {
    messages: 5_000,
    bytes: 8 * 1024 * 1024,
};

/// Answers a page.
pub async fn read_page(shared: Shared, request: ReadPage) -> Result<Page, Failure> {
    let ReadPage { user, member, query } = request;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, PAGE_MESSAGES_MAX);
    let reader = Reader { user, member };
    read(shared, reader, query.conversation, asked(&query)?, limit).await
}

/// Who reads, and whether the edge knows them to be in the conversation.
#[derive(Debug, Clone, Copy)]
struct Reader {
    user: UserId,
    member: bool,
}

async fn read(
    shared: Shared,
    reader: Reader,
    conversation: Conversation,
    asked: Asked,
    limit: usize,
) -> Result<Page, Failure> {
    let Reader { user, member } = reader;
    let settled = access::by_name(&conversation, user)?;
    // Before anything else is read.
    let hold = shared.recent.hold_one(shared.shards.of(&conversation));
    let watermark = hold.watermark();
    let from_postgres = shared.db.read_planned("history_page", |tx| async move {
        access::check(&tx, &conversation, user).await?;
        let window = match asked {
            Asked::Window(window) => window,
            Asked::At(at) => moment::window(&tx, &conversation, at).await?,
        };
        let rows = rows::read(&tx, &conversation, window, limit).await?;
        Ok::<_, Failure>((window, rows))
    });
    let (window, mut rows) = match from_postgres.await {
        Ok(read) => read,
        Err(failure) if failure.postgres_away() && (settled || member) => {
            return without_postgres(&shared, conversation, asked, watermark, limit, failure).await;
        }
        Err(failure) => return Err(failure),
    };
    // After the rows: a row that is seen beyond the watermark was in the stream before, and so is
    // what came before it and is not written yet.
    let mut tail = beyond(&shared, &conversation, window, &hold).await?;
    if let Window::After(seq) = window
        && tail.more
        && tail.next <= seq.saturating_add(1)
    {
        // What we read of a long tail ends before the cursor: everything between it and what
        // follows is proven empty by reading from there.
        tail = tail::read(&shared, &conversation, seq.saturating_add(1), FORWARD).await?;
        rows.below = seq;
    }
    if let Asked::At(at) = asked
        && let Some(seq) = moment::earlier(at, window, &tail)
    {
        // The rows are those of another place: once more, with that one by its name.
        let asked = Asked::Window(Window::Around(seq));
        return Box::pin(read(shared, reader, conversation, asked, limit)).await;
    }
    let facts = if tail.messages.is_empty() {
        Facts::default()
    } else {
        let tail = &tail.messages;
        shared
            .db
            .read("history_facts", |tx| async move {
                facts::gather(&tx, &conversation, tail).await
            })
            .await?
    };
    finish(&shared, conversation, window, limit, rows, &tail, &facts).await
}

/// Which part of the conversation is wanted.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Window(Window),
    /// What stands around the first message that was sent at or after a time.
    At(u64),
}

fn asked(query: &HistoryQuery) -> Result<Asked, Failure> {
    Ok(Asked::Window(
        match (query.before, query.after, query.around, query.at) {
            (None, None, None, None) => Window::Before(u64::MAX),
            (Some(seq), None, None, None) => Window::Before(seq),
            (None, Some(seq), None, None) => Window::After(seq),
            (None, None, Some(seq), None) => Window::Around(seq),
            (None, None, None, Some(at)) => return Ok(Asked::At(at)),
            _ => {
                return Err(Failure::wire(
                    Code::BadRequest,
                    "name at most one of before, after, around and at",
                ));
            }
        },
    ))
}

async fn beyond(
    shared: &Shared,
    conversation: &Conversation,
    window: Window,
    hold: &HoldOne,
) -> Result<Tail, Failure> {
    let watermark = hold.watermark();
    // Mostly nothing is: then the pages of all who ask at this moment share one read of the stream.
    match hold.of(conversation).await {
        Ok(beyond) if beyond.is_empty() => {
            return Ok(Tail {
                next: watermark + 1,
                ..Tail::default()
            });
        }
        Ok(_) | Err(Missing::TooMuch) => {}
        Err(Missing::Away(error)) => return Err(error.into()),
    }
    let forward = matches!(window, Window::After(_));
    let most = if forward { FORWARD } else { WHOLE };
    let tail = tail::read(shared, conversation, watermark + 1, most).await?;
    if tail.more && !forward {
        return Err(Failure::wire(
            Code::Overloaded,
            "the history is catching up; page forward with `after`, or try again later",
        ));
    }
    Ok(tail)
}

/// While Postgres is away: what follows a cursor that the stream still covers.
async fn without_postgres(
    shared: &Shared,
    conversation: Conversation,
    asked: Asked,
    watermark: u64,
    limit: usize,
    failure: Failure,
) -> Result<Page, Failure> {
    let Asked::Window(window @ Window::After(seq)) = asked else {
        return Err(failure);
    };
    if seq < watermark {
        let stream = topology::chat_stream(shared.shards.of(&conversation));
        let stream = shared
            .jetstream
            .get_stream(stream)
            .await
            .map_err(|_| failure_of_stream())?;
        if seq + 1 < stream.cached_info().state.first_sequence {
            return Err(failure);
        }
    }
    let tail = tail::read(shared, &conversation, seq.saturating_add(1), FORWARD).await?;
    // Nothing lies between the cursor and what follows: that is all that `prev` has to say.
    let rows = Rows {
        below: seq,
        ..Rows::default()
    };
    finish(
        shared,
        conversation,
        window,
        limit,
        rows,
        &tail,
        &Facts::default(),
    )
    .await
}

fn failure_of_stream() -> Failure {
    natterjack_nats::direct::DirectError::NoResponders.into()
}

async fn finish(
    shared: &Shared,
    conversation: Conversation,
    window: Window,
    limit: usize,
    rows: Rows,
    tail: &Tail,
    facts: &Facts,
) -> Result<Page, Failure> {
    // A tail that was read only in part, or from a cursor on that nothing follows, does not tell
    // where the conversation ends.
    let head = if tail.more || (tail.messages.is_empty() && rows.head < rows.below) {
        tail::head(shared, &conversation).await?
    } else {
        0
    };
    let mut page = timeline::page(conversation, window, limit, rows, tail, head);
    Overlay::new(&tail.messages, facts).apply(&mut page.messages);
    Ok(page)
}

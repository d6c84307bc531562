//! `svc.history.dead` and `svc.history.replay`: what could not be written, for operators. They are told
//! where it was stored and what is wrong with it, never what it says.

use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use natterjack_nats::{
    Shard, headers,
    services::history::{Dead, DeadLetter, DeadPage, LetterPlace, Replay, Replayed},
    subjects::chat,
    topology,
    wire::{Kind, Stored},
};
use tokio_postgres::Row;

use crate::{
    Shared,
    db::DbError,
    failure::Failure,
    ingest::{IngestMetrics, Sink, messages::Messages},
    receipts::Receipts,
};

const PAGE: usize = 100;
/// How long one publish waits for its ack.
const ACK_GRACE: Duration = Duration::from_secs(5);

/// Why a letter is not sent anew yet.
const JUST_STORED: &str =
    "its stream stored it less than two minutes ago and takes no second copy; try again later";

const LIST: &str = "\
    select stream, seq, subject, payload, error, at from dead_letters \
    where (stream, seq) > ($1, $2) order by stream, seq limit $3";
const ONE: &str = "\
    select stream, seq, subject, payload, error, at from dead_letters where stream = $1 and seq = $2";
const FORGET: &str = "delete from dead_letters where stream = $1 and seq = $2";
const FAILED: &str = "update dead_letters set error = $3, at = $4 where stream = $1 and seq = $2";
const LEFT: &str = "select count(*) from dead_letters";

/// Answers a list.
pub async fn list(shared: Shared, request: Dead) -> Result<DeadPage, Failure> {
    let limit = request.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let mut letters = some(&shared, request.after.as_ref(), limit + 1).await?;
    let more = letters.len() > limit;
    letters.truncate(limit);
    Ok(DeadPage {
        letters: letters.into_iter().map(|letter| letter.told).collect(),
        more,
    })
}

/// What replaying needs.
#[derive(Clone)]
pub struct Office {
    shared: Shared,
    ingest: IngestMetrics,
}

impl Office {
    /// Over these.
    pub fn new(shared: &Shared, ingest: &IngestMetrics) -> Self {
        Self {
            shared: shared.clone(),
            ingest: ingest.clone(),
        }
    }
}

/// Tries again.
pub async fn replay(office: Office, request: Replay) -> Result<Replayed, Failure> {
    let Office { shared, .. } = &office;
    let letters = match &request.place {
        None => some(shared, None, PAGE).await?,
        Some(place) => one(shared, place).await?,
    };
    let (mut replayed, mut failed) = (0, Vec::new());
    for letter in letters {
        let LetterPlace { stream, seq } = &letter.told.place;
        let seq = &seq.cast_signed();
        let outcome = if request.anew {
            office.send_anew(&letter).await
        } else {
            office.write(&letter).await
        };
        match outcome {
            Ok(()) => {
                shared
                    .db
                    .tx("dead_forget", |tx| async move {
                        tx.execute(FORGET, &[stream, seq]).await.map(drop)
                    })
                    .await?;
                replayed += 1;
            }
            Err(Outcome::Away(failure)) => return Err(failure),
            Err(Outcome::Refused(why)) => {
                let (why, at) = (&why.replace('\0', "\u{fffd}"), &shared.clock.now_ms());
                shared
                    .db
                    .tx("dead_failed", |tx| async move {
                        tx.execute(FAILED, &[stream, seq, why, &at.cast_signed()])
                            .await
                            .map(drop)
                    })
                    .await?;
                failed.push(DeadLetter {
                    error: why.clone(),
                    at: *at,
                    ..letter.told.clone()
                });
            }
        }
    }
    let left = shared
        .db
        .read("dead_left", |tx| async move { tx.query_one(LEFT, &[]).await })
        .await?;
    tracing::info!(
        dead.replayed = replayed,
        dead.failed = failed.len(),
        "dead letters were replayed"
    );
    Ok(Replayed {
        replayed,
        failed,
        left: left.get::<_, i64>(0).cast_unsigned(),
    })
}

/// Why a letter is not written.
enum Outcome {
    /// Postgres or NATS is away: nothing is said about the letter.
    Away(Failure),
    /// It still cannot be.
    Refused(String),
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Db(DbError::Data(_)) => Self::Refused(failure.to_string()),
            other => Self::Away(other),
        }
    }
}

impl Office {
    /// Writes it where it belongs.
    async fn write(&self, letter: &Letter) -> Result<(), Outcome> {
        if letter.told.place.stream == topology::RECEIPTS {
            return rewrite(&Receipts::new(&self.shared), letter).await;
        }
        let shard = self.shard(letter).ok_or_else(|| {
            Outcome::Refused(
                "it was never stored in a stream of this cluster; look at its row in Postgres".into(),
            )
        })?;
        let sink = Messages::new(&self.shared, shard, self.ingest.clone());
        rewrite(&sink, letter).await
    }

    fn shard(&self, letter: &Letter) -> Option<Shard> {
        let mut all = self.shared.shards.all();
        all.find(|shard| topology::chat_stream(*shard) == letter.told.place.stream)
    }

    /// Stores it once more, under its sender and id.
    async fn send_anew(&self, letter: &Letter) -> Result<(), Outcome> {
        let refused = |why: String| Outcome::Refused(why);
        let stored: Stored =
            serde_json::from_slice(&letter.payload).map_err(|error| refused(error.to_string()))?;
        // It must be one that can be written this time.
        let subject = chat::subject(self.shared.shards, &stored.conversation);
        crate::ingest::decode::decode(
            self.shared.shards,
            &subject,
            letter.told.place.seq,
            &letter.payload,
        )
        .map_err(|poison| refused(poison.to_string()))?;
        let mut message = PublishMessage::build().message_id(stored.nats_msg_id());
        if stored.kind == Kind::Event {
            message = message.header(headers::KIND, headers::KIND_EVENT);
        }
        let message = message.payload(letter.payload.clone().into());
        let away = |why: String| Outcome::Away(Failure::internal(format!("JetStream took no letter: {why}")));
        let ack = self.shared.jetstream.send_publish(subject, message).await;
        let ack = ack.map_err(|error| away(error.to_string()))?;
        match tokio::time::timeout(ACK_GRACE, ack).await {
            // The stream still knows the id from the place where it cannot be written.
            Ok(Ok(ack)) if ack.duplicate && ack.sequence == letter.told.place.seq => {
                Err(refused(JUST_STORED.to_owned()))
            }
            // Or from another: that may be a refusal, which is part of no history.
            Ok(Ok(ack)) if ack.duplicate => Err(refused(format!(
                "the stream still knows its id, of sequence {}, and stored nothing; send it anew once the \
                 stream's duplicate window (see `nats stream info`) has passed since",
                ack.sequence
            ))),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(away(error.to_string())),
            Err(_) => Err(away("no answer in time".to_owned())),
        }
    }
}

async fn rewrite<S: Sink>(sink: &S, letter: &Letter) -> Result<(), Outcome> {
    let DeadLetter { subject, place, .. } = &letter.told;
    let item = sink
        .decode(subject, place.seq, &letter.payload)
        .map_err(|poison| Outcome::Refused(poison.to_string()))?;
    match item {
        Some(item) => Ok(sink.write(std::slice::from_ref(&item)).await?),
        None => Ok(()),
    }
}

/// A row.
struct Letter {
    told: DeadLetter,
    payload: Vec<u8>,
}

impl Letter {
    fn of(row: &Row) -> Self {
        let payload: Vec<u8> = row.get(3);
        Self {
            told: DeadLetter {
                place: LetterPlace {
                    stream: row.get(0),
                    seq: row.get::<_, i64>(1).cast_unsigned(),
                },
                subject: row.get(2),
                error: row.get(4),
                at: row.get::<_, i64>(5).cast_unsigned(),
                bytes: payload.len() as u64,
            },
            payload,
        }
    }
}

async fn some(shared: &Shared, after: Option<&LetterPlace>, limit: usize) -> Result<Vec<Letter>, Failure> {
    let stream = after.map_or("", |place| &place.stream);
    let seq = &after.map_or(-1, |place| place.seq.cast_signed());
    let limit = &i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = shared
        .db
        .read("dead_list", |tx| async move {
            tx.query(LIST, &[&stream, seq, limit]).await
        })
        .await?;
    Ok(rows.iter().map(Letter::of).collect())
}

async fn one(shared: &Shared, place: &LetterPlace) -> Result<Vec<Letter>, Failure> {
    let seq = &place.seq.cast_signed();
    let rows = shared
        .db
        .read("dead_one", |tx| async move {
            tx.query(ONE, &[&place.stream, seq]).await
        })
        .await?;
    Ok(rows.iter().map(Letter::of).collect())
}

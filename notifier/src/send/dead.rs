//! Pushes that were given up: an operator lists them, and has them pushed again.

use std::time::{Duration, Instant};

use async_nats::jetstream::{
    kv::UpdateErrorKind,
    stream::{DeleteMessageErrorKind, LastRawMessageErrorKind},
};
use natterjack_nats::{
    direct::{self, Bounds, Direct},
    services::push::{Dead, DeadPage, Replay, Replayed},
    subjects::{kv as keys, push},
    topology::{Bucket, PUSH_DEAD, PUSHES_KEPT},
    wire::{Code, DeadPush, Notice, PushJob, WireError},
};
use natterjack_runtime::server_time::ServerTime;
use natterjack_service::Hosted;

use super::{
    job::Device,
    store::{Store, StoreError, failed},
};

/// Most that one answer names.
const PAGE_MAX: usize = 100;
const PAGE_BYTES_MAX: usize = 512 * 1024;
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one request replays: whoever asks waits for it.
const REPLAY_MAX: Duration = Duration::from_secs(4);
/// How often a replay is tried against others that write the same entry.
const TRIES: usize = 8;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// For a reason that the caller is told as it is.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// NATS did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Failure> for WireError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Wire(error) => error,
            Failure::Store(error) => {
                tracing::warn!(%error, "pushes that were given up cannot be read or written");
                Self::new(
                    Code::Unavailable,
                    "pushes cannot be read or written for now; try again soon",
                )
                .retry_after_ms(1_000)
            }
        }
    }
}

/// What the verbs work with; cheap to clone.
#[derive(Debug, Clone)]
struct Graveyard {
    store: Store,
    time: ServerTime,
}

/// Adds the verbs `dead` and `replay`.
///
/// # Errors
/// NATS is away.
pub async fn serve(service: &Hosted, store: Store, time: ServerTime) -> anyhow::Result<()> {
    let graveyard = Graveyard { store, time };
    service.verb(&graveyard, list).await?;
    service.verb(&graveyard, replay).await
}

async fn list(graveyard: Graveyard, request: Dead) -> Result<DeadPage, Failure> {
    let limit = request.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let (found, next) = graveyard.page(request.from, limit).await?;
    let pushes = found
        .iter()
        .filter_map(|message| Some((message.seq, unread(decode(message)?))));
    Ok(DeadPage {
        pushes: pushes.collect(),
        next,
    })
}

/// Without what people write: whoever looks needs to know which push and why.
fn unread(mut dead: DeadPush) -> DeadPush {
    if let Notice::Message { body, .. } = &mut dead.job.notice {
        *body = None;
    }
    dead
}

async fn replay(graveyard: Graveyard, request: Replay) -> Result<Replayed, Failure> {
    let mut answer = Replayed {
        replayed: 0,
        overtaken: 0,
        left: 0,
    };
    if let Some(seq) = request.seq {
        let client = graveyard.store.client();
        let found = direct::get(client, PUSH_DEAD, seq, READ_TIMEOUT).await;
        let Some(found) = found.map_err(StoreError::from)? else {
            let told =
                format!("there is no {seq} among the pushes that were given up; svc.push.dead lists them");
            return Err(WireError::new(Code::NotFound, told).into());
        };
        graveyard.raise(&found, &mut answer).await?;
        return Ok(answer);
    }
    let started = Instant::now();
    let mut from = Some(0);
    while let Some(seq) = from {
        let (found, next) = graveyard.page(seq, PAGE_MAX).await?;
        for message in &found {
            if started.elapsed() > REPLAY_MAX {
                answer.left = graveyard.count().await?;
                return Ok(answer);
            }
            graveyard.raise(message, &mut answer).await?;
        }
        from = next;
    }
    Ok(answer)
}

impl Graveyard {
    async fn page(&self, from: u64, limit: usize) -> Result<(Vec<Direct>, Option<u64>), StoreError> {
        let bounds = Bounds {
            messages: limit,
            bytes: PAGE_BYTES_MAX,
            timeout: READ_TIMEOUT,
        };
        let client = self.store.client();
        let batch = direct::next_by_subject(client, PUSH_DEAD, push::DEAD, from, bounds).await?;
        let last = batch.messages.last().filter(|_| batch.more);
        let next = last.map(|last| last.seq + 1);
        Ok((batch.messages, next))
    }

    /// How many there are.
    async fn count(&self) -> Result<u64, StoreError> {
        let info = self.store.dead().get_info().await;
        let info = info.map_err(|error| failed(PUSH_DEAD, &error))?;
        Ok(info.state.messages)
    }

    /// Pushes one again, unless nobody needs it any more, and removes it either way. What does not decode stays:
    /// a later version may have written it.
    async fn raise(&self, message: &Direct, answer: &mut Replayed) -> Result<(), StoreError> {
        let Some(dead) = decode(message) else {
            return Ok(());
        };
        let again = self.again(dead).await?;
        match self.store.dead().delete_message(message.seq).await {
            Ok(_) => {}
            // Another replay at the same time was first.
            Err(error) if matches!(error.kind(), DeleteMessageErrorKind::JetStream(_)) => {}
            Err(error) => return Err(failed(PUSH_DEAD, &error)),
        }
        if again {
            answer.replayed += 1;
        } else {
            answer.overtaken += 1;
        }
        Ok(())
    }

    /// Whether it is pushed again.
    async fn again(&self, dead: DeadPush) -> Result<bool, StoreError> {
        // Whether something later was pushed, or it was read, is not known of what is older.
        let age = Duration::from_millis(self.time.now_ms().saturating_sub(dead.job.decided_at));
        if age >= PUSHES_KEPT {
            return Ok(false);
        }
        let device = Device {
            user: dead.user,
            device: dead.device,
        };
        let registration = self.store.registration(device).await?;
        if registration.is_none_or(|found| found.request.target.channel() != dead.channel) {
            return Ok(false);
        }
        let notice = dead.job.notice;
        let key = keys::push(dead.channel, dead.user, dead.device, notice.conversation());
        let seq = notice.seq();
        let job = PushJob::new(notice, self.time.now_ms());
        let value = serde_json::to_vec(&job).map_err(|error| failed(Bucket::Pushes.name(), &error))?;
        for _ in 0..TRIES {
            let (revision, newest) = self.newest(&key).await?;
            if newest.is_some_and(|newest| overtakes(&newest, seq, dead.job.decided_at)) {
                return Ok(false);
            }
            match self
                .store
                .pushes()
                .update(&key, value.clone().into(), revision)
                .await
            {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
                Err(error) => return Err(failed(Bucket::Pushes.name(), &error)),
            }
        }
        Err(failed(
            Bucket::Pushes.name(),
            &"others kept writing the same entry",
        ))
    }

    /// What stands under a key, and its revision, as the leader has it.
    async fn newest(&self, key: &str) -> Result<(u64, Option<PushJob>), StoreError> {
        let subject = keys::subject(Bucket::Pushes, key);
        let stream = &self.store.pushes().stream;
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => Ok((message.sequence, serde_json::from_slice(&message.payload).ok())),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok((0, None)),
            Err(error) => Err(failed(Bucket::Pushes.name(), &error)),
        }
    }
}

/// Whether what stands in the place of a push that was given up leaves nothing of it to be pushed: a later
/// message, that it was read or deleted, or that it was pushed again already.
fn overtakes(newest: &PushJob, seq: u64, decided_at: u64) -> bool {
    use natterjack_nats::wire::Notice;
    match newest.notice {
        Notice::Message { seq: newest_seq, .. } => {
            newest_seq > seq || (newest_seq == seq && newest.decided_at > decided_at)
        }
        Notice::Withdraw { seq: newest_seq, .. } => newest_seq >= seq,
    }
}

fn decode(message: &Direct) -> Option<DeadPush> {
    match serde_json::from_slice(&message.payload) {
        Ok(dead) => Some(dead),
        Err(error) => {
            tracing::error!(push.dead.seq = message.seq, %error, "an entry of the stream PUSH_DEAD does not decode; leaving it out");
            None
        }
    }
}

//! The bucket `pushes`: what devices are to be told of conversations, or were.
//!
//! Every write is a compare-and-set, and what stands there only ever goes forward: whoever decides a message
//! again, or beside somebody else, finds that it was done. That is what keeps pushes from being doubled,
//! through any crash and with any number of processes.

use std::{collections::HashMap, time::Duration};

use async_nats::{
    Client,
    jetstream::{
        self, Context,
        context::PublishErrorKind,
        message::PublishMessage,
        stream::{LastRawMessageErrorKind, Stream},
    },
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use natterjack_nats::{
    Conversation, DeviceId, UserId,
    direct::{DirectError, lasts},
    subjects::kv as keys,
    topology::Bucket,
    wire::{Channel, Notice, PushJob},
};
use prometheus_client::metrics::counter::Counter;
use rand::RngExt as _;

/// Writes that wait for their ack at once: below the most that async-nats lets wait.
const IN_FLIGHT_MAX: usize = 1_000;
/// How often a write is tried again that somebody else was faster with.
const ROUNDS_MAX: usize = 12;
/// The longest pause before that, in milliseconds.
const PAUSE_MS_MAX: u64 = 50;
/// Entries that are read again from their leader at once.
const READS_MAX: usize = 64;

/// Why the bucket was not read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PushesError {
    /// A direct read failed.
    #[error("the bucket pushes: {0}")]
    Direct(#[from] DirectError),
    /// JetStream did not do it, or did not say so in time.
    #[error("the bucket pushes: {0}")]
    Bucket(String),
    /// Others kept writing the same entry.
    #[error("the bucket pushes: others kept writing the same entry; trying again")]
    Contended,
}

/// Which device is told of which conversation, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PushKey {
    /// By what.
    pub channel: Channel,
    /// Whose device.
    pub user: UserId,
    /// Which.
    pub device: DeviceId,
    /// Of which conversation.
    pub conversation: Conversation,
}

impl PushKey {
    fn subject(&self) -> String {
        let key = keys::push(self.channel, self.user, self.device, &self.conversation);
        keys::subject(Bucket::Pushes, &key)
    }

    fn parse(subject: &str) -> Option<Self> {
        let (channel, user, device, conversation) = keys::parse_push(keys::key(Bucket::Pushes, subject)?)?;
        Some(Self {
            channel,
            user,
            device,
            conversation,
        })
    }
}

/// What stands under a key.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// `None` if nothing does, or what an operator removed.
    pub job: Option<PushJob>,
    /// What the next write names as the last.
    pub revision: u64,
}

impl Told {
    fn of(payload: &[u8], revision: u64) -> Self {
        let job = (!payload.is_empty()).then(|| serde_json::from_slice(payload));
        let job = job.and_then(|decoded| {
            decoded.inspect_err(|error| {
                tracing::error!(pushes.revision = revision, %error, "an entry in the bucket pushes does not decode; taking it for none");
            }).ok()
        });
        Self { job, revision }
    }

    /// Up to which message the device was told; 0 if of none.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.job.as_ref().map_or(0, |job| job.notice.seq())
    }
}

/// A change of an entry: what is to stand there, if something is, given what does.
pub trait Change: Send + Sync {
    /// `None`: it stays as it is.
    fn apply(&self, told: &Told) -> Option<PushJob>;
}

impl<F: Fn(&Told) -> Option<PushJob> + Send + Sync> Change for F {
    fn apply(&self, told: &Told) -> Option<PushJob> {
        self(told)
    }
}

/// Hands a message over, unless the device was told of it or of a later one.
#[must_use]
pub fn tell(job: PushJob) -> impl Change {
    move |told: &Told| (told.job.is_none() || told.seq() < job.notice.seq()).then(|| job.clone())
}

/// The bucket; cheap to clone.
#[derive(Debug, Clone)]
pub struct Pushes {
    client: Client,
    context: Context,
    stream: Stream<()>,
    conflicts: Counter,
}

impl Pushes {
    /// Through this connection. `conflicts` counts writes that somebody else was faster with.
    ///
    /// # Errors
    /// The name of the stream is refused.
    pub async fn open(client: Client, conflicts: Counter) -> Result<Self, PushesError> {
        let context = jetstream::new(client.clone());
        let stream = context.get_stream_no_info(Bucket::Pushes.stream_name()).await;
        let stream = stream.map_err(|error| PushesError::Bucket(error.to_string()))?;
        Ok(Self {
            client,
            context,
            stream,
            conflicts,
        })
    }

    /// What the devices of these users were told of these conversations.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn told(
        &self,
        pairs: impl IntoIterator<Item = (UserId, Conversation)>,
    ) -> Result<HashMap<PushKey, Told>, PushesError> {
        let filter =
            |(user, conversation)| keys::subject(Bucket::Pushes, &keys::pushes_of(user, &conversation));
        let filters: Vec<String> = pairs.into_iter().map(filter).collect();
        let found = lasts(&self.client, &Bucket::Pushes.stream_name(), &filters).await?;
        let entries = found.iter().filter_map(|message| {
            let key = PushKey::parse(&message.subject)?;
            Some((key, Told::of(&message.payload, message.seq)))
        });
        Ok(entries.collect())
    }

    /// Makes changes, each to an entry as it was read; answers which of them were made, in their order. What
    /// somebody else was faster with is read anew and worked out again.
    ///
    /// # Errors
    /// NATS did not answer; each change may have been made or not, and making it again does no harm.
    pub async fn change<C: Change>(&self, changes: &[(PushKey, Told, C)]) -> Result<Vec<bool>, PushesError> {
        let mut made = vec![false; changes.len()];
        let mut open: Vec<(usize, Option<Told>)> = (0..changes.len()).map(|at| (at, None)).collect();
        for round in 0..ROUNDS_MAX {
            let mut lost = Vec::new();
            for part in open.chunks(IN_FLIGHT_MAX) {
                let mut acks = Vec::with_capacity(part.len());
                for (at, reread) in part {
                    let (key, told, change) = &changes[*at];
                    let told = reread.as_ref().unwrap_or(told);
                    if let Some(job) = change.apply(told) {
                        acks.push((*at, self.publish(key, &job, told.revision).await?));
                    }
                }
                for (at, ack) in acks {
                    match ack.await {
                        Ok(_) => made[at] = true,
                        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => lost.push(at),
                        Err(error) => return Err(PushesError::Bucket(error.to_string())),
                    }
                }
            }
            if lost.is_empty() {
                return Ok(made);
            }
            self.conflicts.inc_by(lost.len() as u64);
            if round > 0 {
                // The server also refuses while another write of the same entry is on its way.
                let pause_ms = rand::rng().random_range(1..=PAUSE_MS_MAX);
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
            let reads = lost.into_iter().map(|at| async move {
                let told = self.last(&changes[at].0).await?;
                Ok::<_, PushesError>((at, Some(told)))
            });
            open = stream::iter(reads)
                .buffer_unordered(READS_MAX)
                .try_collect()
                .await?;
        }
        Err(PushesError::Contended)
    }

    async fn publish(
        &self,
        key: &PushKey,
        job: &PushJob,
        revision: u64,
    ) -> Result<jetstream::context::PublishAckFuture, PushesError> {
        let failed = |error: &dyn std::fmt::Display| PushesError::Bucket(error.to_string());
        let payload = serde_json::to_vec(job).map_err(|error| failed(&error))?;
        let message = PublishMessage::build()
            .payload(payload.into())
            .expected_last_subject_sequence(revision);
        let ack = self.context.send_publish(key.subject(), message).await;
        ack.map_err(|error| failed(&error))
    }

    /// As the leader has it.
    async fn last(&self, key: &PushKey) -> Result<Told, PushesError> {
        match self.stream.get_last_raw_message_by_subject(&key.subject()).await {
            Ok(message) => Ok(Told::of(&message.payload, message.sequence)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(Told::default()),
            Err(error) => Err(PushesError::Bucket(error.to_string())),
        }
    }
}

/// A withdrawal of what was told up to a message, in place of a message.
#[must_use]
pub fn withdrawn(conversation: Conversation, seq: u64, badge: u32, now_ms: u64) -> PushJob {
    let notice = Notice::Withdraw {
        conversation,
        seq,
        badge,
    };
    PushJob::new(notice, now_ms)
}

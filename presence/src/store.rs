//! What is read from the buckets and written to them.

mod devices;
mod edges;

pub use edges::{expired, holding};

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use async_nats::{
    Client,
    jetstream::{
        self,
        context::PublishErrorKind,
        kv::{self, UpdateErrorKind},
        message::StreamMessage,
        stream::LastRawMessageErrorKind,
    },
};
use natterjack_nats::{
    DeviceId, EdgeId, UserId,
    direct::{self, Bounds, Direct, DirectError},
    headers, marker,
    subjects::kv as keys,
    topology::Bucket,
    wire::{DeviceSession, PresenceRecord, Privacy},
};

/// How long one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// Most entries of one page.
pub const PAGE_MAX: usize = 2_000;
const PAGE_BYTES_MAX: usize = 1 << 20;
/// How long something stands for a session that was taken out: no shorter time can be asked for.
const SWEPT_KEPT: Duration = Duration::from_secs(1);
/// The server takes no more subjects in one question for the last of each.
const SUBJECTS_MAX: usize = 1_024;

/// Why something was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A direct read failed.
    #[error(transparent)]
    Direct(#[from] DirectError),
    /// JetStream did not do it.
    #[error("the bucket {bucket}: {why}")]
    Bucket {
        /// Which.
        bucket: &'static str,
        /// In its own words.
        why: String,
    },
    /// The server that answers is behind the event that gave reason to look.
    #[error("the replica that answers is behind; trying again")]
    Behind,
    /// Others kept writing the same entry.
    #[error("others kept writing the same entry; trying again")]
    Contended,
}

/// A key in `sessions` with what stands there.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    /// Through which edge.
    pub edge: EdgeId,
    /// Whose.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// Its sequence in the stream.
    pub seq: u64,
    /// When it was stored, by the server's clock, Unix milliseconds.
    pub stored_ms: u64,
    /// The session; `None` if it ended.
    pub session: Option<DeviceSession>,
}

/// The buckets; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    context: jetstream::Context,
    presence: kv::Store,
    edges: kv::Store,
    devices: kv::Store,
}

impl Store {
    /// Opens them.
    ///
    /// # Errors
    /// NATS is away, or the cluster is not provisioned.
    pub async fn open(client: Client) -> Result<Self, StoreError> {
        let context = jetstream::new(client.clone());
        let open = async |bucket: Bucket| {
            let store = context.get_key_value(bucket.name()).await;
            store.map_err(|error| failed(bucket, &error))
        };
        Ok(Self {
            presence: open(Bucket::Presence).await?,
            edges: open(Bucket::Edges).await?,
            devices: open(Bucket::Devices).await?,
            client,
            context,
        })
    }

    /// A user's record and its revision, as the leader has it; the default and 0 if there is none.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn record(&self, user: UserId) -> Result<(PresenceRecord, u64), StoreError> {
        let found = self
            .last(&self.presence, Bucket::Presence, &user.to_string())
            .await?;
        Ok(found.map_or_else(
            || (PresenceRecord::default(), 0),
            |message| (record(&message.payload, user), message.sequence),
        ))
    }

    /// Writes a record over the one of this revision; `false` if that is not the last any more.
    ///
    /// # Errors
    /// NATS did not answer, and it may have been written.
    pub async fn write(
        &self,
        user: UserId,
        record: &PresenceRecord,
        revision: u64,
    ) -> Result<bool, StoreError> {
        let value = encode(record, Bucket::Presence)?;
        update(
            &self.presence,
            Bucket::Presence,
            &user.to_string(),
            value,
            revision,
        )
        .await
    }

    /// The records of many users, in the order asked for, with their revisions.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn records(&self, users: &[UserId]) -> Result<Vec<(PresenceRecord, u64)>, StoreError> {
        let mut found = HashMap::new();
        // A replica that is behind what its leader had stored when it was asked is asked again.
        let last = self.last_seq(Bucket::Presence).await?;
        for part in users.chunks(SUBJECTS_MAX) {
            let subjects: BTreeSet<String> = part
                .iter()
                .map(|user| keys::subject(Bucket::Presence, &user.to_string()))
                .collect();
            let subjects: Vec<String> = subjects.into_iter().collect();
            for message in self.last_of(Bucket::Presence, &subjects, last).await? {
                if let Some(Ok(user)) =
                    keys::key(Bucket::Presence, &message.subject).map(str::parse::<UserId>)
                {
                    found.insert(user, (record(&message.payload, user), message.seq));
                }
            }
        }
        let of = |user| found.get(user).copied().unwrap_or_default();
        Ok(users.iter().map(of).collect())
    }

    /// One page of all records, from a sequence on, and where the next one begins; `None` at the end.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn records_page(
        &self,
        from: u64,
    ) -> Result<(Vec<(UserId, PresenceRecord)>, Option<u64>), StoreError> {
        let all = keys::subject(Bucket::Presence, "*");
        let (messages, next) = self.page(Bucket::Presence, &all, from).await?;
        let records = messages.iter().filter_map(|message| {
            let user = keys::key(Bucket::Presence, &message.subject)?.parse().ok()?;
            Some((user, record(&message.payload, user)))
        });
        Ok((records.collect(), next))
    }

    /// The sessions of a user, those that ended among them, on a server that has seen the stream up to
    /// `seen_seq`.
    ///
    /// # Errors
    /// NATS did not answer, or only with less than that.
    pub async fn sessions_of(&self, user: UserId, seen_seq: u64) -> Result<Vec<Stored>, StoreError> {
        let filter = keys::subject(Bucket::Sessions, &keys::sessions_of_user(user));
        let found = self.last_of(Bucket::Sessions, &[filter], seen_seq).await?;
        Ok(found.iter().filter_map(stored).collect())
    }

    /// One page of the sessions of an edge, as [`Store::records_page`].
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn sessions_page(
        &self,
        edge: EdgeId,
        from: u64,
    ) -> Result<(Vec<Stored>, Option<u64>), StoreError> {
        let filter = keys::subject(Bucket::Sessions, &keys::sessions_of_edge(edge));
        let (messages, next) = self.page(Bucket::Sessions, &filter, from).await?;
        Ok((messages.iter().filter_map(stored).collect(), next))
    }

    /// One page of all sessions, as [`Store::records_page`].
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn sessions_page_of_all(&self, from: u64) -> Result<(Vec<Stored>, Option<u64>), StoreError> {
        let all = keys::subject(Bucket::Sessions, ">");
        let (messages, next) = self.page(Bucket::Sessions, &all, from).await?;
        Ok((messages.iter().filter_map(stored).collect(), next))
    }

    /// Takes a session out whose edge is gone, unless something newer than `seq` stands there. What takes its
    /// place says nothing to presence, and goes by itself.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn remove_session(
        &self,
        edge: EdgeId,
        user: UserId,
        device: DeviceId,
        seq: u64,
    ) -> Result<(), StoreError> {
        let subject = keys::subject(Bucket::Sessions, &keys::session(edge, user, device));
        let marker = marker::ended(SWEPT_KEPT)
            .header(headers::SWEPT, "1")
            .expected_last_subject_sequence(seq);
        let removed = async { self.context.send_publish(subject, marker).await?.await };
        match removed.await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(()),
            Err(error) => Err(failed(Bucket::Sessions, &error)),
        }
    }

    async fn last_seq(&self, bucket: Bucket) -> Result<u64, StoreError> {
        Ok(self.info(bucket).await?.1)
    }

    /// The last message of a key, as the leader has it.
    async fn last(
        &self,
        store: &kv::Store,
        bucket: Bucket,
        key: &str,
    ) -> Result<Option<StreamMessage>, StoreError> {
        let read = store
            .stream
            .get_last_raw_message_by_subject(&keys::subject(bucket, key))
            .await;
        match read {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(failed(bucket, &error)),
        }
    }

    /// The last message of each subject that a filter matches, on a server that has seen `seen_seq`.
    async fn last_of(
        &self,
        bucket: Bucket,
        filters: &[String],
        seen_seq: u64,
    ) -> Result<Vec<Direct>, StoreError> {
        let bounds = Bounds {
            messages: SUBJECTS_MAX,
            bytes: PAGE_BYTES_MAX,
            timeout: READ_TIMEOUT,
        };
        let stream = bucket.stream_name();
        let batch = direct::last_by_subject(&self.client, &stream, filters, bounds).await;
        match batch {
            Ok(batch) if batch.up_to.is_some_and(|seq| seq < seen_seq) => Err(StoreError::Behind),
            Ok(batch) => Ok(batch.messages),
            // They are read in their order instead.
            Err(DirectError::TooMany) => {
                let mut all = Vec::new();
                for filter in filters {
                    let mut from = Some(1);
                    while let Some(seq) = from {
                        let (messages, next) = self.page(bucket, filter, seq).await?;
                        all.extend(messages);
                        from = next;
                    }
                }
                Ok(all)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn page(
        &self,
        bucket: Bucket,
        filter: &str,
        from: u64,
    ) -> Result<(Vec<Direct>, Option<u64>), StoreError> {
        let bounds = Bounds {
            messages: PAGE_MAX,
            bytes: PAGE_BYTES_MAX,
            timeout: READ_TIMEOUT,
        };
        let batch =
            direct::next_by_subject(&self.client, &bucket.stream_name(), filter, from, bounds).await?;
        let next = batch
            .messages
            .last()
            .filter(|_| batch.more)
            .map(|last| last.seq + 1);
        Ok((batch.messages, next))
    }
}

/// A compare-and-set; `false` if the revision is not the last any more.
async fn update(
    store: &kv::Store,
    bucket: Bucket,
    key: &str,
    value: Vec<u8>,
    revision: u64,
) -> Result<bool, StoreError> {
    match store.update(key, value.into(), revision).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
        Err(error) => Err(failed(bucket, &error)),
    }
}

/// What does not parse counts as nothing and is written over; but hidden, since what it said of privacy,
/// perhaps in a newer form, is not known.
fn record(payload: &[u8], user: UserId) -> PresenceRecord {
    if payload.is_empty() {
        return PresenceRecord::default();
    }
    serde_json::from_slice(payload).unwrap_or_else(|error| {
        tracing::error!(%user, %error, "an entry in the bucket presence does not decode; taking it for none");
        PresenceRecord {
            privacy: Privacy::Nobody,
            ..PresenceRecord::default()
        }
    })
}

/// `None` for what is no session, or was taken out.
fn stored(message: &Direct) -> Option<Stored> {
    if message.headers.get(headers::SWEPT).is_some() {
        return None;
    }
    let key = keys::key(Bucket::Sessions, &message.subject)?;
    let (edge, user, device) = keys::parse_session(key)?;
    Some(Stored {
        edge,
        user,
        device,
        seq: message.seq,
        stored_ms: message.stored_at_ms(),
        session: session(&message.payload, key),
    })
}

/// The session that stands under a key; `None` if it ended.
pub fn session(payload: &[u8], key: &str) -> Option<DeviceSession> {
    if payload.is_empty() {
        return None;
    }
    let decoded = serde_json::from_slice(payload);
    if let Err(error) = &decoded {
        tracing::error!(session.key = key, %error, "an entry in the bucket sessions does not decode; taking it for none");
    }
    decoded.ok()
}

/// Unix milliseconds of nanoseconds.
pub fn unix_ms(nanos: i128) -> u64 {
    u64::try_from(nanos / 1_000_000).unwrap_or(0)
}

fn encode(value: &impl serde::Serialize, bucket: Bucket) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| failed(bucket, &error))
}

fn failed(bucket: Bucket, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Bucket {
        bucket: bucket.name(),
        why: error.to_string(),
    }
}

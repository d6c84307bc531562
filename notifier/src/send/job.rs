//! An entry of the bucket `pushes` that was delivered to be pushed.

use std::{sync::Arc, time::Instant};

use async_nats::jetstream;
use natterjack_nats::{
    Conversation, DeviceId, UserId,
    subjects::kv as keys,
    topology::Bucket,
    wire::{Channel, PushJob, PushRegistration},
};
use tokio::sync::OwnedSemaphorePermit;

/// Whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    /// The user.
    pub user: UserId,
    /// Which of the user's.
    pub device: DeviceId,
}

/// A delivered entry that is not settled yet.
#[derive(Debug)]
pub struct Delivered {
    /// What to answer.
    pub message: jetstream::Message,
    /// By what it goes.
    pub channel: Channel,
    /// To whom.
    pub device: Device,
    /// Of which conversation.
    pub conversation: Conversation,
    /// What the device is to be told.
    pub job: PushJob,
    /// The entry's place in the bucket's stream.
    pub revision: u64,
    /// How often it was delivered, the first time being 1: tried, or put off because its origin was paused.
    pub count: u32,
    /// When it came here.
    pub fetched: Instant,
    /// Its part of what may be held at once.
    _room: OwnedSemaphorePermit,
}

/// Why a message of the consumer is no job.
#[derive(Debug, PartialEq, Eq)]
pub enum NoJob {
    /// A mark that something was removed.
    Mark,
    /// What a push service has taken.
    Sent,
    /// Something that no notifier wrote.
    Unknown,
}

impl Delivered {
    /// What a consumer delivered.
    pub fn new(
        message: jetstream::Message,
        fetched: Instant,
        room: OwnedSemaphorePermit,
    ) -> Result<Self, Box<(jetstream::Message, NoJob)>> {
        let key = keys::key(Bucket::Pushes, &message.subject).and_then(keys::parse_push);
        let place = message.info().ok().map(|info| {
            let count = u32::try_from(info.delivered).unwrap_or(1).max(1);
            (info.stream_sequence, count)
        });
        let job = serde_json::from_slice::<PushJob>(&message.payload);
        match (key, place, job) {
            _ if message.payload.is_empty() => Err(Box::new((message, NoJob::Mark))),
            (_, _, Ok(job)) if job.sent_at.is_some() => Err(Box::new((message, NoJob::Sent))),
            (Some((channel, user, device, conversation)), Some((revision, count)), Ok(job)) => Ok(Self {
                message,
                channel,
                device: Device { user, device },
                conversation,
                job,
                revision,
                count,
                fetched,
                _room: room,
            }),
            _ => Err(Box::new((message, NoJob::Unknown))),
        }
    }

    /// The key in the bucket.
    pub fn key(&self) -> String {
        keys::push(
            self.channel,
            self.device.user,
            self.device.device,
            &self.conversation,
        )
    }
}

/// One that is to be sent.
#[derive(Debug)]
pub struct Ready {
    /// What.
    pub delivered: Delivered,
    /// Where to.
    pub registration: PushRegistration,
    /// Who answers there.
    pub origin: Arc<str>,
    /// When the registration was read.
    pub read: Instant,
    /// It waited for another push to the device, and the device may have moved meanwhile.
    pub queued: bool,
}

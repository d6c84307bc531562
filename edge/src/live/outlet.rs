//! The bounded queue from the live tail to one session.
//!
//! Nothing here waits: a frame that does not fit is dropped if it is ephemeral, and ends the
//! session as slow if it is a message. Nothing is lost by that, since the client resumes.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::Poll,
};

use axum::extract::ws::Utf8Bytes;
use futures::task::AtomicWaker;
use natterjack_nats::{Conversation, GroupId, wire::CloseCode};

use super::frame::{LiveMessage, Nudge};
use crate::{
    auth::Identity,
    metrics::{Count, EdgeMetrics},
};

/// Places that an empty queue keeps: most have one or two at a time, and most are empty.
const KEPT: usize = 4;

/// What reaches a session from the live tail, in order.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// A stored message.
    Message(Arc<LiveMessage>),
    /// A frame that nobody misses for long.
    Ephemeral(Utf8Bytes),
    /// The user is in this group from here on: what happened there before is to be caught up.
    Joined(GroupId),
    /// The user is no longer in this group: nothing of it goes to the session any more.
    Left(GroupId),
    /// The user was asked what has arrived: what the session misses it is to repair first.
    Nudge(Arc<Nudge>),
    /// Conversations that have messages up to these sequences at least.
    Heads(Arc<[(Conversation, u64)]>),
    /// Something that was offered did not fit, and now there is room.
    Room,
}

impl Delivery {
    /// Whether it may be left out under load. Of a nudge that is, the end is a push.
    const fn is_ephemeral(&self) -> bool {
        matches!(self, Self::Ephemeral(_) | Self::Nudge(_))
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Message(message) => message.frame.len(),
            Self::Ephemeral(frame) => frame.len(),
            Self::Nudge(nudge) => nudge.frame.len(),
            Self::Joined(_) | Self::Left(_) | Self::Heads(_) | Self::Room => 0,
        }
    }
}

/// How much may wait for one session.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Most frames.
    pub frames: usize,
    /// Most bytes.
    pub bytes: usize,
}

/// The end at which the live tail puts frames in; cheap to clone.
#[derive(Debug, Clone)]
pub struct Outlet(Arc<Shared>);

/// The end at which a session takes frames out.
#[derive(Debug)]
pub struct Inlet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    identity: Mutex<Option<Identity>>,
    queue: Mutex<Queue>,
    /// Woken when the queue is no longer empty, and when the session ends: not for every frame.
    waker: AtomicWaker,
    limits: QueueLimits,
    metrics: EdgeMetrics,
    end: OnceLock<CloseCode>,
}

/// A `VecDeque` rather than a channel: it costs nothing while it is empty, and is emptied at once.
#[derive(Debug, Default)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    /// Something that was offered did not fit.
    refused: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue for a session, or for somebody who only listens and has no identity.
#[must_use]
pub fn outlet(identity: Option<Identity>, limits: QueueLimits, metrics: EdgeMetrics) -> (Outlet, Inlet) {
    let shared = Arc::new(Shared {
        identity: Mutex::new(identity),
        queue: Mutex::default(),
        waker: AtomicWaker::new(),
        limits,
        metrics,
        end: OnceLock::new(),
    });
    (Outlet(Arc::clone(&shared)), Inlet(shared))
}

impl Outlet {
    /// Puts something in, without waiting.
    pub fn push(&self, delivery: Delivery) {
        let ephemeral = delivery.is_ephemeral();
        if self.fits(delivery, false) {
            return;
        }
        if ephemeral {
            self.0.metrics.live.count("dropped");
        } else {
            self.end(CloseCode::Slow);
        }
    }

    /// Puts in an ephemeral frame that can be made anew: whether it fitted. If not,
    /// [`Delivery::Room`] follows on what waits, and then there is room for it.
    pub fn offer(&self, frame: Utf8Bytes) -> bool {
        self.fits(Delivery::Ephemeral(frame), true)
    }

    fn fits(&self, delivery: Delivery, offered: bool) -> bool {
        let limits = &self.0.limits;
        let ephemeral = delivery.is_ephemeral();
        let size = delivery.bytes();
        // Ephemeral frames take the lower half only: they are the first to go.
        let (bytes_max, places_min) = if ephemeral {
            (limits.bytes / 2, limits.frames / 2)
        } else {
            (limits.bytes, 1)
        };
        let mut queue = self.0.queue();
        let places = limits.frames - queue.deliveries.len();
        // One message always fits, however large.
        let fits = queue.bytes + size <= bytes_max || (queue.bytes == 0 && !ephemeral);
        if fits && places >= places_min {
            let was_empty = queue.deliveries.is_empty();
            queue.bytes += size;
            self.0.metrics.queue_peak.saw(queue.bytes);
            queue.deliveries.push_back(delivery);
            drop(queue);
            if was_empty {
                self.0.waker.wake();
            }
            return true;
        }
        queue.refused |= offered;
        false
    }

    /// Ends the session; the first reason counts.
    pub fn end(&self, code: CloseCode) {
        if self.0.end.set(code).is_ok() {
            self.0.waker.wake();
        }
    }

    /// Whose session it is.
    pub(super) fn identity(&self) -> Option<Identity> {
        *self.0.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fresh token of the same user and device.
    pub fn renew(&self, identity: Identity) {
        *self.0.identity.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Inlet {
    /// Takes what is there, at most `max` of it and in order, once there is something.
    ///
    /// # Errors
    /// The session was ended from outside, for this reason.
    pub async fn recv_many(&mut self, into: &mut Vec<Delivery>, max: usize) -> Result<(), CloseCode> {
        poll_fn(|context| {
            // Before it is looked, so that nothing is missed in between.
            self.0.waker.register(context.waker());
            if let Some(code) = self.0.end.get() {
                return Poll::Ready(Err(*code));
            }
            if self.try_recv_many(into, max) == 0 {
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Takes what is there, at most `max` of it and in order; answers how many.
    pub fn try_recv_many(&mut self, into: &mut Vec<Delivery>, max: usize) -> usize {
        let mut queue = self.0.queue();
        let count = queue.deliveries.len().min(max);
        let taken = queue.deliveries.drain(..count);
        let mut bytes = 0;
        into.extend(taken.inspect(|delivery| bytes += delivery.bytes()));
        queue.bytes -= bytes;
        if queue.deliveries.is_empty() && queue.deliveries.capacity() > KEPT {
            queue.deliveries.shrink_to(KEPT);
        }
        // It was refused for what stood here, so that somebody is sure to come by and see this.
        let QueueLimits { frames, bytes } = self.0.limits;
        let has_room = queue.deliveries.len() <= frames / 4 && queue.bytes <= bytes / 4;
        if queue.refused && has_room {
            queue.refused = false;
            into.push(Delivery::Room);
            return count + 1;
        }
        count
    }

    /// How many deliveries wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.queue().deliveries.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Resolves once the session was ended from outside, with the reason.
    pub async fn ended(&mut self) -> CloseCode {
        poll_fn(|context| {
            self.0.waker.register(context.waker());
            self.0.end.get().map_or(Poll::Pending, |code| Poll::Ready(*code))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use natterjack_nats::{DeviceId, UserId, headers::Position};
    use natterjack_runtime::metrics::Metrics;

    use super::*;

    fn queue(frames: usize, bytes: usize) -> (Outlet, Inlet) {
        let identity = Identity {
            user: UserId::from_parts(1, 1),
            device: DeviceId::from_parts(1, 1),
            expires_at_ms: 0,
            issued_at_ms: 0,
        };
        let metrics = EdgeMetrics::register(&Metrics::new("edge"));
        outlet(Some(identity), QueueLimits { frames, bytes }, metrics)
    }

    fn message(bytes: usize) -> Delivery {
        Delivery::Message(Arc::new(LiveMessage {
            conversation: Conversation::User(UserId::from_parts(1, 1)),
            position: Position { seq: 1, prev: 0 },
            frame: "x".repeat(bytes).into(),
        }))
    }

    fn is_ended(outlet: &Outlet) -> bool {
        outlet.0.end.get().is_some()
    }

    fn take(inlet: &mut Inlet) -> usize {
        inlet.try_recv_many(&mut vec![], usize::MAX)
    }

    #[test]
    fn a_full_queue_drops_ephemeral_frames_and_ends_the_session_for_messages() {
        let (outlet, mut inlet) = queue(4, 1_000);
        for _ in 0..10 {
            outlet.push(Delivery::Ephemeral("typing".into()));
        }
        assert_eq!(inlet.len(), 3, "half of the queue is kept for messages");
        outlet.push(message(10));
        assert!(!is_ended(&outlet));
        outlet.push(message(10));
        assert!(is_ended(&outlet));
        assert_eq!(take(&mut inlet), 4);
        assert_eq!(outlet.0.queue().bytes, 0);
    }

    #[test]
    fn bytes_count_too_and_one_message_always_fits() {
        let (outlet, mut inlet) = queue(100, 1_000);
        outlet.push(message(5_000));
        assert!(!is_ended(&outlet));
        assert_eq!(take(&mut inlet), 1);
        outlet.push(message(600));
        outlet.push(message(600));
        assert!(is_ended(&outlet));
    }

    #[test]
    fn a_batch_is_bounded_and_an_empty_queue_is_small() {
        let (outlet, mut inlet) = queue(100, 1_000);
        for _ in 0..100 {
            outlet.push(message(1));
        }
        let mut taken = vec![];
        assert_eq!(inlet.try_recv_many(&mut taken, 30), 30);
        assert_eq!((inlet.len(), outlet.0.queue().bytes), (70, 70));
        assert_eq!(inlet.try_recv_many(&mut taken, 100), 70);
        assert!(outlet.0.queue().deliveries.capacity() <= 2 * KEPT);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_the_first_and_by_the_end() {
        let (outlet, mut inlet) = queue(8, 1_000);
        let waiting = tokio::spawn(async move {
            let mut taken = vec![];
            while inlet.recv_many(&mut taken, 8).await.is_ok() {}
            (taken.len(), inlet.ended().await)
        });
        for _ in 0..3 {
            tokio::task::yield_now().await;
            outlet.push(message(1));
        }
        while !outlet.0.queue().deliveries.is_empty() {
            tokio::task::yield_now().await;
        }
        outlet.end(CloseCode::Revoked);
        outlet.end(CloseCode::Slow);
        assert_eq!(waiting.await.expect("no panic"), (3, CloseCode::Revoked));
    }
}

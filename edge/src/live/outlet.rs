//! The bounded queue from the live tail to one session.
//!
//! Nothing here waits: a frame that does not fit is dropped if it is ephemeral, and ends the
//! session as slow if it is a message. Nothing is lost by that, since the client resumes.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use axum::extract::ws::Utf8Bytes;
use natterjack_nats::{Conversation, GroupId, wire::CloseCode};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::frame::LiveMessage;
use crate::{
    auth::Identity,
    metrics::{Count, EdgeMetrics},
};

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
    /// Conversations that have messages up to these sequences at least.
    Heads(Arc<[(Conversation, u64)]>),
}

impl Delivery {
    fn bytes(&self) -> usize {
        match self {
            Self::Message(message) => message.frame.len(),
            Self::Ephemeral(frame) => frame.len(),
            Self::Joined(_) | Self::Left(_) | Self::Heads(_) => 0,
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
pub struct Inlet {
    queue: mpsc::Receiver<Delivery>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    identity: Mutex<Option<Identity>>,
    queue: mpsc::Sender<Delivery>,
    limits: QueueLimits,
    bytes: AtomicUsize,
    metrics: EdgeMetrics,
    end: OnceLock<CloseCode>,
    ended: CancellationToken,
}

/// A queue for a session, or for somebody who only listens and has no identity.
#[must_use]
pub fn outlet(identity: Option<Identity>, limits: QueueLimits, metrics: EdgeMetrics) -> (Outlet, Inlet) {
    let (sender, receiver) = mpsc::channel(limits.frames);
    let shared = Arc::new(Shared {
        identity: Mutex::new(identity),
        queue: sender,
        limits,
        bytes: AtomicUsize::new(0),
        metrics,
        end: OnceLock::new(),
        ended: CancellationToken::new(),
    });
    let inlet = Inlet {
        queue: receiver,
        shared: Arc::clone(&shared),
    };
    (Outlet(shared), inlet)
}

impl Outlet {
    /// Puts something in, without waiting.
    pub fn push(&self, delivery: Delivery) {
        let Shared {
            queue,
            limits,
            bytes,
            metrics,
            ..
        } = &*self.0;
        let ephemeral = matches!(delivery, Delivery::Ephemeral(_));
        let size = delivery.bytes();
        // Ephemeral frames take the lower half only: they are the first to go.
        let (bytes_max, slots_min) = if ephemeral {
            (limits.bytes / 2, limits.frames / 2)
        } else {
            (limits.bytes, 0)
        };
        let before = bytes.fetch_add(size, Ordering::Relaxed);
        // One message always fits, however large.
        let fits = before + size <= bytes_max || (before == 0 && !ephemeral);
        let fits = fits && queue.capacity() >= slots_min;
        if fits && queue.try_send(delivery).is_ok() {
            return;
        }
        bytes.fetch_sub(size, Ordering::Relaxed);
        if ephemeral {
            metrics.live.count("dropped");
        } else {
            self.end(CloseCode::Slow);
        }
    }

    /// Ends the session; the first reason counts.
    pub fn end(&self, code: CloseCode) {
        if self.0.end.set(code).is_ok() {
            self.0.ended.cancel();
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
    /// The next delivery.
    pub async fn recv(&mut self) -> Option<Delivery> {
        let delivery = self.queue.recv().await?;
        Some(self.taken(delivery))
    }

    /// The next delivery, if one is there.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        let delivery = self.queue.try_recv().ok()?;
        Some(self.taken(delivery))
    }

    fn taken(&self, delivery: Delivery) -> Delivery {
        self.shared.bytes.fetch_sub(delivery.bytes(), Ordering::Relaxed);
        delivery
    }

    /// How many deliveries wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Resolves once the session was ended from outside, with the reason.
    pub fn ended(&self) -> impl Future<Output = CloseCode> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            shared.ended.cancelled().await;
            shared.end.get().copied().unwrap_or(CloseCode::Slow)
        }
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
        while inlet.try_recv().is_some() {}
        assert_eq!(outlet.0.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn bytes_count_too_and_one_message_always_fits() {
        let (outlet, mut inlet) = queue(100, 1_000);
        outlet.push(message(5_000));
        assert!(!is_ended(&outlet));
        assert!(inlet.try_recv().is_some());
        outlet.push(message(600));
        outlet.push(message(600));
        assert!(is_ended(&outlet));
    }
}

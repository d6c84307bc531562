//! One push, from its delivery to its end: whether it is still due, the attempt, and what follows.

mod ending;

use std::{
    borrow::Cow,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_nats::jetstream::AckKind;
use futures::{StreamExt as _, stream};
use natterjack_nats::{trace, wire::PushRegistration};
use natterjack_runtime::{
    server_time::ServerTime,
    trace::{SpanKind, Tracer},
};

use super::{
    answers::{Unsettled, answer, keeping, no_job},
    backoff,
    job::{Delivered, Ready},
    metrics::ChannelMetrics,
    origins::Verdict,
    seldom::{Seldom, SeldomEach},
    source::Fetched,
    store::Store,
    taken::Taken,
    verdict::{self, Due, Facts},
};
use crate::{
    outcome::Outcomes,
    push::{Outcome, Push, PushService, Scope},
    trace::Trace,
};

/// Longest that one attempt may take, whatever the service does; well below the consumer's ack wait.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
/// What was read of a push that waited for longer than this is read again.
const FRESH: Duration = Duration::from_millis(250);
/// Pushes that are settled at once without being tried.
const SETTLE_MAX: usize = 32;

/// What became of a batch before anything of it was tried.
#[derive(Debug, Default)]
pub struct Prepared {
    /// These are to be tried.
    pub ready: Vec<Ready>,
    /// These are not, and are to be settled.
    pub settled: Vec<(Delivered, Due)>,
}

/// What all pushes of one kind share.
pub struct Pusher<S> {
    /// Who sends.
    pub service: S,
    /// What is read and written.
    pub store: Store,
    /// How far users have read.
    pub outcomes: Outcomes,
    /// Where it is told what became of each.
    pub trace: Trace,
    /// What time it is.
    pub time: ServerTime,
    /// For how long a push is tried.
    pub ttl: Duration,
    /// What is counted.
    pub metrics: ChannelMetrics,
    /// For messages that are traced.
    pub tracer: Tracer,
    /// See [`Taken`].
    pub taken: Mutex<Taken>,
    /// When an operator was last told of an origin where something must be mended.
    pub misconfigured: SeldomEach,
    /// When it was last told that something was given up.
    pub given_up: Seldom,
}

impl<S: PushService> Pusher<S> {
    /// Finds out what is due of what was fetched, and what is not.
    pub async fn prepare(&self, fetched: Vec<Fetched>) -> Prepared {
        let mut pushes = Vec::with_capacity(fetched.len());
        for (message, at, room) in fetched {
            match Delivered::new(message, at, room) {
                Ok(push) if self.taken().has(&push) => self.taken_before(&push).await,
                Ok(push) => pushes.push(push),
                Err(refused) => no_job(&refused.0, &refused.1).await,
            }
        }
        // All of them may have been notes of what was sent.
        if pushes.is_empty() {
            return Prepared::default();
        }
        let read = Instant::now();
        let known = match self.store.known(&pushes).await {
            Ok(known) => known,
            Err(error) => {
                let error = Unsettled::Store(error);
                for push in &pushes {
                    self.failed(push, &error).await;
                }
                return Prepared::default();
            }
        };
        let mut prepared = Prepared::default();
        for push in pushes {
            let registration = known.registration(push.device).cloned();
            match (
                self.due(&push, registration.as_ref(), known.replaced(&push)),
                registration,
            ) {
                (Due::Send(_), Some(registration)) => {
                    prepared.ready.push(self.ready(push, registration, read));
                }
                (due, _) => prepared.settled.push((push, due)),
            }
        }
        prepared
    }

    /// Ends pushes that are not tried.
    pub async fn settle_all(&self, settled: Vec<(Delivered, Due)>) {
        let settle = |(push, due)| async move { self.settle(&push, due).await };
        stream::iter(settled)
            .for_each_concurrent(SETTLE_MAX, settle)
            .await;
    }

    /// Tries a push once, and does what follows.
    pub async fn attempt(&self, ready: Ready) -> Verdict {
        // It may have been delivered twice, as when NATS was away, and waited behind itself.
        if self.taken().has(&ready.delivered) {
            self.taken_before(&ready.delivered).await;
            return Verdict::Unknown;
        }
        let registration = match self.anew(&ready).await {
            // Its place at another origin it gets when it comes again.
            Ok(Some(registration)) if self.service.origin(&registration) != *ready.origin => {
                let after = backoff::pause(1, &mut rand::rng());
                self.put_off(&ready.delivered, "moved", after).await;
                return Verdict::Unknown;
            }
            Ok(Some(registration)) => registration,
            Ok(None) => return Verdict::Unknown,
            Err(error) => {
                self.failed(&ready.delivered, &error).await;
                return Verdict::Unknown;
            }
        };
        let push = &ready.delivered;
        // The last look: it costs nothing, and what was read a moment ago is not pushed any more.
        let ttl = match self.due(push, Some(&registration), false) {
            Due::Send(ttl) => ttl,
            due => {
                self.settle(push, due).await;
                return Verdict::Unknown;
            }
        };
        let parent = push.job.trace.as_deref().and_then(trace::parse);
        let span = self.tracer.follow(parent, "push.request", SpanKind::Client);
        span.note("push.channel", push.channel.as_str());
        let started = Instant::now();
        let attempt = self.service.push(Push {
            notice: &push.job.notice,
            registration: &registration,
            ttl,
        });
        let attempt = keeping(&push.message, push.fetched, span.run(attempt));
        let outcome = tokio::time::timeout(ATTEMPT_MAX, attempt).await;
        let outcome = outcome.unwrap_or_else(|_| Outcome::Later {
            after: None,
            scope: Scope::Origin,
            detail: format!("no answer within {} s", ATTEMPT_MAX.as_secs()),
        });
        self.metrics.took(started.elapsed());
        if !matches!(outcome, Outcome::Accepted { .. }) {
            span.failed("not_accepted");
        }
        drop(span);
        let rest = verdict::rest(&push.job, self.time.now_ms(), self.ttl);
        let (next, verdict) = verdict::next(&outcome, push.count, rest, &mut rand::rng());
        if let Err(error) = self.follow(push, &registration, &outcome, next).await {
            self.failed(push, &error).await;
        }
        verdict
    }

    /// Gives a push back for a while without having tried it.
    pub async fn put_off(&self, push: &Delivered, why: &'static str, after: Duration) {
        self.metrics.put_off(why);
        let rest = verdict::rest(&push.job, self.time.now_ms(), self.ttl);
        // At its end it comes once more, to be given up.
        let after = after.min(rest.max(Duration::from_secs(1)));
        answer(&push.message, AckKind::Nak(Some(after))).await;
    }

    /// Returns once all answers have left: a connection that is dropped takes those with it that have not.
    pub async fn flush(&self) {
        if let Err(error) = self.store.client().flush().await {
            tracing::debug!(%error, "the last answers did not leave");
        }
    }

    /// One that waited behind a later entry of its conversation.
    pub async fn replaced(&self, push: &Delivered) {
        let due = self.due(push, None, true);
        self.settle(push, due).await;
    }

    fn ready(&self, delivered: Delivered, registration: PushRegistration, read: Instant) -> Ready {
        Ready {
            origin: self.service.origin(&registration).into(),
            delivered,
            registration,
            read,
            queued: false,
        }
    }

    fn due(&self, push: &Delivered, registration: Option<&PushRegistration>, replaced: bool) -> Due {
        let reached = self.outcomes.reached(push.device.user, push.conversation);
        let facts = Facts {
            channel: push.channel,
            registration,
            replaced,
            read: reached.read,
            now_ms: self.time.now_ms(),
            ttl: self.ttl,
        };
        verdict::due(&push.job, facts)
    }

    /// Where a push goes, if it is due still; `None` if it was settled since it is not. What waited may have been
    /// replaced meanwhile, or its device logged out, or be the browser of somebody else by now: that is read again.
    async fn anew<'a>(&self, ready: &'a Ready) -> Result<Option<Cow<'a, PushRegistration>>, Unsettled> {
        if !ready.queued && ready.read.elapsed() <= FRESH {
            return Ok(Some(Cow::Borrowed(&ready.registration)));
        }
        let push = &ready.delivered;
        let replaced = self.store.is_replaced(push).await?;
        let registration = self.store.registration(push.device).await?;
        match self.due(push, registration.as_ref(), replaced) {
            Due::Send(_) => Ok(registration.map(Cow::Owned)),
            due => {
                self.settle(push, due).await;
                Ok(None)
            }
        }
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

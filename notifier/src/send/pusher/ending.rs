//! How a push ends: what is noted, what operators are told, and what the consumer is answered.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use natterjack_nats::wire::{Channel, DeadPush, Notice, PushOutcome, PushRegistration, PushTrace};

use super::Pusher;
use crate::{
    push::{Outcome, PushService},
    send::{
        answers::{Unsettled, answer, confirm},
        backoff,
        job::Delivered,
        verdict::{Due, Next},
    },
};

impl<S: PushService> Pusher<S> {
    /// Ends a push that is not tried, or tried no more.
    pub(super) async fn settle(&self, push: &Delivered, due: Due) {
        let settled = match due {
            Due::Send(_) => Ok(()),
            Due::Drop(why) => self.drop_it(push, why).await,
            Due::Read => self.read(push).await,
            Due::GiveUp(error) => self.give_up(push, &error).await,
        };
        if let Err(error) = settled {
            self.failed(push, &error).await;
        }
    }

    pub(super) async fn taken_before(&self, push: &Delivered) {
        let told = self.tell(
            push,
            PushOutcome::Accepted,
            "taken; NATS confirms it only now",
            None,
        );
        let settled = async {
            self.store.note_sent(push, self.time.now_ms()).await?;
            told.await?;
            answer(&push.message, AckKind::Ack).await;
            Ok(())
        };
        if let Err(error) = settled.await {
            self.failed(push, &error).await;
        }
    }

    async fn drop_it(&self, push: &Delivered, why: &str) -> Result<(), Unsettled> {
        self.metrics.outcome(PushOutcome::Dropped);
        // What is taken back is not worth a word where it cannot be: each that is read would cause one.
        if matches!(push.job.notice, Notice::Message { .. }) {
            self.tell(push, PushOutcome::Dropped, why, None).await?;
        }
        answer(&push.message, AckKind::Ack).await;
        Ok(())
    }

    async fn read(&self, push: &Delivered) -> Result<(), Unsettled> {
        self.metrics.outcome(PushOutcome::Dropped);
        let entry = PushTrace::Withdrawn {
            seq: push.job.notice.seq(),
            user: push.device.user,
            device: push.device.device,
            at: self.time.now_ms(),
            reason: "it was read before it was sent".into(),
        };
        self.trace.write(&push.conversation, &entry).await?;
        answer(&push.message, AckKind::Ack).await;
        Ok(())
    }

    /// Stores a push as a dead letter. One that takes something back just ends: nobody misses it.
    async fn give_up(&self, push: &Delivered, error: &str) -> Result<(), Unsettled> {
        if matches!(push.job.notice, Notice::Message { .. }) {
            let dead = DeadPush {
                channel: push.channel,
                user: push.device.user,
                device: push.device.device,
                job: push.job.clone(),
                given_up_at: self.time.now_ms(),
                attempts: push.count,
                error: error.to_owned(),
            };
            self.store.bury(&dead, push.revision).await?;
        }
        self.metrics.outcome(PushOutcome::GivenUp);
        if self.given_up.now() {
            tracing::warn!(
                push.channel = %push.channel,
                error,
                "a push was given up; `nats req svc.push.dead ''` lists all, `svc.push.replay` pushes them again"
            );
        }
        self.tell(push, PushOutcome::GivenUp, error, None).await?;
        confirm(self.store.client(), &push.message).await
    }

    pub(super) async fn follow(
        &self,
        push: &Delivered,
        registration: &PushRegistration,
        outcome: &Outcome,
        next: Next,
    ) -> Result<(), Unsettled> {
        let detail = outcome.detail();
        match next {
            Next::Accepted => {
                self.taken().note(push);
                self.metrics.outcome(PushOutcome::Accepted);
                // The note first: what follows a kill in between would be sent twice. With it, an ack that gets
                // lost does no harm.
                self.store.note_sent(push, self.time.now_ms()).await?;
                answer(&push.message, AckKind::Ack).await;
                self.tell(push, PushOutcome::Accepted, detail, None).await?;
            }
            Next::Unregister => {
                self.store.unregister(push.device, registration.id).await?;
                self.metrics.outcome(PushOutcome::Gone);
                self.tell(push, PushOutcome::Gone, detail, None).await?;
                let successor = self.store.registration(push.device).await?;
                let successor = successor.is_some_and(|new| self.serves(push.channel, &new));
                let kind = if successor {
                    AckKind::Nak(None)
                } else {
                    AckKind::Ack
                };
                answer(&push.message, kind).await;
            }
            Next::Again(after) => {
                if matches!(outcome, Outcome::Misconfigured { .. }) {
                    let origin = self.service.origin(registration);
                    if self.misconfigured.now(&origin) {
                        tracing::error!(push.channel = %push.channel, origin, "pushes are not taken: {detail}");
                    }
                }
                self.metrics.outcome(PushOutcome::Retry);
                answer(&push.message, AckKind::Nak(Some(after))).await;
                // It is answered: a trace that fails must not bring it back sooner than was asked for.
                if let Err(error) = self.tell(push, PushOutcome::Retry, detail, Some(after)).await {
                    self.metrics.failed();
                    tracing::debug!(%error, "an attempt that is repeated could not be traced");
                }
            }
            Next::GiveUp => self.give_up(push, detail).await?,
        }
        Ok(())
    }

    fn serves(&self, channel: Channel, registration: &PushRegistration) -> bool {
        registration.request.target.channel() == channel
    }

    /// Tells operators what became of an attempt.
    async fn tell(
        &self,
        push: &Delivered,
        outcome: PushOutcome,
        detail: &str,
        retry: Option<Duration>,
    ) -> Result<(), Unsettled> {
        let at = self.time.now_ms();
        let entry = PushTrace::Attempted {
            seq: push.job.notice.seq(),
            user: push.device.user,
            device: push.device.device,
            channel: push.channel,
            at,
            attempt: push.count,
            outcome,
            detail: detail.to_owned(),
            retry_at: retry.map(|after| at + u64::try_from(after.as_millis()).unwrap_or(0)),
        };
        Ok(self.trace.write(&push.conversation, &entry).await?)
    }

    /// Something of ours did not answer: the push comes again.
    pub(super) async fn failed(&self, push: &Delivered, error: &Unsettled) {
        self.metrics.failed();
        tracing::debug!(push.channel = %push.channel, %error, "a push could not be settled; it comes again");
        let after = backoff::pause(push.count, &mut rand::rng());
        answer(&push.message, AckKind::Nak(Some(after))).await;
    }
}

//! Decides batches of texts, and settles them.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use async_nats::Client;
use natterjack_nats::{Conversation, Shards, UserId, trace, wire::PushPreview};
use natterjack_runtime::{
    health::Health,
    server_time::ServerTime,
    trace::{Span, SpanKind, Tracer},
};

use super::{
    handover::Failure,
    look::{Look, Text},
    metrics::DecideMetrics,
    people::People,
    verdict::Moment,
};
use crate::{
    outcome::Outcomes,
    pushes::Pushes,
    source::Delivered,
    takeback::{Over, Takeback},
    trace::Trace,
};

/// The check that fails while the persister does not tell who is in a conversation.
const CHECK: &str = "persister";

/// What deciding takes; cheap to clone.
#[derive(Clone)]
pub struct Decider {
    /// For what is read in bulk.
    pub client: Client,
    /// The shards.
    pub shards: Shards,
    /// What became of messages.
    pub outcomes: Outcomes,
    /// What devices were told.
    pub pushes: Pushes,
    /// Who is in a conversation.
    pub people: People,
    /// Who is told why.
    pub trace: Trace,
    /// For what is read or deleted meanwhile.
    pub takeback: Takeback,
    /// The time.
    pub time: ServerTime,
    /// Counters.
    pub metrics: DecideMetrics,
    /// For messages that are traced.
    pub tracer: Tracer,
    /// The checks.
    pub health: Health,
    /// How long a device in the foreground has, in milliseconds.
    pub grace_ms: u64,
    /// From which age on nothing is pushed, in milliseconds.
    pub ttl_ms: u64,
    /// The most that a push says.
    pub preview: PushPreview,
}

/// A message that was deleted, as a deletion tells that is due.
#[derive(Debug)]
pub struct Deletion {
    /// From the consumer.
    pub delivered: Delivered,
    /// Where.
    pub conversation: Conversation,
    /// Which.
    pub target: u64,
}

impl Decider {
    /// Decides texts that are due, all of one shard, and settles them: those that could not be decided, and
    /// those that are looked at once more, come again. `false` if something was away that deciding needs.
    pub async fn decide(&self, texts: Vec<Text>) -> bool {
        let started = Instant::now();
        if let Err(error) = self.outcomes.know_all_before(started).await {
            let texts = texts.into_iter().map(|text| text.delivered).collect();
            self.failed(texts, &error.into()).await;
            return false;
        }
        let mut looks: Vec<Look> = texts
            .into_iter()
            .map(|text| {
                let (moment, span) = (self.moment(&text), self.span(&text.delivered));
                Look::new(text, moment, span)
            })
            .collect();
        let mut open = self.recipients(&mut looks).await;
        let mut stuck = BTreeSet::new();
        let mut failure: Option<Failure> = None;
        match open.stuck.take() {
            None if open.asked => self.health.set(CHECK, Ok(())),
            None => {}
            Some((those, error)) => {
                self.health.set(
                    CHECK,
                    Err(format!(
                        "{error}; nothing that is not confirmed is pushed meanwhile"
                    )),
                );
                stuck.extend(those);
                failure = Some(error.into());
            }
        }
        let mut concerned: BTreeSet<usize> = open.candidates.iter().map(|candidate| candidate.look).collect();
        concerned.extend(looks.iter().enumerate().filter_map(|(at, look)| {
            let any = open
                .over
                .keys()
                .any(|(_, conversation)| *conversation == look.text.conversation);
            any.then_some(at)
        }));
        if !concerned.is_empty()
            && let Err(error) = self.hand_over(&mut looks, open).await
        {
            stuck.extend(concerned);
            failure = Some(error);
        }
        let (mut done, mut again) = (Vec::new(), Vec::new());
        for (at, look) in looks.into_iter().enumerate() {
            if stuck.contains(&at) {
                again.push(look.text.delivered);
            } else {
                done.push(look);
            }
        }
        if let Some(failure) = &failure {
            self.failed(again, failure).await;
        }
        let settled = self.settle(done).await;
        self.metrics.took(started.elapsed());
        settled && failure.is_none()
    }

    fn span(&self, delivered: &Delivered) -> Span {
        if !self.tracer.is_on() {
            return Span::none();
        }
        let parent = trace::of(delivered.message.headers.as_ref());
        let span = self.tracer.follow(parent, "push.decide", SpanKind::Consumer);
        span.note("messaging.system", "nats");
        span.note("natterjack.seq", i64::try_from(delivered.seq).unwrap_or(i64::MAX));
        span
    }

    fn moment(&self, text: &Text) -> Moment {
        let age_ms = self.time.now_ms().saturating_sub(text.delivered.stored_ms);
        if text.delivered.times == 1 {
            self.metrics.late(age_ms.saturating_sub(self.grace_ms));
        }
        Moment {
            age_ms,
            grace_ms: self.grace_ms,
            ttl_ms: self.ttl_ms,
        }
    }

    /// Tells why, then acks: what is not traced comes again, and the answer is `false`.
    async fn settle(&self, looks: Vec<Look>) -> bool {
        let traces: Vec<_> = looks
            .iter()
            .flat_map(|look| {
                let conversation = look.text.conversation;
                look.traces().into_iter().map(move |trace| (conversation, trace))
            })
            .collect();
        if let Err(error) = self.trace.write_all(&traces).await {
            tracing::debug!(%error, "texts come again");
            self.metrics.failed("trace", looks.len());
            for look in looks {
                look.text.delivered.failed().await;
            }
            return false;
        }
        for look in looks {
            self.metrics.texts.inc();
            for (reason, users) in look.counts() {
                self.metrics.verdict(reason, users);
            }
            if look.again {
                self.metrics.put_offs.inc();
                let due_ms = look.text.delivered.stored_ms + 2 * self.grace_ms;
                let rest = Duration::from_millis(due_ms.saturating_sub(self.time.now_ms()).max(1));
                look.text.delivered.later(rest).await;
            } else {
                look.text.delivered.done().await;
            }
        }
        true
    }

    /// Takes back what was told of messages that were deleted.
    pub async fn take_back_deleted(&self, deletions: Vec<Deletion>) {
        let result = async {
            let groups: BTreeSet<Conversation> = deletions
                .iter()
                .map(|deletion| deletion.conversation)
                .filter(|conversation| matches!(conversation, Conversation::Group(_)))
                .collect();
            let groups: Vec<Conversation> = groups.into_iter().collect();
            let audiences = self.people.audiences(&groups).await?;
            let mut over: HashMap<(UserId, Conversation), Over> = HashMap::new();
            for Deletion {
                conversation, target, ..
            } in &deletions
            {
                let users: Vec<UserId> = match conversation {
                    Conversation::Dm(dm) => vec![dm.low(), dm.high()],
                    Conversation::User(user) => vec![*user],
                    Conversation::Group(_) => {
                        let members = audiences.get(conversation).map(|audience| &audience.members);
                        members
                            .into_iter()
                            .flatten()
                            .map(|listener| listener.user)
                            .collect()
                    }
                };
                for user in users {
                    let over = over.entry((user, *conversation)).or_default();
                    over.deleted.insert(*target);
                }
            }
            self.takeback.take_back(&over).await?;
            Ok::<_, Failure>(())
        };
        let result = result.await;
        let delivered = deletions.into_iter().map(|deletion| deletion.delivered);
        match result {
            Ok(()) => {
                for delivered in delivered {
                    delivered.done().await;
                }
            }
            Err(error) => self.failed(delivered.collect(), &error).await,
        }
    }

    async fn failed(&self, messages: Vec<Delivered>, failure: &Failure) {
        tracing::debug!(error = %failure, messages = messages.len(), "messages come again");
        self.metrics.failed(failure.what(), messages.len());
        for message in messages {
            message.failed().await;
        }
    }
}

//! Hands over what is to be pushed: reads the devices, decides, and writes to `pushes`.

use std::collections::{BTreeSet, HashMap};

use natterjack_nats::{
    Conversation, DeviceId, UserId,
    direct::DirectError,
    subjects::live,
    trace,
    wire::{PushJob, PushReason, ServerFrame, WireError},
};

use super::{
    Decider,
    changes::Changes,
    devices::{Devices, devices},
    look::{Candidate, Look},
    notice::{Shown, notice},
    recipients::{AudiencesOf, Open, OverOf},
    verdict::{Decision, Target, decide},
};
use crate::{
    outcome::OutcomeError,
    pushes::{PushKey, PushesError, Told, tell},
    takeback::{Over, TakebackError},
};

/// Why texts could not be decided; they come again.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The receipts.
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
    /// The devices, the sessions, or what followed.
    #[error("devices cannot be read: {0}")]
    Read(#[from] DirectError),
    /// What was told.
    #[error(transparent)]
    Pushes(#[from] PushesError),
    /// What was to be taken back.
    #[error(transparent)]
    Takeback(#[from] TakebackError),
    /// The persister.
    #[error("the persister does not answer: {0}")]
    People(#[from] WireError),
}

impl Failure {
    /// For the metric.
    pub const fn what(&self) -> &'static str {
        match self {
            Self::Outcome(_) => "receipts",
            Self::Read(_) => "devices",
            Self::Pushes(_) => "pushes",
            Self::Takeback(_) => "takeback",
            Self::People(_) => "persister",
        }
    }
}

/// A candidate with what was decided.
struct Decided {
    candidate: Candidate,
    decision: Decision,
    /// The devices that were told.
    told: Vec<DeviceId>,
}

impl Decider {
    /// Decides what is open, and does it.
    ///
    /// # Errors
    /// NATS or the persister did not answer; doing it again does no harm.
    pub async fn hand_over(&self, looks: &mut [Look], mut open: Open) -> Result<(), Failure> {
        let mut over = std::mem::take(&mut open.over);
        let changes = self.changes(looks, &open.candidates).await?;
        let mut candidates = Vec::with_capacity(open.candidates.len());
        for candidate in std::mem::take(&mut open.candidates) {
            let look = &mut looks[candidate.look];
            if changes.deleted(look.text.conversation, look.seq()) {
                look.conclude(candidate.user, PushReason::Deleted, &[]);
            } else {
                candidates.push(candidate);
            }
        }
        let users: BTreeSet<UserId> = candidates.iter().map(|candidate| candidate.user).collect();
        let users: Vec<UserId> = users.into_iter().collect();
        let devices = devices(&self.client, &users).await?;
        let told = self.told(looks, &candidates, &devices).await?;
        let mut decided: Vec<Decided> = candidates
            .into_iter()
            .map(|candidate| {
                let look = &looks[candidate.look];
                let decision = decide_one(look, &candidate, devices.get(&candidate.user), &told);
                Decided {
                    candidate,
                    decision,
                    told: Vec::new(),
                }
            })
            .collect();
        self.nudge(looks, &decided).await;
        self.write(looks, &mut decided, &devices, &told, (&open.audiences, &changes))
            .await?;
        self.recheck(looks, &decided, &mut over).await?;
        for Decided {
            candidate,
            decision,
            told,
        } in decided
        {
            let look = &mut looks[candidate.look];
            look.again |= decision.again;
            // A later message of the same batch, or somebody else, was told instead.
            let overtaken = decision.reason == PushReason::Unconfirmed && told.is_empty();
            let reason = if overtaken {
                PushReason::Queued
            } else {
                decision.reason
            };
            look.conclude(candidate.user, reason, &told);
        }
        Ok(())
    }

    async fn changes(&self, looks: &[Look], candidates: &[Candidate]) -> Result<Changes, DirectError> {
        let mut firsts: HashMap<Conversation, u64> = HashMap::new();
        for look in candidates.iter().map(|candidate| &looks[candidate.look]) {
            let first = firsts.entry(look.text.conversation).or_insert(u64::MAX);
            *first = (*first).min(look.seq());
        }
        Changes::read(&self.client, self.shards, &firsts).await
    }

    async fn told(
        &self,
        looks: &[Look],
        candidates: &[Candidate],
        devices: &HashMap<UserId, Devices>,
    ) -> Result<HashMap<PushKey, Told>, PushesError> {
        let registered = candidates.iter().filter(|candidate| {
            let devices = devices.get(&candidate.user);
            devices.is_some_and(|devices| !devices.registered.is_empty())
        });
        let pairs: BTreeSet<(UserId, Conversation)> = registered
            .map(|candidate| (candidate.user, looks[candidate.look].text.conversation))
            .collect();
        self.pushes.told(pairs).await
    }

    /// One nudge a user and conversation, to the last message that they lack.
    async fn nudge(&self, looks: &[Look], decided: &[Decided]) {
        let mut heads: HashMap<(UserId, Conversation), u64> = HashMap::new();
        for Decided { candidate, .. } in decided.iter().filter(|decided| decided.decision.nudge) {
            let look = &looks[candidate.look];
            let head = heads.entry((candidate.user, look.text.conversation)).or_default();
            *head = (*head).max(look.seq());
        }
        for ((user, conversation), head) in heads {
            let frame = ServerFrame::Nudge { conversation, head };
            let Ok(payload) = serde_json::to_vec(&frame) else {
                continue;
            };
            let subject = live::subject(&Conversation::User(user));
            // Ephemeral: who misses it is pushed.
            if self.client.publish(subject, payload.into()).await.is_ok() {
                self.metrics.nudges.inc();
            }
        }
    }

    async fn write(
        &self,
        looks: &[Look],
        decided: &mut [Decided],
        devices: &HashMap<UserId, Devices>,
        told: &HashMap<PushKey, Told>,
        (audiences, changes): (&AudiencesOf, &Changes),
    ) -> Result<(), Failure> {
        // Of several messages of a conversation, a device is told of the last.
        let mut planned: HashMap<PushKey, usize> = HashMap::new();
        for (
            at,
            Decided {
                candidate, decision, ..
            },
        ) in decided.iter().enumerate()
        {
            let registered = devices.get(&candidate.user).map(|devices| &devices.registered);
            for (device, channel) in registered.into_iter().flatten() {
                if !decision.push.contains(device) {
                    continue;
                }
                let key = PushKey {
                    channel: *channel,
                    user: candidate.user,
                    device: *device,
                    conversation: looks[candidate.look].text.conversation,
                };
                let last = planned.entry(key).or_insert(at);
                if looks[decided[*last].candidate.look].seq() < looks[candidate.look].seq() {
                    *last = at;
                }
            }
        }
        if planned.is_empty() {
            return Ok(());
        }
        let users: BTreeSet<UserId> = planned.keys().map(|key| key.user).collect();
        let users: Vec<UserId> = users.into_iter().collect();
        let (badges, names) = tokio::try_join!(
            self.people.badges(&users),
            self.names(
                looks,
                planned.values().map(|at| &decided[*at].candidate),
                audiences
            ),
        )?;
        let now_ms = self.time.now_ms();
        let jobs: Vec<_> = planned
            .into_iter()
            .map(|(key, at)| {
                let candidate = &decided[at].candidate;
                let look = &looks[candidate.look];
                let (conversation, stored) = (look.text.conversation, &look.text.stored);
                let audience = audiences.get(&conversation);
                let shown = Shown {
                    conversation,
                    seq: look.seq(),
                    id: stored.id,
                    sent_at: stored.sent_at,
                    text: changes
                        .edited(conversation, look.seq())
                        .or(stored.text.as_deref())
                        .unwrap_or_default(),
                    sender: names.get(&stored.sender).map(String::as_str),
                    title: audience.and_then(|audience| audience.title.as_deref()),
                };
                // This one at least is unread, also where the persister has not counted it yet, or counts no muted ones.
                let badge = badges.get(&key.user).copied().unwrap_or(0).max(1);
                let notice = notice(&shown, candidate.preview, badge, candidate.mention);
                let mut job = PushJob::new(notice, now_ms);
                job.trace = look.span.remote().as_ref().map(trace::format);
                (at, (key, told.get(&key).cloned().unwrap_or_default(), tell(job)))
            })
            .collect();
        let (places, jobs): (Vec<usize>, Vec<_>) = jobs.into_iter().unzip();
        let made = self.pushes.change(&jobs).await?;
        for ((at, (key, ..)), _) in places.into_iter().zip(&jobs).zip(made).filter(|(_, made)| *made) {
            decided[at].told.push(key.device);
            self.metrics.handed_over.inc();
        }
        Ok(())
    }

    /// The names of those who sent what is handed over; who left is asked for.
    async fn names<'a>(
        &self,
        looks: &[Look],
        candidates: impl Iterator<Item = &'a Candidate>,
        audiences: &AudiencesOf,
    ) -> Result<HashMap<UserId, String>, WireError> {
        let mut names = HashMap::new();
        let mut missing = BTreeSet::new();
        for look in candidates.map(|candidate| &looks[candidate.look]) {
            let sender = look.text.stored.sender;
            if names.contains_key(&sender) {
                continue;
            }
            let members = audiences
                .get(&look.text.conversation)
                .map(|audience| &audience.members);
            let found = members
                .into_iter()
                .flatten()
                .find(|listener| listener.user == sender);
            match found {
                Some(listener) => {
                    names.insert(sender, listener.name.clone());
                }
                None => {
                    missing.insert(sender);
                }
            }
        }
        let missing: Vec<UserId> = missing
            .into_iter()
            .filter(|user| !names.contains_key(user))
            .collect();
        names.extend(self.people.names(&missing).await?);
        Ok(names)
    }

    /// Takes back what was read while it was handed over: whoever withdraws for a receipt may have looked
    /// before it was.
    async fn recheck(&self, looks: &[Look], decided: &[Decided], over: &mut OverOf) -> Result<(), Failure> {
        let told: Vec<_> = decided
            .iter()
            .filter(|decided| !decided.told.is_empty())
            .map(|decided| {
                let look = &looks[decided.candidate.look];
                (decided.candidate.user, look.text.conversation, look.seq())
            })
            .collect();
        if !told.is_empty() {
            self.outcomes.know_all_before(std::time::Instant::now()).await?;
        }
        // Another process may have treated a deletion before there was anything to take back.
        let firsts = told.iter().map(|(_, conversation, seq)| (*conversation, *seq));
        let mut since: HashMap<Conversation, u64> = HashMap::new();
        for (conversation, seq) in firsts {
            let first = since.entry(conversation).or_insert(seq);
            *first = (*first).min(seq);
        }
        let changes = Changes::read(&self.client, self.shards, &since).await?;
        for (user, conversation, seq) in told {
            let read = self.outcomes.reached(user, conversation).read;
            if read >= seq {
                over.insert((user, conversation), Over::read(read));
            } else if changes.deleted(conversation, seq) {
                let over = over.entry((user, conversation)).or_default();
                over.deleted.insert(seq);
            }
        }
        if !over.is_empty() {
            self.takeback.take_back(over).await?;
        }
        Ok(())
    }
}

fn decide_one(
    look: &Look,
    candidate: &Candidate,
    devices: Option<&Devices>,
    told: &HashMap<PushKey, Told>,
) -> Decision {
    let nothing = Devices::default();
    let devices = devices.unwrap_or(&nothing);
    let targets: Vec<Target> = devices
        .registered
        .iter()
        .map(|(device, _)| {
            // By whichever channel: a device that has changed it was told all the same.
            let seqs = natterjack_nats::wire::Channel::ALL.iter().map(|channel| {
                let key = PushKey {
                    channel: *channel,
                    user: candidate.user,
                    device: *device,
                    conversation: look.text.conversation,
                };
                told.get(&key).map_or(0, Told::seq)
            });
            Target {
                device: *device,
                active: devices.active.contains(device),
                told: seqs.max().unwrap_or(0) >= look.seq(),
            }
        })
        .collect();
    let sessions = (devices.connected, !devices.active.is_empty());
    decide(&candidate.standing, look.moment, sessions, &targets)
}

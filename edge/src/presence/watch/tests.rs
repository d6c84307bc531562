//! The map without a server: whatever the order of things, nobody is told what is hidden from them, and
//! everybody ends with the newest state.

mod any_order;
mod measure;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use natterjack_nats::{
    UserId,
    services::presence::Known,
    subjects,
    wire::{PresenceRecord, PresenceState, Privacy, ServerFrame, ShownState, UserPresence},
};
use natterjack_runtime::metrics::Metrics;

use super::{related::REFRESH_MS, state::State, *};
use crate::live::{Delivery, Inlet, Outlet, QueueLimits, outlet};

/// Writes down what is subscribed to.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<(u64, BTreeMap<u64, u16>)>>);

impl Buckets for Log {
    fn subscribe(&self, bucket: u16) -> Heard {
        let mut log = self.0.lock().expect("no panic");
        log.0 += 1;
        let ticket = log.0;
        log.1.insert(ticket, bucket);
        Heard {
            subscription: ticket,
            ticket,
        }
    }

    fn unsubscribe(&self, heard: Heard) {
        let gone = self.0.lock().expect("no panic").1.remove(&heard.subscription);
        assert!(gone.is_some(), "it was subscribed");
    }
}

impl Log {
    fn buckets(&self) -> BTreeSet<u16> {
        let log = self.0.lock().expect("no panic");
        let buckets: BTreeSet<_> = log.1.values().copied().collect();
        assert_eq!(buckets.len(), log.1.len(), "each once");
        buckets
    }
}

fn map() -> (State, Log) {
    let log = Log::default();
    (State::new(Box::new(log.clone())), log)
}

/// A session as its client sees it.
struct Client {
    user: UserId,
    outlet: Outlet,
    inlet: Inlet,
    key: Option<Key>,
    /// What it was told last of each whom it watches.
    told: BTreeMap<UserId, UserPresence>,
    answers: Vec<String>,
}

impl Client {
    fn new(user: UserId, frames: usize) -> Self {
        let limits = QueueLimits {
            frames,
            bytes: 1 << 20,
        };
        let (outlet, inlet) = outlet(None, limits, EdgeMetrics::register(&Metrics::new("edge")));
        Self {
            user,
            outlet,
            inlet,
            key: None,
            told: BTreeMap::new(),
            answers: vec![],
        }
    }

    /// Watches these, of whom `known` is what presence answers, or does not.
    fn watch(&mut self, state: &mut State, users: &[UserId], known: impl Fn(UserId) -> Known) {
        let prepared = state
            .prepare(self.user, self.outlet.clone(), users.to_vec())
            .expect("room");
        let known = prepared.unknown.into_iter().map(known).collect();
        state.learn_all(known, prepared.epoch);
        let old = self.key.replace(prepared.key);
        state.answer(prepared.key, old, "w");
    }

    /// Reads all that is there, and lets what did not fit follow; answers what it was told now.
    fn read(&mut self, state: &mut State) -> Vec<UserPresence> {
        let (mut deliveries, mut all) = (vec![], vec![]);
        while self.inlet.try_recv_many(&mut deliveries, usize::MAX) > 0 {
            for delivery in deliveries.drain(..) {
                match delivery {
                    Delivery::Ephemeral(text) => {
                        let frame = serde_json::from_str(&text).expect("a frame");
                        let ServerFrame::Presence { id, users } = frame else {
                            panic!("{frame:?}");
                        };
                        if let Some(id) = id {
                            self.answers.push(id);
                            self.told.clear();
                        }
                        all.extend_from_slice(&users);
                        self.told.extend(users.into_iter().map(|one| (one.user, one)));
                    }
                    Delivery::Room => self.key.into_iter().for_each(|key| state.catch_up(key)),
                    _ => {}
                }
            }
        }
        all
    }

    fn state(&self, user: UserId) -> Option<ShownState> {
        self.told.get(&user).map(|told| told.state)
    }
}

fn user(n: u64) -> UserId {
    UserId::from_parts(n, u128::from(n))
}

fn record(state: PresenceState, privacy: Privacy) -> PresenceRecord {
    PresenceRecord {
        state,
        privacy,
        ..PresenceRecord::default()
    }
}

/// Nobody was ever there.
fn nothing(user: UserId) -> Known {
    Known {
        user,
        revision: 0,
        record: PresenceRecord::default(),
    }
}

const ONLINE: PresenceState = PresenceState::Online;
const AWAY: PresenceState = PresenceState::Away;

#[test]
fn a_list_is_answered_once_in_full_and_then_by_what_changes() {
    let (mut state, log) = map();
    let mut me = Client::new(user(1), 64);
    me.watch(&mut state, &[user(3), user(2), user(3), user(1)], nothing);
    let told = me.read(&mut state);
    let all: Vec<_> = told.iter().map(|one| one.user).collect();
    assert_eq!(all, [user(1), user(2), user(3)], "each once, oneself too");
    assert_eq!(me.answers, ["w"]);
    assert_eq!(state.learn(user(2), 5, record(ONLINE, Privacy::Everyone)), 1);
    assert_eq!(
        state.learn(user(2), 4, record(AWAY, Privacy::Everyone)),
        0,
        "older"
    );
    assert_eq!(
        state.learn(user(9), 6, record(ONLINE, Privacy::Everyone)),
        0,
        "not watched"
    );
    assert_eq!(
        state.learn(user(2), 7, record(ONLINE, Privacy::Everyone)),
        0,
        "looks the same"
    );
    assert_eq!(me.read(&mut state).len(), 1);
    assert_eq!(me.state(user(2)), Some(ShownState::Online));

    // Another list: what is known need not be asked for.
    let prepared = state.prepare(me.user, me.outlet.clone(), vec![user(2), user(4)]);
    let prepared = prepared.expect("room");
    assert_eq!(prepared.unknown, [user(4)]);
    // Until it is answered, the old one counts; and if it never is, goes on to count.
    state.learn(user(3), 8, record(ONLINE, Privacy::Everyone));
    assert_eq!(me.read(&mut state).len(), 1);
    state.leave(prepared.key);
    state.learn(user(3), 9, record(AWAY, Privacy::Everyone));
    assert_eq!(me.read(&mut state).len(), 1);
    assert_eq!(
        log.buckets(),
        BTreeSet::from([1, 2, 3].map(|n| subjects::presence::bucket(user(n))))
    );

    me.watch(&mut state, &[], nothing);
    assert_eq!((state.len(), log.buckets().len()), ((0, 0), 0));
    assert!(me.read(&mut state).is_empty());
    assert_eq!((me.answers.len(), me.told.len()), (2, 0));
}

#[test]
fn a_change_is_encoded_once_for_all_who_see_the_same() {
    let (mut state, _) = map();
    let mut clients: Vec<_> = (10..20).map(|n| Client::new(user(n), 64)).collect();
    for client in &mut clients {
        client.watch(&mut state, &[user(1)], nothing);
        client.read(&mut state);
    }
    // One of them hides, and sees nobody.
    state.learn(user(10), 1, record(ONLINE, Privacy::Nobody));
    clients[0].read(&mut state);
    assert_eq!(clients[0].state(user(1)), Some(ShownState::Hidden));
    assert_eq!(state.learn(user(1), 2, record(ONLINE, Privacy::Everyone)), 9);
    let mut frames = vec![];
    for client in &mut clients {
        client.inlet.try_recv_many(&mut frames, 1);
    }
    let at = |delivery: &Delivery| match delivery {
        Delivery::Ephemeral(text) => text.as_str().as_ptr(),
        other => panic!("{other:?}"),
    };
    assert_eq!(frames.len(), 9);
    assert!(
        frames.iter().all(|frame| at(frame) == at(&frames[0])),
        "the same bytes"
    );
}

#[test]
fn privacy_counts_at_once_both_ways() {
    let (mut state, _) = map();
    let mut me = Client::new(user(1), 64);
    me.watch(&mut state, &[user(1), user(2)], nothing);
    me.read(&mut state);
    let mut revision = 0;
    let mut learn = |state: &mut State, me: &mut Client, whose, privacy| {
        revision += 1;
        state.learn(whose, revision, record(ONLINE, privacy));
        me.read(state);
        (me.state(user(1)), me.state(user(2)))
    };
    let (online, hidden) = (Some(ShownState::Online), Some(ShownState::Hidden));
    let offline = Some(ShownState::Offline);
    assert_eq!(
        learn(&mut state, &mut me, user(2), Privacy::Everyone),
        (offline, online)
    );
    assert_eq!(
        learn(&mut state, &mut me, user(2), Privacy::Nobody),
        (offline, hidden)
    );
    assert_eq!(
        learn(&mut state, &mut me, user(2), Privacy::Everyone),
        (offline, online)
    );
    assert_eq!(
        learn(&mut state, &mut me, user(1), Privacy::Nobody),
        (online, hidden)
    );
    assert_eq!(
        learn(&mut state, &mut me, user(1), Privacy::Contacts),
        (online, online)
    );
    // It is not known yet who is a contact.
    assert_eq!(
        learn(&mut state, &mut me, user(2), Privacy::Contacts),
        (online, hidden)
    );
    let question = state.take_due(0).expect("it is asked");
    assert_eq!((question.viewer, &question.users), (user(1), &vec![user(2)]));
    state.relate(&question, Some(vec![user(2)]), 0);
    me.read(&mut state);
    assert_eq!(me.state(user(2)), online);
}

#[test]
fn who_is_related_is_asked_again_when_it_may_have_changed_and_when_it_is_old() {
    let (mut state, _) = map();
    let mut me = Client::new(user(1), 64);
    let contacts = |user| Known {
        user,
        revision: 1,
        record: record(ONLINE, Privacy::Contacts),
    };
    me.watch(&mut state, &[user(2), user(3)], contacts);
    me.read(&mut state);
    let shown = |me: &mut Client, state: &mut State| {
        me.read(state);
        [user(2), user(3)].map(|one| me.state(one) == Some(ShownState::Online))
    };
    assert_eq!(shown(&mut me, &mut state), [false, false]);
    let question = state.take_due(0).expect("asked at once");
    assert_eq!(question.users, [user(2), user(3)]);
    assert!(state.take_due(u64::MAX).is_none(), "once");
    state.relate(&question, Some(vec![user(2), user(3)]), 0);
    assert_eq!(shown(&mut me, &mut state), [true, true]);
    assert_eq!(state.next_due_ms(), Some(REFRESH_MS));

    // The one who is watched has joined or left a group: asked for that one only, and on doubt hidden.
    state.moved(user(2));
    let question = state.take_due(10).expect("asked at once");
    assert_eq!(question.users, [user(2)]);
    assert_eq!(shown(&mut me, &mut state), [true, true]);
    state.relate(&question, None, 10);
    assert_eq!(shown(&mut me, &mut state), [false, true]);
    assert!(state.take_due(11).is_none(), "not without a pause");
    let question = state.take_due(60_000).expect("asked again");
    state.relate(&question, Some(vec![user(2)]), 60_000);
    assert_eq!(shown(&mut me, &mut state), [true, true]);

    // The viewer has: asked for all. What happens meanwhile is not overtaken by the answer.
    state.moved(user(1));
    let question = state.take_due(70_000).expect("asked at once");
    assert_eq!(question.users, [user(2), user(3)]);
    state.moved(user(3));
    state.relate(&question, Some(vec![]), 70_000);
    assert_eq!(shown(&mut me, &mut state), [true, true]);
    let question = state.take_due(70_000).expect("asked once more");
    assert_eq!(question.users, [user(2), user(3)]);
    state.relate(&question, Some(vec![user(3)]), 70_000);
    assert_eq!(shown(&mut me, &mut state), [false, true]);

    // A chat begins, for this viewer alone.
    let mut other = Client::new(user(3), 64);
    other.watch(&mut state, &[user(2)], contacts);
    let question = state.take_due(80_000).expect("a new list");
    state.relate(&question, Some(vec![]), 0);
    state.met(user(1), user(2));
    let question = state.take_due(80_000).expect("asked at once");
    assert_eq!(
        (question.viewer, question.users.as_slice()),
        (user(1), &[user(2)][..])
    );
    state.relate(&question, Some(vec![]), 80_000);
    assert!(state.take_due(80_000).is_none());
    state.leave(other.key.expect("watches"));

    // It grows old: asked again, and as long as nobody answers it counts for five minutes in all.
    let question = state.take_due(REFRESH_MS).expect("asked again");
    assert_eq!(question.users, [user(2), user(3)]);
    state.relate(&question, None, REFRESH_MS);
    assert_eq!(shown(&mut me, &mut state), [false, true]);
    let question = state.take_due(300_000).expect("asked again");
    state.relate(&question, None, 300_000);
    assert_eq!(shown(&mut me, &mut state), [false, false]);
    let question = state.take_due(310_000).expect("asked again");
    state.relate(&question, Some(vec![user(2)]), 310_000);
    assert_eq!(shown(&mut me, &mut state), [true, false]);
    assert_eq!(state.next_due_ms(), Some(310_000 + REFRESH_MS));
    state.leave(me.key.expect("watches"));
    assert_eq!((state.next_due_ms(), state.len()), (None, (0, 0)));
}

#[test]
fn after_a_doubt_everybody_is_asked_for_who_was_not_asked_since() {
    let (mut state, _) = map();
    let mut me = Client::new(user(1), 64);
    me.watch(&mut state, &[user(2)], nothing);
    assert!(state.take_unsure().is_none());
    // A question from before the doubt, whose answer comes after it.
    let prepared = state
        .prepare(me.user, me.outlet.clone(), vec![user(3)])
        .expect("room");
    state.doubt();
    state.learn_all(vec![nothing(user(3))], prepared.epoch);
    let unsure = state.take_unsure().expect("a doubt");
    assert_eq!(
        BTreeSet::from_iter(unsure.users),
        BTreeSet::from([1, 2, 3].map(user))
    );
    let known = [1, 2, 3].map(|n| nothing(user(n))).to_vec();
    state.learn_all(known, unsure.epoch);
    state.still_unsure();
    assert!(state.take_unsure().expect("still").users.is_empty());
}

#[test]
fn users_who_are_new_are_asked_for_once_more_while_they_are_watched() {
    let (mut state, _) = map();
    let mut me = Client::new(user(1), 64);
    me.watch(&mut state, &[user(2)], nothing);
    state.recheck(vec![user(2), user(9)], 1_500);
    state.recheck(vec![user(2)], 1_600);
    let (now, next_ms) = state.take_rechecks(1_499);
    assert_eq!((now.users, next_ms), (vec![], Some(1_500)));
    let (now, next_ms) = state.take_rechecks(1_500);
    assert_eq!((now.users, next_ms), (vec![user(2)], Some(1_600)));
}

#[test]
fn what_a_full_queue_refuses_comes_as_it_is_by_then() {
    let (mut state, _) = map();
    // Half of it is for frames such as these.
    let mut me = Client::new(user(1), 8);
    let people: Vec<_> = (2..102).map(user).collect();
    me.watch(&mut state, &people, nothing);
    me.read(&mut state);
    for (n, one) in people.iter().enumerate() {
        state.learn(*one, 1, record(AWAY, Privacy::Everyone));
        state.learn(*one, 2, record(ONLINE, Privacy::Everyone));
        assert_eq!(me.inlet.len(), (2 * n + 2).min(5));
    }
    let mut deliveries = vec![];
    me.inlet.try_recv_many(&mut deliveries, 3);
    assert!(
        matches!(deliveries.last(), Some(Delivery::Room)),
        "{deliveries:?}"
    );
    state.catch_up(me.key.expect("watches"));
    assert_eq!(me.inlet.len(), 3, "one frame for all of them");
    me.read(&mut state);
    assert!(
        people[1..]
            .iter()
            .all(|one| me.state(*one) == Some(ShownState::Online))
    );
    assert!(me.read(&mut state).is_empty(), "once");
}

#[test]
fn an_answer_that_does_not_fit_comes_later() {
    let (mut state, _) = map();
    let mut me = Client::new(user(1), 8);
    for _ in 0..5 {
        me.outlet.push(Delivery::Heads(Arc::new([])));
    }
    me.watch(&mut state, &[user(2)], nothing);
    state.learn(user(2), 1, record(ONLINE, Privacy::Everyone));
    assert_eq!(me.inlet.len(), 5);
    assert_eq!(me.read(&mut state).len(), 1);
    assert_eq!(
        (me.answers.len(), me.state(user(2))),
        (1, Some(ShownState::Online))
    );
    // The end of it as well, and until then it is remembered.
    for _ in 0..5 {
        me.outlet.push(Delivery::Heads(Arc::new([])));
    }
    me.watch(&mut state, &[], nothing);
    assert_eq!(state.len(), (0, 1));
    me.read(&mut state);
    assert_eq!((me.answers.len(), state.len()), (2, (0, 0)));
}

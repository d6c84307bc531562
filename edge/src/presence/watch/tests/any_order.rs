//! Any order of watching, changes, questions and slow reading.

use proptest::prelude::*;

use super::*;
use crate::presence::watch::related::Question;

const USERS: u64 = 5;

#[derive(Debug, Clone)]
enum Step {
    Watch(usize, Vec<u64>),
    /// A list that is put together and never answered.
    Fail(usize, Vec<u64>),
    Leave(usize),
    Change(u64, PresenceState, Privacy),
    /// A change that was published when nobody could hear it.
    Miss(u64, PresenceState, Privacy),
    Doubt,
    Moved(u64),
    /// The next question about who is related is asked, and one that is under way answered.
    Ask,
    Answer(bool),
    Read(usize),
    Message(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let client = 0..4_usize;
    let users = prop::collection::vec(1..=USERS, 0..4);
    let state = prop::sample::select(vec![PresenceState::Offline, AWAY, ONLINE]);
    let privacy = prop::sample::select(vec![Privacy::Everyone, Privacy::Contacts, Privacy::Nobody]);
    let change = (1..=USERS, state, privacy);
    prop_oneof![
        3 => (client.clone(), users.clone()).prop_map(|(client, users)| Step::Watch(client, users)),
        1 => (client.clone(), users).prop_map(|(client, users)| Step::Fail(client, users)),
        1 => client.clone().prop_map(Step::Leave),
        8 => change.clone().prop_map(|(user, state, privacy)| Step::Change(user, state, privacy)),
        1 => change.prop_map(|(user, state, privacy)| Step::Miss(user, state, privacy)),
        1 => Just(Step::Doubt),
        1 => (1..=USERS).prop_map(Step::Moved),
        3 => Just(Step::Ask),
        3 => any::<bool>().prop_map(Step::Answer),
        2 => client.clone().prop_map(Step::Read),
        2 => client.prop_map(Step::Message),
    ]
}

/// Who shares a conversation: every second pair.
fn are_related(one: UserId, other: UserId) -> bool {
    let n = |user: UserId| (1..=USERS).find(|n| super::user(*n) == user).unwrap_or_default();
    (n(one) + n(other)) % 2 == 1
}

fn related(question: &Question) -> Vec<UserId> {
    let others = question.users.iter().copied();
    others
        .filter(|other| are_related(question.viewer, *other))
        .collect()
}

/// All that there is.
struct World {
    state: State,
    log: Log,
    /// What is stored.
    stored: BTreeMap<UserId, Known>,
    revision: u64,
    clients: Vec<Client>,
    lists: Vec<Option<BTreeSet<UserId>>>,
    asked: Option<Question>,
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        let (state, log) = map();
        // Two of them belong to one user; two read at once, and two when it suits them.
        let clients = [(1, 64), (2, 8), (2, 64), (3, 8)].map(|(n, frames)| Client::new(user(n), frames));
        Self {
            state,
            log,
            stored: BTreeMap::new(),
            revision: 0,
            lists: vec![None; clients.len()],
            clients: clients.into(),
            asked: None,
            now_ms: 0,
        }
    }

    fn stored(&self, whose: UserId) -> Known {
        self.stored.get(&whose).copied().unwrap_or_else(|| nothing(whose))
    }

    fn store(&mut self, whose: UserId, state: PresenceState, privacy: Privacy) {
        self.revision += 1;
        let known = Known {
            user: whose,
            revision: self.revision,
            record: record(state, privacy),
        };
        self.stored.insert(whose, known);
    }

    fn ask_again(&mut self) {
        if let Some(unsure) = self.state.take_unsure() {
            let known = unsure.users.iter().map(|one| self.stored(*one)).collect();
            self.state.learn_all(known, unsure.epoch);
        }
    }

    fn step(&mut self, step: Step) {
        self.now_ms += 1_000;
        match step {
            Step::Watch(client, users) => {
                let users: Vec<_> = users.into_iter().map(user).collect();
                let stored = self.stored.clone();
                let known = |one| stored.get(&one).copied().unwrap_or_else(|| nothing(one));
                self.clients[client].watch(&mut self.state, &users, known);
                self.lists[client] = Some(users.into_iter().collect());
            }
            Step::Fail(client, users) => {
                let users = users.into_iter().map(user).collect();
                let client = &self.clients[client];
                let prepared = self.state.prepare(client.user, client.outlet.clone(), users);
                self.state.leave(prepared.expect("room").key);
            }
            Step::Leave(client) => {
                self.lists[client] = None;
                if let Some(key) = self.clients[client].key.take() {
                    self.state.leave(key);
                }
            }
            Step::Change(n, state, privacy) => {
                self.store(user(n), state, privacy);
                let known = self.stored(user(n));
                self.state.learn(known.user, known.revision, known.record);
            }
            Step::Miss(n, state, privacy) => {
                self.store(user(n), state, privacy);
                self.state.doubt();
            }
            Step::Doubt => {
                self.state.doubt();
                self.ask_again();
            }
            Step::Moved(n) => self.state.moved(user(n)),
            Step::Ask => self.asked = self.asked.take().or_else(|| self.state.take_due(self.now_ms)),
            Step::Answer(answered) => {
                if let Some(question) = self.asked.take() {
                    let found = answered.then(|| related(&question));
                    self.state.relate(&question, found, self.now_ms);
                }
            }
            Step::Read(client) => drop(self.clients[client].read(&mut self.state)),
            Step::Message(client) => {
                // As long as it does not end the session.
                if self.clients[client].inlet.len() < 7 {
                    self.clients[client].outlet.push(Delivery::Heads(Arc::new([])));
                }
            }
        }
    }

    /// Whether a viewer may see a user, by what is stored.
    fn may_see(&self, viewer: UserId, whose: UserId) -> bool {
        let privacy = |one| self.stored(one).record.privacy;
        viewer == whose
            || privacy(viewer) != Privacy::Nobody
                && match privacy(whose) {
                    Privacy::Everyone => true,
                    Privacy::Contacts => are_related(viewer, whose),
                    Privacy::Nobody => false,
                }
    }
}

proptest! {
    #[test]
    fn nobody_sees_what_is_hidden_and_all_end_with_the_newest(
        steps in prop::collection::vec(any_step(), 0..80),
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            // Those who read at once see nothing but what they may see at this moment; what was
            // missed cannot be known before it is asked for.
            for client in [0, 2] {
                let told = world.clients[client].read(&mut world.state);
                let viewer = world.clients[client].user;
                for one in told {
                    let shown = one.state != ShownState::Hidden;
                    let known = world.state.seen(one.user);
                    let is_current = known == Some(world.stored(one.user).record.into());
                    let own = world.state.seen(viewer).map(|own| own.privacy);
                    let own_is_current = own == Some(world.stored(viewer).record.privacy);
                    if shown && is_current && own_is_current {
                        prop_assert!(world.may_see(viewer, one.user), "{viewer} saw {one:?}");
                    }
                }
            }
        }
        // Everything is answered, heard and read.
        world.ask_again();
        world.now_ms += 3_600_000;
        let mut open = world.asked.take();
        for _ in 0..100 {
            let Some(question) = open.take().or_else(|| world.state.take_due(world.now_ms)) else {
                break;
            };
            let found = related(&question);
            world.state.relate(&question, Some(found), world.now_ms);
        }
        prop_assert!(world.state.take_due(world.now_ms).is_none(), "the questions end");
        let mut watched = BTreeSet::new();
        for client in 0..world.clients.len() {
            world.clients[client].read(&mut world.state);
            let Some(list) = &world.lists[client] else {
                continue;
            };
            let viewer = world.clients[client].user;
            let expected: Vec<_> = list
                .iter()
                .map(|one| {
                    let seen = world.may_see(viewer, *one).then(|| world.stored(*one).record.into());
                    crate::presence::privacy::shown(*one, seen.as_ref())
                })
                .collect();
            let told: Vec<_> = world.clients[client].told.values().copied().collect();
            prop_assert_eq!(told, expected, "client {}", client);
            watched.extend(list);
            watched.extend((!list.is_empty()).then_some(viewer));
        }
        let buckets: BTreeSet<_> = watched.iter().map(|one| subjects::presence::bucket(*one)).collect();
        prop_assert_eq!(world.log.buckets(), buckets);
        prop_assert_eq!(world.state.len().0, watched.len());
        for client in &world.clients {
            client.key.into_iter().for_each(|key| world.state.leave(key));
        }
        prop_assert_eq!(world.state.len(), (0, 0));
        prop_assert!(world.log.buckets().is_empty());
    }
}

#[test]
fn what_was_missed_of_oneself_counts_before_what_was_missed_of_others() {
    let mut world = World::new();
    let others = [1, 3, 4, 5];
    world.step(Step::Change(2, ONLINE, Privacy::Everyone));
    world.step(Step::Watch(2, others.to_vec()));
    drop(world.clients[2].read(&mut world.state));
    for other in others {
        world.step(Step::Miss(other, AWAY, Privacy::Everyone));
    }
    world.step(Step::Miss(2, ONLINE, Privacy::Nobody));
    world.step(Step::Doubt);
    let told = world.clients[2].read(&mut world.state);
    assert!(!told.is_empty());
    assert!(told.iter().all(|one| one.state == ShownState::Hidden), "{told:?}");
}

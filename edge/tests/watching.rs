//! Watching on a real nats-server: changes come out of the bucket as JetStream republishes them; who
//! answers questions is the test.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_nats::{Client, jetstream};
use common::{PATIENCE, Stage};
use futures::StreamExt;
use natterjack_edge::{
    live::{Attached, Delivery, Inlet, QueueLimits, outlet},
    metrics::EdgeMetrics,
};
use natterjack_nats::{
    UserId, cluster,
    services::{
        Verb,
        conversations::Related,
        presence::{Known, Query},
    },
    subjects,
    topology::Bucket,
    wire::{Code, PresenceRecord, PresenceState, Privacy, ServerFrame, ShownState, UserPresence},
};
use natterjack_runtime::metrics::Metrics;
use tokio::{task::JoinHandle, time::timeout};

/// What the services say, until they are told otherwise.
type Said<T> = Arc<Mutex<BTreeMap<UserId, T>>>;

async fn connect(stage: &Stage) -> Client {
    cluster::connect(&stage.server.url(), "watching test", |_| {})
        .await
        .expect("a connection")
}

/// Answers a verb until it is aborted.
async fn service<V: Verb>(
    client: &Client,
    answer: impl Fn(V) -> V::Reply + Send + 'static,
) -> JoinHandle<()> {
    let mut requests = client
        .subscribe(subjects::svc::subject::<V>())
        .await
        .expect("subscribed");
    client.flush().await.expect("flushed");
    let client = client.clone();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let asked = serde_json::from_slice(&request.payload).expect("a request");
            let reply = serde_json::to_vec(&answer(asked)).expect("plain");
            let to = request.reply.expect("somebody waits");
            client.publish(to, reply.into()).await.expect("published");
        }
    })
}

async fn presence(client: &Client, said: &Said<Known>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    let answer = move |query: Query| {
        let said = said.lock().expect("no panic");
        let known = |user| {
            said.get(&user).copied().unwrap_or(Known {
                user,
                revision: 0,
                record: PresenceRecord::default(),
            })
        };
        query.users.into_iter().map(known).collect()
    };
    service::<Query>(client, answer).await
}

/// A session without a socket.
struct Session {
    attached: Attached,
    inlet: Inlet,
    told: BTreeMap<UserId, UserPresence>,
}

impl Session {
    fn new(stage: &Stage, user: UserId) -> Self {
        let limits = QueueLimits {
            frames: 1_024,
            bytes: 4 << 20,
        };
        let (outlet, inlet) = outlet(None, limits, EdgeMetrics::register(&Metrics::new("edge")));
        let attached = stage.edge.app.hub.attach(user, outlet).expect("room");
        Self {
            attached,
            inlet,
            told: BTreeMap::new(),
        }
    }

    async fn watch(&mut self, stage: &Stage, users: &[UserId]) -> Result<(), Code> {
        let watched = stage.edge.app.watch(&self.attached, "w", users.to_vec()).await;
        watched.map_err(|error| error.code)?;
        self.until("the answer", |told| {
            users.iter().all(|user| told.contains_key(user))
        })
        .await;
        Ok(())
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&BTreeMap<UserId, UserPresence>) -> bool) {
        let mut deliveries = vec![];
        while !holds(&self.told) {
            timeout(PATIENCE, self.inlet.recv_many(&mut deliveries, 128))
                .await
                .unwrap_or_else(|_| panic!("waited in vain for: {what}"))
                .expect("it goes on");
            for delivery in deliveries.drain(..) {
                if let Delivery::Ephemeral(text) = delivery
                    && let Ok(ServerFrame::Presence { users, .. }) = serde_json::from_str(&text)
                {
                    self.told.extend(users.into_iter().map(|one| (one.user, one)));
                }
            }
        }
    }

    async fn sees(&mut self, user: UserId, state: ShownState) {
        let what = format!("{state:?}");
        self.until(&what, |told| {
            told.get(&user).is_some_and(|one| one.state == state)
        })
        .await;
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

async fn put(client: &Client, user: UserId, record: PresenceRecord) -> u64 {
    let bucket = jetstream::new(client.clone())
        .get_key_value(Bucket::Presence.name())
        .await;
    let value = serde_json::to_vec(&record).expect("plain");
    let put = bucket
        .expect("the bucket")
        .put(user.to_string(), value.into())
        .await;
    put.expect("stored")
}

#[tokio::test]
async fn a_thousand_people_cost_a_subscription_a_bucket_and_nothing_once_nobody_watches() {
    let stage = Stage::new(&[]).await;
    let client = connect(&stage).await;
    let service = presence(&client, &Said::default()).await;
    let hub = stage.edge.app.hub.clone();
    let before = hub.subscriptions();
    let people: Vec<_> = (1..=1_000).map(user).collect();
    let buckets = |users: &[UserId]| {
        let buckets = users.iter().map(|one| subjects::presence::bucket(*one));
        buckets.collect::<BTreeSet<_>>().len()
    };
    let mut me = Session::new(&stage, user(2_000));
    let own = hub.subscriptions() - before;
    me.watch(&stage, &people).await.expect("answered");
    let with_me = [people.as_slice(), &[user(2_000)]].concat();
    assert_eq!(hub.subscriptions() - before - own, buckets(&with_me));
    assert!(buckets(&with_me) <= 256);
    let mut other = Session::new(&stage, user(2_001));
    other.watch(&stage, &people[..10]).await.expect("answered");
    put(
        &client,
        people[5],
        record(PresenceState::Online, Privacy::Everyone),
    )
    .await;
    for session in [&mut me, &mut other] {
        session.sees(people[5], ShownState::Online).await;
    }
    // Somebody whom nobody watches, in a bucket that is heard, and garbage.
    put(
        &client,
        user(3_000),
        record(PresenceState::Online, Privacy::Everyone),
    )
    .await;
    let garbage = subjects::presence::subject(people[5]);
    client.publish(garbage, "{}".into()).await.expect("published");
    // An operator deletes an entry: as if the user had never been there.
    let bucket = jetstream::new(client.clone())
        .get_key_value(Bucket::Presence.name())
        .await;
    bucket
        .expect("the bucket")
        .delete(people[5].to_string())
        .await
        .expect("deleted");
    other.sees(people[5], ShownState::Offline).await;
    // A shorter list.
    me.watch(&stage, &people[..1]).await.expect("answered");
    drop(other);
    assert_eq!(hub.watches().len(), (2, 1));
    drop(me);
    assert_eq!((hub.subscriptions(), hub.watches().len()), (before, (0, 0)));
    service.abort();
    stage.end().await;
}

#[tokio::test]
async fn after_nats_was_away_the_newest_counts_whoever_tells_it() {
    let stage = Stage::new(&[]).await;
    let client = connect(&stage).await;
    let said = Said::default();
    let service = presence(&client, &said).await;
    let [one, two] = [1, 2].map(user);
    let revision = put(&client, one, record(PresenceState::Online, Privacy::Everyone)).await;
    let mut me = Session::new(&stage, user(9));
    // The answer is older than what is stored, as that of a replica may be that lags: it is asked for
    // once more.
    me.watch(&stage, &[one, two]).await.expect("answered");
    assert_eq!(me.told[&one].state, ShownState::Offline);
    let known = |user, revision, state| Known {
        user,
        revision,
        record: record(state, Privacy::Everyone),
    };
    let say = |known: Known| said.lock().expect("no panic").insert(known.user, known);
    say(known(one, revision, PresenceState::Online));
    me.sees(one, ShownState::Online).await;
    // What changes while NATS is away is asked for, and an old answer does not undo what is known.
    stage.server.kill().await;
    say(known(one, revision - 1, PresenceState::Away));
    say(known(two, revision + 1, PresenceState::Away));
    stage.server.restart().await.expect("it is back");
    me.sees(two, ShownState::Away).await;
    assert_eq!(me.told[&one].state, ShownState::Online);
    put(&client, one, record(PresenceState::Away, Privacy::Everyone)).await;
    me.sees(one, ShownState::Away).await;
    drop(me);
    service.abort();
    stage.end().await;
}

#[tokio::test]
async fn contacts_are_hidden_until_somebody_can_say_who_they_are() {
    let stage = Stage::new(&[]).await;
    let client = connect(&stage).await;
    let [one, two, me] = [1, 2, 3].map(user);
    let mut session = Session::new(&stage, me);
    assert_eq!(
        session.watch(&stage, &[one]).await,
        Err(Code::Unavailable),
        "nobody answers"
    );
    assert_eq!(stage.edge.app.hub.watches().len(), (0, 0));
    let said = Said::default();
    let service_of_presence = presence(&client, &said).await;
    for who in [one, two] {
        let record = record(PresenceState::Online, Privacy::Contacts);
        let revision = put(&client, who, record).await;
        let known = Known {
            user: who,
            revision,
            record,
        };
        said.lock().expect("no panic").insert(who, known);
    }
    session.watch(&stage, &[one, two]).await.expect("answered");
    assert!(session.told.values().all(|told| told.state == ShownState::Hidden));
    let answer = move |related: Related| {
        assert_eq!((related.user, related.others.as_slice()), (me, &[one, two][..]));
        vec![one]
    };
    let service_of_conversations = service::<Related>(&client, answer).await;
    session.sees(one, ShownState::Online).await;
    assert_eq!(session.told[&two].state, ShownState::Hidden);
    // Presence goes: the list goes on, and another one is refused.
    service_of_presence.abort();
    let _ = service_of_presence.await;
    client.flush().await.expect("flushed");
    assert_eq!(session.watch(&stage, &[user(4)]).await, Err(Code::Unavailable));
    put(&client, one, record(PresenceState::Away, Privacy::Contacts)).await;
    session.sees(one, ShownState::Away).await;
    put(&client, me, record(PresenceState::Online, Privacy::Nobody)).await;
    session.sees(one, ShownState::Hidden).await;
    service_of_conversations.abort();
    drop(session);
    stage.end().await;
}

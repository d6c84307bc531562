//! Edges that go: by an operator's command and by a signal. Their clients are told where to go, lose
//! nothing, and leave nothing behind.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, ensure};
use async_nats::jetstream::kv::Store;
use futures::TryStreamExt;
use natterjack_nats::{
    EdgeId, cluster,
    services::edge::Drained,
    topology::Bucket,
    wire::{DeviceSession, Lease, ServerFrame},
};
use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;

use crate::support::{
    raw::{Heard, Raw, chained},
    stage::{Play, Stage},
    user::{User, new_id},
    within,
};

/// What an operator has: the stock client, and the buckets.
struct Operator {
    client: async_nats::Client,
    edges: Store,
    sessions: Store,
}

impl Operator {
    async fn new(play: &Play) -> anyhow::Result<Self> {
        let client = cluster::connect(play.house.ground().admin(), "operator", |_| {}).await?;
        let context = async_nats::jetstream::new(client.clone());
        Ok(Self {
            client,
            edges: context.get_key_value(Bucket::Edges.name()).await?,
            sessions: context.get_key_value(Bucket::Sessions.name()).await?,
        })
    }

    async fn ask(&self, verb: &str, edge: EdgeId) -> anyhow::Result<Drained> {
        let subject = format!("svc.edge.{verb}.{edge}");
        let answer = self.client.request(subject, "".into()).await?;
        serde_json::from_slice(&answer.payload).with_context(|| format!("{answer:?}"))
    }

    async fn lease(&self, edge: EdgeId) -> anyhow::Result<Option<Lease>> {
        let stored = self.edges.get(edge.to_string()).await?;
        Ok(stored.map(|stored| serde_json::from_slice(&stored)).transpose()?)
    }

    /// Of all edges.
    async fn sessions(&self) -> anyhow::Result<Vec<(String, DeviceSession)>> {
        let keys: Vec<String> = self.sessions.keys().await?.try_collect().await?;
        let mut found = Vec::new();
        for key in keys {
            if let Some(stored) = self.sessions.get(&key).await? {
                found.push((key, serde_json::from_slice(&stored)?));
            }
        }
        Ok(found)
    }

    async fn sessions_until(
        &self,
        what: &str,
        good: impl Fn(&[(String, DeviceSession)]) -> bool,
    ) -> anyhow::Result<()> {
        within(what, async {
            loop {
                if good(&self.sessions().await?) {
                    return anyhow::Ok(());
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await?
    }
}

/// The `draining` frame: other edges, and within which time the socket is closed.
async fn told(socket: &mut Raw) -> anyhow::Result<(Vec<String>, u64)> {
    socket
        .until("draining", |frame| match frame {
            ServerFrame::Draining { edges, within_ms } => Some((edges.clone(), *within_ms)),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_empties_an_edge_and_fills_it_again() -> anyhow::Result<()> {
    const SENDS: usize = 20;
    // The draining edge refuses newcomers with 503, which is right here.
    let stage = Stage::new()
        .edge(|args| args.place.drain_spread_ms = 1_500)
        .refuses();
    stage
        .run(async |play: &mut Play| {
            let operator = Operator::new(play).await?;
            let house = &play.house;
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let dm = alice.dm(&bob);
            let mut a = Raw::open(&alice.urls[0]).await?;
            let edge = a.hello(&alice.token, None).await?.edge;
            let mut background = Raw::open(&bob.urls[0]).await?;
            background
                .send(&json!({"type": "hello", "token": bob.token, "active": false}))
                .await?;
            let mut b = bob.online(1).await?;
            let elsewhere = house.url(1);
            let keys = [&alice, &bob].map(|user| format!("{edge}.{}.{}", user.id, user.device));
            operator
                .sessions_until("all are registered", |all| {
                    let session = |key: &str| {
                        all.iter()
                            .find(|(found, _)| found == key)
                            .map(|(_, session)| session.active)
                    };
                    all.len() == 3 && session(&keys[0]) == Some(true) && session(&keys[1]) == Some(false)
                })
                .await?;
            background
                .send(&json!({"type": "active", "active": true}))
                .await?;
            operator
                .sessions_until("the foreground is told", |all| {
                    all.iter().all(|(_, session)| session.active)
                })
                .await?;

            let cursor = alice.get("/v1/sync").await?.ok()?["cursor"]
                .as_str()
                .context("a cursor")?
                .to_owned();
            let poll = {
                let (alice, path) = (alice.clone(), format!("/v1/sync?cursor={cursor}&wait=60"));
                tokio::spawn(async move { alice.get(&path).await })
            };
            operator
                .sessions_until("still one entry for a device", |all| all.len() == 3)
                .await?;
            let drained = operator.ask("drain", edge).await?;
            ensure!(drained.draining && drained.connections >= 2, "{drained:?}");
            let lease = operator.lease(edge).await?.context("it lives")?;
            ensure!(lease.draining, "the lease says so before anybody hears it");
            for socket in [&mut a, &mut background] {
                let (edges, within_ms) = told(socket).await?;
                ensure!(
                    (&edges, within_ms) == (&vec![elsewhere.clone()], 1_500),
                    "{edges:?} {within_ms}"
                );
            }

            // It works until the close, and all that it took is answered.
            let mut sent = BTreeSet::new();
            for n in 0..SENDS {
                let id = new_id();
                sent.insert(id);
                a.send(&json!({"type": "send", "id": id, "conversation": dm, "text": format!("{n}")}))
                    .await?;
            }
            let mut acked = Vec::new();
            let code = loop {
                match a.next().await? {
                    Heard::Frame(ServerFrame::Ack { id, seq }) => {
                        ensure!(sent.remove(&id));
                        acked.push(seq);
                    }
                    Heard::Frame(_) => {}
                    Heard::Closed(code) => break code,
                }
            };
            ensure!(code == Some(3001), "{code:?}");
            ensure!(acked.len() == SENDS && acked.is_sorted(), "{acked:?}");
            let messages = b.messages(SENDS).await?;
            chained(&messages, 0)?;
            ensure!(background.closed().await? == Some(3001));
            ensure!(poll.await??.status == 200, "a poll that waited was let go");

            // Nobody gets in, and requests are answered.
            ensure!(Raw::open(&house.url(0)).await.is_err());
            alice
                .get(&format!("/v1/sync?cursor={cursor}&wait=60"))
                .await?
                .refused(503, "unavailable")?;
            ensure!(
                !alice.get(&format!("/v1/sync?cursor={cursor}")).await?.ok()?["messages"]
                    .as_array()
                    .context("a list")?
                    .is_empty()
            );
            ensure!(alice.get("/v1/me").await?.status == 200);
            let ready = alice.get("/readyz").await;
            ensure!(ready.is_err() || ready.is_ok_and(|answer| answer.status == 503));
            operator
                .sessions_until("only bob elsewhere is left", |all| all.len() == 1)
                .await?;
            let mut a = alice.resume(1, &[(dm, acked[4])]).await?;
            chained(&a.messages(SENDS - 5).await?, acked[4])?;

            let back = operator.ask("undrain", edge).await?;
            ensure!(!back.draining, "{back:?}");
            ensure!(!operator.lease(edge).await?.context("it lives")?.draining);
            let mut a = alice.online(0).await?;
            let seq = a.say(dm, "back").await?;
            ensure!(b.message().await?.seq == seq);
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_nothing_and_leaves_nothing() -> anyhow::Result<()> {
    const ROUNDS: usize = 4;
    let stage = Stage::new().edge(|args| args.place.drain_spread_ms = 800);
    stage
        .run(async |play: &mut Play| {
            let operator = Operator::new(play).await?;
            let (alice, bob) = (
                User::sign_up(&play.house, "alice").await?,
                User::sign_up(&play.house, "bob").await?,
            );
            let dm = alice.dm(&bob);
            let mut last = 0;
            for round in 0..ROUNDS {
                let (goes, stays) = (round % 2, (round + 1) % 2);
                let mut a = Raw::open(&alice.urls[goes]).await?;
                let edge = a.hello(&alice.token, None).await?.edge;
                let mut b = bob.resume(goes, &[(dm, last)]).await?;
                let elsewhere = vec![play.house.url(stays)];
                // It knows of the other one, which may have started a moment ago.
                within("the other edge is known", async {
                    loop {
                        let known = alice.request(goes, Method::GET, "/v1/edges", None).await?.ok()?;
                        if known.as_array().is_some_and(|known| known.len() == 2) {
                            return anyhow::Ok(());
                        }
                        sleep(Duration::from_millis(20)).await;
                    }
                })
                .await??;
                let (house, operator) = (&mut play.house, &operator);
                let stop = house.stop_edge(goes);
                let talk = async {
                    let (edges, _) = told(&mut a).await?;
                    ensure!(edges == elsewhere, "{edges:?}");
                    let lease = operator
                        .lease(edge)
                        .await?
                        .context("it lives until the last has gone")?;
                    ensure!(lease.draining, "the lease says so before the first close");
                    // As fast as it goes, until the close, the last of them perhaps unanswered.
                    let mut sent = Vec::new();
                    let mut acked = BTreeSet::new();
                    let code = loop {
                        let id = new_id();
                        let frame =
                            json!({"type": "send", "id": id, "conversation": dm, "text": format!("{round}")});
                        if a.send(&frame).await.is_ok() {
                            sent.push(id);
                        }
                        // Fewer in all than a resume replays.
                        sleep(Duration::from_millis(3)).await;
                        match a.next().await? {
                            Heard::Frame(ServerFrame::Ack { id, .. }) => drop(acked.insert(id)),
                            Heard::Frame(_) => {}
                            Heard::Closed(code) => break code,
                        }
                    };
                    ensure!(code == Some(3001), "{code:?}");
                    anyhow::Ok((sent, acked))
                };
                let (stopped, talked) = tokio::join!(stop, talk);
                stopped?;
                let (sent, acked) = talked?;
                ensure!(b.closed().await? == Some(3001));
                ensure!(operator.lease(edge).await?.is_none(), "given up");
                ensure!(operator.sessions().await?.is_empty(), "nothing is left over");

                // Elsewhere, what was not answered is sent again, and nothing is missing or there twice.
                let mut a = alice.online(stays).await?;
                for id in sent.iter().filter(|id| !acked.contains(id)) {
                    a.send(
                        &json!({"type": "send", "id": id, "conversation": dm, "text": format!("{round}")}),
                    )
                    .await?;
                    a.acked(*id).await??;
                }
                let mut b = bob.resume(stays, &[(dm, last)]).await?;
                let messages = b.messages(sent.len()).await?;
                chained(&messages, last)?;
                ensure!(
                    messages.iter().map(|message| message.id).eq(sent),
                    "each once, in order"
                );
                last = messages.last().context("some")?.seq;
                play.house.start_edge(goes).await?;
            }
            Ok(())
        })
        .await
}

//! People who watch each other over two edges: who is there, who may see it, and what a slow socket
//! loses of it.

use anyhow::{Context, ensure};
use async_nats::jetstream;
use natterjack_nats::{
    UserId, cluster,
    topology::Bucket,
    wire::{PresenceRecord, PresenceState, ServerFrame, ShownState, UserPresence},
};
use serde_json::{Value, json};

use crate::support::{
    raw::chained,
    stage::{self, Play, Stage},
    until,
    user::User,
    watcher::Watcher,
};

use ShownState::{Away, Hidden, Offline, Online};

/// As a query names them.
fn ids(users: &[UserId]) -> String {
    users
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

async fn lets_see(user: &User, privacy: &str) -> anyhow::Result<()> {
    let me = user.patch("/v1/me", json!({"presence": privacy})).await?.ok()?;
    ensure!(me["presence"] == privacy && me["id"] == json!(user.id), "{me}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_goes_away_and_leaves_is_seen_on_another_edge() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let mut a = Watcher::new(&alice, 0).await?;
        let answer = a.watch(&[bob.id, bob.id, alice.id]).await??;
        ensure!(answer.len() == 2 && a.state(&bob) == Some(Offline), "{answer:?}");
        a.sees(&alice, Online).await?;
        let mut b = Watcher::new(&bob, 1).await?;
        a.sees(&bob, Online).await?;
        ensure!(a.told[&bob.id].last_seen.is_none());
        b.socket.send(&json!({"type": "active", "active": false})).await?;
        a.sees(&bob, Away).await?;
        ensure!(a.told[&bob.id].last_seen.is_some());
        b.socket.send(&json!({"type": "active", "active": true})).await?;
        a.sees(&bob, Online).await?;
        // A second device, on the edge of who watches.
        let second = bob.online(0).await?;
        b.socket.vanish();
        a.catch_up().await?;
        second.vanish();
        a.sees(&bob, Offline).await?;
        let path = format!("/v1/presence?users={},{}", bob.id, alice.id);
        let told: Vec<UserPresence> = alice.fetch(&path).await?;
        ensure!(told == [a.told[&bob.id], a.told[&alice.id]], "{told:?}");
        // The end of it.
        ensure!(a.watch(&[]).await??.is_empty());
        let b = bob.online(1).await?;
        until("it is stored", async || {
            let told: Vec<UserPresence> = alice.fetch(&path).await?;
            Ok((told[0].state == Online).then_some(()))
        })
        .await?;
        a.catch_up().await?;
        ensure!(a.told.is_empty(), "{:?}", a.told);
        b.vanish();
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_see_it_counts_at_once_and_both_ways() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let me: Value = bob.fetch("/v1/me").await?;
        ensure!(me["presence"] == "everyone" && me["handle"] == "bob", "{me}");
        let (mut a, mut b) = (Watcher::new(&alice, 0).await?, Watcher::new(&bob, 1).await?);
        a.watch(&[bob.id]).await??;
        b.watch(&[alice.id, bob.id]).await??;
        a.sees(&bob, Online).await?;
        b.sees(&alice, Online).await?;
        lets_see(&bob, "nobody").await?;
        a.sees(&bob, Hidden).await?;
        b.sees(&alice, Hidden).await?;
        b.sees(&bob, Online).await?;
        ensure!(a.told[&bob.id].last_seen.is_none());
        for (who, whom) in [(&alice, &bob), (&bob, &alice)] {
            let told: Vec<UserPresence> = who.fetch(&format!("/v1/presence?users={}", whom.id)).await?;
            ensure!(told.len() == 1 && told[0].state == Hidden, "{told:?}");
        }
        // Nothing of what happens now comes through.
        b.socket.send(&json!({"type": "active", "active": false})).await?;
        b.sees(&bob, Away).await?;
        a.catch_up().await?;
        ensure!(a.state(&bob) == Some(Hidden));
        lets_see(&bob, "everyone").await?;
        a.sees(&bob, Away).await?;
        b.sees(&alice, Online).await?;
        let nothing = bob.patch("/v1/me", json!({})).await?;
        nothing.refused(400, "bad_request")?;
        let unknown = bob.patch("/v1/me", json!({"presence": "friends"})).await?;
        unknown.refused(400, "bad_request")?;
        let both = json!({"name": "Robert", "presence": "contacts"});
        let me = bob.patch("/v1/me", both).await?.ok()?;
        ensure!(me["name"] == "Robert" && me["presence"] == "contacts", "{me}");
        a.sees(&bob, Hidden).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_are_those_of_a_chat_or_a_group() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let carol = User::sign_up(house, "carol").await?;
        lets_see(&bob, "contacts").await?;
        let (mut a, mut c) = (Watcher::new(&alice, 0).await?, Watcher::new(&carol, 1).await?);
        let b = bob.online(1).await?;
        for watcher in [&mut a, &mut c] {
            watcher.watch(&[bob.id]).await??;
            ensure!(watcher.state(&bob) == Some(Hidden));
        }
        // A chat counts from its first message on, for who watches already and in a new list.
        alice.say(alice.dm(&bob), "hello").await?;
        a.sees(&bob, Online).await?;
        a.watch(&[bob.id]).await??;
        ensure!(a.state(&bob) == Some(Online));
        // A group counts for all who are in it, and no longer.
        let group = bob.group("plans", &[&carol]).await?;
        c.sees(&bob, Online).await?;
        let path = format!("/v1/presence?users={}", bob.id);
        ensure!(carol.fetch::<Vec<UserPresence>>(&path).await?[0].state == Online);
        let name = group.to_string();
        let group = name.strip_prefix("group.").context("a group")?;
        carol
            .delete(&format!("/v1/groups/{group}/members/{}", carol.id))
            .await?
            .ok()?;
        c.sees(&bob, Hidden).await?;
        // The same if the other one goes.
        let shared = carol.group("others", &[&bob, &alice]).await?.to_string();
        c.sees(&bob, Online).await?;
        let shared = shared.strip_prefix("group.").context("a group")?;
        bob.delete(&format!("/v1/groups/{shared}/members/{}", bob.id))
            .await?
            .ok()?;
        c.sees(&bob, Hidden).await?;
        ensure!(carol.fetch::<Vec<UserPresence>>(&path).await?[0].state == Hidden);
        a.catch_up().await?;
        ensure!(a.state(&bob) == Some(Online), "the chat counts on");
        b.vanish();
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_and_too_many_requests_do_no_harm() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let mut a = Watcher::new(&alice, 0).await?;
        let many = |count: u64| (0..count).map(|n| UserId::from_parts(n, 7)).collect::<Vec<_>>();
        let error = a.watch(&many(1_001)).await?.err().context("too many")?;
        ensure!(
            error.code.as_str() == "bad_request" && !error.retryable,
            "{error}"
        );
        ensure!(
            a.watch(&many(1_000))
                .await??
                .iter()
                .all(|one| one.state == Offline)
        );
        // A hundred at once: each is answered, and the last one counts.
        let lists: Vec<_> = (0..100).map(|n| (n.to_string(), many(n % 7))).collect();
        for (id, users) in &lists {
            let frame = json!({"type": "watch", "id": id, "users": users});
            a.socket.send(&frame).await?;
        }
        let last = [bob.id];
        a.socket
            .send(&json!({"type": "watch", "id": "last", "users": last}))
            .await?;
        let (mut answers, mut taken) = (vec![], 0);
        while answers.len() <= lists.len() {
            if let ServerFrame::Presence { id: Some(id), users } = a.next().await? {
                taken += usize::from(!users.is_empty());
                answers.push(id);
            }
        }
        ensure!(answers.last().map(String::as_str) == Some("last"));
        answers.sort();
        answers.dedup();
        ensure!(
            answers.len() == 101 && taken <= 20,
            "{taken} lists of {}",
            answers.len()
        );
        a.told.clear();
        let b = bob.online(1).await?;
        a.sees(&bob, Online).await?;
        ensure!(a.told.len() == 1, "{:?}", a.told);
        let path = format!("/v1/presence?users={}", ids(&many(1_001)));
        alice.get(&path).await?.refused(400, "bad_request")?;
        alice.get("/v1/presence").await?.refused(400, "bad_request")?;
        let told: Vec<UserPresence> = alice.fetch("/v1/presence?users=").await?;
        ensure!(told.is_empty());
        b.vanish();
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_while_nats_was_away_is_asked_for() -> anyhow::Result<()> {
    Stage::new()
        .first_edge_via_proxy()
        .run(async |Play { house, proxy, .. }| {
            let proxy = proxy.as_ref().context("a proxy")?;
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let mut a = Watcher::new(&alice, 0).await?;
            a.watch(&[bob.id]).await??;
            // No change reaches the first edge from here on.
            proxy.swallow(|passing| passing.subject.starts_with("live.presence."));
            let b = bob.online(1).await?;
            until("the change is lost", async || {
                Ok((proxy.swallowed() > 0).then_some(()))
            })
            .await?;
            a.catch_up().await?;
            ensure!(a.state(&bob) == Some(Offline));
            proxy.pass_all();
            ensure!(proxy.cut("live") == 1);
            a.sees(&bob, Online).await?;
            // And what comes later is heard.
            b.vanish();
            a.sees(&bob, Offline).await?;
            // While presence is away, a list is refused, and the one before goes on.
            let b = bob.online(1).await?;
            a.sees(&bob, Online).await?;
            house.stop_presence().await?;
            let error = a.watch(&[bob.id, UserId::from_parts(5, 5)]).await?;
            let error = error.err().context("presence is away")?;
            ensure!(
                error.code.as_str() == "unavailable" && error.retry_after_ms.is_some(),
                "{error:?}"
            );
            let me: Value = alice.fetch("/v1/me").await?;
            ensure!(me["handle"] == "alice" && me.get("presence").is_none(), "{me}");
            house.start_presence().await?;
            b.vanish();
            a.sees(&bob, Offline).await
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_costs_a_slow_socket_presence_frames_and_no_message() -> anyhow::Result<()> {
    Stage::new()
        .edge(|args| {
            args.socket.write_timeout_ms = 60_000;
            args.socket.socket_queue_frames = 512;
            args.socket.socket_queue_bytes = 64 << 20;
        })
        .run(async |Play { house, .. }| {
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let dm = alice.dm(&bob);
            let (mut a, mut slow) = (alice.online(1).await?, Watcher::new(&bob, 0).await?);
            let people: Vec<_> = (1..=500).map(|n| UserId::from_parts(n, 3)).collect();
            slow.watch(&people).await??;
            // It reads nothing, while more comes than any kernel buffers.
            let text = "x".repeat(90_000);
            let mut sent = Vec::new();
            for _ in 0..150 {
                sent.push(a.say(dm, &text).await?);
            }
            // Everybody comes and goes.
            let client = cluster::connect(house.ground().admin(), "flood", |_| {}).await?;
            let bucket = jetstream::new(client)
                .get_key_value(Bucket::Presence.name())
                .await?;
            let mut last_seen = 0;
            for round in 1..=4_u64 {
                for one in &people {
                    last_seen += 1;
                    let state = if round % 2 == 0 {
                        PresenceState::Away
                    } else {
                        PresenceState::Online
                    };
                    let record = PresenceRecord {
                        state,
                        last_seen: Some(last_seen),
                        ..PresenceRecord::default()
                    };
                    bucket
                        .put(one.to_string(), serde_json::to_vec(&record)?.into())
                        .await?;
                }
            }
            sent.push(a.say(dm, "after the flood").await?);
            let put_off = until("frames were put off", async || {
                let metrics = reqwest::get(format!("{}/metrics", house.url(0)))
                    .await?
                    .text()
                    .await?;
                let of =
                    |line: &&str| line.starts_with("natterjack_presence_total") && line.contains("put_off");
                let line = metrics.lines().find(of);
                let count = line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
                Ok(count.filter(|count| *count > 0))
            })
            .await?;
            slow.frames = 0;
            let newest = |one: &UserPresence| one.state == Away && one.last_seen.is_some_and(|at| at > 1_500);
            while slow.messages.len() < sent.len() || !slow.told.values().all(newest) {
                slow.next().await?;
            }
            slow.catch_up().await?;
            ensure!(
                slow.messages
                    .iter()
                    .map(|message| message.seq)
                    .eq(sent.iter().copied())
            );
            chained(&slow.messages, 0)?;
            ensure!(slow.told.len() == people.len() && slow.told.values().all(newest));
            ensure!(
                slow.frames < 4 * people.len(),
                "{} frames came, {put_off} were put off",
                slow.frames
            );
            Ok(())
        })
        .await
}

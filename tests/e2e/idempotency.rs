//! Sender and id name one message, for ever: however often, wherever and whenever it is sent.

use std::time::Duration;

use anyhow::{Context, ensure};
use natterjack_nats::{Conversation, MessageId};
use natterjack_runtime::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    raw::Raw,
    stage::{self, Play, Stage},
    until,
    user::{Answer, User, new_id},
};

async fn put(
    user: &User,
    edge: usize,
    conversation: Conversation,
    id: MessageId,
    text: &str,
) -> anyhow::Result<Answer> {
    let path = format!("/v1/conversations/{conversation}/messages");
    user.request(edge, Method::POST, &path, Some(json!({"id": id, "text": text})))
        .await
}

fn seq(answer: Answer) -> anyhow::Result<u64> {
    let body = answer.ok()?;
    body["seq"].as_u64().with_context(|| format!("{body}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_id_on_two_edges_at_once_is_one_message() -> anyhow::Result<()> {
    const ROUNDS: usize = 40;
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let (mut first, mut second) = (alice.online(0).await?, alice.online(1).await?);
        for round in 0..ROUNDS {
            let id = new_id();
            let text = format!("round {round}");
            let frame = json!({"type": "send", "id": id, "conversation": dm, "text": text});
            let ask = async |socket: &mut Raw| {
                socket.send(&frame).await?;
                anyhow::Ok(socket.acked(id).await??)
            };
            let (a, b, c, d) = tokio::try_join!(
                ask(&mut first),
                ask(&mut second),
                async { seq(put(&alice, 0, dm, id, &text).await?) },
                async { seq(put(&alice, 1, dm, id, &text).await?) },
            )?;
            ensure!(a == b && b == c && c == d, "{a} {b} {c} {d}");
        }
        let history = bob.history(dm).await?;
        ensure!(history.len() == ROUNDS, "{}", history.len());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_the_dedupe_window_gets_the_first_ack_again() -> anyhow::Result<()> {
    const WINDOW: Duration = Duration::from_secs(4);
    Stage::new()
        .settings(|settings| settings.dedupe_window = WINDOW)
        .run(async |Play { house, .. }| {
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let (dm, other) = (alice.dm(&bob), alice.dm(&alice));
            let ids: Vec<_> = (0..10).map(|_| new_id()).collect();
            let mut first = Vec::new();
            for (n, id) in ids.iter().enumerate() {
                first.push(seq(put(&alice, n % 2, dm, *id, &format!("text {n}")).await?)?);
            }
            // What the window has forgotten is told by the stream itself: it takes the id again.
            let context = async_nats::jetstream::new(house.ground().client().await?);
            until("the window has passed", async || {
                let subject =
                    natterjack_nats::subjects::chat::subject(house.ground().settings().shards, &other);
                let stored = natterjack_nats::wire::Stored::new(
                    other,
                    new_id(),
                    alice.id,
                    Clock::system().now_ms(),
                    natterjack_nats::wire::Content::Text {
                        text: "probe".into(),
                        reply_to: None,
                    },
                );
                let age_ms = Clock::system().now_ms() - ids[9].unix_ms();
                let message = async_nats::jetstream::message::PublishMessage::build()
                    .message_id(stored.nats_msg_id())
                    .payload(serde_json::to_vec(&stored)?.into());
                // Keeps the stream moving, as a real one does.
                context.send_publish(subject, message).await?.await?;
                Ok((u128::from(age_ms) > 2 * WINDOW.as_millis()).then_some(()))
            })
            .await?;
            for round in 0..2 {
                for (n, id) in ids.iter().enumerate() {
                    let again = seq(put(&alice, (n + round) % 2, dm, *id, &format!("text {n}")).await?)?;
                    ensure!(again == first[n], "{again} is not {}", first[n]);
                    put(&alice, n % 2, dm, *id, "something else")
                        .await?
                        .refused(409, "conflict")?;
                }
                house.ground().persisted().await?;
            }
            ensure!(bob.history(dm).await?.len() == 10);
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_id_with_another_content_is_a_conflict() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let id = new_id();
        let first = seq(put(&alice, 0, dm, id, "this").await?)?;
        for edge in [0, 1] {
            put(&alice, edge, dm, id, "that")
                .await?
                .refused(409, "conflict")?;
            let path = format!("/v1/conversations/{dm}/messages");
            let reply = json!({"id": id, "text": "this", "reply_to": first});
            alice
                .request(edge, Method::POST, &path, Some(reply))
                .await?
                .refused(409, "conflict")?;
            ensure!(seq(put(&alice, edge, dm, id, "this").await?)? == first);
        }
        // The id names a message of its sender only: somebody else may use it.
        ensure!(seq(put(&bob, 0, dm, id, "by bob").await?)? != first);
        ensure!(bob.history(dm).await?.len() == 2);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_the_past_and_of_the_future_are_looked_up() -> anyhow::Result<()> {
    const HOUR_MS: u64 = 3_600_000;
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let now = Clock::system().now_ms();
        for made_at in [
            now - 24 * HOUR_MS,
            now - 90_000,
            now + 90_000,
            now + 24 * HOUR_MS,
            1,
            (1 << 48) - 1,
        ] {
            let id = MessageId::generate(made_at);
            let first = seq(put(&alice, 0, dm, id, "when?").await?)?;
            // At once, when it is perhaps in the stream only, and later.
            for edge in [1, 0] {
                ensure!(seq(put(&alice, edge, dm, id, "when?").await?)? == first);
                put(&alice, edge, dm, id, "whenever")
                    .await?
                    .refused(409, "conflict")?;
                house.ground().persisted().await?;
            }
        }
        ensure!(bob.history(dm).await?.len() == 6);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_an_edit_or_a_deletion_still_gets_the_first_ack() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let old = MessageId::generate(Clock::system().now_ms() - 600_000);
        for id in [new_id(), old] {
            let first = seq(put(&alice, 0, dm, id, "orginal").await?)?;
            let message = format!("/v1/conversations/{dm}/messages/{first}");
            let edit = json!({"id": new_id(), "text": "original"});
            let edited = alice.patch(&message, edit.clone()).await?.ok()?;
            ensure!(
                alice.patch(&message, edit.clone()).await?.ok()? == edited,
                "an edit is idempotent too"
            );
            house.ground().persisted().await?;
            ensure!(seq(put(&alice, 1, dm, id, "orginal").await?)? == first);
            put(&alice, 1, dm, id, "original")
                .await?
                .refused(409, "conflict")?;
            let delete = format!("{message}?id={}", new_id());
            let deleted: Value = alice.delete(&delete).await?.ok()?;
            ensure!(
                alice.delete(&delete).await?.ok()? == deleted,
                "and so is a deletion"
            );
            ensure!(
                alice.patch(&message, edit).await?.ok()? == edited,
                "also once the target is gone"
            );
            house.ground().persisted().await?;
            ensure!(seq(put(&alice, 0, dm, id, "orginal").await?)? == first);
            put(&alice, 0, dm, id, "another")
                .await?
                .refused(409, "conflict")?;
        }
        ensure!(bob.history(dm).await?.len() == 6);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_removed_after_a_lost_ack_gets_it_again_and_nothing_else() -> anyhow::Result<()> {
    // Tried for a quarter of it.
    const WINDOW: Duration = Duration::from_secs(8);
    Stage::new()
        .settings(|settings| settings.dedupe_window = WINDOW)
        .first_edge_via_proxy()
        .run(async |Play { house, proxy, .. }| {
            let proxy = proxy.as_ref().unwrap();
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let carol = User::sign_up(house, "carol").await?;
            let group = alice.group("two", &[&bob]).await?;
            let Conversation::Group(name) = group else {
                anyhow::bail!("{group}")
            };
            let mut socket = bob.online(0).await?;
            socket.say(group, "hello").await?;
            proxy.swallow(|passing| passing.client.ends_with(" publish"));
            let id = new_id();
            put(&bob, 0, group, id, "is it there?")
                .await?
                .refused(504, "timeout")?;
            ensure!(proxy.pass_all() > 0);
            alice
                .delete(&format!("/v1/groups/{name}/members/{}", bob.id))
                .await?
                .ok()?;
            until("the first edge has heard of it", async || {
                let never = put(&bob, 0, group, new_id(), "never stored").await?;
                Ok((never.code() == "not_member").then_some(()))
            })
            .await?;
            let history = alice.history(group).await?;
            let stored: Vec<_> = history.iter().filter(|message| message.id == id).collect();
            ensure!(stored.len() == 1, "{history:?}");
            for round in 0..2 {
                for edge in [0, 1] {
                    ensure!(seq(put(&bob, edge, group, id, "is it there?").await?)? == stored[0].seq);
                    put(&bob, edge, group, id, "is this?")
                        .await?
                        .refused(409, "conflict")?;
                    put(&bob, edge, group, new_id(), "may I?")
                        .await?
                        .refused(403, "not_member")?;
                    // The id is bob's: to nobody else it says anything.
                    put(&carol, edge, group, id, "is it there?")
                        .await?
                        .refused(403, "not_member")?;
                }
                if round == 0 {
                    house.ground().persisted().await?;
                }
            }
            let frame = json!({"type": "send", "id": id, "conversation": group, "text": "is it there?"});
            socket.send(&frame).await?;
            ensure!(socket.acked(id).await?? == stored[0].seq);
            let last = alice.history(group).await?;
            ensure!(
                last.iter().filter(|message| message.sender == bob.id).count() == 2,
                "{last:?}"
            );
            Ok(())
        })
        .await
}

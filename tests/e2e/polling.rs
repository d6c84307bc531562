//! Short and long polling: what a socket would bring, for networks that break sockets.

use std::time::Duration;

use anyhow::ensure;
use natterjack_nats::wire::{Message, SyncPage};
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    raw::chained,
    stage::{self, Play},
    user::User,
};

/// Polls, and at once again where the answer says that there is more although it holds nothing: a
/// message that came while the answer was put together.
async fn sync(user: &User, edge: usize, cursor: &str, wait_s: u32) -> anyhow::Result<SyncPage> {
    let mut cursor = cursor.to_owned();
    loop {
        let path = format!("/v1/sync?cursor={cursor}&wait={wait_s}");
        let answer = user.request(edge, Method::GET, &path, None).await?.ok()?;
        let page: SyncPage = serde_json::from_value(answer)?;
        if !page.messages.is_empty() || !page.more {
            return Ok(page);
        }
        cursor = page.cursor;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_polling_misses_nothing_and_repeats_nothing() -> anyhow::Result<()> {
    const MESSAGES: usize = 400;
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let group = alice.group("busy", &[&bob]).await?;
        let dm = alice.dm(&bob);
        house.ground().persisted().await?;
        let start: SyncPage = bob.fetch("/v1/sync").await?;
        ensure!(start.messages.is_empty() && start.conversations.is_some_and(|list| list.len() == 1));
        let mut socket = alice.online(0).await?;
        let writer = tokio::spawn(async move {
            let mut said = [Vec::new(), Vec::new()];
            for n in 0..MESSAGES {
                let index = n % 2;
                said[index].push(socket.say([dm, group][index], &format!("message {n}")).await?);
            }
            anyhow::Ok(said)
        });
        let mut cursor = start.cursor;
        let (mut of_dm, mut of_group): (Vec<Message>, Vec<Message>) = (Vec::new(), Vec::new());
        let mut polls = 0;
        let deadline = Instant::now() + Duration::from_secs(60);
        while of_dm.len() + of_group.len() < MESSAGES {
            ensure!(
                Instant::now() < deadline,
                "{} and {} after {polls} polls",
                of_dm.len(),
                of_group.len()
            );
            let page = sync(&bob, polls % 2, &cursor, 0).await?;
            polls += 1;
            cursor = page.cursor;
            for message in page.messages {
                if message.conversation == dm {
                    of_dm.push(message)
                } else {
                    of_group.push(message)
                }
            }
        }
        let [said, said_in_group] = writer.await??;
        ensure!(of_dm.iter().map(|message| message.seq).eq(said));
        ensure!(of_group.iter().map(|message| message.seq).eq(said_in_group));
        chained(&of_dm, 0)?;
        chained(&of_group, of_group[0].prev)?;
        ensure!(sync(&bob, 0, &cursor, 0).await?.messages.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_polling_answers_at_once_when_something_comes() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let mut cursor = bob.fetch::<SyncPage>("/v1/sync").await?.cursor;
        let mut given: Vec<Message> = Vec::new();
        for round in 0..20_usize {
            // Sent at once, or only after the poll has begun: both are found.
            let poll = sync(&bob, round % 2, &cursor, 30);
            let say = async {
                if round % 3 > 0 {
                    tokio::task::yield_now().await;
                    tokio::time::sleep(Duration::from_millis(20 * (round as u64 % 3))).await;
                }
                alice.say(dm, &format!("round {round}")).await
            };
            let asked = Instant::now();
            let (page, seq) = tokio::try_join!(poll, say)?;
            ensure!(
                asked.elapsed() < Duration::from_secs(15),
                "round {round} took {:?}",
                asked.elapsed()
            );
            let told = format!("round {round}: {seq} was said, {page:?} after {cursor}");
            cursor = page.cursor;
            given.extend(page.messages);
            ensure!(given.last().map(|message| message.seq) == Some(seq), "{told}");
        }
        chained(&given, 0)?;
        ensure!(given.len() == 20);
        // Nothing comes: the answer is empty, and in time.
        let asked = Instant::now();
        let page = sync(&bob, 0, &cursor, 1).await?;
        ensure!(page.messages.is_empty() && asked.elapsed() >= Duration::from_millis(900));
        // A poll ends when its device is logged out.
        let path = format!("/v1/sync?cursor={cursor}&wait=30");
        let poll = bob.get(&path);
        let logout = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            bob.request(1, Method::POST, "/v1/logout", Some(json!({}))).await
        };
        let (answer, out) = tokio::try_join!(poll, logout)?;
        out.ok()?;
        answer.refused(401, "revoked")?;
        Ok(())
    })
    .await
}

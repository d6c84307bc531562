//! Coming back: after a second or after a thousand messages, with one cursor and no seam.

use anyhow::ensure;
use natterjack_nats::wire::ServerFrame;
use serde_json::json;

use crate::support::{
    raw::{Heard, Raw, burst, chained},
    stage::{self, Play},
    user::User,
};

async fn resumed(socket: &mut Raw) -> anyhow::Result<bool> {
    socket
        .until("resumed", |frame| match frame {
            ServerFrame::Resumed { complete } => Some(*complete),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_device_is_replayed_nothing() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let mut a = alice.online(0).await?;
        let seqs = burst(&mut a, dm, 20).await?;
        let mut b = bob.online(1).await?;
        ensure!(
            b.so_far()
                .await?
                .iter()
                .all(|frame| !matches!(frame, ServerFrame::Message(_) | ServerFrame::Resumed { .. }))
        );
        let next = a.say(dm, "now").await?;
        let message = b.message().await?;
        ensure!(message.seq == next && message.prev == seqs[19], "{message:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returning_device_is_given_what_it_missed_in_every_conversation() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let carol = User::sign_up(house, "carol").await?;
        let group = alice.group("all", &[&bob, &carol]).await?;
        let (dm, other) = (alice.dm(&bob), bob.dm(&carol));
        let (mut a, mut c) = (alice.online(0).await?, carol.online(1).await?);
        let early = burst(&mut a, dm, 3).await?;
        // One half of the rest is in Postgres, the other may be in the stream only.
        burst(&mut a, dm, 10).await?;
        burst(&mut a, group, 5).await?;
        house.ground().persisted().await?;
        burst(&mut a, dm, 10).await?;
        burst(&mut c, other, 7).await?;
        // A conversation without a cursor is delivered from its start.
        let mut b = bob.resume(1, &[(dm, early[1])]).await?;
        ensure!(resumed(&mut b).await?);
        let frames = b.so_far().await?;
        for (conversation, cursor) in [(dm, early[1]), (group, 0), (other, 0)] {
            let given: Vec<_> = frames
                .iter()
                .filter_map(|frame| match frame {
                    ServerFrame::Message(message) if message.conversation == conversation => {
                        Some((**message).clone())
                    }
                    _ => None,
                })
                .collect();
            chained(&given, cursor)?;
            let whole = bob.history(conversation).await?;
            ensure!(
                given.last().map(|m| m.seq) == whole.last().map(|m| m.seq),
                "{conversation}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_gap_is_called_truncated_and_paged_from_history() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let mut a = alice.online(0).await?;
        let seqs = burst(&mut a, dm, 1_150).await?;
        let mut b = bob.resume(1, &[(dm, seqs[9])]).await?;
        let (cursor, head) = b
            .until("truncated", |frame| match frame {
                ServerFrame::Truncated {
                    conversation,
                    cursor,
                    head,
                } if *conversation == dm => Some((*cursor, *head)),
                _ => None,
            })
            .await?;
        ensure!(resumed(&mut b).await?);
        ensure!(head == seqs[1_149]);
        // What was delivered before that, if anything, hangs together with the cursor.
        let frames = b.so_far().await?;
        let given: Vec<_> = frames
            .iter()
            .filter_map(|frame| match frame {
                ServerFrame::Message(message) => Some((**message).clone()),
                _ => None,
            })
            .collect();
        chained(&given, seqs[9])?;
        ensure!(cursor == given.last().map_or(seqs[9], |last| last.seq));
        // The rest is paged, and live goes on from the head.
        let live = a.say(dm, "live").await?;
        ensure!(b.message().await?.seq == live);
        let mut after = cursor;
        let mut paged = 0;
        while after < head {
            let page = b.history(json!({"conversation": dm, "after": after})).await??;
            chained(&page.messages, after)?;
            paged += page.messages.iter().filter(|message| message.seq <= head).count();
            after = page.messages.last().unwrap().seq;
        }
        ensure!(given.len() + paged == 1_140, "{} and {paged}", given.len());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_no_seam_between_replay_and_live_while_messages_keep_coming() -> anyhow::Result<()> {
    const MESSAGES: usize = 1_500;
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let mut a = alice.online(0).await?;
        let writer = tokio::spawn(async move { burst(&mut a, dm, MESSAGES).await });
        let mut given = Vec::new();
        let mut sessions = 0;
        while given.len() < MESSAGES {
            let cursor = given.last().copied().unwrap_or(0);
            let mut b = bob.resume(sessions % 2, &[(dm, cursor)]).await?;
            sessions += 1;
            let mut last = cursor;
            // A few messages of each connection, the replayed ones and some live ones, then away.
            for _ in 0..100 {
                if given.len() == MESSAGES {
                    break;
                }
                match b.next().await? {
                    Heard::Frame(ServerFrame::Message(message)) => {
                        chained(std::slice::from_ref(&*message), last)?;
                        last = message.seq;
                        given.push(last);
                    }
                    Heard::Frame(ServerFrame::Truncated { .. }) => anyhow::bail!("truncated"),
                    Heard::Frame(_) => {}
                    Heard::Closed(code) => anyhow::bail!("closed with {code:?}"),
                }
            }
            b.vanish();
        }
        ensure!(given == writer.await??);
        ensure!(sessions > 10, "{sessions}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_drains_sends_its_clients_elsewhere_and_they_miss_nothing() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let (mut a, mut b) = (alice.online(1).await?, bob.online(0).await?);
        let first = a.say(dm, "before").await?;
        ensure!(b.message().await?.seq == first);
        house.stop_edge(0).await?;
        ensure!(b.closed().await? == Some(3001));
        let second = a.say(dm, "meanwhile").await?;
        let mut b = bob.resume(1, &[(dm, first)]).await?;
        let message = b.message().await?;
        ensure!((message.seq, message.prev) == (second, first));
        house.start_edge(0).await?;
        let mut b = bob.resume(0, &[(dm, first)]).await?;
        ensure!(b.message().await?.seq == second);
        Ok(())
    })
    .await
}

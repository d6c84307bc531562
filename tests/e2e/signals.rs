//! What is not a message: typing, delivered and read cursors, unread counts, the list.

use anyhow::ensure;
use natterjack_nats::{
    Conversation, UserId,
    wire::{Cursor, ServerFrame},
};
use serde_json::json;

use crate::support::{
    raw::Raw,
    stage::{self, Play},
    until,
    user::User,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_is_seen_by_the_others_and_by_nobody_else() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let carol = User::sign_up(house, "carol").await?;
        let dm = alice.dm(&bob);
        let (mut a, mut b, mut c) = (
            alice.online(0).await?,
            bob.online(1).await?,
            carol.online(1).await?,
        );
        for state in [true, false] {
            a.send(&json!({"type": "typing", "conversation": dm, "active": state}))
                .await?;
            let wanted = ServerFrame::Typing {
                conversation: dm,
                user: alice.id,
                active: state,
            };
            b.until("typing", |frame| (*frame == wanted).then_some(()))
                .await?;
        }
        // A stranger cannot show up as typing in a chat of others.
        c.send(&json!({"type": "typing", "conversation": dm, "active": true}))
            .await?;
        c.so_far().await?;
        // HTTP can do it too.
        alice
            .post(&format!("/v1/conversations/{dm}/typing"), json!({"active": true}))
            .await?
            .ok()?;
        let typing = b.until("typing", |frame| {
            matches!(frame, ServerFrame::Typing { .. }).then(|| frame.clone())
        });
        ensure!(
            typing.await?
                == ServerFrame::Typing {
                    conversation: dm,
                    user: alice.id,
                    active: true
                }
        );
        ensure!(
            !c.so_far()
                .await?
                .iter()
                .any(|frame| matches!(frame, ServerFrame::Typing { .. }))
        );
        Ok(())
    })
    .await
}

async fn cursor_of(socket: &mut Raw, dm: Conversation, whose: UserId, wanted: Cursor) -> anyhow::Result<()> {
    socket
        .until("receipts", |frame| match frame {
            ServerFrame::Receipts {
                conversation,
                cursors,
            } if *conversation == dm => cursors
                .iter()
                .any(|cursor| cursor.user == whose && cursor.cursor == wanted)
                .then_some(()),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivered_and_read_reach_the_sender_and_ones_own_devices() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let tablet = User::log_in(house, "bob").await?;
        let dm = alice.dm(&bob);
        let (mut a, mut b, mut t) = (
            alice.online(0).await?,
            bob.online(1).await?,
            tablet.online(0).await?,
        );
        let (first, second) = (a.say(dm, "one").await?, a.say(dm, "two").await?);
        b.messages(2).await?;
        b.send(&json!({"type": "receipt", "conversation": dm, "delivered": second}))
            .await?;
        cursor_of(
            &mut a,
            dm,
            bob.id,
            Cursor {
                delivered: second,
                read: 0,
            },
        )
        .await?;
        b.send(&json!({"type": "receipt", "conversation": dm, "read": first}))
            .await?;
        let both = Cursor {
            delivered: second,
            read: first,
        };
        for socket in [&mut a, &mut t] {
            // A frame tells what is new, which may be one of the two cursors only.
            socket
                .until("read", |frame| match frame {
                    ServerFrame::Receipts {
                        conversation,
                        cursors,
                    } if *conversation == dm => cursors
                        .iter()
                        .any(|c| c.user == bob.id && c.cursor.read == first)
                        .then_some(()),
                    _ => None,
                })
                .await?;
        }
        // And they last: in the list of both, and among the members.
        until("cursors in the list", async || {
            let (mine, theirs) = (bob.summary(dm).await?, alice.summary(dm).await?);
            Ok((mine.cursor == both && theirs.peer_cursor == Some(both)).then_some(()))
        })
        .await?;
        // They never fall.
        b.send(&json!({"type": "receipt", "conversation": dm, "delivered": first, "read": 1}))
            .await?;
        b.send(&json!({"type": "receipt", "conversation": dm, "read": second}))
            .await?;
        until("the later cursor", async || {
            Ok((bob.summary(dm).await?.cursor.read == second).then_some(()))
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_counts_what_is_unread_and_has_the_latest_on_top() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let carol = User::sign_up(house, "carol").await?;
        let group = alice.group("plans", &[&bob]).await?;
        let dm = carol.dm(&bob);
        let mut texts = Vec::new();
        for n in 0..4 {
            texts.push(alice.say(group, &format!("plan {n}")).await?);
        }
        bob.say(group, "my own does not count").await?;
        let hello = carol.say(dm, "hello").await?;
        house.ground().persisted().await?;
        let page: serde_json::Value = bob.fetch("/v1/conversations").await?;
        let names: Vec<_> = page["conversations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["conversation"].clone())
            .collect();
        ensure!(names == [json!(dm), json!(group)], "{page}");
        let (of_dm, of_group) = (bob.summary(dm).await?, bob.summary(group).await?);
        ensure!(
            of_dm.unread == 1 && of_dm.peer.as_ref().map(|peer| peer.id) == Some(carol.id),
            "{of_dm:?}"
        );
        ensure!(of_dm.last_message.as_ref().map(|last| last.seq) == Some(hello) && of_dm.head == hello);
        ensure!(
            of_group.unread == 4 && of_group.title.as_deref() == Some("plans"),
            "{of_group:?}"
        );
        ensure!(of_group.member_count == Some(2));
        // Reading by HTTP; a deleted text is not unread.
        let path = format!("/v1/conversations/{group}/receipts");
        bob.post(&path, json!({"read": texts[1]})).await?.ok()?;
        until("two unread", async || {
            Ok((bob.summary(group).await?.unread == 2).then_some(()))
        })
        .await?;
        let path = format!(
            "/v1/conversations/{group}/messages/{}?id={}",
            texts[3],
            crate::support::user::new_id()
        );
        alice.delete(&path).await?.ok()?;
        until("one unread", async || {
            Ok((bob.summary(group).await?.unread == 1).then_some(()))
        })
        .await?;
        // `ready` has the same list.
        let mut socket = Raw::open(&bob.urls[1]).await?;
        let ready = socket.hello(&bob.token, None).await?;
        ensure!(ready.conversations.len() == 2 && ready.user.id == bob.id && ready.device == bob.device);
        Ok(())
    })
    .await
}

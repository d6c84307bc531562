//! A message that no device in the foreground has confirmed: who is nudged gets what was lost.

use anyhow::ensure;
use natterjack::fleet::House;
use natterjack_nats::{
    Conversation, UserId, subjects,
    wire::{ServerFrame, ShownState, SyncPage, UserPresence},
};
use reqwest::Method;

use crate::support::{
    proxy::Proxy,
    stage::{Play, Stage},
    until,
    user::User,
    within,
};

/// A message of Alice's that is lost on its way to the first edge, and is the last of its conversation.
async fn lost(proxy: &Proxy, alice: &User, conversation: Conversation) -> anyhow::Result<u64> {
    proxy.swallow(move |passing| passing.is_message_of(&conversation));
    let seq = alice.online(1).await?.say(conversation, "the last word").await?;
    until("it is lost", async || Ok((proxy.swallowed() == 1).then_some(()))).await?;
    proxy.pass_all();
    Ok(seq)
}

/// Asks a user's devices as the notifier does.
async fn nudge(
    house: &House,
    user: UserId,
    conversation: Conversation,
    head: u64,
    times: usize,
) -> anyhow::Result<()> {
    let nats = house.ground().client().await?;
    let frame = serde_json::to_vec(&ServerFrame::Nudge { conversation, head })?;
    let subject = subjects::live::subject(&Conversation::User(user));
    for _ in 0..times {
        nats.publish(subject.clone(), frame.clone().into()).await?;
    }
    nats.flush().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_last_message_comes_before_the_nudge_that_asks_for_it() -> anyhow::Result<()> {
    Stage::new()
        .first_edge_via_proxy()
        .run(async |Play { house, proxy, .. }| {
            let proxy = proxy.as_ref().unwrap();
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let group = alice.group("pair", &[&bob]).await?;
            let (mut phone, mut laptop) = (bob.online(0).await?, bob.online(0).await?);
            for conversation in [alice.dm(&bob), group] {
                let seq = lost(proxy, &alice, conversation).await?;
                nudge(house, bob.id, conversation, seq, 300).await?;
                for socket in [&mut phone, &mut laptop] {
                    let mut repaired = 0;
                    socket
                        .until("the nudge", |frame| match frame {
                            ServerFrame::Message(message) if message.seq == seq => {
                                repaired += 1;
                                None
                            }
                            ServerFrame::Nudge { conversation: of, head } => {
                                (*of == conversation && *head == seq).then_some(())
                            }
                            _ => None,
                        })
                        .await?;
                    ensure!(repaired == 1, "{repaired} before the nudge, in {conversation}");
                    let rest = socket.so_far().await?;
                    let again = |frame: &&ServerFrame| matches!(frame, ServerFrame::Message(message) if message.seq == seq);
                    // What the question passed over is among them.
                    ensure!(rest.iter().filter(again).count() == 1, "{rest:?}");
                }
            }
            // Who has everything is asked, and that is all.
            let seq = alice.say(group, "heard?").await?;
            ensure!(phone.message().await?.seq == seq);
            nudge(house, bob.id, group, seq, 1).await?;
            phone
                .until("the nudge", |frame| match frame {
                    ServerFrame::Nudge { head, .. } => (*head == seq).then_some(()),
                    _ => None,
                })
                .await?;
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_waits_is_answered_with_what_was_lost() -> anyhow::Result<()> {
    Stage::new()
        .first_edge_via_proxy()
        .run(async |Play { house, proxy, .. }| {
            let proxy = proxy.as_ref().unwrap();
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let dm = alice.dm(&bob);
            let start: SyncPage = bob.fetch("/v1/sync").await?;
            let path = format!("/v1/sync?cursor={}&wait=60", start.cursor);
            let polling = bob.clone();
            let poll = tokio::spawn(async move { polling.request(0, Method::GET, &path, None).await });
            until("the poll counts as connected", async || {
                let of_bob: Vec<UserPresence> =
                    alice.fetch(&format!("/v1/presence?users={}", bob.id)).await?;
                Ok((of_bob[0].state == ShownState::Online).then_some(()))
            })
            .await?;
            let seq = lost(proxy, &alice, dm).await?;
            house.ground().persisted().await?;
            ensure!(!poll.is_finished(), "nothing tells of it");
            nudge(house, bob.id, dm, seq, 1).await?;
            let page: SyncPage = serde_json::from_value(within("the poll", poll).await???.ok()?)?;
            ensure!(
                page.messages.len() == 1 && page.messages[0].seq == seq,
                "{page:?}"
            );
            Ok(())
        })
        .await
}

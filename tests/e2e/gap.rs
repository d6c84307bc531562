//! The live tail loses messages, as a slow consumer or a broken network makes it: nobody notices.

use anyhow::ensure;
use natterjack_nats::{Conversation, wire::ServerFrame};
use serde_json::json;

use crate::support::{
    raw::{burst, chained},
    stage::{Play, Stage},
    until,
    user::User,
};

/// Whether a frame is the message at this place.
fn at(frame: &ServerFrame, conversation: Conversation, seq: u64) -> Option<()> {
    match frame {
        ServerFrame::Message(message) => {
            (message.conversation == conversation && message.seq == seq).then_some(())
        }
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_repaired_before_what_follows_is_shown() -> anyhow::Result<()> {
    Stage::new()
        .first_edge_via_proxy()
        .run(async |Play { house, proxy, .. }| {
            let proxy = proxy.as_ref().unwrap();
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let dm = alice.dm(&bob);
            let (mut a, mut b) = (alice.online(1).await?, bob.online(0).await?);
            let first = a.say(dm, "first").await?;
            ensure!(b.message().await?.seq == first);
            for lost in [1, 3, 40, 450] {
                proxy.swallow(move |passing| passing.is_message_of(&dm));
                let mut seqs = burst(&mut a, dm, lost).await?;
                until("they are lost", async || {
                    Ok((proxy.swallowed() == lost).then_some(()))
                })
                .await?;
                proxy.pass_all();
                seqs.push(a.say(dm, "this one arrives").await?);
                let given = b.messages(seqs.len()).await?;
                chained(&given, given[0].prev)?;
                ensure!(
                    given.iter().map(|message| message.seq).collect::<Vec<_>>() == seqs,
                    "lost {lost}"
                );
            }
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_third_message_is_lost_and_all_receivers_have_all_in_order() -> anyhow::Result<()> {
    Stage::new()
        .first_edge_via_proxy()
        .run(async |Play { house, proxy, .. }| {
            let proxy = proxy.as_ref().unwrap();
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let carol = User::sign_up(house, "carol").await?;
            let group = alice.group("lossy", &[&bob, &carol]).await?;
            let dm = alice.dm(&bob);
            let cursor = alice.summary(group).await?.head;
            let (mut a, mut b, mut c) = (
                alice.online(1).await?,
                bob.online(0).await?,
                carol.online(0).await?,
            );
            let mut n = 0;
            proxy.swallow(move |passing| {
                let counts = passing.is_message_of(&group) || passing.is_message_of(&dm);
                n += u32::from(counts);
                counts && n.is_multiple_of(3)
            });
            let said = burst(&mut a, group, 100).await?;
            let whispered = burst(&mut a, dm, 100).await?;
            ensure!(proxy.pass_all() > 50);
            // The very last may have been lost; one more of each shows the gap.
            let (end, whispered_end) = (a.say(group, "end").await?, a.say(dm, "end").await?);
            let mut given = Vec::new();
            while given.len() < 202 {
                given.push(b.message().await?);
            }
            let (of_group, of_dm): (Vec<_>, Vec<_>) =
                given.into_iter().partition(|m| m.conversation == group);
            chained(&of_group, cursor)?;
            chained(&of_dm, 0)?;
            ensure!(of_group.len() == said.len() + 1 && of_group.last().map(|m| m.seq) == Some(end));
            ensure!(of_dm.len() == whispered.len() + 1 && of_dm.last().map(|m| m.seq) == Some(whispered_end));
            chained(&c.messages(101).await?, cursor)?;
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_last_message_is_found_when_nats_comes_back() -> anyhow::Result<()> {
    Stage::new()
        .first_edge_via_proxy()
        .run(async |Play { house, proxy, .. }| {
            let proxy = proxy.as_ref().unwrap();
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let group = alice.group("pair", &[&bob]).await?;
            let dm = alice.dm(&bob);
            let (mut a, mut b) = (alice.online(1).await?, bob.online(0).await?);
            let first = a.say(dm, "first").await?;
            ensure!(b.message().await?.seq == first);
            // Both are the last of their conversation, and nothing follows that would tell.
            proxy.swallow(move |passing| passing.is_message_of(&dm) || passing.is_message_of(&group));
            let lost = [a.say(dm, "the last word").await?, a.say(group, "here too").await?];
            until("both are lost", async || {
                Ok((proxy.swallowed() == 2).then_some(()))
            })
            .await?;
            proxy.pass_all();
            ensure!(proxy.cut(" live") == 1);
            for (conversation, seq) in [(dm, lost[0]), (group, lost[1])] {
                b.until("a lost one", |frame| at(frame, conversation, seq))
                    .await?;
            }
            // And the tail lives again.
            let next = a.say(dm, "still there?").await?;
            b.until("the next one", |frame| at(frame, dm, next)).await?;
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_without_nats_for_a_while_loses_neither_messages_nor_memberships() -> anyhow::Result<()> {
    Stage::new()
        .first_edge_via_proxy()
        .run(async |Play { house, proxy, .. }| {
            let proxy = proxy.as_ref().unwrap();
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let mut b = bob.online(0).await?;
            // Whatever the live tail brings is lost: a membership event among it.
            proxy
                .swallow(|passing| passing.client.ends_with(" live") && passing.subject.starts_with("live."));
            let group = alice.request(
                1,
                reqwest::Method::POST,
                "/v1/groups",
                Some(json!({"title": "new", "members": [bob.id]})),
            );
            let group: Conversation = serde_json::from_value(group.await?.ok()?["conversation"].clone())?;
            until("the event is lost", async || {
                Ok((proxy.swallowed() > 0).then_some(()))
            })
            .await?;
            proxy.pass_all();
            proxy.cut(" live");
            let mut a = alice.online(1).await?;
            let seq = a.say(group, "do you hear me?").await?;
            b.until("the group's message", |frame| at(frame, group, seq))
                .await?;
            // Cut everything while a message is on its way: it is acknowledged all the same.
            for suffix in [" publish", " service", " live"] {
                proxy.cut(suffix);
                let seq = b.say(group, &format!("after {suffix}")).await?;
                a.until("it arrives", |frame| at(frame, group, seq)).await?;
            }
            Ok(())
        })
        .await
}

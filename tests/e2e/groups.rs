//! Groups: one order for all, who may change what others said, who comes and who goes.

use std::time::Duration;

use anyhow::ensure;
use natterjack::check::Recorder;
use natterjack_client::{Account, Api, Credentials};
use natterjack_nats::{
    Conversation,
    wire::{Event, HelloDevice, Kind, Message},
};
use serde_json::json;

use crate::support::{
    stage::{self, Play},
    user::User,
};

const SETTLED_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_has_one_order_for_all_however_many_talk_at_once() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let recorder = Recorder::new();
        let mut accounts = Vec::new();
        for index in 0..6 {
            let urls = [house.url(index % 2)];
            let device = HelloDevice {
                id: None,
                name: "test".into(),
                platform: "test".into(),
            };
            let credentials = Credentials {
                handle: format!("user{index}"),
                password: "correct horse".into(),
                device,
            };
            accounts.push(Account::sign_up(&Api::of_servers(&urls)?, credentials).await?);
        }
        let members: Vec<_> = accounts[1..].iter().map(|account| account.user().id).collect();
        let group = accounts[0]
            .api()
            .create_group("everybody", &members)
            .await?
            .conversation;
        let mut clients = Vec::new();
        for (index, account) in accounts.iter().enumerate() {
            let mut config = account.config();
            // On the edge that was chosen.
            config.discovery = false;
            clients.push(recorder.connect(format!("user{index}"), account, config)?);
        }
        recorder.ready(SETTLED_WITHIN).await?;
        for round in 0..20 {
            for (index, client) in clients.iter().enumerate() {
                client.send(group, format!("{round} from {index}"))?;
                let next = accounts[(index + 1) % 6].user().id;
                client.send(Conversation::dm(client.user(), next), format!("psst {round}"))?;
            }
        }
        let summary = recorder.check(SETTLED_WITHIN).await?;
        ensure!(summary.acked == 240 && summary.unacked_stored == 0, "{summary:?}");
        // 6 devices hear the group, 2 hear each of 6 chats of 20 messages.
        ensure!(summary.delivered >= 6 * 120 + 2 * 120, "{summary:?}");
        for client in clients {
            client.close(SETTLED_WITHIN).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_sender_edits_and_only_moderators_delete_what_others_said() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let carol = User::sign_up(house, "carol").await?;
        let group = alice.group("three", &[&bob, &carol]).await?;
        let (mut a, mut b, mut c) = (
            alice.online(0).await?,
            bob.online(1).await?,
            carol.online(1).await?,
        );
        let said = b.say(group, "bob's own").await?;
        let edit =
            json!({"type": "edit", "conversation": group, "target": said, "text": "put in bob's mouth"});
        let delete = json!({"type": "delete", "conversation": group, "target": said});
        for socket in [&mut a, &mut c] {
            ensure!(socket.post(edit.clone()).await?.unwrap_err().code.as_str() == "forbidden");
        }
        ensure!(c.post(delete.clone()).await?.unwrap_err().code.as_str() == "forbidden");
        // The owner of the group may.
        let deleted = a.post(delete.clone()).await??;
        let page = carol.history(group).await?;
        let message = page.iter().find(|message| message.seq == said).unwrap();
        ensure!(message.deleted == Some(deleted) && message.text.is_none());
        // What is gone cannot be edited, not even by its sender.
        ensure!(b.post(edit).await?.unwrap_err().code.as_str() == "not_found");
        // In a 1:1 chat there is no moderator.
        let dm = alice.dm(&bob);
        let said = b.say(dm, "to you").await?;
        let delete = json!({"type": "delete", "conversation": dm, "target": said});
        ensure!(a.post(delete).await?.unwrap_err().code.as_str() == "forbidden");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn membership_events_reach_those_who_are_online_and_cut_off_who_left() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let carol = User::sign_up(house, "carol").await?;
        let (mut a, mut b, mut c) = (
            alice.online(0).await?,
            bob.online(1).await?,
            carol.online(0).await?,
        );
        let group = alice.group("two", &[&bob]).await?;
        let Conversation::Group(id) = group else {
            anyhow::bail!("{group}")
        };
        // Bob is told in his own log, and hears the group from then on although he was online before.
        let joined = b
            .until("joined", |frame| heard(frame, Conversation::User(bob.id)))
            .await?;
        ensure!(joined.event == Some(Event::Joined { group: id }), "{joined:?}");
        a.say(group, "welcome").await?;
        let welcome = b
            .until("welcome", |frame| {
                heard(frame, group).filter(|m| m.kind == Kind::Text)
            })
            .await?;
        ensure!(welcome.text.as_deref() == Some("welcome"));
        alice
            .post(&format!("/v1/groups/{id}/members"), json!({"users": [carol.id]}))
            .await?
            .ok()?;
        c.until("joined", |frame| heard(frame, Conversation::User(carol.id)))
            .await?;
        a.say(group, "hello carol").await?;
        let hello = c
            .until("hello", |frame| heard(frame, group).filter(|m| m.text.is_some()))
            .await?;
        ensure!(
            matches!(hello.text.as_deref(), Some("hello carol" | "welcome")),
            "{hello:?}"
        );
        // Bob is removed: his own log says so, and he is given nothing beyond.
        alice
            .delete(&format!("/v1/groups/{id}/members/{}", bob.id))
            .await?
            .ok()?;
        let left = Some(Event::Left { group: id });
        b.until("left", |frame| {
            heard(frame, Conversation::User(bob.id)).filter(|m| m.event == left)
        })
        .await?;
        let secret = a.say(group, "bob is gone").await?;
        c.until("the message after", |frame| {
            heard(frame, group).filter(|m| m.seq == secret)
        })
        .await?;
        let more = b.so_far().await?;
        ensure!(
            !more
                .iter()
                .any(|frame| heard(frame, group).is_some_and(|m| m.seq >= secret)),
            "{more:?}"
        );
        let refused = b
            .post(json!({"type": "send", "conversation": group, "text": "let me in"}))
            .await?;
        ensure!(refused.unwrap_err().code.as_str() == "not_member");
        Ok(())
    })
    .await
}

fn heard(frame: &natterjack_nats::wire::ServerFrame, conversation: Conversation) -> Option<Message> {
    match frame {
        natterjack_nats::wire::ServerFrame::Message(message) if message.conversation == conversation => {
            Some((**message).clone())
        }
        _ => None,
    }
}

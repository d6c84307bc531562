//! Conversations of others: nobody gets in, and who was put out stays out.

use anyhow::ensure;
use futures::future::join_all;
use natterjack_nats::{
    Conversation, GroupId, UserId,
    wire::{Event, ServerFrame},
};
use natterjack_runtime::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    stage::{self, Play, Stage},
    user::{User, new_id},
};

/// Every way in which somebody could touch a conversation.
async fn shut_out(user: &User, conversation: Conversation) -> anyhow::Result<()> {
    for edge in [0, 1] {
        let mut socket = user.online(edge).await?;
        for frame in [
            json!({"type": "send", "conversation": conversation, "text": "let me in"}),
            json!({"type": "edit", "conversation": conversation, "target": 1, "text": "mine now"}),
            json!({"type": "delete", "conversation": conversation, "target": 1}),
        ] {
            let error = socket.post(frame.clone()).await?.unwrap_err();
            ensure!(
                matches!(error.code.as_str(), "not_member" | "not_found" | "forbidden"),
                "{frame}: {error}"
            );
        }
        for query in [
            json!({}),
            json!({"after": 0}),
            json!({"before": 1_000}),
            json!({"around": 1}),
        ] {
            let mut query = query;
            query["conversation"] = json!(conversation);
            let error = socket.history(query).await?.unwrap_err();
            ensure!(
                matches!(error.code.as_str(), "not_member" | "not_found"),
                "{error}"
            );
        }
        let path = format!("/v1/conversations/{conversation}");
        for (method, path, body) in [
            (Method::GET, path.clone(), None),
            (Method::GET, format!("{path}/messages"), None),
            (Method::GET, format!("{path}/messages?after=0"), None),
            (Method::GET, format!("{path}/members"), None),
            (
                Method::POST,
                format!("{path}/messages"),
                Some(json!({"id": new_id(), "text": "x"})),
            ),
            (
                Method::PATCH,
                format!("{path}/messages/1"),
                Some(json!({"id": new_id(), "text": "x"})),
            ),
            (Method::DELETE, format!("{path}/messages/1?id={}", new_id()), None),
            (Method::POST, format!("{path}/receipts"), Some(json!({"read": 1}))),
            (
                Method::POST,
                format!("{path}/typing"),
                Some(json!({"active": true})),
            ),
        ] {
            let answer = user.request(edge, method.clone(), &path, body).await?;
            ensure!(matches!(answer.status, 403 | 404), "{method} {path}: {answer:?}");
        }
        // Cursors for it are no way in either.
        let mut resumed = user.resume(edge, &[(conversation, 0)]).await?;
        resumed
            .until("resumed", |frame| {
                matches!(frame, ServerFrame::Resumed { .. }).then_some(())
            })
            .await?;
        let frames = resumed.so_far().await?;
        let heard =
            |frame: &ServerFrame| matches!(frame, ServerFrame::Message(m) if m.conversation == conversation);
        ensure!(!frames.iter().any(heard), "{frames:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_and_a_guesser_get_nowhere() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let eve = User::sign_up(house, "eve").await?;
        let (dm, group) = (alice.dm(&bob), alice.group("private", &[&bob]).await?);
        alice.say(dm, "for bob only").await?;
        alice.say(group, "for us only").await?;
        let now = Clock::system().now_ms();
        for conversation in [
            dm,
            group,
            Conversation::User(alice.id),
            Conversation::Group(GroupId::generate(now)),
            Conversation::dm(UserId::generate(now), UserId::generate(now)),
        ] {
            shut_out(&eve, conversation)
                .await
                .map_err(|error| error.context(conversation.to_string()))?;
        }
        // A chat with somebody who does not exist, and one's own log.
        let nobody = Conversation::dm(eve.id, UserId::generate(now));
        let own = Conversation::User(eve.id);
        let mut socket = eve.online(0).await?;
        for (conversation, codes) in [
            (nobody, ["not_found"].as_slice()),
            (own, &["forbidden", "bad_request"]),
        ] {
            let send = json!({"type": "send", "conversation": conversation, "text": "anybody?"});
            let error = socket.post(send).await?.unwrap_err();
            ensure!(codes.contains(&error.code.as_str()), "{error}");
        }
        // Groups of others cannot be changed, nor their ids guessed from an answer.
        let Conversation::Group(id) = group else {
            anyhow::bail!("{group}")
        };
        for (method, path, body) in [
            (
                Method::PATCH,
                format!("/v1/groups/{id}"),
                json!({"title": "mine"}),
            ),
            (
                Method::POST,
                format!("/v1/groups/{id}/members"),
                json!({"users": [eve.id]}),
            ),
            (
                Method::DELETE,
                format!("/v1/groups/{id}/members/{}", bob.id),
                json!({}),
            ),
            (
                Method::PATCH,
                format!("/v1/groups/{id}/members/{}", eve.id),
                json!({"role": "owner"}),
            ),
        ] {
            let answer = eve.request(0, method, &path, Some(body)).await?;
            ensure!(matches!(answer.status, 403 | 404), "{path}: {answer:?}");
        }
        // Sync tells nothing of it.
        let start: Value = eve.fetch("/v1/sync").await?;
        alice.say(group, "again").await?;
        house.ground().persisted().await?;
        let cursor = start["cursor"].as_str().unwrap();
        let page: Value = eve.fetch(&format!("/v1/sync?cursor={cursor}")).await?;
        ensure!(page["messages"] == json!([]), "{page}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_just_removed_is_out_of_everything() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let group = alice.group("pair", &[&bob]).await?;
        let Conversation::Group(id) = group else {
            anyhow::bail!("{group}")
        };
        let (mut b, mut elsewhere) = (bob.online(0).await?, bob.online(1).await?);
        b.say(group, "I am in").await?;
        let start: Value = bob.fetch("/v1/sync").await?;
        alice
            .delete(&format!("/v1/groups/{id}/members/{}", bob.id))
            .await?
            .ok()?;
        // Those who are connected are told; from then on they cannot send, on whatever edge.
        for socket in [&mut b, &mut elsewhere] {
            socket
                .until("left", |frame| match frame {
                    ServerFrame::Message(m) => (m.event == Some(Event::Left { group: id })).then_some(()),
                    _ => None,
                })
                .await?;
            let send = json!({"type": "send", "conversation": group, "text": "still?"});
            ensure!(socket.post(send).await?.unwrap_err().code.as_str() == "not_member");
        }
        alice.say(group, "he is gone").await?;
        shut_out(&bob, group).await?;
        let cursor = start["cursor"].as_str().unwrap();
        let page: Value = bob.fetch(&format!("/v1/sync?cursor={cursor}")).await?;
        let texts = page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|message| message["text"] == "he is gone");
        ensure!(texts.count() == 0, "{page}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_who_join_at_once_for_the_last_place_one_gets_in() -> anyhow::Result<()> {
    const MEMBERS_MAX: usize = 8;
    Stage::new()
        .persister(|args| args.group_members_max = u32::try_from(MEMBERS_MAX).unwrap())
        .run(async |Play { house, .. }| {
            let alice = User::sign_up(house, "alice").await?;
            let mut others = Vec::new();
            for n in 0..50 + MEMBERS_MAX - 2 {
                others.push(User::sign_up(house, &format!("user{n}")).await?);
            }
            let (members, joiners) = others.split_at(MEMBERS_MAX - 2);
            let group = alice.group("full", &members.iter().collect::<Vec<_>>()).await?;
            let Conversation::Group(id) = group else {
                anyhow::bail!("{group}")
            };
            let path = format!("/v1/groups/{id}/members");
            let joins = joiners.iter().enumerate().map(|(n, user)| {
                alice.request(n % 2, Method::POST, &path, Some(json!({"users": [user.id]})))
            });
            let mut joined = 0;
            for answer in join_all(joins).await {
                let answer = answer?;
                match answer.status {
                    200 => joined += 1,
                    _ => answer.refused(409, "group_full")?,
                }
            }
            ensure!(joined == 1, "{joined} of 50 got the last place");
            let members: Value = alice.fetch(&format!("/v1/conversations/{group}/members")).await?;
            ensure!(members.as_array().map(Vec::len) == Some(MEMBERS_MAX));
            ensure!(alice.summary(group).await?.member_count == Some(8));
            Ok(())
        })
        .await
}

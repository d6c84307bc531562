//! All of it over HTTP alone, as on networks that break sockets, and errors in the one form.

use std::time::Duration;

use anyhow::{Context, ensure};
use natterjack_nats::{
    Conversation,
    wire::{Message, SyncPage},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{
    raw::chained,
    stage::{self, Play},
    user::{PASSWORD, User, call, new_id},
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
async fn people_chat_over_http_alone() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let renamed = alice.patch("/v1/me", json!({"name": "Alice A."})).await?.ok()?;
        ensure!(renamed["name"] == "Alice A." && bob.get("/v1/me").await?.ok()?["handle"] == "bob");
        let found: Value = bob.fetch("/v1/users?prefix=ali&limit=5").await?;
        ensure!(
            found[0]["id"] == json!(alice.id) && found[0]["name"] == "Alice A.",
            "{found}"
        );
        let found: Value = bob
            .fetch(&format!("/v1/users?ids={},{}", alice.id, bob.id))
            .await?;
        ensure!(found.as_array().map(Vec::len) == Some(2));
        ensure!(bob.get(&format!("/v1/users/{}", alice.id)).await?.ok()?["handle"] == "alice");
        let group = alice.group("by http", &[&bob]).await?;
        let Conversation::Group(id) = group else {
            anyhow::bail!("{group}")
        };
        let first = alice.say(group, "frist").await?;
        let message = format!("/v1/conversations/{group}/messages/{first}");
        alice
            .patch(&message, json!({"id": new_id(), "text": "first"}))
            .await?
            .ok()?;
        let second = bob.say(group, "second").await?;
        alice
            .delete(&format!(
                "/v1/conversations/{group}/messages/{second}?id={}",
                new_id()
            ))
            .await?
            .ok()?;
        alice
            .patch(&format!("/v1/groups/{id}"), json!({"title": "renamed"}))
            .await?
            .ok()?;
        let history = bob.history(group).await?;
        chained(&history, 0)?;
        let text = |seq| {
            history
                .iter()
                .find(|message| message.seq == seq)
                .and_then(|message| message.text.clone())
        };
        ensure!(text(first).as_deref() == Some("first") && text(second).is_none());
        ensure!(bob.summary(group).await?.title.as_deref() == Some("renamed"));
        let members: Value = bob.fetch(&format!("/v1/conversations/{group}/members")).await?;
        ensure!(members.as_array().map(Vec::len) == Some(2), "{members}");
        bob.delete(&format!("/v1/groups/{id}/members/{}", bob.id))
            .await?
            .ok()?;
        bob.get(&format!("/v1/conversations/{group}/messages"))
            .await?
            .refused(403, "not_member")?;
        alice.post("/v1/logout", json!({})).await?.ok()?;
        let http = reqwest::Client::new();
        let login = json!({"handle": "alice", "password": "wrong password", "device": {}});
        let url = format!("{}/v1/login", house.url(1));
        call(&http, Method::POST, &url, None, Some(&login))
            .await?
            .refused(401, "unauthorized")?;
        let login = json!({"handle": "nobody-here", "password": PASSWORD, "device": {}});
        call(&http, Method::POST, &url, None, Some(&login))
            .await?
            .refused(401, "unauthorized")?;
        let taken = json!({"handle": "Alice", "password": PASSWORD, "device": {}});
        let url = format!("{}/v1/signup", house.url(1));
        call(&http, Method::POST, &url, None, Some(&taken))
            .await?
            .refused(409, "handle_taken")?;
        Ok(())
    })
    .await
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_allow_what_they_say() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let owner = User::sign_up(house, "owner").await?;
        let (admin, member) = (
            User::sign_up(house, "admin").await?,
            User::sign_up(house, "member").await?,
        );
        let guest = User::sign_up(house, "guest").await?;
        let group = owner.group("roles", &[&admin, &member]).await?;
        let Conversation::Group(id) = group else {
            anyhow::bail!("{group}")
        };
        let path = format!("/v1/groups/{id}/members");
        let of = |user: &User| format!("{path}/{}", user.id);
        owner.patch(&of(&admin), json!({"role": "admin"})).await?.ok()?;
        // Members read and write, and no more.
        member
            .patch(&format!("/v1/groups/{id}"), json!({"title": "x"}))
            .await?
            .refused(403, "forbidden")?;
        member
            .post(&path, json!({"users": [guest.id]}))
            .await?
            .refused(403, "forbidden")?;
        member.delete(&of(&admin)).await?.refused(403, "forbidden")?;
        member
            .patch(&of(&member), json!({"role": "owner"}))
            .await?
            .refused(403, "forbidden")?;
        // Admins add, remove and rename, but touch no owner and give no roles.
        admin.post(&path, json!({"users": [guest.id]})).await?.ok()?;
        admin.delete(&of(&guest)).await?.ok()?;
        admin.delete(&of(&owner)).await?.refused(403, "forbidden")?;
        admin
            .patch(&of(&member), json!({"role": "admin"}))
            .await?
            .refused(403, "forbidden")?;
        // The last owner stays until there is another.
        owner.delete(&of(&owner)).await?.refused(409, "last_owner")?;
        owner
            .patch(&of(&owner), json!({"role": "member"}))
            .await?
            .refused(409, "last_owner")?;
        owner.patch(&of(&admin), json!({"role": "owner"})).await?.ok()?;
        owner.delete(&of(&owner)).await?.ok()?;
        owner
            .say(group, "still?")
            .await
            .err()
            .context("who left cannot write")?;
        // Nobody is added who does not exist.
        let nobody = natterjack_nats::UserId::from_parts(1, 1);
        admin
            .post(&path, json!({"users": [nobody]}))
            .await?
            .refused(404, "not_found")?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_request_is_answered_in_the_one_form() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let alice = User::sign_up(house, "alice").await?;
        let notes = alice.dm(&alice);
        let messages = format!("/v1/conversations/{notes}/messages");
        let bad = [
            (Method::GET, "/v1/nowhere".to_owned(), None, 404),
            (Method::GET, "/v1/../../etc/passwd".into(), None, 404),
            (Method::PUT, "/v1/me".into(), Some(json!({})), 405),
            (Method::GET, "/v1/users".into(), None, 400),
            (Method::GET, "/v1/users?prefix=a".into(), None, 400),
            (Method::GET, "/v1/users?prefix=ab&limit=many".into(), None, 400),
            (Method::GET, "/v1/users/%ff%fe".into(), None, 400),
            (
                Method::GET,
                "/v1/users/01J0000000000000000000000A".into(),
                None,
                400,
            ),
            (
                Method::GET,
                "/v1/users/01j00000000000000000000009".into(),
                None,
                404,
            ),
            (Method::GET, "/v1/conversations/dm.b.a".into(), None, 400),
            (Method::GET, format!("{messages}?after=-1"), None, 400),
            (Method::GET, format!("{messages}?after=1&before=2"), None, 400),
            (Method::GET, "/v1/conversations?page=garbage".into(), None, 400),
            (Method::GET, "/v1/sync?cursor=garbage".into(), None, 400),
            (Method::GET, "/v1/sync?wait=soon".into(), None, 400),
            (
                Method::POST,
                messages.clone(),
                Some(json!({"text": "no id"})),
                400,
            ),
            (
                Method::POST,
                messages.clone(),
                Some(json!({"id": "1", "text": "bad id"})),
                400,
            ),
            (Method::POST, messages.clone(), Some(json!(["x"])), 400),
            (
                Method::PATCH,
                format!("{messages}/7"),
                Some(json!({"id": new_id(), "text": "x"})),
                404,
            ),
            (Method::DELETE, format!("{messages}/7"), None, 400),
            (Method::DELETE, format!("{messages}/x?id={}", new_id()), None, 400),
            (
                Method::POST,
                "/v1/groups".into(),
                Some(json!({"title": "", "members": []})),
                400,
            ),
            (
                Method::POST,
                "/v1/groups".into(),
                Some(json!({"title": "x".repeat(101), "members": []})),
                400,
            ),
            (Method::PATCH, "/v1/me".into(), Some(json!({"name": "a\nb"})), 400),
            (
                Method::PATCH,
                "/v1/me".into(),
                Some(json!({"name": "a\u{0}b"})),
                400,
            ),
            (
                Method::POST,
                "/v1/refresh".into(),
                Some(json!({"refresh_token": "garbage"})),
                401,
            ),
            (
                Method::POST,
                "/v1/signup".into(),
                Some(json!({"handle": "x", "password": PASSWORD, "device": {}})),
                400,
            ),
            (
                Method::POST,
                "/v1/signup".into(),
                Some(json!({"handle": "short", "password": "1234567", "device": {}})),
                400,
            ),
            (Method::DELETE, "/v1/devices/phone".into(), None, 400),
        ];
        for (method, path, body, status) in bad {
            let answer = alice
                .request(0, method.clone(), &path, body)
                .await
                .with_context(|| path.clone())?;
            ensure!(
                answer.status == status,
                "{method} {path}: wanted {status}: {answer:?}"
            );
            ensure!(
                answer.body["message"].is_string() && answer.body["retryable"] == false,
                "{path}: {answer:?}"
            );
        }
        // A body that is no JSON at all.
        let http = reqwest::Client::new();
        for body in [&b"{"[..], b"", b"\xff\xfe", b"null"] {
            let url = format!("{}{messages}", house.url(0));
            let answer = http
                .post(url)
                .bearer_auth(&alice.token)
                .body(body.to_vec())
                .send()
                .await?;
            ensure!(answer.status() == 400, "{body:?}");
            ensure!(answer.json::<Value>().await?["code"] == "bad_request");
        }
        for path in ["/healthz", "/readyz", "/metrics", "/"] {
            ensure!(
                http.get(format!("{}{path}", house.url(0))).send().await?.status() == 200,
                "{path}"
            );
        }
        Ok(())
    })
    .await
}

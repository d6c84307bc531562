//! All of it over HTTP alone, as on networks that break sockets, and errors in the one form.

use anyhow::{Context, ensure};
use natterjack_nats::Conversation;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    raw::chained,
    stage::{self, Play},
    user::{PASSWORD, User, call, new_id},
};

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

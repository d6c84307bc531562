//! Who is let in: forged and expired tokens, refresh, logout, and tokens of an outside provider.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use async_nats::jetstream::kv;
use natterjack::fleet::House;
use natterjack_nats::{subjects::kv::cluster, topology::Bucket, wire::ServerFrame};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use crate::support::{
    raw::Raw,
    signer::{Signer, now_s, peek, unsigned},
    stage::{self, Play, Stage},
    until,
    user::{User, call},
};

async fn bucket(house: &House) -> anyhow::Result<kv::Store> {
    let context = async_nats::jetstream::new(house.ground().client().await?);
    Ok(context.get_key_value(Bucket::Cluster.name()).await?)
}

/// Publishes the signer's key beside the persister's, so that its tokens are as good as real.
pub async fn publish(house: &House, signer: &Signer) -> anyhow::Result<()> {
    let bucket = bucket(house).await?;
    let set = bucket
        .get(cluster::JWKS)
        .await?
        .context("the persister published its keys")?;
    let mut set: Value = serde_json::from_slice(&set)?;
    set["keys"].as_array_mut().context("keys")?.push(signer.jwk());
    bucket.put(cluster::JWKS, set.to_string().into()).await?;
    Ok(())
}

/// The status of `GET /v1/me`, and how a socket that says hello is closed.
async fn tried(user: &User, edge: usize, token: &str) -> anyhow::Result<(String, Option<u16>)> {
    let http = reqwest::Client::new();
    let answer = call(
        &http,
        Method::GET,
        &format!("{}/v1/me", user.urls[edge]),
        Some(token),
        None,
    )
    .await?;
    ensure!(answer.status == 401, "{answer:?}");
    let mut socket = Raw::open(&user.urls[edge]).await?;
    socket.send(&json!({"type": "hello", "token": token})).await?;
    ensure!(socket.complaint().await?.code.as_str() == answer.code());
    Ok((answer.code().to_owned(), socket.closed().await?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_foreign_and_expired_tokens_are_refused() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let alice = User::sign_up(house, "alice").await?;
        let (header, claims) = peek(&alice.token);
        let kid = header["kid"].as_str().context("a key id")?;
        let (known, forger) = (Signer::new("known"), Signer::new(kid));
        publish(house, &known).await?;
        let with = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            claims
        };
        // The key is good: this one is taken, once the edges have it.
        for edge in [0, 1] {
            until("the key is known", async || {
                let mut good = alice.clone();
                good.token = known.sign(&claims);
                Ok((good.request(edge, Method::GET, "/v1/me", None).await?.status == 200).then_some(()))
            })
            .await?;
        }
        let mut cut = alice.token.clone();
        cut.truncate(cut.len() - 4);
        let mut swapped = known.sign(&claims);
        let real = alice.token.rsplit('.').next().context("a signature")?;
        swapped.replace_range(swapped.rfind('.').context("a signature")? + 1.., real);
        let bad = [
            known.sign(&with("aud", json!("elsewhere"))),
            known.sign(&with("iss", json!("elsewhere"))),
            known.sign(&with("sub", json!("somebody"))),
            forger.sign(&claims),
            Signer::new("unheard-of").sign(&claims),
            known.sign_with_public_key(&claims),
            unsigned(kid, &claims),
            unsigned("known", &claims),
            alice.refresh_token.clone(),
            cut,
            swapped,
            "garbage".into(),
            "a.b.c".into(),
        ];
        for (index, token) in bad.iter().enumerate() {
            let (code, close) = tried(&alice, index % 2, token).await?;
            ensure!(
                code == "unauthorized" && close == Some(3500),
                "{index}: {code} {close:?}"
            );
        }
        let expired = known.sign(&with("exp", json!(now_s() - 60)));
        let (code, close) = tried(&alice, 0, &expired).await?;
        ensure!(code == "token_expired" && close == Some(3005), "{code} {close:?}");
        // No token at all.
        let (http, url) = (reqwest::Client::new(), format!("{}/v1/me", house.url(0)));
        call(&http, Method::GET, &url, None, None)
            .await?
            .refused(401, "unauthorized")?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_lives_as_long_as_its_token_which_can_be_renewed_in_band() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let signer = Signer::new("short");
        publish(house, &signer).await?;
        let short = |user: &User| {
            let (_, mut claims) = peek(&user.token);
            claims["exp"] = json!(now_s() + 2);
            signer.sign(&claims)
        };
        until("the key is known", async || {
            let mut good = alice.clone();
            good.token = short(&alice);
            Ok((good.get("/v1/me").await?.status == 200).then_some(()))
        })
        .await?;
        let (mut renewed, mut forgotten) =
            (Raw::open(&alice.urls[0]).await?, Raw::open(&alice.urls[0]).await?);
        renewed.hello(&short(&alice), None).await?;
        forgotten.hello(&short(&alice), None).await?;
        // Somebody else's token does not renew.
        renewed
            .send(&json!({"type": "token", "id": "1", "token": bob.token}))
            .await?;
        ensure!(!renewed.complaint().await?.retryable);
        renewed
            .send(&json!({"type": "token", "id": "2", "token": alice.token}))
            .await?;
        renewed
            .until("ok", |frame| {
                (*frame == ServerFrame::Ok { id: "2".into() }).then_some(())
            })
            .await?;
        ensure!(forgotten.closed().await? == Some(3005));
        // The renewed one was opened before, and is still there.
        renewed.say(alice.dm(&bob), "still here").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_closes_the_sockets_of_that_device_everywhere_and_of_no_other() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let alice = User::sign_up(house, "alice").await?;
        let laptop = User::log_in(house, "alice").await?;
        let (mut one, mut two) = (alice.online(0).await?, alice.online(1).await?);
        let mut other = laptop.online(1).await?;
        let devices: Value = laptop.fetch("/v1/devices").await?;
        ensure!(devices.as_array().map(Vec::len) == Some(2), "{devices}");
        alice.post("/v1/logout", json!({})).await?.ok()?;
        ensure!(one.closed().await? == Some(3503) && two.closed().await? == Some(3503));
        for edge in [0, 1] {
            until("the token is dead", async || {
                let answer = alice.request(edge, Method::GET, "/v1/me", None).await?;
                Ok((answer.status == 401 && answer.code() == "revoked").then_some(()))
            })
            .await?;
        }
        other.so_far().await?;
        let refresh = json!({"refresh_token": alice.refresh_token});
        ensure!(alice.post("/v1/refresh", refresh).await?.status == 401);
        // The other device can be ended from afar, and a new login is a new device.
        let again = User::log_in(house, "alice").await?;
        ensure!(again.device != alice.device);
        again
            .delete(&format!("/v1/devices/{}", laptop.device))
            .await?
            .ok()?;
        ensure!(other.closed().await? == Some(3503));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_device() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let alice = User::sign_up(house, "alice").await?;
        let laptop = User::log_in(house, "alice").await?;
        let (mut socket, mut first_edge) = (alice.online(1).await?, alice.online(0).await?);
        let mut other = laptop.online(1).await?;
        let refresh = json!({"refresh_token": alice.refresh_token});
        let next = alice.post("/v1/refresh", refresh.clone()).await?.ok()?;
        ensure!(next["device"] == json!(alice.device) && next["refresh_token"] != refresh["refresh_token"]);
        // A wrong guess does no harm …
        let mut guess = next["refresh_token"].as_str().context("a token")?.to_owned();
        guess.replace_range(guess.len() - 6.., "AAAAAA");
        ensure!(
            alice
                .post("/v1/refresh", json!({"refresh_token": guess}))
                .await?
                .status
                == 401
        );
        // … and the same again is a device that did not hear the answer …
        let again = alice.post("/v1/refresh", refresh.clone()).await?.ok()?;
        let last = json!({"refresh_token": again["refresh_token"]});
        let last = alice.post("/v1/refresh", last).await?.ok()?;
        socket.so_far().await?;
        // … but a token whose successor was used was stolen, or the successor was: whoever holds either
        // is out, on every edge and within a second.
        let begun = Instant::now();
        alice
            .post("/v1/refresh", refresh)
            .await?
            .refused(401, "revoked")?;
        ensure!(socket.closed().await? == Some(3503) && first_edge.closed().await? == Some(3503));
        ensure!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        other.so_far().await?;
        let last = json!({"refresh_token": last["refresh_token"]});
        ensure!(alice.post("/v1/refresh", last).await?.status == 401);
        Ok(())
    })
    .await
}

const ISSUER: &str = "https://id.example";

fn claims(subject: &str) -> Value {
    json!({
        "iss": ISSUER, "aud": "chat", "sub": subject, "iat": now_s(), "exp": now_s() + 600,
        "preferred_username": subject, "name": format!("{subject} of Example"),
    })
}

/// Comes with a token of the outside provider on both ways in.
async fn outside(house: &House, signer: &Signer) -> anyhow::Result<()> {
    let http = reqwest::Client::new();
    let token = signer.sign(&claims("dora"));
    let mut seen = Vec::new();
    for edge in [0, 1, 0] {
        let url = format!("{}/v1/me", house.url(edge));
        let me = call(&http, Method::GET, &url, Some(&token), None).await?.ok()?;
        ensure!(me["handle"] == "dora" && me["name"] == "dora of Example", "{me}");
        seen.push(me["id"].clone());
    }
    ensure!(seen[0] == seen[1] && seen[1] == seen[2]);
    let mut socket = Raw::open(&house.url(1)).await?;
    let device = json!({"id": "01j00000000000000000000001", "name": "browser", "platform": "web"});
    socket
        .send(&json!({"type": "hello", "token": token, "device": device}))
        .await?;
    let ready = socket
        .until("ready", |frame| match frame {
            ServerFrame::Ready(ready) => Some(ready.clone()),
            _ => None,
        })
        .await?;
    ensure!(json!(ready.user.id) == seen[0] && json!(ready.device) == device["id"]);
    // She talks with somebody who has an account here.
    let alice = User::sign_up(house, "alice").await?;
    let dm = natterjack_nats::Conversation::dm(ready.user.id, alice.id);
    let mut a = alice.online(0).await?;
    socket.say(dm, "from outside").await?;
    ensure!(a.message().await?.sender == ready.user.id);
    let other = |name: &str, value: Value| {
        let mut claims = claims("dora");
        claims[name] = value;
        signer.sign(&claims)
    };
    for (token, code) in [
        (other("aud", json!("shop")), "unauthorized"),
        (other("iss", json!("https://evil.example")), "unauthorized"),
        (other("exp", json!(now_s() - 120)), "token_expired"),
        (Signer::new("outside").sign(&claims("dora")), "unauthorized"),
        (signer.sign_with_public_key(&claims("dora")), "unauthorized"),
        (unsigned("outside", &claims("dora")), "unauthorized"),
    ] {
        let answer = call(
            &http,
            Method::GET,
            &format!("{}/v1/me", house.url(0)),
            Some(&token),
            None,
        )
        .await?;
        answer.refused(401, code)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bring_your_own_jwt_with_keys_in_a_file() -> anyhow::Result<()> {
    let signer = Signer::new("outside");
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), json!({"keys": [signer.jwk()]}).to_string())?;
    let path = file.path().display().to_string();
    Stage::new()
        .edge(move |args| {
            args.auth.jwt_issuer = Some(ISSUER.into());
            args.auth.jwt_audience = Some("chat".into());
            args.auth.jwt_jwks = Some(path);
        })
        .run(async |Play { house, .. }| outside(house, &signer).await)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bring_your_own_jwt_with_keys_behind_a_url() -> anyhow::Result<()> {
    let signer = Signer::new("outside");
    let address = serve(json!({"keys": [signer.jwk()]}).to_string()).await?;
    Stage::new()
        .edge(move |args| {
            args.auth.jwt_issuer = Some(ISSUER.into());
            args.auth.jwt_audience = Some("chat".into());
            args.auth.jwt_jwks = Some(format!("http://{address}/jwks.json"));
        })
        .run(async |Play { house, .. }| outside(house, &signer).await)
        .await
}

/// Answers every HTTP request with this JSON, until the test ends.
async fn serve(json: String) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
            let answer = format!("{head}content-length: {}\r\n\r\n{json}", json.len());
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    Ok(address)
}

//! What people choose about pushes over HTTP: where a device is reached, what is muted, how much is said.

use std::time::Duration;

use anyhow::{Context, ensure};
use async_nats::jetstream;
use futures::StreamExt as _;
use natterjack::fleet::House;
use natterjack_client::{Account, Api, Credentials};
use natterjack_nats::{
    cluster,
    subjects::kv,
    topology::Bucket,
    wire::{
        Channel, ConversationSummary, Device, FcmOs, HelloDevice, Mute, PushChannels, PushPreview,
        PushRequest, PushTarget, ReceiptBatch,
    },
};
use natterjack_runtime::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    stage::{self, Play, Stage},
    until,
    user::{Answer, PASSWORD, User},
};

const GOLDEN: &str = include_str!("../../nats/golden/http.push_webpush.json");

/// A browser's subscription.
fn browser(endpoint: &str) -> Value {
    let mut subscription: Value = serde_json::from_str(GOLDEN).unwrap();
    subscription["endpoint"] = endpoint.into();
    subscription
}

async fn register(user: &User, subscription: Value) -> anyhow::Result<Answer> {
    let path = format!("/v1/devices/{}/push", user.device);
    user.request(0, Method::PUT, &path, Some(subscription)).await
}

/// By what the user's own device is pushed, as another edge tells.
async fn pushed_by(user: &User) -> anyhow::Result<Option<Channel>> {
    let answer = user.request(1, Method::GET, "/v1/devices", None).await?;
    let devices: Vec<Device> = serde_json::from_value(answer.ok()?)?;
    let own = devices.into_iter().find(|device| device.id == user.device);
    Ok(own.context("not listed")?.push)
}

/// What a key of the cluster says.
async fn agree(house: &House, key: &str, value: &str) -> anyhow::Result<()> {
    let client = cluster::connect(house.ground().admin(), "test", |_| {}).await?;
    let bucket = jetstream::new(client)
        .get_key_value(Bucket::Cluster.name())
        .await?;
    bucket.put(key, value.to_owned().into()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_registers_itself_and_a_browser_has_one_user() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let channels: PushChannels = alice.fetch("/v1/push").await?;
        let key = channels.webpush_key.context("no key of Web Push")?;
        ensure!(key.len() == 87 && channels.fcm_project.is_none(), "{key}");

        let shared = "http://127.0.0.1:9/shared";
        let told = register(&alice, browser(shared)).await?.ok()?;
        let told: Device = serde_json::from_value(told)?;
        ensure!(told.id == alice.device && told.current && told.push == Some(Channel::WebPush));
        ensure!(pushed_by(&alice).await? == Some(Channel::WebPush));
        // Nobody registers another device, of one's own or of others.
        let further = User::log_in(house, "alice").await?;
        let mut other = further.clone();
        other.device = alice.device;
        register(&other, browser("http://127.0.0.1:9/other"))
            .await?
            .refused(403, "forbidden")?;
        let path = format!("/v1/devices/{}/push", alice.device);
        for user in [&further, &bob] {
            user.delete(&path).await?.refused(403, "forbidden")?;
        }

        register(&bob, browser(shared)).await?.ok()?;
        ensure!(pushed_by(&bob).await? == Some(Channel::WebPush) && pushed_by(&alice).await?.is_none());

        // FCM is taken once the server has credentials, and takes the place of the browser.
        let phone = json!({"channel": "fcm", "token": "abc:def", "os": "ios", "silent": true});
        let refused = register(&bob, phone.clone()).await?;
        refused.refused(400, "bad_request")?;
        ensure!(
            refused.body["message"].to_string().contains("credentials"),
            "{refused:?}"
        );
        agree(house, kv::cluster::FCM, "pond-1234").await?;
        until("the project is told", async || {
            let channels: PushChannels = bob.fetch("/v1/push").await?;
            Ok((channels.fcm_project.as_deref() == Some("pond-1234")).then_some(()))
        })
        .await?;
        register(&bob, phone).await?.ok()?;
        ensure!(pushed_by(&bob).await? == Some(Channel::Fcm));

        bob.delete(&format!("/v1/devices/{}/push", bob.device))
            .await?
            .ok()?;
        ensure!(pushed_by(&bob).await?.is_none());
        // A device that is logged out has nothing any more: its token is no good, and its browser is free.
        register(&alice, browser(shared)).await?.ok()?;
        alice.post("/v1/logout", json!({})).await?.ok()?;
        until("the token is no good", async || {
            Ok((alice.get("/v1/me").await?.status == 401).then_some(()))
        })
        .await?;
        register(&bob, browser(shared)).await?.ok()?;
        ensure!(pushed_by(&bob).await? == Some(Channel::WebPush));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_may_be_sent_is_refused_with_a_reason() -> anyhow::Result<()> {
    let public = Stage::new().edge(|args| {
        args.push_anywhere = false;
        args.rates.no_rate_limits = false;
        args.rates.choices_per_user = 30.try_into().unwrap();
    });
    public
        .run(async |Play { house, .. }| {
            let alice = User::sign_up(house, "alice").await?;
            let endpoints = [
                ("http://push.example.com/x", "only https"),
                ("https://127.0.0.1/x", "not a public address"),
                ("https://[::1]:8443/x", "not a public address"),
                ("https://10.1.2.3/x", "not a public address"),
                ("https://169.254.169.254/latest/meta-data", "not a public address"),
                ("https://2130706433/x", "not a public address"),
                ("https://localhost/x", "not a public address"),
                ("https://user:secret@push.example.com/x", "user or a password"),
                ("push.example.com/x", "not a URL"),
                ("", "not a URL"),
            ];
            let mut bad: Vec<(Value, &str)> =
                endpoints.map(|(endpoint, told)| (browser(endpoint), told)).into();
            let long = format!("https://push.example.com/{}", "x".repeat(2_048));
            bad.push((browser(&long), "at most 2048"));
            for (key, told) in [("p256dh", "P-256"), ("auth", "16 bytes")] {
                let mut subscription = browser("https://1.1.1.1/x");
                subscription["keys"][key] = "AAAA".into();
                bad.push((subscription, told));
            }
            for (subscription, told) in bad {
                let answer = register(&alice, subscription.clone()).await?;
                answer.refused(400, "bad_request")?;
                let message = answer.body["message"].as_str().context("no message")?;
                ensure!(message.contains(told), "{subscription}: {message}");
            }
            ensure!(pushed_by(&alice).await?.is_none());
            register(&alice, browser("https://1.1.1.1/x")).await?.ok()?;
            // Too often: the next one is told to wait.
            let answer = until("it is too often", async || {
                let answer = register(&alice, browser("https://1.1.1.1/x")).await?;
                Ok((answer.status != 200).then_some(answer))
            })
            .await?;
            answer.refused(429, "rate_limited")?;
            ensure!(answer.body["retry_after_ms"].is_u64(), "{answer:?}");
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_muted_for_oneself_and_for_a_while() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob, carol) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
            User::sign_up(house, "carol").await?,
        );
        let dm = alice.dm(&bob);
        let path = format!("/v1/conversations/{dm}/mute");
        let put = async |user: &User, body: Value| user.request(0, Method::PUT, &path, Some(body)).await;
        let until_ms = Clock::system().now_ms() + 3_600_000;
        let muted = put(&alice, json!({"until": until_ms, "mentions": false}))
            .await?
            .ok()?;
        let muted: ConversationSummary = serde_json::from_value(muted)?;
        let expected = Mute {
            until: Some(until_ms),
            mentions: false,
        };
        ensure!(muted.mute == Some(expected) && muted.conversation == dm);
        bob.say(dm, "are you there?").await?;
        let listed = async |user: &User| {
            let list: Value = user.fetch("/v1/conversations").await?;
            anyhow::Ok(list["conversations"][0]["mute"].clone())
        };
        ensure!(listed(&alice).await? == serde_json::to_value(expected)? && listed(&bob).await?.is_null());
        // It ends by itself.
        let soon = Clock::system().now_ms() + 1_000;
        put(&alice, json!({"until": soon})).await?.ok()?;
        until("it is over", async || {
            Ok(alice.summary(dm).await?.mute.is_none().then_some(()))
        })
        .await?;
        ensure!(Clock::system().now_ms() >= soon);
        let ever = put(&alice, json!({})).await?.ok()?;
        ensure!(ever["mute"] == json!({"mentions": true}), "{ever}");
        ensure!(alice.delete(&path).await?.ok()?["mute"].is_null());

        put(&carol, json!({})).await?.refused(403, "not_member")?;
        put(&alice, json!({"until": 1}))
            .await?
            .refused(400, "bad_request")?;
        put(&alice, json!({"until": "tomorrow"}))
            .await?
            .refused(400, "bad_request")?;
        let group = bob.group("theirs", &[]).await?;
        let path = format!("/v1/conversations/{group}/mute");
        let answer = alice.request(0, Method::PUT, &path, Some(json!({}))).await?;
        answer.refused(403, "not_member")
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_says_whether_somebody_looked() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let seq = bob.say(dm, "hello").await?;
        let client = cluster::connect(house.ground().admin(), "test", |_| {}).await?;
        let mut batches = client.subscribe("receipt.>").await?;
        client.flush().await?;
        let path = format!("/v1/conversations/{dm}/receipts");
        for (receipt, foreground) in [
            (json!({"delivered": seq}), 0),
            (json!({"delivered": seq, "active": false}), 0),
            (json!({"delivered": seq, "active": true}), seq),
            (json!({"read": seq}), seq),
        ] {
            alice.post(&path, receipt.clone()).await?.ok()?;
            let batch = tokio::time::timeout(PATIENCE, batches.next())
                .await?
                .context("over")?;
            let batch: ReceiptBatch = serde_json::from_slice(&batch.payload)?;
            let [told] = batch.receipts.as_slice() else {
                anyhow::bail!("one receipt was sent: {batch:?}")
            };
            ensure!(told.user == alice.id && told.cursor.delivered == seq, "{told:?}");
            ensure!(told.foreground == foreground, "{receipt}: {told:?}");
        }
        alice
            .post(&path, json!({"delivered": seq, "active": "yes"}))
            .await?
            .refused(400, "bad_request")
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_client_chooses_too() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let device = HelloDevice {
            id: None,
            name: "terminal".into(),
            platform: "test".into(),
        };
        let credentials = Credentials {
            handle: "alice".into(),
            password: PASSWORD.into(),
            device,
        };
        let account = Account::sign_up(&Api::of_servers(&house.urls())?, credentials).await?;
        let api = account.api();
        ensure!(api.me().await?.push_preview == PushPreview::Full);
        api.set_push_preview(PushPreview::Sender).await?;
        let me = api.me().await?;
        ensure!(me.push_preview == PushPreview::Sender && me.profile.id == account.user().id);
        ensure!(api.push_channels().await?.webpush_key.is_some());
        agree(house, kv::cluster::FCM, "pond-1234").await?;
        let request = PushRequest {
            target: PushTarget::Fcm {
                token: "abc".into(),
                os: FcmOs::Android,
            },
            silent: true,
        };
        let registered = api.register_push(account.device(), &request).await?;
        ensure!(registered.push == Some(Channel::Fcm));
        api.unregister_push(account.device()).await?;
        ensure!(api.devices().await?[0].push.is_none());
        let own = natterjack_nats::Conversation::dm(me.profile.id, me.profile.id);
        let mute = Mute {
            until: Some(Clock::system().now_ms() + Duration::from_hours(1).as_secs() * 1_000),
            mentions: true,
        };
        ensure!(api.mute(own, mute).await?.mute == Some(mute));
        ensure!(api.unmute(own).await?.mute.is_none());
        Ok(())
    })
    .await
}

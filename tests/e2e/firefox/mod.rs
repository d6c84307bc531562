//! A message on its way to a real Firefox: it subscribes, the notifier pushes, the browser decrypts, and its
//! service worker shows the notification.

mod autopush;
mod browser;
mod marionette;

use std::time::Instant;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    stage::{Play, Stage},
    until,
    user::User,
};
use autopush::Autopush;
use browser::{Browser, FIREFOX};

/// Where a picture of the page is wanted.
const SCREENSHOT: &str = "NATTERJACK_TEST_SCREENSHOT";

/// Waits until what Firefox shows is of this message.
async fn shows(browser: &mut Browser, seq: u64) -> anyhow::Result<Value> {
    until("Firefox shows the notification", async || {
        let shown = browser.marionette.run("shown", &[]).await?;
        Ok((shown[0]["data"]["seq"] == seq).then_some(shown))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_becomes_a_notification_in_firefox() -> anyhow::Result<()> {
    let started = Instant::now();
    let Some(program) = FIREFOX.locate().await? else {
        return Ok(());
    };
    let located = started.elapsed();
    Stage::new()
        .notifier(|_| {})
        .run(async |Play { house, .. }| {
            let autopush = Autopush::start().await?;
            let mut browser = Browser::start(&program, &autopush.push_url()).await?;
            // Marionette switches it off at its start.
            browser
                .marionette
                .set_preference("dom.push.connection.enabled", true)
                .await?;
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );

            // Bob's browser subscribes with the server's key, and Bob's device is registered with that.
            let channels = bob.get("/v1/push").await?.ok()?;
            let key = channels["webpush_key"].as_str().context("no key")?;
            browser.marionette.open(&autopush.page_url()).await?;
            let subscription = browser.marionette.run("subscribe", &[key]).await?;
            let registration = json!({
                "channel": "webpush",
                "endpoint": subscription["endpoint"],
                "keys": subscription["keys"],
            });
            bob.request(
                0,
                Method::PUT,
                &format!("/v1/devices/{}/push", bob.device),
                Some(registration),
            )
            .await?
            .ok()?;

            // Bob is away.
            let dm = alice.dm(&bob);
            let text = "Frösche 🐸 quaken \"laut\"\nund lange";
            let seq = alice.say(dm, text).await?;
            let shown = shows(&mut browser, seq).await?;
            ensure!(shown.as_array().is_some_and(|shown| shown.len() == 1), "{shown}");
            let notification = &shown[0];
            ensure!(notification["title"] == "alice", "{shown}");
            ensure!(notification["body"] == text, "{shown}");
            ensure!(notification["tag"] == dm.to_string(), "{shown}");
            ensure!(notification["data"]["badge"] == 1, "{shown}");

            // The next one takes its place.
            let next = alice.say(dm, &"quak ".repeat(1_000)).await?;
            let shown = shows(&mut browser, next).await?;
            ensure!(shown.as_array().is_some_and(|shown| shown.len() == 1), "{shown}");
            ensure!(
                shown[0]["body"]
                    .as_str()
                    .is_some_and(|body| body.starts_with("quak quak"))
            );

            // 100: delivered, and 101 would be: could not be decrypted.
            let acks = autopush.acks(2).await?;
            ensure!(acks == [100, 100], "{acks:?}");
            ensure!(autopush.problems().is_empty(), "{:?}", autopush.problems());
            if let Some(path) = std::env::var_os(SCREENSHOT) {
                std::fs::write(path, browser.marionette.screenshot().await?)?;
            }
            browser.finish().await
        })
        .await?;
    let (located, all) = (located.as_secs_f32(), started.elapsed().as_secs_f32());
    FIREFOX.say(&format!("{all:.1} s, of which {located:.1} s to have it"));
    Ok(())
}

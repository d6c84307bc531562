//! Push services that are away, ask for patience, or know a device no more.

use anyhow::ensure;
use natterjack::fleet::{Weather, push_service::Behaviour};
use natterjack_nats::wire::{PushReason, PushTrace};
use natterjack_runtime::clock::Clock;
use serde_json::Value;

use super::{
    SHORT,
    scene::{play, stage},
};
use crate::support::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_service_that_is_away_gets_everything_when_it_is_back() -> anyhow::Result<()> {
    play(stage(SHORT), async |scene| {
        let alice = scene.user("alice").await?;
        let bob = scene.with_phone("bob", "bob").await?;
        let dm = alice.dm(&bob);
        scene.phones.set_weather(Weather::Cut);
        let seq = alice.say(dm, "Knock, knock").await?;
        until("it was tried in vain", async || {
            let traces = scene.traces(dm).await?;
            let tried = |trace: &PushTrace| matches!(trace, PushTrace::Attempted { .. });
            Ok(traces.iter().any(tried).then_some(()))
        })
        .await?;
        // Chat does not wait for it.
        let mut socket = bob.online(0).await?;
        let live = alice.say(dm, "You are here").await?;
        ensure!(socket.message().await?.seq == live);
        socket.vanish();
        scene.phones.set_weather(Weather::Fair);
        scene.phones.told_of("bob", dm, live).await?;
        let told = scene.phones.told("bob")?;
        let again = told.iter().filter(|taken| taken.notice.seq() == seq);
        ensure!(again.count() <= 1, "{told:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patience_is_given_as_long_as_it_is_asked_for() -> anyhow::Result<()> {
    play(stage(SHORT), async |scene| {
        let alice = scene.user("alice").await?;
        let bob = scene.with_phone("bob", "bob").await?;
        let dm = alice.dm(&bob);
        scene.phones.behave_to("bob", &Behaviour::retry_after(429, "3"));
        let seq = alice.say(dm, "Not so fast").await?;
        until("it was asked for patience", async || {
            Ok((scene.phones.tries("bob") > 0).then_some(()))
        })
        .await?;
        let asked_ms = Clock::system().now_ms();
        scene.phones.behave_to("bob", &Behaviour::Take);
        let taken = scene.phones.told_of("bob", dm, seq).await?;
        let waited_ms = taken.at_ms.saturating_sub(asked_ms);
        // It was asked for a moment before we noticed.
        ensure!(waited_ms > 2_700, "tried again after {waited_ms} ms");
        ensure!(
            scene.phones.tries("bob") == 2,
            "{} requests",
            scene.phones.tries("bob")
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_gone_is_forgotten_and_may_come_back() -> anyhow::Result<()> {
    play(stage(SHORT), async |scene| {
        let alice = scene.user("alice").await?;
        let bob = scene.with_phone("bob", "bob").await?;
        let dm = alice.dm(&bob);
        scene.phones.behave_to("bob", &Behaviour::status(410));
        alice.say(dm, "Anybody?").await?;
        until("the registration is gone", async || {
            let devices: Vec<Value> = bob.fetch("/v1/devices").await?;
            Ok(devices[0].get("push").is_none_or(Value::is_null).then_some(()))
        })
        .await?;
        ensure!(
            scene.phones.tries("bob") == 1,
            "{} requests",
            scene.phones.tries("bob")
        );
        let seq = alice.say(dm, "Nobody").await?;
        scene.is_decided(dm, seq, &bob, PushReason::NotRegistered).await?;
        scene.register(&bob, "bob", false).await?;
        let seq = alice.say(dm, "Somebody").await?;
        scene.phones.told_of("bob", dm, seq).await?;
        ensure!(scene.phones.told("bob")?.len() == 1);
        Ok(())
    })
    .await
}

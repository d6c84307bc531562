//! What users do and choose: mute, mention, read, edit, delete.

use anyhow::ensure;
use natterjack_nats::{
    Conversation,
    wire::{Notice, PushReason},
};
use reqwest::Method;
use serde_json::json;

use super::{
    LONG, SHORT,
    scene::{Scene, play, stage},
};
use crate::support::user::{User, new_id};

async fn mute(user: &User, conversation: Conversation, mentions: bool) -> anyhow::Result<()> {
    let path = format!("/v1/conversations/{conversation}/mute");
    let mute = json!({"mentions": mentions});
    user.request(0, Method::PUT, &path, Some(mute)).await?.ok()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_muted_is_told_of_mentions_at_most() -> anyhow::Result<()> {
    play(stage(SHORT), async |scene| {
        let alice = scene.user("alice").await?;
        let bob = scene.with_phone("bob", "bob").await?;
        let carol = scene.with_phone("carol", "carol").await?;
        let group = alice.group("Noise", &[&bob, &carol]).await?;
        mute(&bob, group, true).await?;
        mute(&carol, group, false).await?;
        let seq = alice
            .say(group, "Nothing for you, bobby, nor for anybody@bob.example")
            .await?;
        for user in [&bob, &carol] {
            scene.is_decided(group, seq, user, PushReason::Muted).await?;
        }
        let called = alice.say(group, "But this is, @Bob! And @carol, too").await?;
        let taken = scene.phones.told_of("bob", group, called).await?;
        let mention = matches!(taken.notice, Notice::Message { mention: true, .. });
        ensure!(mention, "{taken:?}");
        scene.is_decided(group, called, &carol, PushReason::Muted).await?;
        scene.nothing_for(&carol, "carol", group).await?;
        ensure!(
            scene.phones.told("bob")?.len() == 1,
            "{:?}",
            scene.phones.told("bob")?
        );
        // Her other chats go on, and the mute can be taken back.
        let dm = alice.dm(&carol);
        let seq = alice.say(dm, "Here you are").await?;
        scene.phones.told_of("carol", dm, seq).await?;
        let path = format!("/v1/conversations/{group}/mute");
        carol.request(0, Method::DELETE, &path, None).await?.ok()?;
        let seq = alice.say(group, "Back again").await?;
        scene.phones.told_of("carol", group, seq).await?;
        Ok(())
    })
    .await
}

async fn read(user: &User, conversation: Conversation, seq: u64) -> anyhow::Result<()> {
    let path = format!("/v1/conversations/{conversation}/receipts");
    user.post(&path, json!({"read": seq})).await?.ok()?;
    Ok(())
}

/// Read before it is due: nobody is told.
async fn read_in_time(scene: &Scene<'_>) -> anyhow::Result<()> {
    let (alice, bob) = (scene.user("alice").await?, scene.with_phone("bob", "bob").await?);
    let dm = alice.dm(&bob);
    let seq = alice.say(dm, "Read at once").await?;
    read(&bob, dm, seq).await?;
    let reason = scene.decided(dm, seq, bob.id).await?;
    // Who reads has it in front of them.
    ensure!(
        matches!(reason, PushReason::Read | PushReason::Confirmed),
        "{reason:?}"
    );
    scene.nothing_for(&bob, "bob", dm).await
}

/// Deleted before it is due: nobody is told. An edit is no news either.
async fn deleted_in_time(scene: &Scene<'_>) -> anyhow::Result<()> {
    let (carol, dave) = (
        scene.user("carol").await?,
        scene.with_phone("dave", "dave").await?,
    );
    let dm = carol.dm(&dave);
    let seq = carol.say(dm, "Said too soon").await?;
    let path = format!("/v1/conversations/{dm}/messages/{seq}?id={}", new_id());
    carol.delete(&path).await?.ok()?;
    scene.is_decided(dm, seq, &dave, PushReason::Deleted).await?;
    scene.nothing_for(&dave, "dave", dm).await?;
    let kept = carol.say(dm, "Said with a mistale").await?;
    let path = format!("/v1/conversations/{dm}/messages/{kept}");
    let edit = json!({"id": new_id(), "text": "Said with a mistake"});
    let edited = carol.patch(&path, edit).await?.ok()?["seq"].as_u64();
    let taken = scene.phones.told_of("dave", dm, kept).await?;
    let after = carol.say(dm, "The end").await?;
    scene.phones.told_of("dave", dm, after).await?;
    let told = scene.phones.told("dave")?;
    ensure!(
        told.len() == 2 && told.iter().all(|notice| Some(notice.notice.seq()) != edited),
        "{told:?} {taken:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_or_deleted_in_time_is_not_pushed() -> anyhow::Result<()> {
    play(stage(LONG), async |scene| {
        tokio::try_join!(read_in_time(scene), deleted_in_time(scene))?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_is_withdrawn_where_it_was_read_elsewhere() -> anyhow::Result<()> {
    play(stage(SHORT), async |scene| {
        let alice = scene.user("alice").await?;
        let bob = scene.user("bob").await?;
        let app = scene.another("bob", "app", true).await?;
        let browser = scene.another("bob", "browser", false).await?;
        let dm = alice.dm(&bob);
        let seq = alice.say(dm, "Look here").await?;
        scene.phones.told_of("app", dm, seq).await?;
        scene.phones.told_of("browser", dm, seq).await?;
        read(&bob, dm, seq).await?;
        let withdrawn = scene
            .phones
            .until("app", "that it was read", |taken| {
                matches!(taken.notice, Notice::Withdraw { .. }).then(|| taken.clone())
            })
            .await?;
        ensure!(withdrawn.notice.seq() >= seq && withdrawn.notice.conversation() == &dm);
        // Both entries are done with: a browser would have to show something, and is left alone.
        for device in [&app, &browser] {
            let job = scene.job(device, dm).await?;
            ensure!(matches!(job.map(|job| job.notice), Some(Notice::Withdraw { .. })));
        }
        // What comes next is told again, to both.
        let next = alice.say(dm, "And here").await?;
        scene.phones.told_of("app", dm, next).await?;
        scene.phones.told_of("browser", dm, next).await?;
        let told = scene.phones.told("browser")?;
        ensure!(told.len() == 2, "{told:?}");
        Ok(())
    })
    .await
}

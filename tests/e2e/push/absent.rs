//! Users who are not there: every device that is registered is told once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use natterjack_nats::wire::{Notice, PushReason};
use reqwest::Method;
use serde_json::json;

use super::{
    SHORT,
    scene::{play, stage},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_away_is_told_once_on_each_device() -> anyhow::Result<()> {
    play(stage(SHORT), async |scene| {
        let alice = scene.with_phone("alice", "alice").await?;
        let bob = scene.with_phone("bob", "bob-phone").await?;
        let tablet = scene.another("bob", "bob-tablet", false).await?;
        let carol = scene.user("carol").await?;
        let dm = alice.dm(&bob);
        let mut topics = BTreeMap::<_, BTreeSet<_>>::new();
        for (badge, text) in [(1, "Shall we meet at eight? 🦎"), (2, "Or at nine?")] {
            let seq = alice.say(dm, text).await?;
            for phone in ["bob-phone", "bob-tablet"] {
                let taken = scene.phones.told_of(phone, dm, seq).await?;
                let Notice::Message {
                    conversation,
                    title,
                    body,
                    badge: shown,
                    mention,
                    ..
                } = taken.notice
                else {
                    anyhow::bail!("{taken:?}");
                };
                ensure!(conversation == dm && title == "alice" && body.as_deref() == Some(text));
                ensure!(shown == badge && !mention, "{shown} unread instead of {badge}");
                ensure!(taken.ttl_s > 0 && taken.ttl_s <= 24 * 3_600, "{}", taken.ttl_s);
                topics.entry(phone).or_default().insert(taken.topic);
            }
            scene.is_decided(dm, seq, &bob, PushReason::Unconfirmed).await?;
            // Her own message is no news to her, and neither is it to the device that did not send it.
            scene.is_decided(dm, seq, &alice, PushReason::Own).await?;
            scene.nothing_for(&alice, "alice", dm).await?;
            let why = scene.why(dm, seq, &bob).await?;
            ensure!(!why.is_empty());
        }
        // A later one takes the place of the one before.
        ensure!(topics.values().all(|topics| topics.len() == 1), "{topics:?}");
        // Another chat stands beside it.
        let other = carol.dm(&bob);
        let seq = carol.say(other, "It is me").await?;
        for (phone, topics) in &mut topics {
            topics.insert(scene.phones.told_of(phone, other, seq).await?.topic);
            ensure!(topics.len() == 2, "{topics:?}");
        }
        for phone in ["bob-phone", "bob-tablet"] {
            let told = scene.phones.told(phone)?;
            ensure!(told.len() == 3, "{phone} was told {told:?}");
        }
        // A device that is logged out is told nothing; the other one is.
        tablet
            .request(0, Method::POST, "/v1/logout", Some(json!({})))
            .await?
            .ok()?;
        let before = scene.phones.tries("bob-tablet");
        let seq = alice.say(dm, "Are you there?").await?;
        scene.phones.told_of("bob-phone", dm, seq).await?;
        ensure!(scene.phones.tries("bob-tablet") == before);
        let job = scene.job(&tablet, dm).await?;
        ensure!(
            job.is_none_or(|job| job.notice.seq() < seq),
            "for a device that is gone"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_says_who_speaks_and_previews_say_as_much_as_is_wanted() -> anyhow::Result<()> {
    play(stage(SHORT), async |scene| {
        let alice = scene.user("alice").await?;
        let mut members = Vec::new();
        for preview in ["full", "sender", "none"] {
            let user = scene.with_phone(preview, preview).await?;
            user.patch("/v1/me", json!({"push_preview": preview}))
                .await?
                .ok()?;
            members.push(user);
        }
        let late = scene.with_phone("late", "late").await?;
        let group = alice
            .group("Climbing", &members.iter().collect::<Vec<_>>())
            .await?;
        let seq = alice.say(group, "Who brings the rope?").await?;
        let mut told = Vec::new();
        for user in &members {
            scene
                .is_decided(group, seq, user, PushReason::Unconfirmed)
                .await?;
        }
        for phone in ["full", "sender", "none"] {
            match scene.phones.told_of(phone, group, seq).await?.notice {
                Notice::Message { title, body, .. } => told.push((title, body)),
                other => anyhow::bail!("{other:?}"),
            }
        }
        let full = (
            "Climbing".to_owned(),
            Some("alice: Who brings the rope?".to_owned()),
        );
        ensure!(told[0] == full, "{told:?}");
        ensure!(
            told[1].0.contains("Climbing") && told[1].1.as_deref().is_none_or(|body| !body.contains("rope")),
            "{told:?}"
        );
        let (title, body) = &told[2];
        ensure!(
            !title.contains("Climbing") && !title.contains("alice") && body.is_none(),
            "{told:?}"
        );
        // Who comes later is told of what comes later.
        let members = json!({"users": [late.id]});
        alice
            .post(
                &format!(
                    "/v1/groups/{}/members",
                    group.to_string().trim_start_matches("group.")
                ),
                members,
            )
            .await?
            .ok()?;
        let next = alice.say(group, "And who the tea?").await?;
        scene.phones.told_of("late", group, next).await?;
        let told = scene.phones.told("late")?;
        ensure!(told.len() == 1, "{told:?}");
        Ok(())
    })
    .await
}

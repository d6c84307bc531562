//! Users who are connected: what counts is what their devices confirm.

use std::time::Duration;

use anyhow::ensure;
use natterjack::fleet::{Link, Weather};
use natterjack_nats::{
    Conversation,
    wire::{PushReason, ServerFrame},
};
use natterjack_runtime::clock::Clock;
use tokio::time::Instant;

use super::{
    LONG, SHORT,
    scene::{Scene, confirm, in_background, play, stage},
};
use crate::support::{proxy::Proxy, raw::Raw, until, user::User};

/// Waits for the question whether a message has arrived.
async fn nudged(socket: &mut Raw, conversation: Conversation, seq: u64) -> anyhow::Result<()> {
    socket
        .until("the nudge", |frame| match frame {
            ServerFrame::Nudge {
                conversation: of,
                head,
            } => (*of == conversation && *head >= seq).then_some(()),
            _ => None,
        })
        .await
}

/// A phone in the background has the message, and is told all the same: nobody has seen it.
async fn background(scene: &Scene<'_>, alice: &User) -> anyhow::Result<()> {
    let bob = scene.with_phone("bob", "background").await?;
    let dm = alice.dm(&bob);
    let mut socket = in_background(&bob, 1).await?;
    let seq = alice.say(dm, "You have this, unseen").await?;
    ensure!(socket.message().await?.seq == seq);
    confirm(&mut socket, dm, seq).await?;
    scene.phones.told_of("background", dm, seq).await?;
    scene.is_decided(dm, seq, &bob, PushReason::Unconfirmed).await?;
    ensure!(scene.phones.told("background")?.len() == 1);
    // It has it: there is nothing to repair, and it is not woken for that.
    let asked = |frame: &ServerFrame| matches!(frame, ServerFrame::Nudge { .. });
    ensure!(!socket.so_far().await?.iter().any(asked));
    Ok(())
}

/// A phone that seems to be there and says nothing is asked first, and told when it does not answer.
async fn half_open(scene: &Scene<'_>, alice: &User, grace: Duration) -> anyhow::Result<()> {
    let carol = scene.with_phone("carol", "half-open").await?;
    let dm = alice.dm(&carol);
    let mut socket = carol.online(0).await?;
    let said_ms = Clock::system().now_ms();
    let seq = alice.say(dm, "Are you there?").await?;
    nudged(&mut socket, dm, seq).await?;
    let taken = scene.phones.told_of("half-open", dm, seq).await?;
    let waited = Duration::from_millis(taken.at_ms - said_ms);
    ensure!(waited >= 2 * grace, "told after {waited:?}");
    scene.is_decided(dm, seq, &carol, PushReason::Unconfirmed).await?;
    let reasons: Vec<_> = scene.verdicts(dm, seq, carol.id).await?;
    let reasons: Vec<_> = reasons.into_iter().map(|(reason, _)| reason).collect();
    ensure!(
        reasons == [PushReason::Nudged, PushReason::Unconfirmed],
        "{reasons:?}"
    );
    ensure!(scene.phones.told("half-open")?.len() == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_socket_alone_keeps_no_push_back() -> anyhow::Result<()> {
    play(stage(SHORT), async |scene| {
        let alice = scene.user("alice").await?;
        background(scene, &alice).await?;
        half_open(scene, &alice, SHORT).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_device_in_the_foreground_confirms_is_pushed_nowhere() -> anyhow::Result<()> {
    play(stage(LONG), async |scene| {
        let alice = scene.user("alice").await?;
        let bob = scene.with_phone("bob", "laptop").await?;
        let phone = scene.another("bob", "phone", false).await?;
        let away = scene.another("bob", "tablet", false).await?;
        let group = alice.group("Pond", &[&bob]).await?;
        let mut in_front = bob.online(0).await?;
        let mut behind = in_background(&phone, 1).await?;
        for conversation in [alice.dm(&bob), group] {
            let seq = alice.say(conversation, "Seen?").await?;
            for socket in [&mut behind, &mut in_front] {
                let got = socket.until("the message", |frame| match frame {
                    ServerFrame::Message(message) => (message.seq == seq).then_some(()),
                    _ => None,
                });
                got.await?;
                confirm(socket, conversation, seq).await?;
            }
            scene
                .is_decided(conversation, seq, &bob, PushReason::Confirmed)
                .await?;
            for (user, name) in [(&bob, "laptop"), (&phone, "phone"), (&away, "tablet")] {
                scene.nothing_for(user, name, conversation).await?;
            }
        }
        Ok(())
    })
    .await
}

/// Says something that is lost on its way, waits until it is there all the same, and gives its place.
async fn lost(
    proxy: &Proxy,
    alice: &User,
    socket: &mut Raw,
    conversation: Conversation,
) -> anyhow::Result<u64> {
    proxy.swallow(move |passing| passing.is_message_of(&conversation));
    let seq = alice.online(1).await?.say(conversation, "The last word").await?;
    until("it is lost", async || Ok((proxy.swallowed() > 0).then_some(()))).await?;
    proxy.pass_all();
    let got = socket.until("the lost message", |frame| match frame {
        ServerFrame::Message(message) => (message.seq == seq).then_some(()),
        _ => None,
    });
    got.await?;
    Ok(seq)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_message_is_repaired_by_a_nudge_and_not_pushed() -> anyhow::Result<()> {
    play(stage(LONG).first_edge_via_proxy(), async |scene| {
        let proxy = scene.proxy.clone().unwrap();
        let alice = scene.user("alice").await?;
        let bob = scene.with_phone("bob", "phone").await?;
        let group = alice.group("Pond", &[&bob]).await?;
        let mut socket = bob.online(0).await?;
        // Shortly after connecting the edge compares heads by itself, once: that finds this one.
        let first = lost(&proxy, &alice, &mut socket, alice.dm(&bob)).await?;
        confirm(&mut socket, alice.dm(&bob), first).await?;
        for conversation in [alice.dm(&bob), group] {
            // Nothing follows that would tell; the notifier does.
            let said = Instant::now();
            let seq = lost(&proxy, &alice, &mut socket, conversation).await?;
            let waited = said.elapsed();
            ensure!(waited >= LONG && waited < 2 * LONG, "repaired after {waited:?}");
            confirm(&mut socket, conversation, seq).await?;
            scene
                .is_decided(conversation, seq, &bob, PushReason::Confirmed)
                .await?;
            let first = scene.verdicts(conversation, seq, bob.id).await?[0].0;
            ensure!(first == PushReason::Nudged, "{first:?}");
            scene.nothing_for(&bob, "phone", conversation).await?;
            println!("{conversation}: repaired {waited:?} after it was said, with a grace of {LONG:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_message_is_pushed_where_nothing_comes_through() -> anyhow::Result<()> {
    play(stage(SHORT), async |scene| {
        let alice = scene.user("alice").await?;
        let bob = scene.with_phone("bob", "phone").await?;
        let dm = alice.dm(&bob);
        let edge = scene.house.url(0);
        let link = Link::to(edge.trim_start_matches("http://").parse()?).await?;
        let mut socket = Raw::open(&format!("http://{}", link.address())).await?;
        socket.hello(&bob.token, None).await?;
        link.set(Weather::Still);
        let seq = alice.say(dm, "Into the void").await?;
        scene.phones.told_of("phone", dm, seq).await?;
        scene.is_decided(dm, seq, &bob, PushReason::Unconfirmed).await?;
        let first = scene.verdicts(dm, seq, bob.id).await?[0].0;
        ensure!(
            first == PushReason::Nudged,
            "the edge held the socket for open: {first:?}"
        );
        ensure!(scene.phones.told("phone")?.len() == 1);
        Ok(())
    })
    .await
}

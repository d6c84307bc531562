//! What becomes of a message decides.

use natterjack_nats::{
    services::conversations::Listener,
    wire::{Channel, Mute, Notice, PushPreview, PushReason},
};

use crate::{
    World, device, dm,
    persister::{handle, listener, name},
    user,
    world::until,
};

const ME: u128 = 1;

#[tokio::test]
async fn who_is_away_is_pushed_and_who_confirmed_is_not() -> anyhow::Result<()> {
    let (world, _tasks, _persister) = World::start().await?;
    // Away with two devices; confirmed in the foreground; has it in the background; not registered.
    for other in 2..=4 {
        world
            .register(user(other), device(other), Channel::WebPush)
            .await?;
    }
    world.register(user(2), device(22), Channel::Fcm).await?;
    world.connect(user(3), device(3), true).await?;
    world.connect(user(4), device(4), false).await?;
    let mut seqs = Vec::new();
    for other in 2..=5 {
        let seq = world
            .send(dm(ME, other), user(ME), "Shall we meet at eight? 🦎")
            .await?;
        if other == 3 {
            world.confirm(user(3), dm(ME, 3), seq).await?;
        } else if other == 4 {
            world.receipt(user(4), dm(ME, 4), seq, 0, 0).await?;
        }
        seqs.push(seq);
    }
    let expected = [
        (2, PushReason::Unconfirmed),
        (3, PushReason::Confirmed),
        (4, PushReason::Unconfirmed),
        (5, PushReason::NotRegistered),
    ];
    for ((other, reason), seq) in expected.into_iter().zip(&seqs) {
        assert_eq!(world.verdict(dm(ME, other), *seq, user(other)).await?, reason);
        assert_eq!(
            world.verdict(dm(ME, other), *seq, user(ME)).await?,
            PushReason::Own
        );
    }
    world.settled().await?;
    let job = world.told(user(2), device(2), dm(ME, 2), seqs[0]).await?;
    let Notice::Message {
        conversation,
        seq,
        title,
        body,
        badge,
        mention,
        ..
    } = job.notice
    else {
        panic!("nothing was read");
    };
    assert_eq!((conversation, seq), (dm(ME, 2), seqs[0]));
    assert_eq!(title, name(user(ME)));
    assert_eq!(body.as_deref(), Some("Shall we meet at eight? 🦎"));
    assert_eq!((badge, mention), (1, false));
    let fcm = world.job(user(2), device(22), Channel::Fcm, dm(ME, 2)).await?;
    assert_eq!(fcm.unwrap().notice.seq(), seqs[0]);
    world.told(user(4), device(4), dm(ME, 4), seqs[2]).await?;
    assert_eq!(
        world.job(user(3), device(3), Channel::WebPush, dm(ME, 3)).await?,
        None
    );
    assert_eq!(world.writes().await?, 3);
    let pushed = world.verdicts(dm(ME, 2), seqs[0], user(2)).await?;
    assert_eq!(pushed.len(), 1);
    assert_eq!(pushed[0].1.len(), 2, "both devices are named: {pushed:?}");
    assert!(
        !world.nudged(user(2), dm(ME, 2), seqs[0]),
        "who is away is not nudged"
    );
    assert!(
        !world.nudged(user(4), dm(ME, 4), seqs[2]),
        "who has it is not nudged"
    );
    Ok(())
}

#[tokio::test]
async fn a_half_open_socket_is_nudged_then_pushed() -> anyhow::Result<()> {
    let (world, _tasks, _persister) = World::start().await?;
    // A desk in the foreground that does not answer, and a phone; the same with one that is repaired.
    for other in [2, 3] {
        world
            .register(user(other), device(other), Channel::WebPush)
            .await?;
        world
            .register(user(other), device(10 + other), Channel::WebPush)
            .await?;
        world.connect(user(other), device(other), true).await?;
    }
    let dead = world.send(dm(ME, 2), user(ME), "one").await?;
    let alive = world.send(dm(ME, 3), user(ME), "two").await?;
    world.told(user(2), device(12), dm(ME, 2), dead).await?;
    until("the nudges", async || {
        let both = world.nudged(user(2), dm(ME, 2), dead) && world.nudged(user(3), dm(ME, 3), alive);
        Ok(both.then_some(()))
    })
    .await?;
    // The nudge has helped.
    world.confirm(user(3), dm(ME, 3), alive).await?;
    world.told(user(2), device(2), dm(ME, 2), dead).await?;
    world.settled().await?;
    let verdicts = world.verdicts(dm(ME, 2), dead, user(2)).await?;
    let expected = [
        (PushReason::Nudged, vec![device(12)]),
        (PushReason::Unconfirmed, vec![device(2)]),
    ];
    assert_eq!(verdicts, expected);
    let verdicts = world.verdicts(dm(ME, 3), alive, user(3)).await?;
    let reasons: Vec<_> = verdicts.into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, [PushReason::Nudged, PushReason::Confirmed]);
    assert_eq!(
        world.job(user(3), device(3), Channel::WebPush, dm(ME, 3)).await?,
        None
    );
    Ok(())
}

#[tokio::test]
async fn a_group_is_asked_for_who_wants_it() -> anyhow::Result<()> {
    let (world, _tasks, _persister) = World::start().await?;
    let mute = |mentions| Mute {
        until: None,
        mentions,
    };
    let members = [
        listener(user(ME)),
        listener(user(2)),
        Listener {
            mute: Some(mute(true)),
            ..listener(user(3))
        },
        Listener {
            mute: Some(mute(false)),
            ..listener(user(4))
        },
        Listener {
            mute: Some(Mute {
                until: Some(1),
                mentions: true,
            }),
            push_preview: PushPreview::Sender,
            ..listener(user(5))
        },
        Listener {
            joined_at: u64::MAX,
            ..listener(user(6))
        },
        Listener {
            push_preview: PushPreview::None,
            ..listener(user(7))
        },
        Listener {
            read: u64::MAX,
            ..listener(user(8))
        },
    ];
    let ponds = world.group(1, members);
    for member in 2..=8 {
        world
            .register(user(member), device(member), Channel::WebPush)
            .await?;
    }
    let text = format!("Hello @{} and @{}.", handle(user(3)), handle(user(4)));
    let seq = world.send(ponds, user(ME), &text).await?;
    let expected = [
        (ME, PushReason::Own),
        (2, PushReason::Unconfirmed),
        (3, PushReason::Unconfirmed),
        (4, PushReason::Muted),
        (5, PushReason::Unconfirmed),
        (6, PushReason::JoinedLater),
        (7, PushReason::Unconfirmed),
        (8, PushReason::Read),
    ];
    for (member, reason) in expected {
        assert_eq!(world.verdict(ponds, seq, user(member)).await?, reason, "{member}");
    }
    world.settled().await?;
    assert_eq!(world.writes().await?, 4);
    let shown = async |member| {
        let job = world.told(user(member), device(member), ponds, seq).await?;
        match job.notice {
            Notice::Message {
                title, body, mention, ..
            } => Ok::<_, anyhow::Error>((title, body, mention)),
            Notice::Withdraw { .. } => panic!("nothing was read"),
        }
    };
    let (sender, group) = (name(user(ME)), "Group 1".to_owned());
    let full = Some(format!("{sender}: {text}"));
    assert_eq!(shown(2).await?, (group.clone(), full.clone(), false));
    assert_eq!(shown(3).await?, (group.clone(), full, true));
    assert_eq!(shown(5).await?, (format!("{sender} · {group}"), None, false));
    assert_eq!(shown(7).await?, ("New message".to_owned(), None, false));
    Ok(())
}

#[tokio::test]
async fn several_messages_are_told_as_their_last() -> anyhow::Result<()> {
    let world = World::new().await?;
    let _persister = world.persister().await?;
    world.register(user(2), device(2), Channel::WebPush).await?;
    let mut last = 0;
    for number in 0..50 {
        last = world
            .send(dm(ME, 2), user(ME), &format!("message {number}"))
            .await?;
    }
    // Long after, from their point of view: all are due.
    tokio::time::sleep(crate::world::GRACE).await;
    let _tasks = world.notifier().await?;
    let job = world.told(user(2), device(2), dm(ME, 2), last).await?;
    assert_eq!(job.notice.seq(), last);
    world.settled().await?;
    let writes = world.writes().await?;
    assert!(writes < 10, "{writes} pushes for one conversation at once");
    assert_eq!(
        world.verdict(dm(ME, 2), last - 49, user(2)).await?,
        PushReason::Queued
    );
    Ok(())
}

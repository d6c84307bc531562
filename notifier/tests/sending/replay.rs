//! What was given up: listed in pages, replayed, and left out where it is not needed any more.

use natterjack_nats::{
    services::push::{Dead, Replay, Replayed},
    subjects::push,
    topology::{PUSH_DEAD, PUSHES_KEPT},
    wire::{
        Channel::WebPush,
        PushOutcome::{Accepted, GivenUp},
    },
};

use natterjack_runtime::clock::Clock;

use crate::{
    Answer, PushServer, World, dm,
    world::{device, user},
};

/// Pushes to these users are given up.
async fn bury(
    world: &World,
    server: &PushServer,
    users: std::ops::RangeInclusive<u128>,
) -> anyhow::Result<()> {
    server.always(Answer::Status(400));
    for number in users.clone() {
        world
            .register(number, &server.endpoint(&number.to_string()))
            .await?;
        world.tell(WebPush, number, 100, 7).await?;
    }
    for number in users {
        world.becomes(dm(number, 100), 7, GivenUp).await?;
    }
    world.settled(WebPush).await
}

#[tokio::test]
async fn all_that_is_still_needed_is_pushed_again() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    let server = PushServer::start().await?;
    bury(&world, &server, 1..=5).await?;
    server.always(Answer::Status(201));
    world.tell(WebPush, 2, 100, 8).await?;
    world.unregister(3).await?;
    world.withdraw(WebPush, 4, 100, 7).await?;
    world.settled(WebPush).await?;
    let answer = world.call(&Replay::default()).await?;
    let expected = Replayed {
        replayed: 2,
        overtaken: 3,
        left: 0,
    };
    assert_eq!(answer, expected);
    for number in [1, 5] {
        let became = world.becomes(dm(number, 100), 7, Accepted).await?;
        assert_eq!(became.len(), 2, "{became:?}");
    }
    world.settled(WebPush).await?;
    assert!(world.dead().await?.pushes.is_empty());
    let taken: Vec<_> = server.asked().into_iter().filter(|asked| asked.taken).collect();
    assert_eq!(taken.len(), 3, "{taken:?}");
    assert_eq!(world.call(&Replay::default()).await?.replayed, 0);
    notifier.stop().await
}

#[tokio::test]
async fn pages_and_single_ones() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    let server = PushServer::start().await?;
    bury(&world, &server, 1..=5).await?;
    let (mut from, mut all) = (Some(0), Vec::new());
    while let Some(seq) = from {
        let limit = Some(2);
        let page = world.call(&Dead { from: seq, limit }).await?;
        assert!(page.pushes.len() <= 2);
        all.extend(page.pushes);
        from = page.next;
    }
    assert_eq!(all.len(), 5);
    assert!(all.windows(2).all(|two| two[0].0 < two[1].0));
    let (seq, push) = &all[2];
    assert_eq!((push.attempts, push.job.notice.seq()), (1, 7));
    // It is refused once more, and lies there anew.
    let one = Replay { seq: Some(*seq) };
    assert_eq!(world.call(&one).await?.replayed, 1);
    world.settled(WebPush).await?;
    let left = world.dead().await?.pushes;
    assert_eq!(left.len(), 5);
    assert!(left.iter().all(|(other, _)| other != seq));
    let error = world.call(&one).await.expect_err("it is not there any more");
    assert!(error.to_string().contains("svc.push.dead"), "{error}");
    notifier.stop().await
}

#[tokio::test]
async fn what_is_too_old_is_left_out_and_what_is_not_understood_stays() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    let server = PushServer::start().await?;
    bury(&world, &server, 1..=1).await?;
    let asked = server.asked().len();
    let (seq, mut letter) = world.dead().await?.pushes.remove(0);
    let stream = world.jetstream.get_stream(PUSH_DEAD).await?;
    stream.delete_message(seq).await?;
    // What was pushed or read since may be forgotten.
    let kept_ms = u64::try_from(PUSHES_KEPT.as_millis())?;
    letter.job.decided_at = Clock::system().now_ms() - kept_ms - 1_000;
    let subject = push::dead(WebPush, user(1), device(1));
    for payload in [serde_json::to_vec(&letter)?, b"from a later version".to_vec()] {
        world
            .jetstream
            .publish(subject.clone(), payload.into())
            .await?
            .await?;
    }
    let expected = Replayed {
        replayed: 0,
        overtaken: 1,
        left: 0,
    };
    assert_eq!(world.call(&Replay::default()).await?, expected);
    let mut stream = world.jetstream.get_stream(PUSH_DEAD).await?;
    assert_eq!(
        stream.info().await?.state.messages,
        1,
        "the one that was not understood"
    );
    world.settled(WebPush).await?;
    assert_eq!(server.asked().len(), asked);
    notifier.stop().await
}

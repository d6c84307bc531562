//! What is read elsewhere or deleted is not pushed, and taken back if it was.

use natterjack_nats::wire::{Channel, Content, Notice, PushReason, PushTrace};

use crate::{World, device, dm, persister::listener, user, world::until};

const ME: u128 = 1;

#[tokio::test]
async fn what_was_read_is_not_pushed_and_taken_back() -> anyhow::Result<()> {
    let (world, _tasks, _persister) = World::start().await?;
    for other in [2, 3] {
        world
            .register(user(other), device(other), Channel::WebPush)
            .await?;
    }
    let early = world.send(dm(ME, 2), user(ME), "read at once").await?;
    world.receipt(user(2), dm(ME, 2), early, early, early).await?;
    assert_eq!(world.verdict(dm(ME, 2), early, user(2)).await?, PushReason::Read);
    assert_eq!(
        world.job(user(2), device(2), Channel::WebPush, dm(ME, 2)).await?,
        None
    );

    let late = world.send(dm(ME, 3), user(ME), "read later").await?;
    world.told(user(3), device(3), dm(ME, 3), late).await?;
    world.table.lock().unwrap().badges.insert(user(3), 0);
    world.receipt(user(3), dm(ME, 3), late, late, late).await?;
    assert_eq!(world.withdrawn(user(3), device(3), dm(ME, 3)).await?, late);
    let job = world.job(user(3), device(3), Channel::WebPush, dm(ME, 3)).await?;
    assert!(matches!(job.unwrap().notice, Notice::Withdraw { badge: 0, .. }));
    until("the trace tells it", async || {
        let trace = world.trace(dm(ME, 3)).await?;
        let told = trace.iter().any(|entry| {
            matches!(entry, PushTrace::Withdrawn { seq, user: whose, .. } if (*seq, *whose) == (late, user(3)))
        });
        Ok(told.then_some(()))
    })
    .await?;
    world.settled().await?;
    // What comes after it is pushed again.
    let next = world.send(dm(ME, 3), user(ME), "and more").await?;
    let job = world.told(user(3), device(3), dm(ME, 3), next).await?;
    assert!(matches!(job.notice, Notice::Message { .. }));
    Ok(())
}

#[tokio::test]
async fn what_was_deleted_is_not_pushed_and_taken_back() -> anyhow::Result<()> {
    let (world, _tasks, _persister) = World::start().await?;
    let ponds = world.group(1, [ME, 2].map(user).map(listener));
    for other in [2, 3] {
        world
            .register(user(other), device(other), Channel::WebPush)
            .await?;
    }
    let regretted = world.send(dm(ME, 2), user(ME), "regretted").await?;
    world
        .say(dm(ME, 2), user(ME), Content::Delete { target: regretted })
        .await?;
    let (shown, also) = (
        world.send(dm(ME, 3), user(ME), "shown").await?,
        world.send(ponds, user(ME), "in the group").await?,
    );
    assert_eq!(
        world.verdict(dm(ME, 2), regretted, user(2)).await?,
        PushReason::Deleted
    );
    world.told(user(3), device(3), dm(ME, 3), shown).await?;
    world.told(user(2), device(2), ponds, also).await?;
    for (conversation, target) in [(dm(ME, 3), shown), (ponds, also)] {
        world
            .say(conversation, user(ME), Content::Delete { target })
            .await?;
    }
    assert_eq!(world.withdrawn(user(3), device(3), dm(ME, 3)).await?, shown);
    assert_eq!(world.withdrawn(user(2), device(2), ponds).await?, also);
    world.settled().await?;
    assert_eq!(
        world.job(user(2), device(2), Channel::WebPush, dm(ME, 2)).await?,
        None
    );
    Ok(())
}

#[tokio::test]
async fn a_deletion_does_not_take_the_push_of_what_is_unread_before_it() -> anyhow::Result<()> {
    let (world, _tasks, _persister) = World::start().await?;
    world.register(user(2), device(2), Channel::WebPush).await?;
    let first = world.send(dm(ME, 2), user(ME), "important").await?;
    world.told(user(2), device(2), dm(ME, 2), first).await?;
    let second = world.send(dm(ME, 2), user(ME), "oops").await?;
    world.told(user(2), device(2), dm(ME, 2), second).await?;
    world.table.lock().unwrap().unread.insert((user(2), dm(ME, 2)), 1);
    world
        .say(dm(ME, 2), user(ME), Content::Delete { target: second })
        .await?;
    world.settled().await?;
    let job = world.job(user(2), device(2), Channel::WebPush, dm(ME, 2)).await?;
    let notice = job.expect("it stays").notice;
    assert!(matches!(notice, Notice::Message { body: None, .. }), "{notice:?}");
    Ok(())
}

#[tokio::test]
async fn an_edit_is_not_pushed_and_what_it_says_is() -> anyhow::Result<()> {
    let (world, _tasks, _persister) = World::start().await?;
    world.register(user(2), device(2), Channel::WebPush).await?;
    let seq = world.send(dm(ME, 2), user(ME), "at ate").await?;
    let text = "at eight".to_owned();
    world
        .say(dm(ME, 2), user(ME), Content::Edit { target: seq, text })
        .await?;
    let job = world.told(user(2), device(2), dm(ME, 2), seq).await?;
    let Notice::Message { body, .. } = job.notice else {
        panic!("nothing was read")
    };
    assert_eq!(body.as_deref(), Some("at eight"));
    world.settled().await?;
    assert_eq!(world.writes().await?, 1);
    assert_eq!(
        world
            .job(user(2), device(2), Channel::WebPush, dm(ME, 2))
            .await?
            .unwrap()
            .notice
            .seq(),
        seq
    );
    Ok(())
}

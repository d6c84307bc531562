//! An operator asks why.

use std::time::Duration;

use natterjack_nats::{
    Conversation, UserId,
    services::{
        self,
        push::{Explanation, Why},
    },
    wire::{Channel, Content, PushTrace},
};

use crate::{World, device, dm, user};

const ME: u128 = 1;

impl World {
    async fn why(
        &self,
        conversation: Conversation,
        seq: u64,
        user: Option<UserId>,
    ) -> anyhow::Result<Explanation> {
        let why = Why {
            conversation,
            seq,
            user,
        };
        Ok(services::call(&self.client, &why, Duration::from_secs(10)).await?)
    }
}

#[tokio::test]
async fn an_operator_is_told_why() -> anyhow::Result<()> {
    let (world, _tasks, _persister) = World::start().await?;
    world.register(user(2), device(2), Channel::WebPush).await?;
    let seq = world.send(dm(ME, 2), user(ME), "hello").await?;
    let young = world.why(dm(ME, 2), seq, Some(user(2))).await?;
    assert!(young.answer[1].contains("not decided yet"), "{young:?}");
    world.told(user(2), device(2), dm(ME, 2), seq).await?;
    let edit = Content::Edit {
        target: seq,
        text: "hallo".into(),
    };
    let edit = world.say(dm(ME, 2), user(ME), edit).await?;
    let next = world.send(dm(ME, 2), user(ME), "are you there?").await?;
    world.told(user(2), device(2), dm(ME, 2), next).await?;
    world.receipt(user(2), dm(ME, 2), next, next, next).await?;
    world.withdrawn(user(2), device(2), dm(ME, 2)).await?;
    world.settled().await?;

    let first = world.why(dm(ME, 2), seq, Some(user(2))).await?;
    assert!(
        first.answer[1].contains("no device in the foreground"),
        "{first:?}"
    );
    assert!(first.answer[1].contains(&device(2).to_string()), "{first:?}");
    assert!(
        matches!(first.trace[..], [PushTrace::Decided { seq: of, .. }, ..] if of == seq),
        "{first:?}"
    );
    let second = world.why(dm(ME, 2), next, None).await?;
    assert!(
        second.answer.iter().any(|line| line.contains("the sender")),
        "{second:?}"
    );
    assert!(
        second.answer.iter().any(|line| line.contains("taken back")),
        "{second:?}"
    );
    let edit = world.why(dm(ME, 2), edit, None).await?;
    assert!(edit.answer[1].contains("an edit"), "{edit:?}");
    let stranger = world.why(dm(ME, 2), seq, Some(user(9))).await?;
    assert!(
        stranger.answer[1].contains("not in the conversation"),
        "{stranger:?}"
    );
    let none = world.why(dm(ME, 3), seq, None).await?;
    assert!(none.answer[0].contains("there is no message"), "{none:?}");
    Ok(())
}

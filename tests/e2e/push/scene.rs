//! What the scenarios share: a notifier beside the usual parts, phones, and a look at what was decided.

use std::time::Duration;

use anyhow::{Context, ensure};
use async_nats::Client;
use natterjack::fleet::{House, Phones};
use natterjack_nats::{
    Conversation, DeviceId, UserId,
    direct::{self, Bounds},
    subjects::{self, kv},
    topology::{Bucket, PUSH_TRACE},
    wire::{Channel, PushJob, PushReason, PushTrace},
};
use reqwest::Method;
use serde_json::json;

use crate::support::{
    proxy::Proxy,
    raw::Raw,
    stage::{Play, Stage},
    until,
    user::User,
};

const PAGE: Bounds = Bounds {
    messages: 1_000,
    bytes: 1 << 20,
    timeout: Duration::from_secs(10),
};

/// A house with a notifier, and the phones that it reaches.
pub struct Scene<'a> {
    pub house: &'a mut House,
    pub proxy: Option<Proxy>,
    pub phones: Phones,
    nats: Client,
}

/// The stage on which devices have so long to confirm.
pub fn stage(grace: Duration) -> Stage {
    let grace_ms = u64::try_from(grace.as_millis()).unwrap();
    Stage::new()
        .edge(|edge| {
            // What is confirmed is to be known in time.
            edge.socket.receipts_interval_ms = 50;
        })
        .notifier(move |notifier| notifier.grace_ms = grace_ms)
}

/// Plays a scenario on it.
pub async fn play(
    stage: Stage,
    scenario: impl AsyncFnOnce(&mut Scene<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    stage
        .run(async |Play { house, proxy, .. }| {
            let nats = house.ground().client().await?;
            let phones = Phones::start(house.ground().admin()).await?;
            let mut scene = Scene {
                house,
                proxy: proxy.clone(),
                phones,
                nats,
            };
            scenario(&mut scene).await?;
            scene.phones.nothing_wrong()
        })
        .await
}

impl Scene<'_> {
    /// A new user.
    pub async fn user(&self, handle: &str) -> anyhow::Result<User> {
        User::sign_up(self.house, handle).await
    }

    /// A new user whose device is registered under this name.
    pub async fn with_phone(&self, handle: &str, phone: &str) -> anyhow::Result<User> {
        let user = self.user(handle).await?;
        self.register(&user, phone, false).await?;
        Ok(user)
    }

    /// Another device of an account, registered under this name.
    pub async fn another(&self, handle: &str, phone: &str, silent: bool) -> anyhow::Result<User> {
        let user = User::log_in(self.house, handle).await?;
        self.register(&user, phone, silent).await?;
        Ok(user)
    }

    /// A user's device subscribes, and registers.
    pub async fn register(&self, user: &User, phone: &str, silent: bool) -> anyhow::Result<()> {
        let mut request = self.phones.subscribe(phone)?;
        request.silent = silent;
        let path = format!("/v1/devices/{}/push", user.device);
        let body = serde_json::to_value(request)?;
        let answer = user.request(0, Method::PUT, &path, Some(body)).await?.ok()?;
        ensure!(answer["push"] == "webpush", "{answer}");
        Ok(())
    }

    /// What was decided about a message for a user so far, in its order, with the devices.
    pub async fn verdicts(
        &self,
        conversation: Conversation,
        seq: u64,
        user: UserId,
    ) -> anyhow::Result<Vec<(PushReason, Vec<DeviceId>)>> {
        let mut all = Vec::new();
        for trace in self.traces(conversation).await? {
            if let PushTrace::Decided {
                seq: of, verdicts, ..
            } = trace
                && of == seq
            {
                let his = verdicts
                    .into_iter()
                    .filter(|verdict| verdict.users.contains(&user));
                all.extend(his.map(|verdict| (verdict.reason, verdict.devices)));
            }
        }
        Ok(all)
    }

    /// All that was traced of a conversation so far.
    pub async fn traces(&self, conversation: Conversation) -> anyhow::Result<Vec<PushTrace>> {
        let subject = subjects::push::trace(&conversation);
        let page = direct::next_by_subject(&self.nats, PUSH_TRACE, &subject, 1, PAGE).await?;
        ensure!(!page.more, "more than a page of traces");
        let decode = |message: &direct::Direct| Ok(serde_json::from_slice(&message.payload)?);
        page.messages.iter().map(decode).collect()
    }

    /// Waits until it is decided for good about a message for a user, and says why.
    pub async fn decided(
        &self,
        conversation: Conversation,
        seq: u64,
        user: UserId,
    ) -> anyhow::Result<PushReason> {
        until(&format!("a verdict about {seq}"), async || {
            let verdicts = self.verdicts(conversation, seq, user).await?;
            let last = verdicts.last().map(|(reason, _)| *reason);
            Ok(last.filter(|reason| *reason != PushReason::Nudged))
        })
        .await
    }

    /// Waits until it is decided so, and fails if it is decided otherwise.
    pub async fn is_decided(
        &self,
        conversation: Conversation,
        seq: u64,
        user: &User,
        wanted: PushReason,
    ) -> anyhow::Result<()> {
        let reason = self.decided(conversation, seq, user.id).await?;
        let all = self.verdicts(conversation, seq, user.id).await?;
        ensure!(reason == wanted, "{wanted:?} was wanted, and it is {all:?}");
        Ok(())
    }

    /// What a device is to be told of a conversation, or was.
    pub async fn job(&self, user: &User, conversation: Conversation) -> anyhow::Result<Option<PushJob>> {
        let key = kv::push(Channel::WebPush, user.id, user.device, &conversation);
        let subject = kv::subject(Bucket::Pushes, &key);
        let stream = Bucket::Pushes.stream_name();
        let found = direct::last_by_subject(&self.nats, &stream, &[subject], PAGE).await?;
        let job = found
            .messages
            .first()
            .map(|last| serde_json::from_slice(&last.payload));
        Ok(job.transpose()?)
    }

    /// Fails if a device was or is to be told anything of a conversation.
    pub async fn nothing_for(
        &self,
        user: &User,
        phone: &str,
        conversation: Conversation,
    ) -> anyhow::Result<()> {
        let job = self.job(user, conversation).await?;
        ensure!(job.is_none(), "{phone} is to be told {job:?}");
        let requests = self.phones.tries(phone);
        ensure!(requests == 0, "{phone} was asked for {requests} times");
        Ok(())
    }

    /// The words in which an operator is told why.
    pub async fn why(
        &self,
        conversation: Conversation,
        seq: u64,
        user: &User,
    ) -> anyhow::Result<Vec<String>> {
        let question = natterjack_nats::services::push::Why {
            conversation,
            seq,
            user: Some(user.id),
        };
        let answer = natterjack_nats::services::call(&self.nats, &question, Duration::from_secs(10)).await;
        Ok(answer.context("svc.push.why")?.answer)
    }
}

/// A socket of a device whose app is in the background.
pub async fn in_background(user: &User, edge: usize) -> anyhow::Result<Raw> {
    let mut socket = user.online(edge).await?;
    socket.send(&json!({"type": "active", "active": false})).await?;
    Ok(socket)
}

/// Says over a socket up to where everything has arrived.
pub async fn confirm(socket: &mut Raw, conversation: Conversation, seq: u64) -> anyhow::Result<()> {
    socket
        .send(&json!({"type": "receipt", "conversation": conversation, "delivered": seq}))
        .await
}

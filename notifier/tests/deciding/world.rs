//! A nats-server of its own for each test, and notifiers on it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_nats::{Client, jetstream};
use futures::StreamExt as _;
use natterjack_nats::{
    Conversation, DeviceId, EdgeId, GroupId, MessageId, Shards, UserId, cluster,
    direct::{self, Bounds},
    provision,
    services::conversations::Listener,
    subjects::{chat, kv as keys, live, push, receipt},
    topology::{self, Bucket, PUSH_TRACE, RECEIPTS, Settings, chat_stream},
    wire::{
        Channel, Content, Cursor, DeviceSession, Notice, PushJob, PushReason, PushTrace, ReceiptBatch,
        ReceiptOf, ServerFrame, Stored,
    },
};
use natterjack_notifier::Args;
use natterjack_runtime::{
    lifecycle::Tasks,
    servers::{NatsConfig, NatsServer, StderrProgress, Tools, testing_tools_dir},
};

use crate::persister::{Persister, Table};

/// Nothing here takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The grace of the notifier in these tests.
pub const GRACE: Duration = Duration::from_millis(2_000);
const EPOCH: u64 = 1_700_000_000_000;

pub fn user(number: u128) -> UserId {
    UserId::from_parts(EPOCH, number)
}

pub fn device(number: u128) -> DeviceId {
    DeviceId::from_parts(EPOCH, number)
}

pub fn group(number: u128) -> Conversation {
    Conversation::Group(GroupId::from_parts(EPOCH, number))
}

pub fn dm(one: u128, other: u128) -> Conversation {
    Conversation::dm(user(one), user(other))
}

pub struct World {
    pub nats: NatsServer,
    pub client: Client,
    pub jetstream: jetstream::Context,
    pub args: Args,
    pub table: Arc<Mutex<Table>>,
    pub shards: Shards,
    settings: Settings,
    nudges: Arc<Mutex<BTreeSet<(UserId, Conversation, u64)>>>,
    _dir: tempfile::TempDir,
}

impl World {
    /// Without a notifier and without a persister.
    pub async fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let tools = Tools::locate_or_install(&testing_tools_dir(), &StderrProgress).await?;
        let nats = NatsServer::start(&tools, NatsConfig::new(dir.path())).await?;
        let client = cluster::connect(&nats.url(), "test", |_| {}).await?;
        let settings = Settings {
            chat_bytes_max: 1 << 26,
            ..Settings::default()
        };
        let mut args = Args::new(nats.url());
        args.grace_ms = u64::try_from(GRACE.as_millis())?;
        let world = Self {
            jetstream: jetstream::new(client.clone()),
            nats,
            client,
            args,
            table: Arc::default(),
            shards: settings.shards,
            settings,
            nudges: Arc::default(),
            _dir: dir,
        };
        world.provision().await?;
        world.listen().await?;
        Ok(world)
    }

    /// With one of each.
    pub async fn start() -> anyhow::Result<(Self, Tasks, Persister)> {
        let world = Self::new().await?;
        let persister = world.persister().await?;
        let tasks = world.notifier().await?;
        Ok((world, tasks, persister))
    }

    pub async fn provision(&self) -> anyhow::Result<()> {
        provision::provision(&self.jetstream, &self.settings, false).await?;
        Ok(())
    }

    /// Starts a notifier; it is ready when this returns.
    pub async fn notifier(&self) -> anyhow::Result<Tasks> {
        let tasks = Tasks::new();
        natterjack_notifier::run(&self.args, &tasks).await?;
        Ok(tasks)
    }

    pub async fn persister(&self) -> anyhow::Result<Persister> {
        Persister::start(&self.nats.url(), &self.table).await
    }

    async fn listen(&self) -> anyhow::Result<()> {
        let mut messages = self.client.subscribe("live.user.*").await?;
        let nudges = Arc::clone(&self.nudges);
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let Some(Conversation::User(user)) = live::parse(&message.subject) else {
                    continue;
                };
                if let Ok(ServerFrame::Nudge { conversation, head }) =
                    serde_json::from_slice(&message.payload)
                {
                    nudges.lock().unwrap().insert((user, conversation, head));
                }
            }
        });
        self.client.flush().await?;
        Ok(())
    }

    pub fn nudged(&self, user: UserId, conversation: Conversation, head: u64) -> bool {
        self.nudges.lock().unwrap().contains(&(user, conversation, head))
    }

    /// A group in which these users are.
    pub fn group(&self, number: u128, members: impl IntoIterator<Item = Listener>) -> Conversation {
        let Conversation::Group(id) = group(number) else {
            unreachable!()
        };
        let title = format!("Group {number}");
        let members = members.into_iter().collect();
        self.table.lock().unwrap().groups.insert(id, (title, members));
        group(number)
    }

    pub async fn send(&self, conversation: Conversation, sender: UserId, text: &str) -> anyhow::Result<u64> {
        let (text, reply_to) = (text.to_owned(), None);
        self.say(conversation, sender, Content::Text { text, reply_to })
            .await
    }

    pub async fn say(
        &self,
        conversation: Conversation,
        sender: UserId,
        content: Content,
    ) -> anyhow::Result<u64> {
        let stored = Stored::new(conversation, MessageId::generate(EPOCH), sender, EPOCH, content);
        let subject = chat::subject(self.shards, &conversation);
        self.store(subject, &stored).await
    }

    async fn store(&self, subject: String, value: &impl serde::Serialize) -> anyhow::Result<u64> {
        let ack = self.jetstream.publish(subject, serde_json::to_vec(value)?.into());
        Ok(ack.await?.await?.sequence)
    }

    /// A user has got so far: delivered, read, and confirmed in the foreground.
    pub async fn receipt(
        &self,
        user: UserId,
        conversation: Conversation,
        delivered: u64,
        read: u64,
        foreground: u64,
    ) -> anyhow::Result<()> {
        let receipt = ReceiptOf {
            conversation,
            user,
            cursor: Cursor { delivered, read },
            foreground,
        };
        let batch = ReceiptBatch {
            receipts: vec![receipt],
        };
        let subject = receipt::subject(self.shards.of(&conversation));
        self.store(subject, &batch).await?;
        Ok(())
    }

    /// A device confirms a message in the foreground.
    pub async fn confirm(&self, user: UserId, conversation: Conversation, seq: u64) -> anyhow::Result<()> {
        self.receipt(user, conversation, seq, 0, seq).await
    }

    /// A device that has registered for pushes.
    pub async fn register(&self, user: UserId, device: DeviceId, channel: Channel) -> anyhow::Result<()> {
        let target = match channel {
            Channel::WebPush => serde_json::json!({
                "channel": "webpush",
                "endpoint": format!("https://push.example.com/{device}"),
                "keys": {"p256dh": "p", "auth": "a"},
            }),
            Channel::Fcm => {
                serde_json::json!({"channel": "fcm", "token": device.to_string(), "os": "android"})
            }
        };
        let mut push = target;
        push["id"] = serde_json::json!(uuid::Uuid::from_u128(7));
        push["registered_at"] = EPOCH.into();
        let record = serde_json::json!({"name": "phone", "platform": "web", "push": push});
        let subject = keys::subject(Bucket::Devices, &keys::device(user, device));
        self.store(subject, &record).await?;
        Ok(())
    }

    /// A device that is connected.
    pub async fn connect(&self, user: UserId, device: DeviceId, active: bool) -> anyhow::Result<()> {
        let session = DeviceSession {
            epoch: EPOCH,
            active,
            since: EPOCH,
        };
        let key = keys::session(EdgeId::from_parts(EPOCH, 1), user, device);
        self.store(keys::subject(Bucket::Sessions, &key), &session)
            .await?;
        Ok(())
    }

    /// What a device is to be told, or was.
    pub async fn job(
        &self,
        user: UserId,
        device: DeviceId,
        channel: Channel,
        conversation: Conversation,
    ) -> anyhow::Result<Option<PushJob>> {
        let bucket = self.jetstream.get_key_value(Bucket::Pushes.name()).await?;
        let value = bucket
            .get(keys::push(channel, user, device, &conversation))
            .await?;
        Ok(value.map(|value| serde_json::from_slice(&value)).transpose()?)
    }

    /// Waits until a device is to be told of a message, or of more.
    pub async fn told(
        &self,
        user: UserId,
        device: DeviceId,
        conversation: Conversation,
        seq: u64,
    ) -> anyhow::Result<PushJob> {
        until(&format!("{device} is told of {seq}"), async || {
            let job = self.job(user, device, Channel::WebPush, conversation).await?;
            Ok(job.filter(|job| job.notice.seq() >= seq))
        })
        .await
    }

    /// Waits until what a device was told is withdrawn.
    pub async fn withdrawn(
        &self,
        user: UserId,
        device: DeviceId,
        conversation: Conversation,
    ) -> anyhow::Result<u64> {
        until(&format!("what {device} was told is withdrawn"), async || {
            let job = self.job(user, device, Channel::WebPush, conversation).await?;
            Ok(job.and_then(|job| match job.notice {
                Notice::Withdraw { seq, .. } => Some(seq),
                Notice::Message { .. } => None,
            }))
        })
        .await
    }

    /// How many writes to `pushes` were ever taken.
    pub async fn writes(&self) -> anyhow::Result<u64> {
        let stream = self.jetstream.get_stream(Bucket::Pushes.stream_name()).await?;
        Ok(stream.cached_info().state.last_sequence)
    }

    /// What was traced of a conversation, in order.
    pub async fn trace(&self, conversation: Conversation) -> anyhow::Result<Vec<PushTrace>> {
        let bounds = Bounds {
            messages: 10_000,
            bytes: 1 << 24,
            timeout: PATIENCE,
        };
        let subject = push::trace(&conversation);
        let batch = direct::next_by_subject(&self.client, PUSH_TRACE, &subject, 1, bounds).await?;
        let decoded = batch
            .messages
            .iter()
            .map(|message| serde_json::from_slice(&message.payload));
        Ok(decoded.collect::<Result<_, _>>()?)
    }

    /// All verdicts on a message for a user so far, in order, with the devices that were pushed.
    pub async fn verdicts(
        &self,
        conversation: Conversation,
        of: u64,
        user: UserId,
    ) -> anyhow::Result<Vec<(PushReason, Vec<DeviceId>)>> {
        let trace = self.trace(conversation).await?;
        let decided = trace.into_iter().filter_map(|entry| match entry {
            PushTrace::Decided { seq, verdicts, .. } if seq == of => Some(verdicts),
            _ => None,
        });
        let own = decided
            .flatten()
            .filter(|verdict| verdict.users.contains(&user))
            .map(|verdict| (verdict.reason, verdict.devices));
        Ok(own.collect())
    }

    /// Waits for the first verdict, and answers its reason.
    pub async fn verdict(
        &self,
        conversation: Conversation,
        seq: u64,
        user: UserId,
    ) -> anyhow::Result<PushReason> {
        until(&format!("{seq} is decided for {user}"), async || {
            let verdicts = self.verdicts(conversation, seq, user).await?;
            Ok(verdicts.first().map(|(reason, _)| *reason))
        })
        .await
    }

    /// Waits until all messages and receipts are settled.
    pub async fn settled(&self) -> anyhow::Result<()> {
        let streams: Vec<String> = self
            .shards
            .all()
            .map(chat_stream)
            .chain([RECEIPTS.into()])
            .collect();
        until("all messages are settled", async || {
            for stream in &streams {
                let consumer: jetstream::consumer::PullConsumer = self
                    .jetstream
                    .get_consumer_from_stream(topology::NOTIFIER, stream)
                    .await?;
                let info = consumer.cached_info();
                if info.num_pending > 0 || info.num_ack_pending > 0 {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
        .context("settled")
    }
}

/// Stops a notifier at once, as a kill does: nothing is finished and nothing handed back.
pub async fn kill(tasks: &Tasks) {
    tasks.shutdown().hard();
    tasks.stop(Duration::ZERO).await.unwrap();
}

/// Polls until there is something.
pub async fn until<T>(
    what: &str,
    condition: impl AsyncFn() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        // NATS may be away for a moment in some tests.
        let found = condition().await;
        match found {
            Ok(Some(found)) => return Ok(found),
            Err(error) if started.elapsed() > PATIENCE => return Err(error.context(what.to_owned())),
            Ok(None) if started.elapsed() > PATIENCE => anyhow::bail!("waited for: {what}"),
            Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

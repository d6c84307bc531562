//! A nats-server of its own for each test, and notifiers on it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_nats::{
    Client,
    jetstream::{self, consumer::PullConsumer},
};
use aws_lc_rs::agreement;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use natterjack_nats::{
    Conversation, DeviceId, MessageId, UserId, cluster,
    direct::{self, Bounds},
    provision,
    services::{
        self,
        push::{Dead, DeadPage},
    },
    subjects::{kv as keys, push, receipt},
    topology::{Bucket, PUSH_TRACE, Settings},
    wire::{
        Channel, Cursor, FcmOs, Notice, PushJob, PushOutcome, PushRegistration, PushRequest, PushTarget,
        PushTrace, ReceiptBatch, ReceiptOf, WebPushKeys,
    },
};
use natterjack_notifier::Args;
use natterjack_runtime::{
    clock::Clock,
    lifecycle::Tasks,
    metrics::Metrics,
    servers::{NatsConfig, NatsServer, StderrProgress, Tools, testing_tools_dir},
};
use uuid::Uuid;

/// Nothing here takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(90);
const EPOCH: u64 = 1_700_000_000_000;

pub fn user(number: u128) -> UserId {
    UserId::from_parts(EPOCH, number)
}

pub fn device(number: u128) -> DeviceId {
    DeviceId::from_parts(EPOCH, number)
}

pub fn dm(one: u128, other: u128) -> Conversation {
    Conversation::dm(user(one), user(other))
}

/// Keys of a browser of our own: nobody here decrypts.
fn browser_keys() -> WebPushKeys {
    let private = agreement::PrivateKey::generate(&agreement::ECDH_P256).unwrap();
    let public = private.compute_public_key().unwrap();
    WebPushKeys {
        p256dh: URL_SAFE_NO_PAD.encode(public),
        auth: URL_SAFE_NO_PAD.encode([7; 16]),
    }
}

pub struct World {
    pub nats: NatsServer,
    pub client: Client,
    pub jetstream: jetstream::Context,
    pub args: Args,
    settings: Settings,
    services: Tasks,
    ids: AtomicU64,
    keys: WebPushKeys,
    pub dir: tempfile::TempDir,
}

impl World {
    /// Without a notifier.
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
        args.push_anywhere = true;
        let world = Self {
            jetstream: jetstream::new(client.clone()),
            nats,
            client,
            args,
            settings,
            services: Tasks::new(),
            ids: AtomicU64::new(1),
            keys: browser_keys(),
            dir,
        };
        provision::provision(&world.jetstream, &world.settings, false).await?;
        super::accounts::serve(&world.client, &world.services).await?;
        Ok(world)
    }

    /// With one notifier.
    pub async fn start() -> anyhow::Result<(Self, Notifier)> {
        let world = Self::new().await?;
        let notifier = world.notifier().await?;
        Ok((world, notifier))
    }

    /// Starts a notifier; it is ready when this returns.
    pub async fn notifier(&self) -> anyhow::Result<Notifier> {
        let (tasks, metrics) = (Tasks::new(), Metrics::new("notifier"));
        natterjack_notifier::run_with(&self.args, &tasks, metrics.clone()).await?;
        Ok(Notifier { tasks, metrics })
    }

    /// What a killed process held comes back sooner than in production: the test waits for it.
    pub async fn hurry(&self, channel: Channel, ack_wait: Duration) -> anyhow::Result<()> {
        let stream = self.jetstream.get_stream(Bucket::Pushes.stream_name()).await?;
        let consumer = stream.get_consumer(channel.as_str()).await;
        let consumer: PullConsumer = consumer.map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut config = consumer.cached_info().config.clone();
        config.ack_wait = ack_wait;
        stream.update_consumer(config).await?;
        Ok(())
    }

    async fn store(&self, subject: String, value: &impl serde::Serialize) -> anyhow::Result<u64> {
        let ack = self.jetstream.publish(subject, serde_json::to_vec(value)?.into());
        Ok(ack.await?.await?.sequence)
    }

    fn registration(&self, target: PushTarget, silent: bool) -> PushRegistration {
        PushRegistration {
            id: Uuid::from_u128(self.ids.fetch_add(1, Ordering::Relaxed).into()),
            request: PushRequest { target, silent },
            registered_at: EPOCH,
        }
    }

    /// A user's first device, registered for Web Push.
    pub async fn register(&self, number: u128, endpoint: &str) -> anyhow::Result<Uuid> {
        let endpoint = endpoint.to_owned();
        let keys = self.keys.clone();
        self.register_as(number, PushTarget::WebPush { endpoint, keys }, false)
            .await
    }

    pub async fn register_fcm(&self, number: u128, token: &str, os: FcmOs) -> anyhow::Result<Uuid> {
        let token = token.to_owned();
        self.register_as(number, PushTarget::Fcm { token, os }, false)
            .await
    }

    pub async fn register_as(&self, number: u128, target: PushTarget, silent: bool) -> anyhow::Result<Uuid> {
        let registration = self.registration(target, silent);
        let record = serde_json::json!({ "name": "phone", "push": registration });
        let key = keys::device(user(number), device(number));
        self.store(keys::subject(Bucket::Devices, &key), &record).await?;
        Ok(registration.id)
    }

    pub fn web_target(&self, endpoint: String) -> PushTarget {
        let keys = self.keys.clone();
        PushTarget::WebPush { endpoint, keys }
    }

    /// The device registers no more.
    pub async fn unregister(&self, number: u128) -> anyhow::Result<()> {
        let key = keys::device(user(number), device(number));
        let record = serde_json::json!({ "name": "phone" });
        self.store(keys::subject(Bucket::Devices, &key), &record).await?;
        Ok(())
    }

    pub async fn registered(&self, number: u128) -> anyhow::Result<Option<Uuid>> {
        let bucket = self.jetstream.get_key_value(Bucket::Devices.name()).await?;
        let value = bucket.get(keys::device(user(number), device(number))).await?;
        let record: serde_json::Value = serde_json::from_slice(&value.context("no device")?)?;
        Ok(serde_json::from_value(record["push"]["id"].clone()).ok())
    }

    /// A user's first device is to be told of a message.
    pub async fn tell(&self, channel: Channel, number: u128, from: u128, seq: u64) -> anyhow::Result<()> {
        self.tell_at(channel, number, from, seq, Clock::system().now_ms())
            .await
    }

    pub async fn tell_at(
        &self,
        channel: Channel,
        number: u128,
        from: u128,
        seq: u64,
        decided_at: u64,
    ) -> anyhow::Result<()> {
        let notice = Notice::Message {
            conversation: dm(number, from),
            seq,
            id: MessageId::generate(EPOCH + seq),
            sent_at: EPOCH,
            title: format!("User {from}"),
            body: Some(format!("text {seq}")),
            badge: 1,
            mention: false,
        };
        self.put(channel, number, PushJob::new(notice, decided_at)).await
    }

    /// What a user's first device was told up to here is taken back.
    pub async fn withdraw(&self, channel: Channel, number: u128, from: u128, seq: u64) -> anyhow::Result<()> {
        let notice = Notice::Withdraw {
            conversation: dm(number, from),
            seq,
            badge: 0,
        };
        let decided_at = Clock::system().now_ms();
        self.put(channel, number, PushJob::new(notice, decided_at)).await
    }

    async fn put(&self, channel: Channel, number: u128, job: PushJob) -> anyhow::Result<()> {
        let key = keys::push(channel, user(number), device(number), job.notice.conversation());
        self.store(keys::subject(Bucket::Pushes, &key), &job).await?;
        Ok(())
    }

    /// A user has read so far.
    pub async fn read(&self, number: u128, conversation: Conversation, seq: u64) -> anyhow::Result<()> {
        let receipt = ReceiptOf {
            conversation,
            user: user(number),
            cursor: Cursor {
                delivered: seq,
                read: seq,
            },
            foreground: 0,
        };
        let batch = ReceiptBatch {
            receipts: vec![receipt],
        };
        let subject = receipt::subject(self.settings.shards.of(&conversation));
        self.store(subject, &batch).await?;
        Ok(())
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

    /// What became of a message, in order, with the words for it.
    pub async fn became(
        &self,
        conversation: Conversation,
        of: u64,
    ) -> anyhow::Result<Vec<(PushOutcome, String)>> {
        let trace = self.trace(conversation).await?;
        let attempts = trace.into_iter().filter_map(|entry| match entry {
            PushTrace::Attempted {
                seq, outcome, detail, ..
            } if seq == of => Some((outcome, detail)),
            _ => None,
        });
        Ok(attempts.collect())
    }

    /// Waits until a message has come to this.
    pub async fn becomes(
        &self,
        conversation: Conversation,
        of: u64,
        wanted: PushOutcome,
    ) -> anyhow::Result<Vec<(PushOutcome, String)>> {
        until(&format!("{of} in {conversation} is {wanted:?}"), async || {
            let became = self.became(conversation, of).await?;
            let there = became.iter().any(|(outcome, _)| *outcome == wanted);
            Ok(there.then_some(became))
        })
        .await
    }

    /// What was not delivered yet, and what was delivered and is not settled.
    pub async fn outstanding(&self, channel: Channel) -> anyhow::Result<(u64, usize)> {
        let consumer: PullConsumer = self
            .jetstream
            .get_consumer_from_stream(channel.as_str(), &Bucket::Pushes.stream_name())
            .await?;
        let info = consumer.cached_info();
        Ok((info.num_pending, info.num_ack_pending))
    }

    /// Pushes that were delivered more than once and are not settled.
    pub async fn redelivered(&self, channel: Channel) -> anyhow::Result<usize> {
        let consumer: PullConsumer = self
            .jetstream
            .get_consumer_from_stream(channel.as_str(), &Bucket::Pushes.stream_name())
            .await?;
        Ok(consumer.cached_info().num_redelivered)
    }

    /// Waits until nothing is left to push.
    pub async fn settled(&self, channel: Channel) -> anyhow::Result<()> {
        until("all pushes are settled", async || {
            Ok((self.outstanding(channel).await? == (0, 0)).then_some(()))
        })
        .await
    }

    pub async fn dead(&self) -> anyhow::Result<DeadPage> {
        self.call(&Dead::default()).await
    }

    pub async fn call<V: services::Verb>(&self, request: &V) -> anyhow::Result<V::Reply> {
        Ok(services::call(&self.client, request, Duration::from_secs(10)).await?)
    }
}

/// A notifier, and what it counts.
pub struct Notifier {
    pub tasks: Tasks,
    metrics: Metrics,
}

impl Notifier {
    /// The value of a metric that carries these labels.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let text = self.metrics.encode();
        let line = text.lines().find(|line| {
            line.starts_with(&format!("natterjack_{name}{{"))
                && labels.iter().all(|label| line.contains(label))
        })?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Stops it at once, as a kill does: nothing is finished and nothing handed back.
    pub async fn kill(self) {
        self.tasks.shutdown().hard();
        self.tasks.stop(Duration::ZERO).await.unwrap();
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.tasks.stop(Duration::from_secs(10)).await
    }
}

/// Polls until there is something.
pub async fn until<T>(
    what: &str,
    condition: impl AsyncFn() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        // NATS may be away for a moment in some tests.
        match condition().await {
            Ok(Some(found)) => return Ok(found),
            Err(error) if started.elapsed() > PATIENCE => return Err(error.context(what.to_owned())),
            Ok(None) if started.elapsed() > PATIENCE => anyhow::bail!("waited for: {what}"),
            Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

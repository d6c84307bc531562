//! A nats-server of its own for each test, and presence processes on it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_nats::{Client, jetstream};
use futures::StreamExt as _;
use natterjack_nats::{
    DeviceId, UserId, cluster, headers, provision, services,
    subjects::{kv as keys, presence},
    topology::{Bucket, Settings},
    wire::{PresenceRecord, PresenceState},
};
use natterjack_presence::Args;
use natterjack_runtime::{
    lifecycle::Tasks,
    servers::{NatsConfig, NatsServer, StderrProgress, Tools, testing_tools_dir},
};

/// Nothing here takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The grace of presence in these tests.
pub const GRACE: Duration = Duration::from_millis(1_000);

pub fn user(number: u128) -> UserId {
    UserId::from_parts(1_700_000_000_000, number)
}

pub fn device(number: u128) -> DeviceId {
    DeviceId::from_parts(1_700_000_000_000, number)
}

/// What edges hear: all records of a user, in order.
type Heard = Arc<Mutex<HashMap<UserId, Vec<PresenceRecord>>>>;

pub struct World {
    pub nats: NatsServer,
    pub client: Client,
    pub jetstream: jetstream::Context,
    pub args: Args,
    settings: Settings,
    heard: Heard,
    _dir: tempfile::TempDir,
}

impl World {
    /// Without presence.
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
            settings,
            heard: Heard::default(),
            _dir: dir,
        };
        world.provision().await?;
        world.listen().await?;
        Ok(world)
    }

    /// With one presence process.
    pub async fn start() -> anyhow::Result<(Self, Tasks)> {
        let world = Self::new().await?;
        let tasks = world.presence().await?;
        Ok((world, tasks))
    }

    pub async fn provision(&self) -> anyhow::Result<()> {
        provision::provision(&self.jetstream, &self.settings, false).await?;
        Ok(())
    }

    /// Starts a presence process; it is ready when this returns.
    pub async fn presence(&self) -> anyhow::Result<Tasks> {
        let tasks = Tasks::new();
        natterjack_presence::run(&self.args, &tasks).await?;
        Ok(tasks)
    }

    async fn listen(&self) -> anyhow::Result<()> {
        let mut messages = self.client.subscribe("live.presence.*.*").await?;
        let heard = Arc::clone(&self.heard);
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                assert!(headers::position(message.headers.as_ref()).is_some());
                let user = presence::parse(&message.subject).unwrap();
                let record = serde_json::from_slice(&message.payload).unwrap();
                heard.lock().unwrap().entry(user).or_default().push(record);
            }
        });
        self.client.flush().await?;
        Ok(())
    }

    /// All states that edges heard of a user.
    pub fn heard(&self, user: UserId) -> Vec<PresenceState> {
        let heard = self.heard.lock().unwrap();
        let records = heard.get(&user).map(Vec::as_slice).unwrap_or_default();
        records.iter().map(|record| record.state).collect()
    }

    pub async fn record(&self, user: UserId) -> anyhow::Result<PresenceRecord> {
        let bucket = self.jetstream.get_key_value(Bucket::Presence.name()).await?;
        let value = bucket.get(user.to_string()).await?;
        Ok(value.map_or(Ok(PresenceRecord::default()), |value| {
            serde_json::from_slice(&value)
        })?)
    }

    /// Waits until a user has a state.
    pub async fn becomes(&self, user: UserId, state: PresenceState) -> anyhow::Result<PresenceRecord> {
        until(&format!("{user} is {state:?}"), async || {
            let record = self.record(user).await?;
            Ok((record.state == state).then_some(record))
        })
        .await
    }

    /// Waits until all events are settled.
    pub async fn settled(&self) -> anyhow::Result<()> {
        until("all events are settled", async || {
            let stream = Bucket::Sessions.stream_name();
            let consumer: jetstream::consumer::PullConsumer = self
                .jetstream
                .get_consumer_from_stream(natterjack_nats::topology::PRESENCE, &stream)
                .await?;
            let info = consumer.cached_info();
            Ok((info.num_pending == 0 && info.num_ack_pending == 0).then_some(()))
        })
        .await
    }

    /// The keys of sessions that are open.
    pub async fn sessions(&self) -> anyhow::Result<Vec<String>> {
        let bucket = self.jetstream.get_key_value(Bucket::Sessions.name()).await?;
        let mut found = bucket.keys().await?;
        let mut keys = Vec::new();
        while let Some(key) = found.next().await {
            keys.push(key?);
        }
        Ok(keys)
    }

    /// The entry of a device, as the persister keeps it.
    pub async fn put_device(&self, user: UserId, device: DeviceId, fields: &str) -> anyhow::Result<()> {
        let subject = keys::subject(Bucket::Devices, &keys::device(user, device));
        self.jetstream
            .publish(subject, fields.to_owned().into())
            .await?
            .await?;
        Ok(())
    }

    pub async fn device(&self, user: UserId, device: DeviceId) -> anyhow::Result<serde_json::Value> {
        let bucket = self.jetstream.get_key_value(Bucket::Devices.name()).await?;
        let value = bucket.get(keys::device(user, device)).await?;
        Ok(serde_json::from_slice(&value.context("no such device")?)?)
    }

    pub async fn call<V: services::Verb>(&self, request: &V) -> anyhow::Result<V::Reply> {
        Ok(services::call(&self.client, request, Duration::from_secs(10)).await?)
    }
}

/// Stops presence at once, as a kill does: nothing is finished and nothing handed back.
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

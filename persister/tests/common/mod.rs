//! What the tests with real servers share: a nats-server and a database of their own for each
//! test, on one Postgres for as many tests as run at once.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "every test program has its own copy and uses a part of it, so that `expect` fails in some"
)]

mod postgres;

use std::{future::Future, time::Duration};

use anyhow::Context as _;
use async_nats::{HeaderMap, jetstream};
use natterjack_nats::{
    Conversation, MessageId, Shards, UserId, cluster, provision, services, subjects,
    topology::Settings,
    wire::{Content, Kind, Stored, WireError},
};
use natterjack_persister::Args;
use natterjack_runtime::{
    clock::Clock,
    lifecycle::Tasks,
    servers::{NatsConfig, NatsServer, Postgres, StderrProgress, Tools, testing_tools_dir},
};
use tokio_postgres::{NoTls, Row, types::ToSql};

/// Nothing here takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What drives a connection to Postgres.
pub type Connection = tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>;

/// The servers of one test, provisioned.
pub struct World {
    pub nats: NatsServer,
    pub client: async_nats::Client,
    pub jetstream: jetstream::Context,
    pub shards: Shards,
    pub settings: Settings,
    pub args: Args,
    pub clock: Clock,
    database: postgres::Database,
    _dir: tempfile::TempDir,
}

impl World {
    /// With a database on the shared Postgres.
    pub async fn start() -> anyhow::Result<Self> {
        Self::on(postgres::Database::shared().await?).await
    }

    /// With a Postgres of its own, which the test may stop and kill.
    pub async fn alone() -> anyhow::Result<Self> {
        Self::on(postgres::Database::alone().await?).await
    }

    async fn on(database: postgres::Database) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let nats = NatsServer::start(&tools().await?, NatsConfig::new(dir.path())).await?;
        let client = cluster::connect(&nats.url(), "test", |_| {}).await?;
        let jetstream = jetstream::new(client.clone());
        let settings = Settings {
            chat_bytes_max: 1 << 26,
            // Copies within the window are the stream's business; here they are wanted.
            dedupe_window: Duration::from_millis(100),
            ..Settings::default()
        };
        provision::provision(&jetstream, &settings, false).await?;
        let mut args = Args::new(nats.url(), database.url.clone());
        (args.argon2_memory_kib, args.argon2_passes) = (64, 1);
        args.database.connections_max = 12;
        Ok(Self {
            nats,
            client,
            jetstream,
            shards: settings.shards,
            settings,
            args,
            clock: Clock::system(),
            database,
            _dir: dir,
        })
    }

    /// The Postgres of [`World::alone`].
    pub fn postgres(&self) -> &Postgres {
        self.database.server()
    }

    /// Starts a persister; it stops with the tasks.
    pub async fn persister(&self) -> anyhow::Result<Tasks> {
        let tasks = Tasks::new();
        natterjack_persister::run(&self.args, &tasks).await?;
        Ok(tasks)
    }

    /// Asks a service.
    pub async fn call<V: services::Verb>(&self, request: &V) -> Result<V::Reply, WireError> {
        services::call(&self.client, request, PATIENCE).await
    }

    /// Stores a message as an edge does; answers its sequence.
    pub async fn store(&self, stored: &Stored) -> anyhow::Result<u64> {
        self.store_raw(&stored.conversation, serde_json::to_vec(stored)?)
            .await
    }

    /// Stores any payload on the subject of a conversation.
    pub async fn store_raw(&self, conversation: &Conversation, payload: Vec<u8>) -> anyhow::Result<u64> {
        let subject = subjects::chat::subject(self.shards, conversation);
        let ack = self
            .jetstream
            .publish_with_headers(subject, HeaderMap::new(), payload.into())
            .await?;
        Ok(ack.await?.sequence)
    }

    /// Stores a text under a new id.
    pub async fn text(&self, conversation: Conversation, sender: UserId, text: &str) -> anyhow::Result<u64> {
        self.say(conversation, sender, text_content(text)).await
    }

    /// Stores anything under a new id.
    pub async fn say(
        &self,
        conversation: Conversation,
        sender: UserId,
        content: Content,
    ) -> anyhow::Result<u64> {
        let now = self.clock.now_ms();
        self.store(&Stored::new(
            conversation,
            MessageId::generate(now),
            sender,
            now,
            content,
        ))
        .await
    }

    /// A connection of the test's own, which ends once the client is dropped.
    pub async fn connect(&self) -> anyhow::Result<(tokio_postgres::Client, Connection)> {
        let (client, connection) = tokio_postgres::connect(&self.database.url, NoTls).await?;
        Ok((client, tokio::spawn(connection)))
    }

    /// Rows of a query.
    pub async fn sql(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> anyhow::Result<Vec<Row>> {
        let (client, connection) = self.connect().await?;
        let rows = client.query(sql, params).await?;
        drop(client);
        connection.await??;
        Ok(rows)
    }

    /// The number that a query answers.
    pub async fn count(&self, sql: &str) -> anyhow::Result<i64> {
        let rows = self.sql(sql, &[]).await?;
        Ok(rows.first().context("no row")?.get(0))
    }

    /// Waits until everything that is stored now was written and acked.
    pub async fn settled(&self) -> anyhow::Result<()> {
        until("everything is acked", async || {
            for (stream, config) in natterjack_nats::topology::consumers(&Settings::default()) {
                // What presence reads is not the persister's.
                if config.durable_name.as_deref() != Some(natterjack_nats::topology::PERSISTER) {
                    continue;
                }
                let consumer: jetstream::consumer::PullConsumer = self
                    .jetstream
                    .get_consumer_from_stream(natterjack_nats::topology::PERSISTER, &stream)
                    .await?;
                let info = consumer.cached_info();
                if info.num_pending > 0 || info.num_ack_pending > 0 {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }
}

/// A plain text.
pub fn text_content(text: &str) -> Content {
    Content::Text {
        text: text.into(),
        reply_to: None,
    }
}

/// A user whom nobody signed up, which the message path does not mind.
pub fn user(number: u128) -> UserId {
    UserId::from_parts(1_700_000_000_000, number)
}

/// The number of a kind in the table.
pub fn kind(kind: Kind) -> i16 {
    kind as i16
}

/// Where the server programs are.
pub async fn tools() -> anyhow::Result<Tools> {
    Ok(Tools::locate_or_install(&testing_tools_dir(), &StderrProgress).await?)
}

/// Polls until a condition holds.
pub async fn until<F>(what: &str, condition: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<bool>>,
{
    let poll = async {
        while !condition().await? {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, poll)
        .await
        .with_context(|| format!("waited for: {what}"))?
}

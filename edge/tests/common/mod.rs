//! A real nats-server, provisioned, with an edge on it.

use std::time::Duration;

use async_nats::jetstream;
use clap::Parser;
use natterjack_edge::{Args, Edge};
use natterjack_nats::{cluster, provision::provision, topology::Settings};
use natterjack_runtime::{
    lifecycle::Tasks,
    servers::{NatsConfig, NatsServer, SilentProgress, Tools, testing_tools_dir},
};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

/// An edge and the server below it.
pub struct Stage {
    /// The edge.
    pub edge: Edge,
    /// Its tasks.
    pub tasks: Tasks,
    /// The server.
    pub server: NatsServer,
    _dir: tempfile::TempDir,
}

impl Stage {
    /// Starts both; `args` are those of the edge, without addresses.
    pub async fn new(args: &[&str]) -> Self {
        Self::on(&Settings::default(), args).await
    }

    /// The same, on streams that differ from the usual.
    pub async fn on(settings: &Settings, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress)
            .await
            .expect("tools");
        let server = NatsServer::start(&tools, NatsConfig::new(dir.path()))
            .await
            .expect("nats-server");
        let client = cluster::connect(&server.url(), "edge test", |_| {})
            .await
            .expect("a connection");
        let context = jetstream::new(client);
        provision(&context, settings, false).await.expect("provisioned");
        let tasks = Tasks::new();
        let url = server.url();
        let all = [&["edge", "--listen=127.0.0.1:0", "--nats-url", &url], args].concat();
        let edge = natterjack_edge::run(&Command::parse_from(all).args, &tasks)
            .await
            .expect("an edge");
        Self {
            edge,
            tasks,
            server,
            _dir: dir,
        }
    }

    /// Drains the edge, then stops the server.
    pub async fn end(self) {
        self.tasks.stop(PATIENCE).await.expect("all tasks end");
        self.server.stop().await;
    }
}

//! The plain run: everything on this machine, with nothing configured.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use natterjack_runtime::{
    Tasks,
    servers::{DataDir, Progress, StderrProgress},
};

use crate::{
    local::{LocalConfig, LocalServers},
    provision::TopologyArgs,
    role,
    web::{Page, Stands},
};

/// Over how long sockets are closed after Ctrl-C, unless it is configured: there is no other edge that
/// could be overrun, and somebody waits.
const DRAIN_SPREAD_MS: u64 = 500;

/// Options of the plain run. Those of a role are set by the role's own environment variables: see
/// `natterjack edge --help`, and likewise `persister`, `presence` and `notifier`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where everything is kept that survives a restart
    #[arg(long, env = "NATTERJACK_DATA_DIR", default_value = ".natterjack")]
    pub data_dir: PathBuf,
    /// Where installed servers are kept [default: tools/ in the data directory]
    #[arg(long, env = "NATTERJACK_TOOLS_DIR")]
    pub tools_dir: Option<PathBuf>,
    /// Where clients connect: WebSocket and HTTP
    #[arg(long, env = "EDGE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// A web client that is built already, served at / [default: the one in the source that this program was
    /// built from, which is built if it changed]
    #[arg(long, env = "EDGE_WEB_DIR", value_name = "DIR")]
    pub web_dir: Option<PathBuf>,
    /// The sources of the web client, which is built from them if they changed [default: those that this program
    /// was built from]
    #[arg(
        long,
        env = "NATTERJACK_WEB_SOURCE",
        value_name = "DIR",
        conflicts_with = "web_dir"
    )]
    pub web_source: Option<PathBuf>,
    /// Serve no web client, and build none
    #[arg(long, env = "NATTERJACK_NO_WEB", value_parser = clap::builder::FalseyValueParser::new())]
    pub no_web: bool,
    /// A NATS that runs already, instead of a child of our own
    #[arg(long, env = "NATS_URL")]
    pub nats_url: Option<String>,
    /// A Postgres that runs already, instead of a child of our own
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Port of our own NATS [default: a free one, kept over restarts]
    #[arg(long, env = "NATTERJACK_NATS_PORT")]
    pub nats_port: Option<u16>,
    /// Port of our own Postgres [default: a free one, kept over restarts]
    #[arg(long, env = "NATTERJACK_POSTGRES_PORT")]
    pub postgres_port: Option<u16>,
    #[command(flatten)]
    topology: TopologyArgs,
}

/// Starts everything and runs until a signal or a failure.
///
/// # Errors
/// Whatever kept a part from starting or ended one: each says what to do.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let progress = StderrProgress;
    let dir = DataDir::open(&args.data_dir)?;
    let config = LocalConfig {
        tools_dir: args.tools_dir.clone(),
        nats_url: args.nats_url.clone(),
        database_url: args.database_url.clone(),
        nats_port: args.nats_port,
        postgres_port: args.postgres_port,
        nats_store_bytes_max: None,
        nats_extra: String::new(),
    };
    let page = Page::start(&args);
    progress.say("starting NATS and Postgres …");
    let servers = LocalServers::start(&dir, &config, &progress).await?;
    run_on(&args, &servers, page, &progress).await
}

async fn run_on(
    args: &Args,
    servers: &LocalServers,
    mut page: Page,
    progress: &dyn Progress,
) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    // What takes in work stops first, then what the work needs.
    let order = ["edge", "notifier", "presence", "persister", "servers"].map(|name| tasks.child(name));
    let [
        edge_tasks,
        notifier_tasks,
        presence_tasks,
        persister_tasks,
        server_tasks,
    ] = &order;
    servers.supervise(server_tasks);
    let edge_args = edge_args(args, servers, &page)?;
    let start = async {
        let report = servers.provision(&args.topology.settings()).await?;
        for drift in &report.drift {
            tracing::warn!(%drift, "the topology differs; `natterjack provision --apply` changes it");
        }
        progress.say("starting the persister, presence, the notifier and the edge …");
        let options = [
            ("--nats-url", servers.nats_url.as_str()),
            ("--database-url", servers.database_url.as_str()),
        ];
        natterjack_persister::run(&role::args(&options)?, persister_tasks)
            .await
            .context("the persister did not start")?;
        let options = [("--nats-url", servers.nats_url.as_str())];
        natterjack_presence::run(&role::args(&options)?, presence_tasks)
            .await
            .context("presence did not start")?;
        natterjack_notifier::run(&role::args(&options)?, notifier_tasks)
            .await
            .context("the notifier did not start")?;
        let edge = natterjack_edge::run(&edge_args, edge_tasks)
            .await
            .context("the edge did not start")?;
        // Nobody who wants the API waits for the page.
        let stands = page.now(&edge.app.page, progress).await;
        print!("{}", welcome(args, servers, edge.addr, stands));
        if stands == Stands::Building && page.built(&edge.app.page, progress).await == Stands::There {
            println!("The web client is ready: open http://{} in a browser.", edge.addr);
        }
        Ok(())
    };
    tasks
        .run_until_signal_then(start, &order, edge_args.place.drain_grace())
        .await
}

fn edge_args(args: &Args, servers: &LocalServers, page: &Page) -> anyhow::Result<natterjack_edge::Args> {
    let listen = args.listen.to_string();
    let options = [
        ("--nats-url", servers.nats_url.as_str()),
        ("--listen", listen.as_str()),
    ];
    let mut edge: natterjack_edge::Args = role::args(&options)?;
    if std::env::var_os("EDGE_DRAIN_SPREAD_MS").is_none() {
        edge.place.drain_spread_ms = DRAIN_SPREAD_MS;
    }
    edge.web_dir.clone_from(&page.dir);
    edge.no_web = args.no_web;
    Ok(edge)
}

fn welcome(args: &Args, servers: &LocalServers, addr: SocketAddr, page: Stands) -> String {
    let program = program();
    let postgres = match &servers.postgres {
        Some(postgres) => format!(
            "127.0.0.1:{} (password in {}/postgres)",
            postgres.port(),
            args.data_dir.display()
        ),
        None => "as configured".to_owned(),
    };
    let server = if addr.port() == 8080 {
        String::new()
    } else {
        format!(" --server http://{addr}")
    };
    let page = match page {
        Stands::There => format!(" Open http://{addr} in a browser."),
        Stands::Building => " The web client is still being built: its address follows.".to_owned(),
        Stands::Not => String::new(),
    };
    format!(
        "
Natterjack is ready.{page}

  clients    http://{addr}   (WebSocket: ws://{addr}/v1/ws)
  NATS       {nats}
  Postgres   {postgres}
  data       {data}

Or chat in two more terminals:

  {program} chat --create --as alice{server}
  {program} chat --create --as bob{server}

and in bob's:

  /to alice
  Hello!

Ctrl-C stops everything.
",
        nats = servers.nats_url,
        data = args.data_dir.display(),
    )
}

/// How this program is started again from here.
fn program() -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("natterjack"));
    let relative = program.strip_prefix(&here).map(Path::to_path_buf);
    relative.map_or_else(
        |_| program.display().to_string(),
        |relative| format!("./{}", relative.display()),
    )
}

//! `natterjack provision`: streams, buckets and consumers, made or compared.

mod asked;
pub mod certificates;
pub mod config;
pub mod files;
pub mod keys;
mod served;

use std::{path::Path, time::Duration};

use natterjack_nats::{
    Shards,
    access::User,
    cluster::{self, NatsArgs},
    provision::{Report, provision},
    topology::Settings,
};

/// Settings of the topology.
#[derive(Debug, Clone, clap::Args)]
pub struct TopologyArgs {
    /// Number of streams that share the conversations; fixed once provisioned
    #[arg(long, env = "NATTERJACK_SHARDS", default_value = "4", value_parser = parse_shards)]
    pub shards: Shards,
    /// Copies of every stream and bucket: 1, 3 or 5
    #[arg(long, env = "NATTERJACK_REPLICAS", default_value_t = 1)]
    pub replicas: usize,
    /// Most bytes in one chat stream before sends are refused
    #[arg(long, env = "NATTERJACK_CHAT_BYTES_MAX", default_value_t = 1 << 30)]
    pub chat_bytes_max: i64,
    /// How long a stream itself recognises a retry, in seconds
    #[arg(long, env = "NATTERJACK_DEDUPE_WINDOW_S", default_value_t = 120)]
    pub dedupe_window_s: u64,
}

impl TopologyArgs {
    /// The settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            shards: self.shards,
            replicas: self.replicas,
            chat_bytes_max: self.chat_bytes_max,
            dedupe_window: Duration::from_secs(self.dedupe_window_s),
            made_closed: true,
        }
    }
}

/// A number of shards from the command line.
///
/// # Errors
/// It is none, or too large.
pub fn parse_shards(text: &str) -> Result<Shards, String> {
    let count = text.parse().map_err(|error| format!("{error}"))?;
    Shards::new(count).ok_or_else(|| format!("a cluster has 1 to {} shards", Shards::MAX))
}

/// Where to provision and what.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where NATS is, and how to log in
    #[command(flatten)]
    pub nats: NatsArgs,
    /// Also change what exists and differs, where nothing can be lost by that
    #[arg(long, env = "NATTERJACK_PROVISION_APPLY")]
    pub apply: bool,
    #[command(flatten)]
    topology: TopologyArgs,
    #[command(flatten)]
    config: config::ConfigArgs,
}

/// Provisions and prints what was done.
///
/// # Errors
/// No server, another number of shards, or what the server refused; drift that was left alone is
/// an error too, so that a script notices.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(dir) = &args.config.write_config {
        return write_config(dir, args);
    }
    let client = cluster::connect(args.nats.login(User::Provision), "natterjack provision", |_| {}).await?;
    let context = async_nats::jetstream::new(client);
    let Report {
        created,
        updated,
        drift,
        closed,
        ..
    } = provision(&context, &args.topology.settings(), args.apply).await?;
    for what in &created {
        println!("created  {what}");
    }
    for what in &updated {
        println!("updated  {what}");
    }
    for drift in &drift {
        println!("differs  {drift}");
    }
    if created.is_empty() && updated.is_empty() && drift.is_empty() && closed.is_empty() {
        println!("nothing to do: all is as it should be");
    }
    for stream in &closed {
        println!(
            "closed   {stream}: it takes messages once a persister runs, which looks up to where history counts"
        );
    }
    let refused = drift.iter().filter(|drift| drift.refused.is_some()).count();
    anyhow::ensure!(
        drift.is_empty(),
        "{} settings differ; {refused} of them are left to you, and --apply changes the others",
        drift.len()
    );
    Ok(())
}

fn write_config(dir: &Path, args: &Args) -> anyhow::Result<()> {
    let written = config::write(dir, &args.config, &args.topology)?;
    for path in &written {
        println!("written  {}", path.display());
    }
    if written.is_empty() {
        println!("nothing to do: all is as it should be");
        return Ok(());
    }
    let dir = dir.display();
    println!(
        "
Keep {dir} to yourself: *.nk, *-key.pem, public.pem.key and postgres/password let whoever has them in.

Next:
  - start each nats-server in {dir}/nats: NATS_NAME=… NATS_STORE_DIR=… nats-server -c nats-server.conf;
    one that runs already takes new users and certificates with `nats-server --signal reload`, given twice where
    it has no account EDGE yet
  - give each role its own key: NATS_NKEY={dir}/nkeys/<role>.nk NATS_CA={dir}/tls/ca.pem
  - make the streams: natterjack provision --nats-nkey {dir}/nkeys/provision.nk --nats-ca {dir}/tls/ca.pem …
  - look around: XDG_CONFIG_HOME={dir}/cli nats --context natterjack-operator stream report"
    );
    Ok(())
}

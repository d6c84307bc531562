//! What the doctor is told, and whom it logs in as.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use async_nats::jetstream::stream;
use natterjack_nats::{
    Shards,
    access::User,
    cluster::{Login, NatsArgs, Trust},
    topology::{self, Settings},
};
use natterjack_persister::{DatabaseArgs, db};
use reqwest::Url;

/// Where to look. What is not given is not looked at, and the report says so.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    nats: NatsArgs,

    /// A file with the nkey seed of a user of the system account: to ask the nats-servers themselves
    #[arg(long, env = "NATS_SYSTEM_NKEY", value_name = "FILE")]
    nats_system_nkey: Option<PathBuf>,

    /// The monitoring page of a nats-server, where there is no user of the system account; one for each
    #[arg(long, env = "NATS_MONITOR", value_delimiter = ',', value_name = "URL")]
    pub nats_monitor: Vec<String>,

    /// The Postgres database, postgres://user:password@host/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// How to be let in by Postgres, and how often the persister is, as it has it
    #[command(flatten)]
    pub database: DatabaseArgs,

    /// The folder that `natterjack provision --write-config` wrote: its keys, certificates and password are
    /// used where no others are given, and looked at themselves
    #[arg(long, value_name = "DIR")]
    pub config: Option<PathBuf>,

    /// The public address of all edges, such as that of the load balancer
    #[arg(long, env = "EDGE_URL", value_name = "URL")]
    pub edge_url: Option<String>,

    /// Copies that every stream should have; as many as most have, if not given
    #[arg(long, env = "NATTERJACK_REPLICAS", value_name = "COUNT")]
    replicas: Option<usize>,

    /// Most bytes that a chat stream should hold; as many as the first may, if not given
    #[arg(long, env = "NATTERJACK_CHAT_BYTES_MAX", value_name = "BYTES")]
    chat_bytes_max: Option<i64>,

    /// How long a stream should recognise a retry, in seconds; as long as the first does, if not given
    #[arg(long, env = "NATTERJACK_DEDUPE_WINDOW_S", value_name = "SECONDS")]
    dedupe_window_s: Option<u64>,

    /// Hours that messages stay in their stream after they are in Postgres, as the persister has it
    #[arg(
        long,
        env = "NATTERJACK_TAIL_WINDOW_HOURS",
        default_value_t = 72,
        value_name = "HOURS"
    )]
    pub tail_window_hours: u32,

    /// Print what was found as JSON
    #[arg(long)]
    pub json: bool,
}

impl Args {
    /// Who looks at streams, consumers and buckets: whoever was given, or the operator of `--config`.
    #[must_use]
    pub fn operator(&self) -> Login {
        let mut nats = self.nats();
        if nats.nkey.is_none() && nats.creds.is_none() {
            nats.nkey = self.file("nkeys/operator.nk");
        }
        nats.login(User::Operator)
    }

    /// Who asks the servers themselves.
    #[must_use]
    pub fn system(&self) -> Option<Login> {
        let key = self.nats_system_nkey.clone();
        let key = key.or_else(|| self.file("nkeys/system.nk"))?;
        Some(self.with_key(key, User::System))
    }

    /// Who may read the keys of push services.
    #[must_use]
    pub fn provisioner(&self) -> Option<Login> {
        Some(self.with_key(self.file("nkeys/provision.nk")?, User::Provision))
    }

    /// This user, with this key.
    #[must_use]
    pub fn with_key(&self, key: PathBuf, user: User) -> Login {
        let mut nats = self.nats();
        (nats.nkey, nats.creds) = (Some(key), None);
        nats.login(user)
    }

    /// Whose certificates count: those that the machine trusts, and our own authority.
    ///
    /// # Errors
    /// The file of the authority cannot be read, or is none.
    pub fn trust(&self) -> Result<Trust, String> {
        match self.nats().ca {
            Some(ca) => Trust::with_authority(&ca).map_err(|error| error.to_string()),
            None => Ok(Trust::default()),
        }
    }

    /// The nats-servers that were named, if they are to show a certificate.
    #[must_use]
    pub fn nats_servers(&self) -> Vec<Url> {
        let all = self.nats().ca.is_some();
        let urls = self
            .nats
            .url
            .split(',')
            .filter_map(|url| url.trim().parse::<Url>().ok());
        urls.filter(|url| all || url.scheme() == "tls").collect()
    }

    /// Where Postgres is, if it is to show a certificate that is looked at.
    #[must_use]
    pub fn encrypted_database(&self) -> Option<Url> {
        let database = self.database()?;
        let verified = database.ca.is_some() || database.url.contains("sslmode=verify");
        if verified { database.url.parse().ok() } else { None }
    }

    /// Whether the user has a name, and so perhaps may not do everything.
    #[must_use]
    pub fn logs_in(&self) -> bool {
        self.nats.nkey.is_some() || self.nats.creds.is_some() || self.config.is_some()
    }

    /// The database, if one was named.
    #[must_use]
    pub fn database(&self) -> Option<db::Address> {
        let mut address = self.database.address(self.database_url.as_ref()?);
        address.password_file = address.password_file.or_else(|| self.file("postgres/password"));
        let encrypted = address.url.contains("sslmode=") && !address.url.contains("sslmode=disable");
        let own = if encrypted { self.file("tls/ca.pem") } else { None };
        address.ca = address.ca.or(own);
        Some(address)
    }

    /// A client for addresses of ours, which may be signed by our own authority.
    ///
    /// # Errors
    /// The file of the authority cannot be read, or is none.
    pub fn http(&self, within: Duration) -> Result<reqwest::Client, String> {
        let mut builder = reqwest::Client::builder()
            .timeout(within)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = self.nats().ca {
            let told = |why: String| format!("{}: {why}", path.display());
            let pem = fs::read(&path).map_err(|error| told(error.to_string()))?;
            let authorities =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| told(error.to_string()))?;
            builder = builder.tls_certs_merge(authorities);
        }
        builder.build().map_err(|error| error.to_string())
    }

    /// What the topology should be: as it was said, or as most of it is.
    #[must_use]
    pub fn settings(&self, shards: Shards, streams: &BTreeMap<String, stream::Info>) -> Settings {
        let defaults = Settings::default();
        // The first that answers.
        let mut chat = shards.all().map(topology::chat_stream);
        let first = chat.find_map(|name| streams.get(&name)).map(|info| &info.config);
        let window_s = self.dedupe_window_s.map(Duration::from_secs);
        Settings {
            shards,
            replicas: self.replicas.unwrap_or_else(|| commonest(streams)),
            chat_bytes_max: self
                .chat_bytes_max
                .or_else(|| first.map(|config| config.max_bytes))
                .unwrap_or(defaults.chat_bytes_max),
            dedupe_window: window_s
                .or_else(|| first.map(|config| config.duplicate_window))
                .unwrap_or(defaults.dedupe_window),
            ..defaults
        }
    }

    fn nats(&self) -> NatsArgs {
        let mut nats = self.nats.clone();
        nats.ca = nats.ca.or_else(|| self.file("tls/ca.pem"));
        nats
    }

    /// A file in the folder, if there is one.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        let path = self.config.as_ref()?.join(name);
        path.exists().then_some(path)
    }
}

/// How many replicas most streams have.
fn commonest(streams: &BTreeMap<String, stream::Info>) -> usize {
    let mut counts = BTreeMap::new();
    for info in streams.values() {
        *counts.entry(info.config.num_replicas).or_insert(0) += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map_or(1, |(replicas, _)| replicas)
}

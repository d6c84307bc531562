//! `natterjack provision --write-config`: everything that a cluster of several machines is configured with, in
//! one directory. What is secret is made once and kept; the rest is written anew each time.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Context;
use natterjack_nats::access::{User, accounts};
use natterjack_runtime::{
    clock::Clock,
    servers::{NatsConfig, PING_INTERVAL_S, PINGS_OUT_MAX},
};
use rand::RngExt as _;
use serde_json::json;

use super::{
    TopologyArgs,
    asked::Asked,
    certificates::{self, Server},
    files::{self, Kept, Readers},
    keys, served,
};

/// Letters and digits of a password: 190 bits.
const PASSWORD_CHARS: usize = 32;
/// Names of the edges, and of what stands before them, where all runs from one compose file.
const EDGES: [&str; 3] = ["edge-1", "edge-2", "lb"];

/// What to write.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArgs {
    /// Write the configuration of a cluster into this directory instead: accounts, keys, certificates. It
    /// needs no NATS; keys and certificates that are there are kept
    #[arg(long, value_name = "DIR")]
    pub write_config: Option<PathBuf>,
    /// A nats-server of the cluster, by the name under which all reach it; repeat it for each. Else those
    /// that DIR was last written for, or nats-1, nats-2 and nats-3
    #[arg(
        long,
        requires = "write_config",
        value_name = "NAME",
        value_parser = certificates::parse_name
    )]
    pub nats_host: Vec<String>,
    /// A further name or address for all certificates; repeat it for each. Else those that DIR was last
    /// written for
    #[arg(long, requires = "write_config", value_name = "NAME", value_parser = certificates::parse_name)]
    pub san: Vec<String>,
}

/// Writes the files below `dir`, and answers those that hold something new: all but configuration that would be
/// the same.
///
/// # Errors
/// A file cannot be written, or one that is kept is damaged; fewer shards than it was written for.
pub fn write(dir: &Path, args: &ConfigArgs, topology: &TopologyArgs) -> anyhow::Result<Vec<PathBuf>> {
    files::directory(dir)?;
    let dir = dir.canonicalize().with_context(|| format!("{}", dir.display()))?;
    let asked_path = dir.join("config.json");
    let asked = Asked::new(&asked_path, args, topology.shards)?;
    let now = UNIX_EPOCH + Duration::from_millis(Clock::system().now_ms());
    let (keys, mut written) = keys::ensure(&dir.join("nkeys"))?;
    let tls = dir.join("tls");
    written.extend(certificates::ensure(&tls, &servers(&asked), now)?);
    written.extend(served::ensure(&dir.join("served"), &tls)?);
    let password = dir.join("postgres/password");
    files::directory(&dir.join("postgres"))?;
    if files::once(&password, || Ok(secret().into_bytes()))? == Kept::Made {
        written.push(password);
    }
    let contexts = dir.join("cli/nats/context");
    let mut texts = BTreeMap::from([
        (asked_path, format!("{:#}\n", json!(asked))),
        (dir.join("nats/nats-server.conf"), nats_server(&asked.nats_hosts)),
        (dir.join("nats/accounts.conf"), accounts(&keys, topology.shards)),
    ]);
    for (user, what) in [
        (User::Operator, "Natterjack, to look at"),
        (User::Admin, "Natterjack, to repair"),
        (User::System, "the servers below Natterjack"),
    ] {
        let path = contexts.join(format!("natterjack-{user}.json"));
        texts.insert(path, context(&dir, &asked.nats_hosts, user, what));
    }
    for (path, text) in texts {
        if let Some(parent) = path.parent() {
            files::directory(parent)?;
        }
        if std::fs::read(&path).is_ok_and(|known| known == text.as_bytes()) {
            continue;
        }
        files::write(&path, text.as_bytes(), Readers::All)?;
        written.push(path);
    }
    Ok(written)
}

/// The certificates of a cluster.
fn servers(asked: &Asked) -> [Server; 3] {
    let names = |own: &[&str]| {
        let local = ["localhost", "127.0.0.1"].into_iter();
        let further = asked.sans.iter().map(String::as_str);
        let mut all: Vec<String> = own
            .iter()
            .copied()
            .chain(local)
            .chain(further)
            .map(String::from)
            .collect();
        all.sort();
        all.dedup();
        all
    };
    let hosts: Vec<&str> = asked.nats_hosts.iter().map(String::as_str).collect();
    let server = |name, own: &[&str], connects| Server {
        name,
        names: names(own),
        connects,
    };
    [
        server("nats", &hosts, true),
        server("postgres", &["postgres"], false),
        server("edge", &EDGES, false),
    ]
}

fn secret() -> String {
    let mut random = rand::rng();
    (0..PASSWORD_CHARS)
        .map(|_| char::from(random.sample(rand::distr::Alphanumeric)))
        .collect()
}

/// One file for every node. What differs is in the environment.
fn nats_server(hosts: &[String]) -> String {
    let plain = NatsConfig::new("");
    let routes: Vec<String> = hosts
        .iter()
        .map(|host| format!("    {}", json!(format!("nats-route://{host}:6222"))))
        .collect();
    // A server alone is no cluster: JetStream would wait for others for ever.
    let cluster = if hosts.len() < 2 {
        String::new()
    } else {
        format!(
            "cluster {{\n  name: natterjack\n  port: 6222\n  \
             # Certificates name hosts: addresses that servers learn from each other would not do for clients.\n  \
             no_advertise: true\n  \
             tls {{\n    cert_file: \"../tls/nats.pem\"\n    key_file: \"../tls/nats-key.pem\"\n    \
             ca_file: \"../tls/ca.pem\"\n    # Who comes as a server shows a certificate of our own.\n    \
             verify: true\n  }}\n  routes: [\n{}\n  ]\n}}\n",
            routes.join("\n")
        )
    };
    format!(
        "# Written by `natterjack provision --write-config`; changes made here are lost.\n\
         # One file for every node of the cluster: start it in this directory, with NATS_NAME and NATS_STORE_DIR\n\
         # in the environment, as `nats-server -c nats-server.conf`.\n\
         server_name: $NATS_NAME\n\
         port: 4222\n\
         # Monitoring asks nobody who they are: for the cluster's own network alone.\n\
         http: 8222\n\
         max_payload: {payload}\n\
         max_connections: {connections}\n\
         # A connection that is held up ends, with all that is on its way over it, well before the\n\
         # streams forget the ids of what was stored or refused meanwhile.\n\
         ping_interval: \"{PING_INTERVAL_S}s\"\n\
         ping_max: {PINGS_OUT_MAX}\n\
         # A server that is told to go (`--signal ldm`) sends its clients to the others over this time, a few at\n\
         # once; what stops it must wait for longer.\n\
         lame_duck_grace_period: \"2s\"\n\
         lame_duck_duration: \"30s\"\n\
         tls {{\n  cert_file: \"../tls/nats.pem\"\n  key_file: \"../tls/nats-key.pem\"\n}}\n\
         jetstream {{\n  store_dir: $NATS_STORE_DIR\n  \
         # An acknowledged message is on disk: sync before each acknowledgement.\n  sync_interval: always\n}}\n\
         {cluster}include ./accounts.conf\n",
        payload = plain.max_payload_bytes,
        connections = plain.max_connections,
    )
}

/// A context of the `nats` command line.
fn context(dir: &Path, hosts: &[String], user: User, description: &str) -> String {
    let urls: Vec<String> = hosts.iter().map(|host| format!("tls://{host}:4222")).collect();
    let context = json!({
        "description": description,
        "url": urls.join(","),
        "nkey": keys::path(&dir.join("nkeys"), user),
        "ca": dir.join("tls/ca.pem"),
        "inbox_prefix": user.inbox_prefix(),
    });
    format!("{context:#}\n")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn args(words: &[&str]) -> anyhow::Result<(ConfigArgs, TopologyArgs)> {
        let command = ConfigArgs::augment_args(clap::Command::new("test"));
        let matches =
            TopologyArgs::augment_args(command).try_get_matches_from([&["test"], words].concat())?;
        Ok((
            ConfigArgs::from_arg_matches(&matches)?,
            TopologyArgs::from_arg_matches(&matches)?,
        ))
    }

    fn all(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
        let mut found = BTreeMap::new();
        let mut dirs = vec![dir.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).expect("a directory").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    let mode = entry.metadata().expect("metadata").permissions().mode() & 0o777;
                    found.insert(path.clone(), (fs::read(path).expect("a file"), mode));
                }
            }
        }
        found
    }

    #[test]
    fn a_second_run_changes_nothing_and_secrets_are_for_their_owner() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().to_str().context("UTF-8")?;
        let (args, topology) = args(&["--write-config", path, "--san", "chat.example"])?;
        let written = write(dir.path(), &args, &topology)?;
        let first = all(dir.path());
        assert_eq!(written.len(), first.len());
        assert_eq!(write(dir.path(), &args, &topology)?, Vec::<PathBuf>::new());
        assert!(all(dir.path()) == first);
        for (path, (_, mode)) in &first {
            let name = path.to_string_lossy();
            let secret = [".nk", "-key.pem", ".key", "password"]
                .iter()
                .any(|end| name.ends_with(end));
            assert_eq!(*mode, if secret { 0o600 } else { 0o644 }, "{name}");
        }
        let password = &first[&dir.path().canonicalize()?.join("postgres/password")].0;
        assert_eq!(password.len(), PASSWORD_CHARS);
        Ok(())
    }

    #[test]
    fn a_later_run_needs_no_argument_and_takes_nothing_away() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().to_str().context("UTF-8")?;
        let said = [
            "--write-config",
            path,
            "--nats-host",
            "nats.example",
            "--san",
            "chat.example",
        ];
        let (full, eight) = args(&[&said[..], &["--shards", "8"]].concat())?;
        write(dir.path(), &full, &eight)?;
        let (bare, eight) = args(&["--write-config", path, "--shards", "8"])?;
        assert_eq!(write(dir.path(), &bare, &eight)?, Vec::<PathBuf>::new());
        let before = all(dir.path());
        let (bare, four) = args(&["--write-config", path])?;
        let error = write(dir.path(), &bare, &four).expect_err("fewer shards");
        assert!(error.to_string().contains("--shards 8"), "{error:#}");
        assert!(all(dir.path()) == before);
        Ok(())
    }

    #[test]
    fn other_hosts_and_shards_change_configuration_and_no_key() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().to_str().context("UTF-8")?;
        let (three, topology) = args(&["--write-config", path])?;
        write(dir.path(), &three, &topology)?;
        let before = all(dir.path());
        let (one, more) = args(&[
            "--write-config",
            path,
            "--nats-host",
            "nats.example",
            "--shards",
            "8",
        ])?;
        write(dir.path(), &one, &more)?;
        let after = all(dir.path());
        let changed: Vec<String> = before
            .iter()
            .filter(|(path, content)| after.get(*path) != Some(content))
            .filter_map(|(path, _)| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        assert_eq!(
            changed,
            [
                "natterjack-admin.json",
                "natterjack-operator.json",
                "natterjack-system.json",
                "config.json",
                "accounts.conf",
                "nats-server.conf",
                "nats-key.pem",
                "nats.pem",
                "nats-key.pem",
                "nats.pem",
            ]
        );
        assert!(args(&["--nats-host", "a"]).is_err(), "it needs --write-config");
        assert!(args(&["--write-config", path, "--san", "not a name"]).is_err());
        Ok(())
    }
}

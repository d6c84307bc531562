//! A nats-server from the written files, with TLS, on a port of its own choice.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Args as _, FromArgMatches as _};
use natterjack::{
    fleet::Scratch,
    provision::{
        TopologyArgs,
        config::{self, ConfigArgs},
        keys,
    },
};
use natterjack_nats::{
    access::User,
    cluster::{self, NatsArgs},
    provision,
    topology::Settings,
};
use natterjack_runtime::servers::{Program, ProgramConfig, SilentProgress, Tools, testing_tools_dir};
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A server that runs, and the files that it was started with.
pub struct Secured {
    program: Program,
    pub port: u16,
    pub dir: PathBuf,
    scratch: Scratch,
}

/// Writes the files of a cluster of one server into a directory.
pub fn write(dir: &std::path::Path) -> anyhow::Result<()> {
    let command = TopologyArgs::augment_args(ConfigArgs::augment_args(clap::Command::new("test")));
    let words = ["test", "--write-config", "unused", "--nats-host", "localhost"];
    let matches = command.try_get_matches_from(words)?;
    let args = ConfigArgs::from_arg_matches(&matches)?;
    config::write(dir, &args, &TopologyArgs::from_arg_matches(&matches)?)?;
    Ok(())
}

impl Secured {
    /// Writes the files, checks them with `nats-server -t`, starts the server, and provisions it as the user
    /// for that.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(|_| Ok(())).await
    }

    /// The same with other text of the accounts than is written.
    pub async fn start_with(
        change: impl FnOnce(&std::path::Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let dir = scratch.path().join("config");
        write(&dir)?;
        change(&dir.join("nats/accounts.conf"))?;
        let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress).await?;
        let (server, ports) = (tools.nats_server(), scratch.path().join("ports"));
        fs::create_dir_all(&ports)?;
        let environment = vec![
            ("NATS_NAME".into(), "nats-1".into()),
            (
                "NATS_STORE_DIR".into(),
                scratch.path().join("jetstream").into_os_string(),
            ),
        ];
        let checked = tokio::process::Command::new(server)
            .args(["-t", "-c", "nats-server.conf"])
            .envs(environment.clone())
            .current_dir(dir.join("nats"))
            .output()
            .await?;
        anyhow::ensure!(
            checked.status.success(),
            "nats-server -t: {}",
            String::from_utf8_lossy(&checked.stderr)
        );
        // Ports on the command line win over those of the file.
        let line = r#"cd "$1" && exec "$2" -c nats-server.conf -p -1 -m -1 --ports_file_dir "$3""#;
        let program = Program::start(ProgramConfig {
            name: "nats-server",
            program: "sh".into(),
            arguments: vec![
                "-c".into(),
                line.into(),
                "sh".into(),
                dir.join("nats").into(),
                server.into(),
                ports.clone().into(),
            ],
            environment,
            dir: scratch.path().join("log"),
        })
        .await?;
        let deadline = Instant::now() + READY_WITHIN;
        let port = loop {
            if let Some(port) = port(&ports) {
                break port;
            }
            if let Some(exit) = program.ended() {
                return Err(exit.into());
            }
            anyhow::ensure!(Instant::now() < deadline, "nats-server does not listen");
            sleep(POLL).await;
        };
        let secured = Self {
            program,
            port,
            dir,
            scratch,
        };
        let login = secured.nats_args(User::Provision).login(User::Provision);
        let client = cluster::connect(login, "provision", |_| {}).await?;
        let context = async_nats::jetstream::new(client);
        let report = provision::provision(&context, &Settings::default(), false).await?;
        anyhow::ensure!(!report.created.is_empty(), "nothing was made");
        // A second time it finds all as it should be, and may look at all of it.
        let report = provision::provision(&context, &Settings::default(), true).await?;
        anyhow::ensure!(report == provision::Report::default(), "{report:?}");
        Ok(secured)
    }

    /// Where it is and how this user logs in.
    pub fn nats_args(&self, user: User) -> NatsArgs {
        let mut args = NatsArgs::new(format!("tls://localhost:{}", self.port));
        args.nkey = Some(keys::path(&self.dir.join("nkeys"), user));
        args.ca = Some(self.dir.join("tls/ca.pem"));
        args
    }

    /// Writes the files again, as a newer version does.
    pub fn rewrite(&self) -> anyhow::Result<()> {
        write(&self.dir)
    }

    /// Has the server read its files again; it has when this returns.
    pub async fn reload(&self) -> anyhow::Result<()> {
        let reloads = || {
            let log = fs::read_to_string(self.program.log())?;
            anyhow::Ok(log.matches("Reloaded server configuration").count())
        };
        let before = reloads()?;
        let pid = Pid::from_raw(self.program.pid().try_into()?);
        signal::kill(pid, Signal::SIGHUP)?;
        let deadline = Instant::now() + READY_WITHIN;
        while reloads()? == before {
            anyhow::ensure!(Instant::now() < deadline, "nats-server does not reload");
            sleep(POLL).await;
        }
        Ok(())
    }

    pub async fn stop(self) {
        self.program.stop(READY_WITHIN).await;
        self.scratch.remove().expect("the directory goes");
    }
}

fn port(dir: &std::path::Path) -> Option<u16> {
    let files = fs::read_dir(dir).ok()?;
    let texts = files.flatten().filter_map(|file| fs::read(file.path()).ok());
    let mut ports = texts.filter_map(|text| serde_json::from_slice::<Value>(&text).ok());
    let url = ports.next()?["nats"][0].as_str()?.to_owned();
    url.rsplit_once(':')?.1.parse().context("a port").ok()
}

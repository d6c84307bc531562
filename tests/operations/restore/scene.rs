//! A cluster with all roles as processes, each as its own user, in which people talk while it is wrecked.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, ensure};
use natterjack::fleet::{Fleet, FleetConfig, Ground, GroundConfig, Phones, RoleProcess};
use natterjack_client::{Account, Api, Credentials};
use natterjack_nats::{
    Conversation, MessageId, access::User, subjects::chat, topology::chat_stream, wire::HelloDevice,
};
use natterjack_runtime::{
    clock::Clock,
    servers::{SilentProgress, Tools, testing_tools_dir},
};
use tokio::process::Command;

use super::{PATIENCE, page, until};
use crate::{contexts, crowd::Crowd, nats_cli::NatsCli};

const BINARY: &str = env!("CARGO_BIN_EXE_natterjack");
const PEOPLE: usize = 10;
pub const PHONE: &str = "bob's phone";

pub struct Scene {
    pub fleet: Fleet,
    pub crowd: Crowd,
    pub phones: Phones,
    pub api: Api,
    pub alice: Account,
    pub bob: Account,
    /// Of alice and bob.
    pub dm: Conversation,
    cli: NatsCli,
    tools: Tools,
    /// A copy of Postgres's data from before anybody used it: a new, empty one.
    empty: PathBuf,
    talks: u64,
}

impl Scene {
    /// Starts it; none where the `nats` command line cannot be had.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        let ground = Ground::start(GroundConfig::default()).await?;
        let Some(cli) = NatsCli::find(ground.path(), &[]).await? else {
            ground.finish().await?;
            return Ok(None);
        };
        contexts::write(&ground).await?;
        cli.run(&["context", "select", "natterjack-operator"]).await?;
        let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress).await?;
        fs::create_dir(ground.path().join("backup"))?;
        let empty = ground.path().join("empty");
        let postgres = ground.postgres().context("its own")?;
        postgres.stop().await;
        copy(postgres.data(), &empty).await?;
        postgres.restart().await?;

        let mut config = FleetConfig::new(Path::new(BINARY));
        config.notifiers = 1;
        config
            .edge_options
            .extend(["--push-anywhere", "--drain-spread-ms", "250"].map(str::to_owned));
        config.notifier_options = ["--grace-ms", "500", "--push-anywhere"].map(str::to_owned).into();
        let fleet = Fleet::start(ground, &config).await?;
        let phones = Phones::start(fleet.ground().admin()).await?;
        let api = Api::of_servers(&fleet.urls())?;
        let alice = Account::sign_up(&api, credentials("alice")).await?;
        let bob = Account::sign_up(&api, credentials("bob")).await?;
        bob.api()
            .register_push(bob.device(), &phones.subscribe(PHONE)?)
            .await?;
        let dm = Conversation::dm(alice.user().id, bob.user().id);
        let crowd = Crowd::gather(&fleet.urls(), PEOPLE).await?;
        ensure!(crowd.users().len() == PEOPLE, "all are there");
        Ok(Some(Self {
            fleet,
            crowd,
            phones,
            api,
            alice,
            bob,
            dm,
            cli,
            tools,
            empty,
            talks: 0,
        }))
    }

    /// From now on people talk, until the crowd is hushed.
    pub fn talk(&mut self) {
        self.talks += 1;
        self.crowd.talk(self.talks);
    }

    /// Waits until so much more was acknowledged.
    pub async fn acknowledged(&self, more: usize) -> anyhow::Result<()> {
        let count = || self.crowd.recorder.with_journal(|journal| journal.ack_count());
        let wanted = count() + more;
        until("people are heard", async || Ok((count() >= wanted).then_some(()))).await
    }

    /// Says something from alice to bob, and where it stands.
    pub async fn say(&self, text: &str) -> anyhow::Result<u64> {
        say(&self.alice, self.dm, text).await
    }

    /// Runs a block of the page, line by line; what it printed.
    pub async fn run(&self, begins: &str) -> anyhow::Result<String> {
        self.run_lines(&page::block(begins)?).await
    }

    /// The same for some lines of it.
    pub async fn run_lines(&self, lines: &[&str]) -> anyhow::Result<String> {
        let mut all = String::new();
        for line in lines {
            let line = self.fill(line)?;
            let (well, said) = self.line(&line).await?;
            ensure!(well, "{line}\nfails:\n{said}");
            all.push_str(&said);
        }
        Ok(all)
    }

    /// Whether it ended well, and what it said.
    async fn line(&self, line: &str) -> anyhow::Result<(bool, String)> {
        let running = Command::new("bash")
            .args(["-c", line])
            .current_dir(self.fleet.ground().path())
            .envs(self.environment(line.starts_with("natterjack "))?)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let ended = tokio::time::timeout(PATIENCE, running);
        let ended = ended.await.with_context(|| format!("{line}\nhangs"))??;
        let (out, err) = (&ended.stdout, &ended.stderr);
        let said = format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err));
        Ok((ended.status.success(), said))
    }

    /// Looks until the chat stream of alice and bob takes messages.
    pub async fn opens(&self) -> anyhow::Result<()> {
        let shards = self.fleet.ground().settings().shards;
        let open = chat::wildcard(shards.of(&self.dm));
        until("the stream is open", async || {
            Ok(self.run(page::LOOK).await?.contains(&open).then_some(()))
        })
        .await
    }

    /// What the page leaves to be filled in; the shard 0 stands for that of alice and bob.
    fn fill(&self, line: &str) -> anyhow::Result<String> {
        let ground = self.fleet.ground();
        let settings = ground.settings();
        let shard = settings.shards.of(&self.dm);
        let data = ground.postgres().context("its own")?.data();
        let of = fs::metadata(data.parent().context("a folder")?)?;
        let names = [
            ("<data>", data.display().to_string()),
            ("<owner>", format!("{}:{}", of.uid(), of.gid())),
            ("<shards>", settings.shards.count().to_string()),
            ("<replicas>", settings.replicas.to_string()),
            ("CHAT_0", chat_stream(shard)),
            ("closed.0", chat::closed(shard)),
        ];
        let filled = names
            .iter()
            .fold(line.to_owned(), |line, (name, value)| line.replace(name, value));
        Ok(filled)
    }

    /// What the page says is needed. The `nats` command line would take for its own what `natterjack provision` needs.
    fn environment(&self, provisions: bool) -> anyhow::Result<Vec<(&'static str, String)>> {
        let ground = self.fleet.ground();
        let homes =
            [self.cli.program(), Path::new(BINARY)].map(|program| program.parent().unwrap_or(program));
        let homes = homes.into_iter().chain([self.tools.postgres_bin()]);
        let homes = homes.map(|home| home.display().to_string());
        let path = homes.chain([std::env::var("PATH").unwrap_or_default()]);
        let passwords = ground.path().join("pgpass");
        let postgres = ground.postgres().context("its own")?;
        if !passwords.exists() {
            let url = ground.database_url();
            let login = url.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
            let (login, _) = login.context("a login")?;
            let file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&passwords);
            writeln!(file?, "127.0.0.1:{}:*:{login}", postgres.port())?;
        }
        let mut set = vec![
            ("PATH", path.collect::<Vec<_>>().join(":")),
            ("XDG_CONFIG_HOME", ground.path().join("cli").display().to_string()),
            ("NO_COLOR", "1".to_owned()),
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", postgres.port().to_string()),
            ("PGUSER", "postgres".to_owned()),
            ("PGPASSFILE", passwords.display().to_string()),
        ];
        if provisions {
            let nats = ground.nats_args(User::Provision);
            set.push(("NATS_URL", nats.url));
            set.push(("NATS_NKEY", nats.nkey.context("a key")?.display().to_string()));
        }
        Ok(set)
    }

    /// The disk of Postgres is gone, while it runs.
    pub async fn lose_postgres(&self) -> anyhow::Result<()> {
        let postgres = self.fleet.ground().postgres().context("its own")?;
        postgres.kill().await;
        Ok(fs::remove_dir_all(postgres.data())?)
    }

    /// A new Postgres, as it is before anybody used it.
    pub async fn empty_postgres(&self) -> anyhow::Result<()> {
        let postgres = self.fleet.ground().postgres().context("its own")?;
        copy(&self.empty, postgres.data()).await?;
        Ok(postgres.restart().await?)
    }

    /// The disk of NATS is gone, and it starts on an empty one.
    pub async fn lose_jetstream(&self) -> anyhow::Result<()> {
        let nats = self.fleet.ground().nats();
        nats.kill().await;
        fs::remove_dir_all(nats.store())?;
        Ok(nats.restart().await?)
    }

    /// Stops and starts all roles, in the order of the page.
    pub async fn restart_all(&self) -> anyhow::Result<()> {
        let Fleet {
            edges,
            persisters,
            presences,
            notifiers,
            ..
        } = &self.fleet;
        for role in persisters.iter().chain(presences).chain(notifiers).chain(edges) {
            restart(role).await?;
        }
        Ok(())
    }

    /// Ends it, and fails if anything was left behind or refused.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.phones.nothing_wrong()?;
        self.crowd.leave().await?;
        self.fleet.finish().await
    }
}

/// Stops one and starts it again.
pub async fn restart(role: &RoleProcess) -> anyhow::Result<()> {
    role.stop().await?;
    role.restart().await
}

/// Says something, and where it stands. It is tried with the same id until an edge takes it.
pub async fn say(who: &Account, conversation: Conversation, text: &str) -> anyhow::Result<u64> {
    let id = MessageId::generate(Clock::system().now_ms());
    let api = who.api();
    until("a message is taken", async || {
        match api.send_text(conversation, id, text, None).await {
            Ok(sent) => Ok(Some(sent.seq)),
            Err(error) if error.wire().is_some_and(|error| !error.retryable) => Err(error.into()),
            Err(_) => Ok(None),
        }
    })
    .await
}

/// With owners and modes.
async fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().await?;
    ensure!(copied.success(), "cp: {copied}");
    Ok(())
}

/// To sign up with.
pub fn credentials(handle: &str) -> Credentials {
    Credentials {
        handle: handle.to_owned(),
        password: "a-password-of-some-length".to_owned(),
        device: HelloDevice {
            id: None,
            name: "test".into(),
            platform: "test".into(),
        },
    }
}

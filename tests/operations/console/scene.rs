//! A cluster with all roles as processes, each as its own user, in which people talk as long as it stands.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use async_nats::jetstream::{self, message::PublishMessage};
use natterjack::fleet::{Fleet, FleetConfig, Ground, GroundConfig, Phones, Socket, push_service::Behaviour};
use natterjack_client::{Account, Api};
use natterjack_nats::{
    Conversation, MessageId,
    access::User,
    services::{
        call,
        history::{self, LetterPlace},
        push,
    },
    subjects::chat,
    topology::chat_stream,
    wire::{Content, HistoryQuery, Stored},
};
use natterjack_runtime::clock::Clock;
use tokio::{process::Command, task::JoinHandle, time::sleep};

use super::{
    PATIENCE, POLL,
    people::{credentials, say, talk},
};
use crate::{contexts, nats_cli::NatsCli};

/// What people write, and nobody who operates needs to see.
pub const SECRET: &str = "words-between-people";
/// What was sent anew.
const AGAIN: &str = "once-more-words-between-people";
const BINARY: &str = env!("CARGO_BIN_EXE_natterjack");
const PHONE: &str = "bob's phone";

/// What happens before a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    Nothing,
    /// A push service refuses a push.
    PushGivenUp,
    /// It takes them again.
    PushesAreTaken,
    /// Something is stored that is no message.
    Unwritable,
    /// It is one now.
    Mended,
    /// A message could not be written, since another one has its place.
    PlaceTaken,
    /// Streams are as wide as they are made.
    AsProvisioned,
    /// A bucket is gone.
    DevicesLost,
}

pub struct Scene {
    fleet: Fleet,
    cli: NatsCli,
    phones: Phones,
    client: async_nats::Client,
    alice: Account,
    bob: Account,
    dm: Conversation,
    seq: u64,
    /// What cannot be written, and where.
    letter: Option<(u64, Stored)>,
    talk: JoinHandle<anyhow::Error>,
    _online: Socket,
    names: Vec<(&'static str, String)>,
}

impl Scene {
    /// Starts it; none where the command line cannot be had.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        let ground = Ground::start(GroundConfig::default()).await?;
        let Some(cli) = NatsCli::find(ground.path(), &[]).await? else {
            ground.finish().await?;
            return Ok(None);
        };
        contexts::write(&ground).await?;
        let mut config = FleetConfig::new(Path::new(BINARY));
        config.notifiers = 1;
        config.edge_options.push("--push-anywhere".to_owned());
        config.presence_options = ["--grace-ms", "250"].map(str::to_owned).into();
        config.notifier_options = ["--grace-ms", "500", "--push-anywhere"].map(str::to_owned).into();
        let fleet = Fleet::start(ground, &config).await?;
        let ground = fleet.ground();
        let phones = Phones::start(ground.admin()).await?;
        let client = ground.client().await?;

        let urls = fleet.urls();
        let api = Api::of_servers(&urls)?;
        let alice = Account::sign_up(&api, credentials("alice")).await?;
        let bob = Account::sign_up(&api, credentials("bob")).await?;
        let carol = Account::sign_up(&api, credentials("carol")).await?;
        let phone = phones.subscribe(PHONE)?;
        bob.api().register_push(bob.device(), &phone).await?;
        let online = Socket::open(&urls[0], &alice.tokens().await.access_token, true).await?;
        let dm = Conversation::dm(alice.user().id, bob.user().id);
        let seq = say(&alice, dm, SECRET).await?;
        phones.told_of(PHONE, dm, seq).await?;
        let group = alice.api().create_group("a title", &[carol.user().id]).await?;
        let group = group.conversation;

        let mut names = vec![
            ("CHAT_0", chat_stream(ground.settings().shards.of(&dm))),
            ("chat.0", format!("chat.{}", ground.settings().shards.of(&dm))),
            ("<user>", alice.user().id.to_string()),
            ("<device>", alice.device().to_string()),
            ("<recipient>", bob.user().id.to_string()),
            ("<conversation>", dm.to_string()),
            ("<seq>", seq.to_string()),
            (
                "<group>",
                group.to_string().trim_start_matches("group.").to_owned(),
            ),
        ];
        names.push(("<edge>", edge_of(&client, &alice).await?));
        let talk = tokio::spawn(talk(carol, group, urls[1].clone()));
        Ok(Some(Self {
            fleet,
            cli,
            phones,
            client,
            alice,
            bob,
            dm,
            seq,
            letter: None,
            talk,
            _online: online,
            names,
        }))
    }

    /// Where commands are run.
    pub fn dir(&self) -> &Path {
        self.fleet.ground().path()
    }

    /// What is set for them: `natterjack provision` logs in as its own user.
    pub fn environment(&self, provisions: bool) -> Vec<(&'static str, String)> {
        let homes = [self.cli.program(), Path::new(BINARY)].map(|program| {
            let home = program.parent().unwrap_or(program);
            home.display().to_string()
        });
        let path = std::env::var("PATH").unwrap_or_default();
        let mut set = vec![
            ("PATH", format!("{}:{path}", homes.join(":"))),
            ("XDG_CONFIG_HOME", self.dir().join("cli").display().to_string()),
            ("NO_COLOR", "1".to_owned()),
        ];
        if provisions {
            let args = self.fleet.ground().nats_args(User::Provision);
            set.push(("NATS_URL", args.url));
            set.extend(args.nkey.map(|key| ("NATS_NKEY", key.display().to_string())));
        }
        set
    }

    /// A text of the page with what its placeholders stand for.
    pub fn fill(&self, text: &str) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// Makes something happen.
    pub async fn before(&mut self, what: Before) -> anyhow::Result<()> {
        match what {
            Before::Nothing => Ok(()),
            Before::PushGivenUp => self.a_push_is_given_up().await,
            Before::PushesAreTaken => {
                self.phones.behave_to(PHONE, &Behaviour::Take);
                Ok(())
            }
            Before::Unwritable => self.something_is_no_message().await,
            Before::Mended => self.it_is_one_now().await,
            Before::PlaceTaken => self.a_place_is_taken().await,
            Before::AsProvisioned => self.provision().await,
            Before::DevicesLost => {
                let context = jetstream::new(self.client.clone());
                context.delete_stream("KV_devices").await?;
                Ok(())
            }
        }
    }

    async fn provision(&self) -> anyhow::Result<()> {
        let ended = Command::new(BINARY)
            .args(["provision", "--apply"])
            .envs(self.environment(true))
            .output()
            .await?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "{said}");
        Ok(())
    }

    async fn a_push_is_given_up(&mut self) -> anyhow::Result<()> {
        self.phones.behave_to(PHONE, &Behaviour::status(400));
        say(&self.alice, self.dm, SECRET).await?;
        let dead = until("a push that was given up", async || {
            let page = call(&self.client, &push::Dead::default(), PATIENCE).await?;
            Ok(page.pushes.first().map(|(seq, _)| *seq))
        });
        let dead = dead.await?;
        self.name("<push>", dead);
        Ok(())
    }

    async fn something_is_no_message(&mut self) -> anyhow::Result<()> {
        let context = jetstream::new(self.client.clone());
        let subject = chat::subject(self.fleet.ground().settings().shards, &self.dm);
        let letter = self.message(&format!("{SECRET}\0"));
        let message = PublishMessage::build()
            .message_id(letter.nats_msg_id())
            .payload(serde_json::to_vec(&letter)?.into());
        let ack = context.send_publish(subject, message).await?.await?;
        self.letter = Some((ack.sequence, letter));
        self.name("<letter>", ack.sequence);
        Ok(())
    }

    async fn it_is_one_now(&mut self) -> anyhow::Result<()> {
        let (seq, mut letter) = self.letter.take().context("a letter")?;
        letter.text = Some(SECRET.to_owned());
        let letter = serde_json::to_vec(&letter)?;
        let mend = "update dead_letters set payload = $1";
        self.in_postgres(mend, &[&letter]).await?;
        // Its stream would take it for the first copy, and nobody would ever have it.
        let place = self.place(seq);
        let anew = history::Replay { place, anew: true };
        let in_vain = call(&self.client, &anew, PATIENCE).await?;
        let why = in_vain.failed.first().context("it was given away")?;
        ensure!(why.error.contains("try again later"), "{in_vain:?}");
        Ok(())
    }

    fn place(&self, seq: u64) -> Option<LetterPlace> {
        let stream = chat_stream(self.fleet.ground().settings().shards.of(&self.dm));
        Some(LetterPlace { stream, seq })
    }

    async fn a_place_is_taken(&mut self) -> anyhow::Result<()> {
        let shards = self.fleet.ground().settings().shards;
        let (stream, subject) = (chat_stream(shards.of(&self.dm)), chat::subject(shards, &self.dm));
        let message = serde_json::to_vec(&self.message(AGAIN))?;
        let keep = "insert into dead_letters (stream, seq, subject, payload, error, at) \
                    values ($1, $2, $3, $4, 'another message has its place', 1)";
        self.in_postgres(keep, &[&stream, &self.seq.cast_signed(), &subject, &message])
            .await?;
        let replay = history::Replay {
            place: self.place(self.seq),
            anew: false,
        };
        let in_vain = call(&self.client, &replay, PATIENCE).await?;
        ensure!(in_vain.failed.len() == 1, "its place was free: {in_vain:?}");
        self.name("<letter>", self.seq);
        Ok(())
    }

    /// Of alice to bob, as edges store it.
    fn message(&self, text: &str) -> Stored {
        let now = Clock::system().now_ms();
        let content = Content::Text {
            text: text.to_owned(),
            reply_to: None,
        };
        Stored::new(
            self.dm,
            MessageId::generate(now),
            self.alice.user().id,
            now,
            content,
        )
    }

    async fn in_postgres(
        &self,
        statement: &str,
        values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> anyhow::Result<()> {
        let url = self.fleet.ground().database_url();
        let (database, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let rows = database.execute(statement, values).await?;
        drop(database);
        connection.await??;
        ensure!(rows == 1, "{rows} rows: {statement}");
        Ok(())
    }

    fn name(&mut self, name: &'static str, value: u64) {
        self.names.retain(|(known, _)| *known != name);
        self.names.push((name, value.to_string()));
    }

    /// Ends it, and fails unless everything that was replayed and restored is there, and whoever was refused
    /// anything by NATS.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.talk.abort();
        match self.talk.await {
            Err(ended) if ended.is_cancelled() => {}
            ended => bail!("people fell silent: {ended:?}"),
        }
        self.fleet.ground().persisted().await?;
        self.bob
            .refresh()
            .await
            .context("the restored bucket knows devices")?;
        let query = HistoryQuery {
            conversation: self.dm,
            before: None,
            after: Some(0),
            around: None,
            at: None,
            limit: None,
        };
        let page = self.alice.api().history(&query).await?;
        let texts: Vec<_> = page.messages.iter().map(|message| &message.text).collect();
        let again = texts.iter().filter(|text| text.as_deref() == Some(AGAIN)).count();
        ensure!((texts.len(), again) == (4, 1), "{texts:?}");
        self.fleet.finish().await
    }
}

/// Which edge holds somebody's session.
async fn edge_of(client: &async_nats::Client, account: &Account) -> anyhow::Result<String> {
    let sessions = jetstream::new(client.clone()).get_key_value("sessions").await?;
    let rest = format!(".{}.{}", account.user().id, account.device());
    until("a session", async || {
        let keys: Vec<String> = futures::TryStreamExt::try_collect(sessions.keys().await?).await?;
        let edge = keys.iter().find_map(|key| key.strip_suffix(&rest));
        Ok(edge.map(str::to_owned))
    })
    .await
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            sleep(POLL).await;
        }
    });
    waited
        .await
        .with_context(|| format!("waited in vain for {what}"))?
}

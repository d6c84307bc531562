//! A cluster with all roles as processes, each as its own user, in which people talk as long as it stands.

mod letters;
mod trouble;

use std::path::Path;

use anyhow::{Context, bail, ensure};
use async_nats::jetstream;
use natterjack::fleet::{Fleet, FleetConfig, Ground, GroundConfig, Phones, Socket, push_service::Behaviour};
use natterjack_client::{Account, Api};
use natterjack_nats::{
    Conversation, MessageId, Shard, Shards,
    access::User,
    services::{call, history::LetterPlace, push},
    subjects::chat,
    topology::chat_stream,
    wire::{HistoryQuery, Stored},
};
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
    /// A persister stands still with a message in hand.
    StandsStill,
    /// It still does, and another one has written what it had.
    GoesOn,
    /// People wrote until a stream was full.
    Full,
    /// What was refused is taken.
    RoomAgain,
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
    /// How much alice has said to bob.
    said: usize,
    /// What a full stream refused.
    refused: Option<(MessageId, String)>,
    /// Where a message stands that a persister had in hand.
    in_hand: u64,
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
        config.persisters = 2;
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
        let shards = ground.settings().shards;
        let group = group_elsewhere(&alice, &carol, shards, shards.of(&dm)).await?;

        let mut names = vec![
            ("CHAT_0", chat_stream(shards.of(&dm))),
            ("chat.0", format!("chat.{}", shards.of(&dm))),
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
            // The first, one whose push is given up, one that could not be written, and one that was sent anew.
            said: 4,
            refused: None,
            in_hand: 0,
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
            Before::StandsStill => self.a_persister_stands_still().await,
            Before::GoesOn => self.the_other_goes_on().await,
            Before::Full => self.the_stream_is_full().await,
            Before::RoomAgain => self.there_is_room().await,
            Before::AsProvisioned => self.provision(&[]).await,
            Before::DevicesLost => {
                let context = jetstream::new(self.client.clone());
                context.delete_stream("KV_devices").await?;
                Ok(())
            }
        }
    }

    async fn provision(&self, options: &[&str]) -> anyhow::Result<()> {
        let ended = Command::new(BINARY)
            .args(["provision", "--apply"])
            .args(options)
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

    fn place(&self, seq: u64) -> Option<LetterPlace> {
        let (stream, _) = self.shard();
        Some(LetterPlace { stream, seq })
    }

    /// The stream of what alice and bob say, and the subject.
    fn shard(&self) -> (String, String) {
        let shards = self.fleet.ground().settings().shards;
        (chat_stream(shards.of(&self.dm)), chat::subject(shards, &self.dm))
    }

    fn name(&mut self, name: &'static str, value: u64) {
        self.names.retain(|(known, _)| *known != name);
        self.names.push((name, value.to_string()));
    }

    /// Whether people no longer talk, which [`Scene::finish`] explains.
    pub fn fell_silent(&self) -> bool {
        self.talk.is_finished()
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
        ensure!(
            (texts.len(), again) == (self.said, 1),
            "{} of {}",
            texts.len(),
            self.said
        );
        self.fleet.finish().await
    }
}

/// A group in another shard than that one, which will be full.
async fn group_elsewhere(
    alice: &Account,
    carol: &Account,
    shards: Shards,
    full: Shard,
) -> anyhow::Result<Conversation> {
    for _ in 0..64 {
        let made = alice.api().create_group("a title", &[carol.user().id]).await?;
        if shards.of(&made.conversation) != full {
            return Ok(made.conversation);
        }
    }
    bail!("all groups are in {full:?}")
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

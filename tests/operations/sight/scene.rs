//! A cluster as processes that tell all they can: logs at `trace` as JSON, and every request traced.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use natterjack::fleet::{Fleet, FleetConfig, Ground, GroundConfig, Phones, RoleProcess, Socket};
use natterjack_client::{Account, Api, Credentials};
use natterjack_nats::{
    Conversation, MessageId,
    wire::{ClientFrame, HelloDevice, HistoryQuery, ServerFrame},
};
use natterjack_runtime::clock::Clock;

use super::receiver::Receiver;

const PASSWORD: &str = "a-password-that-nobody-may-log";
const TEXT: &str = "words-that-nobody-may-log";
const EDITED: &str = "other-words-that-nobody-may-log";
const OF_GROUP: &str = "a-word-to-a-group-that-nobody-may-log";
const PHONE: &str = "bob's phone";

/// What is looked at.
pub struct Scene {
    pub fleet: Fleet,
    pub receiver: Receiver,
    pub phones: Phones,
    /// What may stand in no log and no trace, with what it is.
    pub secrets: Vec<(&'static str, String)>,
    /// Who may stand in no trace.
    pub people: Vec<String>,
    /// The place of the text that bob was pushed.
    pub seq: u64,
}

impl Scene {
    pub async fn start() -> anyhow::Result<Self> {
        let ground = Ground::start(GroundConfig::default()).await?;
        let receiver = Receiver::start().await?;
        let mut config = FleetConfig::new(Path::new(env!("CARGO_BIN_EXE_natterjack")));
        (config.edges, config.notifiers) = (1, 1);
        let endpoint = format!("http://{}", receiver.address);
        let all = [
            "--log",
            "trace",
            "--log-format",
            "json",
            "--otlp-endpoint",
            &endpoint,
            "--trace-ratio",
            "1",
        ];
        let all = all.map(str::to_owned);
        let notifier = ["--grace-ms", "500", "--push-anywhere"].map(str::to_owned);
        config.edge_options.push("--push-anywhere".to_owned());
        config.edge_options.extend(all.clone());
        config.persister_options.extend(all.clone());
        config.presence_options.extend(all.clone());
        config.notifier_options.extend(notifier.into_iter().chain(all));
        let fleet = Fleet::start(ground, &config).await?;
        let phones = Phones::start(fleet.ground().admin()).await?;
        Ok(Self {
            fleet,
            receiver,
            phones,
            secrets: Vec::new(),
            people: Vec::new(),
            seq: 0,
        })
    }

    /// All processes, with their roles.
    pub fn roles(&self) -> [(&'static str, &RoleProcess); 4] {
        [
            ("edge", &self.fleet.edges[0]),
            ("persister", &self.fleet.persisters[0]),
            ("presence", &self.fleet.presences[0]),
            ("notifier", &self.fleet.notifiers[0]),
        ]
    }

    /// Alice writes to bob, whose phone is offline and pushed; somebody of each kind of request is made.
    pub async fn talk(&mut self) -> anyhow::Result<()> {
        let url = self.fleet.urls().remove(0);
        let api = Api::of_servers(std::slice::from_ref(&url))?;
        let alice = Account::sign_up(&api, credentials("alice")).await?;
        let bob = Account::sign_up(&api, credentials("bob")).await?;
        let request = self.phones.subscribe(PHONE)?;
        bob.api().register_push(bob.device(), &request).await?;
        let tokens = [alice.tokens().await, bob.tokens().await];
        let fresh = alice.refresh().await?;
        for tokens in tokens.iter().chain([&fresh]) {
            self.secrets
                .push(("an access token", tokens.access_token.clone()));
            self.secrets
                .push(("a refresh token", tokens.refresh_token.clone()));
        }
        let conversation = Conversation::dm(alice.user().id, bob.user().id);
        let mut socket = Socket::open(&url, &fresh.access_token, true).await?;
        let id = MessageId::generate(Clock::system().now_ms());
        let text = TEXT.to_owned();
        let send = ClientFrame::Send {
            id,
            conversation,
            text,
            reply_to: None,
        };
        self.seq = acked(&mut socket, id, &send).await?;
        self.phones.told_of(PHONE, conversation, self.seq).await?;
        let id = MessageId::generate(Clock::system().now_ms());
        let text = EDITED.to_owned();
        let edit = ClientFrame::Edit {
            id,
            conversation,
            target: self.seq,
            text,
        };
        acked(&mut socket, id, &edit).await?;
        let group = alice.api().create_group("a title", &[bob.user().id]).await?;
        let id = MessageId::generate(Clock::system().now_ms());
        let api = alice.api();
        api.send_text(group.conversation, id, OF_GROUP, None).await?;
        self.fleet.ground().persisted().await?;
        let query = HistoryQuery {
            conversation,
            before: None,
            after: Some(0),
            around: None,
            at: None,
            limit: None,
        };
        let page = api.history(&query).await?;
        ensure!(!page.messages.is_empty(), "history is empty");
        let wrong = Credentials {
            password: "not-her-password-and-not-for-logs".to_owned(),
            ..credentials("alice")
        };
        ensure!(Account::log_in(&api, wrong).await.is_err());
        socket.close().await;
        let target = serde_json::to_value(&request)?;
        let field = |pointer: &str| {
            let value = target.pointer(pointer).and_then(|value| value.as_str());
            value
                .map(str::to_owned)
                .with_context(|| format!("no {pointer} in {target}"))
        };
        let database = self.fleet.ground().database_url();
        let password = database
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('@')?.0.split_once(':'))
            .map(|(_, password)| password.to_owned());
        let vapid = {
            let client =
                natterjack_nats::cluster::connect(self.fleet.ground().admin(), "sight", |_| {}).await?;
            natterjack_nats::cluster::vapid(&async_nats::jetstream::new(client)).await?
        };
        self.secrets.extend([
            ("a password", PASSWORD.to_owned()),
            ("a wrong password", "not-her-password-and-not-for-logs".to_owned()),
            ("a text", TEXT.to_owned()),
            ("an edited text", EDITED.to_owned()),
            ("a group's text", OF_GROUP.to_owned()),
            ("a push endpoint", field("/endpoint")?),
            ("a push key", field("/keys/p256dh")?),
            ("a push secret", field("/keys/auth")?),
            ("the private key of Web Push", vapid.private_key),
        ]);
        self.secrets
            .extend(password.map(|password| ("the password of Postgres", password)));
        self.people = vec![
            alice.user().id.to_string(),
            bob.user().id.to_string(),
            conversation.to_string(),
        ];
        Ok(())
    }

    pub async fn finish(self) -> anyhow::Result<()> {
        self.phones.nothing_wrong()?;
        self.fleet.finish().await
    }
}

/// Says something, and waits for its place.
async fn acked(socket: &mut Socket, wanted: MessageId, frame: &ClientFrame) -> anyhow::Result<u64> {
    socket.say(frame).await?;
    let ack = async {
        loop {
            match socket.next().await? {
                ServerFrame::Ack { id, seq } if id == wanted => return Ok(seq),
                ServerFrame::Error { error, .. } => bail!("{error:?}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(super::PATIENCE, ack).await?
}

fn credentials(handle: &str) -> Credentials {
    Credentials {
        handle: handle.to_owned(),
        password: PASSWORD.to_owned(),
        device: HelloDevice {
            id: None,
            name: "test".into(),
            platform: "test".into(),
        },
    }
}

//! A script that reads the client's lines against real edges: what the server's lines promise is what they do.

use anyhow::{Context, bail, ensure};
use natterjack::fleet::House;
use natterjack_nats::{Conversation, subjects, wire::ServerFrame};
use reqwest::Method;
use serde_json::{Value, json};

use super::script::{Done, Script, Step, Vars};
use crate::{
    identity::publish,
    support::{
        raw::{Raw, burst},
        signer::{Signer, now_s, peek},
        stage::{Play, Stage},
        until,
        user::{User, new_id},
    },
};

struct Player<'a> {
    house: &'a mut House,
    vars: Vars,
    me: User,
    peer: User,
    dm: Conversation,
    socket: Option<Raw>,
    /// The last message that was told on this socket.
    told: u64,
}

pub async fn play(script: Script) -> anyhow::Result<()> {
    if let Some(why) = &script.edge {
        // Said in the file; nothing to play.
        ensure!(!why.is_empty(), "{}: why not?", script.title);
        return Ok(());
    }
    // Edges that go away are part of the play.
    Stage::new()
        .refuses()
        .run(async move |Play { house, .. }| {
            let me = User::sign_up(house, "bob").await?;
            let peer = User::sign_up(house, "ann").await?;
            // A group that one is not in.
            let foreign = peer.group("elsewhere", &[]).await?;
            both_edges_are_known(&me).await?;
            let mut vars = Vars::default();
            for (name, value) in [
                ("me", json!(me.id)),
                ("peer", json!(peer.id)),
                ("handle", json!("bob")),
                ("dm", json!(me.dm(&peer))),
                ("device", json!(me.device)),
                ("foreign", json!(foreign)),
                ("edge1", json!(house.url(0))),
                ("edge2", json!(house.url(1))),
            ] {
                vars.set(name, value);
            }
            let dm = me.dm(&peer);
            let mut player = Player {
                house,
                vars,
                me,
                peer,
                dm,
                socket: None,
                told: 0,
            };
            for (index, step) in script.steps.iter().enumerate() {
                let what = || format!("{}, step {}: {step:?}", script.title, index + 1);
                player.step(step).await.with_context(what)?;
            }
            Ok(())
        })
        .await
}

/// Whoever drains can name another one only once it has heard of it.
async fn both_edges_are_known(user: &User) -> anyhow::Result<()> {
    until("both edges are known", async || {
        let edges = user.get("/v1/edges").await?;
        Ok(edges.body.as_array().filter(|edges| edges.len() == 2).map(drop))
    })
    .await
}

impl Player<'_> {
    async fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        match step {
            // What happens inside a client is not seen from here.
            Step::App(_) | Step::Told(_) => Ok(()),
            Step::Token(token) => self.token(token).await,
            Step::Connect(edge) => {
                let edge = self.vars.fill(edge)?;
                self.socket = Some(Raw::open(edge.as_str().context("an address")?).await?);
                self.told = 0;
                Ok(())
            }
            Step::Client(frame) => self.say(frame).await,
            Step::Server(frame) => self.hear(frame).await,
            Step::Close(code) | Step::CloseUnlessLeft(code) => {
                let mut socket = self.socket.take().context("there is no connection")?;
                let closed = socket.closed().await?;
                ensure!(closed == Some(*code), "closed with {closed:?}");
                Ok(())
            }
            Step::Cut(Done) | Step::Leave(Done) => {
                self.socket.take().context("there is no connection")?.vanish();
                Ok(())
            }
            Step::Silence(Done) => bail!("a real edge is not silent"),
            Step::Peer(act) => self.act(act).await,
        }
    }

    /// By its name: the token as it is, a fresh one, or one that has expired.
    async fn token(&mut self, token: &Value) -> anyhow::Result<()> {
        let name = token
            .as_str()
            .and_then(|name| name.strip_prefix('$'))
            .context("a name")?;
        let value = match name {
            "token" => self.me.token.clone(),
            "fresh" => {
                let body = json!({"refresh_token": self.me.refresh_token});
                let tokens = self.me.post("/v1/refresh", body).await?.ok()?;
                tokens["access_token"].as_str().context("a token")?.to_owned()
            }
            "expired" => self.expired().await?,
            other => bail!("what is ${other}?"),
        };
        self.vars.set(name, value);
        Ok(())
    }

    async fn expired(&self) -> anyhow::Result<String> {
        let signer = Signer::new("short");
        publish(self.house, &signer).await?;
        let (_, mut claims) = peek(&self.me.token);
        let mut known = self.me.clone();
        known.token = signer.sign(&claims);
        until("the key is known", async || {
            Ok((known.get("/v1/me").await?.status == 200).then_some(()))
        })
        .await?;
        claims["exp"] = json!(now_s() - 60);
        Ok(signer.sign(&claims))
    }

    async fn say(&mut self, frame: &Value) -> anyhow::Result<()> {
        for name in self.vars.open(frame) {
            // Ids are the client's to make.
            self.vars.set(&name, json!(new_id()));
        }
        let mut filled = self.vars.fill(frame)?;
        if frame["resume"] == "$any" {
            filled["resume"] = json!({});
        }
        self.socket
            .as_mut()
            .context("there is no connection")?
            .send(&filled)
            .await
    }

    async fn hear(&mut self, expected: &Value) -> anyhow::Result<()> {
        let socket = self.socket.as_mut().context("there is no connection")?;
        let vars = &mut self.vars;
        let frame = socket
            .until(&expected.to_string(), |frame| {
                let frame = serde_json::to_value(frame).ok()?;
                vars.meet(expected, &frame).is_ok().then_some(frame)
            })
            .await?;
        if frame["type"] == "message" {
            let seq = frame["seq"].as_u64().unwrap_or_default();
            ensure!(seq > self.told, "{seq} comes after {}", self.told);
            self.told = seq;
        }
        Ok(())
    }

    async fn act(&mut self, act: &Value) -> anyhow::Result<()> {
        let conversation = self.dm;
        let messages = format!("/v1/conversations/{conversation}/messages");
        let target = || anyhow::Ok(format!("{messages}/{}", self.vars.fill(&act["target"])?));
        let id = new_id();
        let sent = match act["do"].as_str() {
            Some("send") if act["times"].is_u64() => {
                let times = usize::try_from(act["times"].as_u64().unwrap_or_default())?;
                let mut socket = self.peer.online(1).await?;
                let seqs = burst(&mut socket, conversation, times).await?;
                json!({"seq": seqs.last()})
            }
            Some("send") => {
                let body = json!({"id": id, "text": act["text"]});
                self.peer
                    .request(1, Method::POST, &messages, Some(body))
                    .await?
                    .ok()?
            }
            Some("edit") => {
                let body = json!({"id": id, "text": act["text"]});
                self.peer
                    .request(1, Method::PATCH, &target()?, Some(body))
                    .await?
                    .ok()?
            }
            Some("delete") => {
                let path = format!("{}?id={id}", target()?);
                self.peer.request(1, Method::DELETE, &path, None).await?.ok()?
            }
            Some("nudge") => {
                let head = self.vars.fill(&act["head"])?.as_u64().context("a place")?;
                return self.nudge(head).await;
            }
            Some("revoke") => {
                self.me
                    .delete(&format!("/v1/devices/{}", self.me.device))
                    .await?
                    .ok()?;
                return Ok(());
            }
            Some("drain") => return self.house.stop_edge(0).await,
            other => bail!("nobody does {other:?}"),
        };
        for name in ["id", "seq"].into_iter().filter(|name| act[*name].is_string()) {
            self.vars.meet(&act[name], &sent[name])?;
        }
        Ok(())
    }

    /// As the notifier does when nobody has confirmed a message in time.
    async fn nudge(&self, head: u64) -> anyhow::Result<()> {
        let nats = self.house.ground().client().await?;
        let frame = ServerFrame::Nudge {
            conversation: self.dm,
            head,
        };
        let subject = subjects::live::subject(&Conversation::User(self.me.id));
        nats.publish(subject, serde_json::to_vec(&frame)?.into()).await?;
        Ok(nats.flush().await?)
    }
}

//! `natterjack bench fanout`: deliveries a second, and what one costs.
//!
//! Every member of a conversation is connected, the sender included, and a message counts once for
//! each of them. `bare` has the same messages in the same streams, but publishes them directly and
//! hears them through gateways that know nothing of chat.

mod result;

use std::time::Duration;

use anyhow::{Context, bail};
use natterjack_client::{Account, Client, Event, Events};
use natterjack_nats::{Conversation, subjects};
use natterjack_runtime::servers::Progress;
use serde::Serialize;
use tokio::{sync::mpsc, time::timeout};

use super::{
    Measure, Steps,
    bare::{self, Listener},
    cluster::{Cluster, ClusterArgs},
    population::{sign_up, text},
    raw::Raw,
    report::About,
    ring::Ring,
    stage::{Stage, Tally},
    window::{Window, Workers, measure},
};

const PATIENCE: Duration = Duration::from_secs(60);
pub use result::Result;
use result::{Size, Way};

/// Options of `natterjack bench fanout`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Members of a conversation, one measurement each; 2 are 1:1 chats
    #[arg(long, value_delimiter = ',', default_value = "2,10,100", value_name = "N,…")]
    members: Vec<usize>,
    /// Users, all connected, each in one conversation
    #[arg(long, default_value_t = 100, value_name = "N")]
    users: usize,
    /// Messages under way over all conversations, at least one in each
    #[arg(long, default_value_t = 64, value_name = "N")]
    in_flight: usize,
    /// Bytes of a message's text
    #[arg(long, default_value_t = 200, value_name = "BYTES")]
    text_bytes: usize,
    /// Edges, each a process, over which the members of a conversation are spread
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    edges: u8,
    /// Do not confirm deliveries, as the bare clients do not
    #[arg(long)]
    no_receipts: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) cluster: ClusterArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) measure: Measure,
}

/// Who is in which conversation.
struct Scene {
    conversations: Vec<(Conversation, Vec<Account>)>,
    /// Messages under way in each.
    places: usize,
}

/// Runs it.
///
/// # Errors
/// Whatever kept it from its end.
pub async fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Result> {
    let mut cluster = Cluster::start(&args.cluster, usize::from(args.edges), progress).await?;
    progress.say("signing up users …");
    let users = sign_up(&cluster.edge_urls, "user", args.users).await?;
    let mut steps = Steps::new(
        progress,
        args.members.len() * 2 * args.measure.repetitions as usize,
    );
    let mut sizes = Vec::new();
    for &members in &args.members {
        let scene = Scene::set(&users, members, args.in_flight).await?;
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..args.measure.repetitions {
            let mut say = |way: &str, window: &Window| {
                steps.say(&format!(
                    "{way:<10} {members:>4} members: {:>8.0} deliveries/s",
                    window.per_second
                ));
            };
            bare.push(scene.bare(args, &mut cluster).await?);
            bare.last().into_iter().for_each(|window| say("bare", window));
            ours.push(scene.natterjack(args, &cluster).await?);
            ours.last()
                .into_iter()
                .for_each(|window| say("natterjack", window));
        }
        let (bare, natterjack) = (Way::of(&bare)?, Way::of(&ours)?);
        let each = |way: &Way, role: &str| way.window.cpu_us_each.get(role).copied().unwrap_or_default();
        sizes.push(Size {
            members,
            ratio_to_bare: natterjack.window.per_second / bare.window.per_second,
            edge_cpu_to_bare: each(&natterjack, "edge") / each(&bare, "gateway"),
            bare,
            natterjack,
        });
    }
    let about = About::of("fanout", args, &cluster)?;
    cluster.stop().await?;
    Ok(Result { about, sizes })
}

impl Scene {
    async fn set(users: &[Account], members: usize, in_flight: usize) -> anyhow::Result<Self> {
        anyhow::ensure!(
            (2..=users.len()).contains(&members),
            "a conversation has 2 to {} members here",
            users.len()
        );
        let mut conversations = Vec::new();
        for some in users.chunks_exact(members) {
            let ids: Vec<_> = some.iter().map(|account| account.user().id).collect();
            let conversation = if members == 2 {
                Conversation::dm(ids[0], ids[1])
            } else {
                some[0].api().create_group("bench", &ids[1..]).await?.conversation
            };
            conversations.push((conversation, some.to_vec()));
        }
        Ok(Self {
            places: (in_flight / conversations.len()).max(1),
            conversations,
        })
    }

    async fn bare(&self, args: &Args, cluster: &mut Cluster) -> anyhow::Result<Window> {
        let mut gateways = Vec::new();
        for index in 0..cluster.edge_urls.len() {
            gateways.push(cluster.start_more("gateway", &["gateway"], index).await?);
        }
        let mut listeners = Vec::new();
        for (conversation, accounts) in &self.conversations {
            let subject = subjects::live::subject(conversation);
            for _ in accounts {
                // In the order of the accounts, so that both ways spread alike.
                let gateway = &gateways[listeners.len() % gateways.len()];
                listeners.push(Listener::connect(gateway, &subject).await?);
            }
        }
        let stage = Stage::default();
        let count = self.conversations.len() * self.places;
        let (sender, turns) = mpsc::channel(count);
        let place = |index: usize| {
            let (_, accounts) = &self.conversations[index % self.conversations.len()];
            Ok((u32::try_from(accounts.len())?, sender.clone()))
        };
        let places = (0..count).map(place).collect::<anyhow::Result<_>>()?;
        let ring = Ring::start(places, text(args.text_bytes), &stage);
        let targets = self
            .conversations
            .iter()
            .map(|(conversation, accounts)| (accounts[0].user().id, *conversation));
        let raw = Raw::connect(
            &cluster.nats_url,
            cluster.shards,
            String::new(),
            targets.collect(),
        )
        .await?;
        let mut workers = Workers::new();
        for listener in listeners {
            workers.spawn(listener.listen(ring.clone(), stage.clone()));
        }
        workers.spawn(bare::publish(raw, ring, turns, stage.clone()));
        let window = measure(
            cluster,
            &stage,
            workers,
            args.measure.warm_up(),
            args.measure.length(),
        )
        .await;
        cluster.stop_more();
        cluster.settle().await?;
        window
    }

    async fn natterjack(&self, args: &Args, cluster: &Cluster) -> anyhow::Result<Window> {
        let stage = Stage::default();
        let (mut places, mut members) = (Vec::new(), Vec::new());
        for (conversation, accounts) in &self.conversations {
            let (sender, turns) = mpsc::channel(self.places);
            let mut turns = Some(turns);
            let receivers = u32::try_from(accounts.len())?;
            places.extend((0..self.places).map(|_| (receivers, sender.clone())));
            for account in accounts {
                // The first of them writes.
                members.push(Member::connect(account, *conversation, turns.take(), !args.no_receipts).await?);
            }
        }
        let ring = Ring::start(places, text(args.text_bytes), &stage);
        let mut workers = Workers::new();
        for member in members {
            workers.spawn(member.take_part(ring.clone(), stage.clone()));
        }
        let window = measure(
            cluster,
            &stage,
            workers,
            args.measure.warm_up(),
            args.measure.length(),
        )
        .await;
        cluster.settle().await?;
        window
    }
}

/// A client that hears a conversation, and perhaps writes it.
struct Member {
    client: Client,
    events: Events,
    conversation: Conversation,
    turns: Option<mpsc::Receiver<usize>>,
}

impl Member {
    async fn connect(
        account: &Account,
        conversation: Conversation,
        turns: Option<mpsc::Receiver<usize>>,
        receipts: bool,
    ) -> anyhow::Result<Self> {
        let mut config = account.config();
        // It is measured on the edge that was chosen.
        config.discovery = false;
        config.pipeline = usize::MAX;
        config.confirm_delivery = receipts;
        let (client, mut events) = Client::connect(config)?;
        let ready = async {
            while let Some(event) = events.next().await {
                match event {
                    Event::Ready(_) => return Ok(()),
                    Event::Stopped(reason) => bail!("a client was turned away: {reason}"),
                    _ => {}
                }
            }
            bail!("a client ended before it was connected")
        };
        timeout(PATIENCE, ready)
            .await
            .context("a client did not get connected")??;
        Ok(Self {
            client,
            events,
            conversation,
            turns,
        })
    }

    async fn take_part(mut self, ring: Ring, stage: Stage) -> anyhow::Result<Tally> {
        let mut tally = Tally::new(&stage)?;
        let finished = ring.finished();
        tokio::pin!(finished);
        loop {
            let event = tokio::select! {
                () = &mut finished => break,
                Some(place) = turn(&mut self.turns) => {
                    if let Some(text) = ring.begin(place) {
                        self.client.send(self.conversation, text)?;
                    }
                    continue;
                }
                event = timeout(PATIENCE, self.events.next()) => event.context("nothing arrives any more")?,
            };
            match event {
                Some(Event::Message(message)) => {
                    if let Some(latency) = message.text.as_deref().and_then(|text| ring.arrived(text)) {
                        tally.done(latency);
                    }
                }
                Some(Event::SendFailed { error, .. }) => bail!("a message was refused: {error}"),
                Some(Event::Disconnected { reason, .. }) => bail!("a connection was lost: {reason}"),
                Some(Event::Stopped(reason)) => bail!("a client was turned away: {reason}"),
                Some(_) => {}
                None => bail!("a client ended"),
            }
        }
        self.client.close().await;
        Ok(tally)
    }
}

async fn turn(turns: &mut Option<mpsc::Receiver<usize>>) -> Option<usize> {
    match turns {
        Some(turns) => turns.recv().await,
        None => std::future::pending().await,
    }
}

//! The three ways of sending on one cluster, in turns.

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use natterjack_client::Account;
use natterjack_nats::{Conversation, UserId};
use natterjack_runtime::servers::Progress;

use super::{
    super::{
        Steps,
        cluster::Cluster,
        figure::number,
        fill::fill,
        pace::pace,
        population::{sign_up, text},
        raw::Raw,
        senders::Sender,
        stage::Stage,
        window::{Window, Workers, measure},
    },
    Args,
    load::{Load, Way, Ways},
};

/// Connections that are opened at a time.
const CONNECTS: usize = 64;

/// Who sends what to whom, on which cluster.
pub struct Bench<'a> {
    args: &'a Args,
    pub cluster: Cluster,
    senders: Vec<Account>,
    conversations: Vec<Vec<Conversation>>,
    raw: Raw,
    /// They hear nothing; without them it would be another measurement.
    _connected: Vec<Sender>,
}

impl<'a> Bench<'a> {
    /// Makes the users, and all that is to be there before the load.
    pub async fn prepare(args: &'a Args, cluster: Cluster, progress: &dyn Progress) -> anyhow::Result<Self> {
        progress.say("signing up users …");
        let senders = sign_up(&cluster.edge_urls, "sender", args.senders).await?;
        let peers = sign_up(&cluster.edge_urls, "peer", args.peers).await?;
        let with_all = |sender: &Account| {
            peers
                .iter()
                .map(|peer| Conversation::dm(sender.user().id, peer.user().id))
                .collect::<Vec<_>>()
        };
        let conversations: Vec<_> = senders.iter().map(with_all).collect();
        // The order in which the clients take their turns too.
        let targets: Vec<(UserId, Conversation)> = (0..args.peers)
            .flat_map(|peer| {
                senders
                    .iter()
                    .zip(&conversations)
                    .map(move |(sender, all)| (sender.user().id, all[peer]))
            })
            .collect();
        let raw = Raw::connect(&cluster.nats_url, cluster.shards, text(args.text_bytes), targets).await?;
        if args.conversations > 0 {
            progress.say(&format!("filling {} conversations …", args.conversations));
            fill(&cluster, args.conversations, args.text_bytes).await?;
        }
        if args.connected > 0 {
            progress.say(&format!("connecting {} users …", args.connected));
        }
        let others = sign_up(&cluster.edge_urls, "other", args.connected).await?;
        let connecting = stream::iter(others.iter().map(|other| Sender::connect(other, vec![])));
        let connected = connecting.buffer_unordered(CONNECTS).try_collect().await?;
        Ok(Self {
            args,
            cluster,
            senders,
            conversations,
            raw,
            _connected: connected,
        })
    }

    /// Each way once, then each again, so that a machine that slows down slows down all of them.
    pub async fn in_turns(&self, steps: &mut Steps<'_>, load: Load) -> anyhow::Result<Ways<Window>> {
        let mut windows: Ways<Vec<Window>> = Ways {
            raw: self.cluster.persister().map(|_| Vec::new()),
            ..Ways::default()
        };
        for _ in 0..self.args.measure.repetitions {
            let all = [
                (Way::Raw, windows.raw.as_mut()),
                (Way::RawPersisted, Some(&mut windows.raw_persisted)),
                (Way::Natterjack, Some(&mut windows.natterjack)),
            ];
            for (way, windows) in all {
                let Some(windows) = windows else { continue };
                let window = self.window(way, load).await?;
                let (rate, p99) = (number(window.per_second), number(window.latency_ms.p99));
                steps.say(&format!(
                    "{} shards, {load}, {:<15} {rate:>6} acks/s, p99 {p99} ms",
                    self.cluster.facts.shards,
                    way.name()
                ));
                windows.push(window);
            }
        }
        let median = |windows: &Vec<Window>| Window::median(windows).context("nothing was measured");
        Ok(Ways {
            raw: windows.raw.as_ref().map(median).transpose()?,
            raw_persisted: median(&windows.raw_persisted)?,
            natterjack: median(&windows.natterjack)?,
        })
    }

    async fn window(&self, way: Way, load: Load) -> anyhow::Result<Window> {
        let stage = Stage::default();
        let alone = way == Way::Raw && self.cluster.pause_persister();
        let workers = match way {
            Way::Raw | Way::RawPersisted => self.publishers(load, &stage),
            Way::Natterjack => self.clients(load, &stage).await?,
        };
        let measure = measure(
            &self.cluster,
            &stage,
            workers,
            self.args.measure.warm_up(),
            self.args.measure.length(),
        );
        let window = measure.await;
        if alone {
            self.cluster.resume_persister();
        }
        self.cluster.settle().await?;
        window
    }

    fn publishers(&self, load: Load, stage: &Stage) -> Workers {
        match load {
            Load::Closed(in_flight) => self.raw.closed(in_flight, stage),
            Load::Open(rate) => match pace(rate, 1, stage.clone()).pop() {
                Some(due) => self.raw.open(due, stage),
                None => Workers::new(),
            },
        }
    }

    async fn clients(&self, load: Load, stage: &Stage) -> anyhow::Result<Workers> {
        let mut clients = Vec::new();
        for (account, conversations) in self.senders.iter().zip(&self.conversations) {
            clients.push(Sender::connect(account, conversations.clone()).await?);
        }
        if let Load::Closed(in_flight) = load {
            // Nobody is there without a message to send.
            clients.truncate(in_flight);
        }
        let count = clients.len();
        let mut workers = Workers::new();
        match load {
            Load::Closed(in_flight) => {
                for (index, client) in clients.into_iter().enumerate() {
                    // What does not divide goes to the first.
                    let own = in_flight / count + usize::from(index < in_flight % count);
                    workers.spawn(client.closed(own, text(self.args.text_bytes), stage.clone()));
                }
            }
            Load::Open(rate) => {
                for (client, due) in clients.into_iter().zip(pace(rate, count, stage.clone())) {
                    workers.spawn(client.open(due, text(self.args.text_bytes), stage.clone()));
                }
            }
        }
        Ok(workers)
    }
}

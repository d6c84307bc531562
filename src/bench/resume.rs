//! `natterjack bench resume`: clients that come back after they missed something.
//!
//! One who missed much, and a crowd that comes back at once, each with a little. What is missed lies
//! first in the streams alone (the persister's consumers are held, as while Postgres is slow) and
//! then in Postgres. Beside it stands what the bare parts need for the same messages: one Direct Get
//! per conversation, or one prepared statement.

mod back;
mod result;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::Context;
use async_nats::Client;
use futures::{StreamExt, TryStreamExt, stream};
use natterjack_client::Account;
use natterjack_nats::{Conversation, UserId, cluster, direct, subjects, topology};
use natterjack_persister::sample::Bare;
use natterjack_runtime::servers::Progress;
use serde::Serialize;

use super::{
    Measure, Steps,
    cluster::{Cluster, ClusterArgs},
    cost::Meter,
    figure::number,
    hold::hold,
    population::{sign_up, text},
    raw::Raw,
    report::About,
};
use back::{Returning, come_back};
pub use result::Result;
use result::{Bulk, Resumed};

/// Messages that are under way while the streams are filled.
const FILLING: usize = 256;
/// Whole conversations are read by the baselines.
const BARE_MESSAGES: usize = 1_000;
/// Conversations that a baseline reads at a time, as many as an edge does for one session.
const BARE_READS: usize = 4;

/// Options of `natterjack bench resume`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Messages that one client missed
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub missed: u32,
    /// Conversations that they are in
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub conversations: u16,
    /// Clients that come back at once
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub crowd: u16,
    /// Messages that each of them missed
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub crowd_missed: u16,
    /// Conversations that those are in
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub crowd_conversations: u16,
    /// Bytes of a message's text
    #[arg(long, default_value_t = 200, value_name = "BYTES")]
    pub text_bytes: usize,
    /// Edges, each a process
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub edges: u8,
    #[command(flatten)]
    #[serde(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub measure: Measure,
}

/// Where the missed messages lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the streams, beyond the watermarks.
    Tail,
    /// In Postgres.
    Postgres,
}

/// Runs it.
///
/// # Errors
/// Whatever kept it from its end; a client that did not get all that it missed too.
pub async fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Result> {
    args.cluster.needs_own("it holds the persister's consumers")?;
    let cluster = Cluster::start(&args.cluster, usize::from(args.edges), progress).await?;
    progress.say("signing up users …");
    let one = sign_up(&cluster.edge_urls, "one", 1).await?;
    let crowd = sign_up(&cluster.edge_urls, "crowd", args.crowd.into()).await?;
    let peers = sign_up(
        &cluster.edge_urls,
        "peer",
        args.conversations.max(args.crowd_conversations).into(),
    )
    .await?;
    let client = cluster::connect(&cluster.nats_url, "natterjack bench resume", |_| {}).await?;
    hold(&cluster, &client, topology::PERSISTER, true).await?;
    progress.say("sending what they will have missed …");
    let missed_by_crowd = usize::from(args.crowd_missed);
    let one = missed(
        args,
        &cluster,
        &one,
        &peers[..args.conversations.into()],
        args.missed as usize,
    )
    .await?;
    let crowd = missed(
        args,
        &cluster,
        &crowd,
        &peers[..args.crowd_conversations.into()],
        missed_by_crowd,
    )
    .await?;
    let bench = Bench { cluster, client };
    let all = 2 * 2 * args.measure.repetitions as usize;
    let mut steps = Steps::new(progress, all);
    let mut results = Vec::new();
    for place in [Place::Tail, Place::Postgres] {
        if place == Place::Postgres {
            hold(&bench.cluster, &bench.client, topology::PERSISTER, false).await?;
            bench.cluster.settle().await?;
        }
        for who in [&one, &crowd] {
            let mut bulks = Vec::new();
            for _ in 0..args.measure.repetitions {
                let bulk = bench.measure(place, who).await?;
                steps.say(&format!(
                    "{} back, {place:?}: whole after {} ms, bare {} ms",
                    who.len(),
                    number(bulk.seconds * 1_000.0),
                    number(bulk.bare_seconds * 1_000.0)
                ));
                bulks.push(bulk);
            }
            results.push(Resumed::of(place, who, &bulks)?);
        }
    }
    let result = Result {
        about: About::of("resume", args, &bench.cluster)?,
        resumed: results,
    };
    bench.cluster.stop().await?;
    Ok(result)
}

/// Writes what each of `accounts` misses, spread over its conversations with all `peers`.
async fn missed(
    args: &Args,
    cluster: &Cluster,
    accounts: &[Account],
    peers: &[Account],
    each: usize,
) -> anyhow::Result<Vec<Arc<Returning>>> {
    let mut targets: Vec<(UserId, Conversation)> = Vec::new();
    for at in 0..each {
        // One after the other, as it would come: everybody's messages lie between each other.
        for account in accounts {
            let peer = peers[at % peers.len()].user().id;
            targets.push((peer, Conversation::dm(account.user().id, peer)));
        }
    }
    let text = text(args.text_bytes);
    let count = targets.len();
    let raw = Raw::connect(&cluster.nats_url, cluster.shards, text.clone(), targets).await?;
    let sending = stream::iter(0..count).map(|number| raw.publish(number, &text));
    sending.buffer_unordered(FILLING).try_collect::<()>().await?;
    let mut returning = Vec::new();
    for (at, account) in accounts.iter().enumerate() {
        let with = |peer: &Account| Conversation::dm(account.user().id, peer.user().id);
        let conversations = peers.iter().take(each).map(|peer| (with(peer), 0));
        returning.push(Arc::new(Returning {
            url: cluster.edge_urls[at % cluster.edge_urls.len()].clone(),
            account: account.clone(),
            cursors: conversations.collect::<BTreeMap<_, _>>(),
            missed: each,
        }));
    }
    Ok(returning)
}

struct Bench {
    cluster: Cluster,
    client: Client,
}

impl Bench {
    async fn measure(&self, place: Place, who: &[Arc<Returning>]) -> anyhow::Result<Bulk> {
        let begun = Instant::now();
        let mut fetched = 0;
        let bare_meter = Meter::start(&self.cluster);
        let bare = match (place, self.cluster.database_url()) {
            (Place::Postgres, Some(url)) => Some(Bare::connect(url).await?),
            _ => None,
        };
        for one in who {
            let reads = one
                .cursors
                .keys()
                .map(|conversation| self.bare(bare.as_ref(), conversation));
            let mut reads = stream::iter(reads.collect::<Vec<_>>()).buffer_unordered(BARE_READS);
            while let Some(count) = reads.next().await {
                fetched += count?;
            }
        }
        let bare_seconds = begun.elapsed().as_secs_f64();
        let bare_cost = bare_meter.stop(&self.cluster);
        let missed: usize = who.iter().map(|one| one.missed).sum();
        anyhow::ensure!(
            fetched == missed,
            "the bare parts found {fetched} messages of {missed}"
        );
        let mut tokens = Vec::new();
        for one in who {
            tokens.push(one.account.source().token(false).await?.token);
        }
        let meter = Meter::start(&self.cluster);
        let all = come_back(who, tokens).await?;
        let cost = meter.stop(&self.cluster);
        let got: usize = all.iter().map(|one| one.messages).sum();
        anyhow::ensure!(got == missed, "{got} messages came of {missed} that were missed");
        Ok(Bulk::of(&all, cost, bare_seconds, bare_cost))
    }

    async fn bare(&self, bare: Option<&Bare>, conversation: &Conversation) -> anyhow::Result<usize> {
        if let Some(bare) = bare {
            return bare.after(conversation, 0, i64::try_from(BARE_MESSAGES)?).await;
        }
        let shards = self.cluster.shards;
        let bounds = direct::Bounds {
            messages: BARE_MESSAGES,
            bytes: 4 << 20,
            timeout: std::time::Duration::from_secs(30),
        };
        let stream = topology::chat_stream(shards.of(conversation));
        let subject = subjects::chat::subject(shards, conversation);
        let batch = direct::next_by_subject(&self.client, &stream, &subject, 1, bounds).await;
        Ok(batch.context("a direct get")?.messages.len())
    }
}

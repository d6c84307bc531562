//! Streams, consumers and buckets, as the user sees them who was given.

use std::{collections::BTreeMap, time::Duration};

use async_nats::{
    Client,
    jetstream::{self, Context, consumer, stream},
};
use futures::{StreamExt as _, TryStreamExt as _};
use natterjack_nats::{
    Shards, cluster,
    provision::{self, PushKeys, Report},
    subjects::{kv, system},
    topology::{self, Bucket, Settings},
};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::{
    Missing, Seen,
    servers::{now_ms, rfc3339_ms},
};
use crate::doctor::args::Args;

/// A backlog is looked at twice, this far apart: whether it grows is what matters.
pub const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
/// Asking for one thing.
const REQUEST_WITHIN: Duration = Duration::from_secs(3);
/// Streams whose consumers are asked for at the same time.
const AT_ONCE: usize = 8;

/// What NATS says of itself.
#[derive(Debug)]
pub struct Nats {
    /// How many servers it names, as far as they tell clients.
    pub nodes: usize,
    /// How far the clock of a stream's leader is ahead of ours, in milliseconds.
    pub ahead_ms: Option<i64>,
    /// The number of shards that was recorded, or why there is none.
    pub shards: Result<Shards, String>,
    /// All streams, those of the buckets among them.
    pub streams: BTreeMap<String, stream::Info>,
    /// What the consumers have before them.
    pub backlogs: Vec<Backlog>,
    /// What the topology was compared with.
    pub settings: Option<Settings>,
    /// What differs from the topology; absent where it could not be told.
    pub drift: Option<Result<Report, String>>,
    /// The keys of Web Push; absent where this user may not read them.
    pub push_keys: Option<Result<PushKeys, String>>,
    /// The Firebase project, if pushes go there.
    pub fcm: Option<String>,
}

/// What a consumer has before it, at two moments.
#[derive(Debug, Clone)]
pub struct Backlog {
    /// Now.
    pub info: consumer::Info,
    /// [`BETWEEN_LOOKS`] ago.
    pub before: consumer::Info,
}

/// Connects as the user that was given.
pub async fn connect(args: &Args) -> Seen<Client> {
    let connecting = cluster::connect(args.operator(), "natterjack doctor", |_| {});
    match timeout(Duration::from_secs(10), connecting).await {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => Err(Missing::away(
            error.to_string(),
            "start the nats-servers, or say where they are and who logs in (--nats-url, --nats-nkey, --config)",
        )),
        Err(_) => Err(Missing::away(
            "NATS did not answer in 10 s",
            "look at the servers and at the network between",
        )),
    }
}

/// Looks at everything in it.
pub async fn look(client: &Client, args: &Args) -> Seen<Nats> {
    let mut context = jetstream::new(client.clone());
    context.set_timeout(REQUEST_WITHIN);
    let refused = |why: String| {
        Missing::away(
            format!("JetStream does not say which streams there are: {why}"),
            "without a leader it cannot: see whether most of the servers run; else look at this user's permissions",
        )
    };
    let streams: Vec<stream::Info> = context
        .streams()
        .try_collect()
        .await
        .map_err(|error| refused(error.to_string()))?;
    let streams: BTreeMap<String, stream::Info> = streams
        .into_iter()
        .map(|info| (info.config.name.clone(), info))
        .collect();
    let shards = cluster::shards(&context).await.map_err(|error| error.to_string());
    let settings = shards
        .as_ref()
        .ok()
        .map(|shards| args.settings(*shards, &streams));
    let (ahead_ms, drift, push_keys, fcm, backlogs) = tokio::join!(
        clock(client),
        drift(&context, settings.as_ref()),
        push_keys(&context, args),
        fcm(&context),
        backlogs(&context, &streams),
    );
    Ok(Nats {
        nodes: client.server_info().connect_urls.len().max(1),
        ahead_ms,
        shards,
        streams,
        backlogs: backlogs.map_err(refused)?,
        settings,
        drift,
        push_keys,
        fcm,
    })
}

/// When a server said what it said.
#[derive(Deserialize)]
struct Stamped {
    ts: String,
}

async fn clock(client: &Client) -> Option<i64> {
    let subject = system::stream_info(&Bucket::Cluster.stream_name());
    let asked_ms = now_ms();
    let answer = timeout(REQUEST_WITHIN, client.request(subject, Vec::new().into())).await;
    let heard_ms = now_ms();
    let Stamped { ts } = serde_json::from_slice(&answer.ok()?.ok()?.payload).ok()?;
    Some(rfc3339_ms(&ts)? - (asked_ms + heard_ms) / 2)
}

async fn drift(context: &Context, settings: Option<&Settings>) -> Option<Result<Report, String>> {
    let report = provision::inspect(context, settings?).await;
    Some(report.map_err(|error| error.to_string()))
}

/// The private half is for few: as who provisions, where that user's key is at hand.
async fn push_keys(context: &Context, args: &Args) -> Option<Result<PushKeys, String>> {
    let own = match args.provisioner() {
        Some(login) => {
            let client = match cluster::connect(login, "natterjack doctor (keys)", |_| {}).await {
                Ok(client) => client,
                Err(error) => return Some(Err(error.to_string())),
            };
            jetstream::new(client)
        }
        None if args.logs_in() => return None,
        None => context.clone(),
    };
    let keys = provision::inspect_push_keys(&own).await;
    Some(keys.map_err(|error| error.to_string()))
}

async fn fcm(context: &Context) -> Option<String> {
    let bucket = context.get_key_value(Bucket::Cluster.name()).await.ok()?;
    let project = bucket.get(kv::cluster::FCM).await.ok()??;
    Some(String::from_utf8_lossy(&project).into_owned())
}

async fn backlogs(
    context: &Context,
    streams: &BTreeMap<String, stream::Info>,
) -> Result<Vec<Backlog>, String> {
    let before = consumers(context, streams).await?;
    sleep(BETWEEN_LOOKS).await;
    let now = consumers(context, streams).await?;
    Ok(now
        .into_iter()
        .filter_map(|(name, info)| {
            let before = before.get(&name)?.clone();
            Some(Backlog { info, before })
        })
        .collect())
}

type Consumers = BTreeMap<(String, String), consumer::Info>;

/// Our durable consumers; those that come and go belong to people who watch.
async fn consumers(context: &Context, streams: &BTreeMap<String, stream::Info>) -> Result<Consumers, String> {
    let read = streams.iter().filter(|(_, info)| info.state.consumer_count > 0);
    let of_each = read.map(|(name, _)| async move {
        let stream = context
            .get_stream_no_info(name)
            .await
            .map_err(|error| error.to_string())?;
        let all: Vec<consumer::Info> = stream
            .consumers()
            .try_collect()
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        Ok::<_, String>(all)
    });
    let all: Vec<Vec<consumer::Info>> = futures::stream::iter(of_each)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(all
        .into_iter()
        .flatten()
        .filter(|info| info.config.durable_name.is_some())
        .map(|info| ((info.stream_name.clone(), info.name.clone()), info))
        .collect())
}

impl Nats {
    /// The streams that the topology names and that are not there, or have no leader that answers.
    #[must_use]
    pub fn unseen(&self) -> Vec<String> {
        let Some(settings) = &self.settings else {
            return Vec::new();
        };
        let streams = topology::streams(settings).into_iter().map(|config| config.name);
        let buckets = topology::buckets(settings)
            .into_iter()
            .map(|config| format!("KV_{}", config.bucket));
        streams
            .chain(buckets)
            .filter(|name| !self.streams.contains_key(name))
            .collect()
    }
}

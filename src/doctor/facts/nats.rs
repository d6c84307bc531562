//! Streams, consumers and buckets, as the user sees them who was given.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

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
/// Asking for the consumers of a stream, some of which the server may wait for itself (4 s).
const CONSUMERS_WITHIN: Duration = Duration::from_secs(6);
/// Streams that are asked for at the same time.
const AT_ONCE: usize = 64;

/// What NATS says of itself.
#[derive(Debug)]
pub struct Nats {
    /// Whether the server is one of a cluster. How many there are it need not tell clients (`no_advertise`).
    pub clustered: bool,
    /// How far the clock of a stream's leader is ahead of ours, in milliseconds.
    pub ahead_ms: Option<i64>,
    /// The number of shards that was recorded, or why there is none.
    pub shards: Result<Shards, String>,
    /// All streams that answer, those of the buckets among them.
    pub streams: BTreeMap<String, stream::Info>,
    /// The streams that are there and do not answer, with the reason: no leader has them.
    pub silent: BTreeMap<String, String>,
    /// What the consumers have before them.
    pub backlogs: Vec<Backlog>,
    /// The streams that answer and whose consumers do not, with the reason.
    pub silent_consumers: BTreeMap<String, String>,
    /// What the topology was compared with.
    pub settings: Option<Settings>,
    /// What differs from the topology; absent where it could not be told.
    pub drift: Option<Report>,
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
    let names: Vec<String> = context
        .stream_names()
        .try_collect()
        .await
        .map_err(|error| refused(error.to_string()))?;
    let ((streams, silent), shards) = tokio::join!(each(&context, names), cluster::shards(&context));
    let shards = shards.map_err(|error| error.to_string());
    let settings = shards
        .as_ref()
        .ok()
        .map(|shards| args.settings(*shards, &streams));
    let (ahead_ms, drift, push_keys, fcm, (backlogs, silent_consumers)) = tokio::join!(
        clock(client),
        drift(&context, settings.as_ref(), &silent),
        push_keys(&context, args),
        fcm(&context),
        backlogs(&context, &streams),
    );
    let cluster = client.server_info().cluster;
    Ok(Nats {
        clustered: cluster.is_some_and(|name| !name.is_empty()),
        ahead_ms,
        shards,
        streams,
        silent,
        backlogs,
        silent_consumers,
        settings,
        drift,
        push_keys,
        fcm,
    })
}

type Streams = BTreeMap<String, stream::Info>;
/// What did not answer, and why.
type Silent = BTreeMap<String, String>;

/// Each stream by itself: one without a leader answers nothing, and must not hide the others.
async fn each(context: &Context, names: Vec<String>) -> (Streams, Silent) {
    let asked = names.into_iter().map(|name| async move {
        let stream = context.get_stream(&name).await;
        (name, stream.map(|stream| stream.cached_info().clone()))
    });
    let mut asked = futures::stream::iter(asked).buffer_unordered(AT_ONCE);
    let (mut streams, mut silent) = (Streams::new(), Silent::new());
    while let Some((name, answer)) = asked.next().await {
        match answer {
            Ok(info) => drop(streams.insert(name, info)),
            Err(error) => drop(silent.insert(name, error.to_string())),
        }
    }
    (streams, silent)
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

async fn drift(context: &Context, settings: Option<&Settings>, silent: &Silent) -> Option<Report> {
    let silent: BTreeSet<String> = silent.keys().cloned().collect();
    Some(provision::inspect(context, settings?, &silent).await)
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

async fn backlogs(context: &Context, streams: &Streams) -> (Vec<Backlog>, Silent) {
    let read = streams.iter().filter(|(_, info)| info.state.consumer_count > 0);
    let read = read.map(|(name, _)| name.clone()).collect();
    let (before, mut silent) = consumers(context, read).await;
    sleep(BETWEEN_LOOKS).await;
    let (now, silent_now) = consumers(context, before.keys().cloned().collect()).await;
    silent.extend(silent_now);
    let now = now.into_values().flatten();
    let backlogs = now.filter_map(|info| {
        let of_stream = before.get(&info.stream_name)?;
        let before = of_stream.iter().find(|before| before.name == info.name)?.clone();
        Some(Backlog { info, before })
    });
    (backlogs.collect(), silent)
}

type Consumers = BTreeMap<String, Vec<consumer::Info>>;

/// Our durable consumers by their streams; those that come and go belong to people who watch.
async fn consumers(context: &Context, streams: Vec<String>) -> (Consumers, Silent) {
    let asked = streams.into_iter().map(|name| async move {
        let answer = timeout(CONSUMERS_WITHIN, of_stream(context, &name)).await;
        let answer = answer.unwrap_or_else(|_| Err("they did not answer in time".to_owned()));
        (name, answer)
    });
    let mut asked = futures::stream::iter(asked).buffer_unordered(AT_ONCE);
    let (mut consumers, mut silent) = (Consumers::new(), Silent::new());
    while let Some((name, answer)) = asked.next().await {
        match answer {
            Ok(all) => drop(consumers.insert(name, all)),
            Err(why) => drop(silent.insert(name, why)),
        }
    }
    (consumers, silent)
}

async fn of_stream(context: &Context, name: &str) -> Result<Vec<consumer::Info>, String> {
    let mut patient = context.clone();
    patient.set_timeout(CONSUMERS_WITHIN);
    let stream = patient
        .get_stream_no_info(name)
        .await
        .map_err(|error| error.to_string())?;
    let all: Vec<consumer::Info> = stream
        .consumers()
        .try_collect()
        .await
        .map_err(|error| error.to_string())?;
    Ok(all
        .into_iter()
        .filter(|info| info.config.durable_name.is_some())
        .collect())
}

impl Nats {
    /// The streams that the topology names and that are not there.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let Some(settings) = &self.settings else {
            return Vec::new();
        };
        let streams = topology::streams(settings).into_iter().map(|config| config.name);
        let buckets = topology::buckets(settings)
            .into_iter()
            .map(|config| format!("KV_{}", config.bucket));
        streams
            .chain(buckets)
            .filter(|name| !self.streams.contains_key(name) && !self.silent.contains_key(name))
            .collect()
    }

    /// The streams without a leader: those that do not answer, and those that a server answers for which only
    /// holds a copy.
    #[must_use]
    pub fn leaderless(&self) -> BTreeSet<&str> {
        let led = |info: &stream::Info| {
            let cluster = info.cluster.as_ref();
            cluster.is_none_or(|cluster| cluster.leader.as_deref().is_some_and(|name| !name.is_empty()))
        };
        let answered = self.streams.iter().filter(|(_, info)| !led(info));
        let names = answered.map(|(name, _)| name).chain(self.silent.keys());
        names.map(String::as_str).collect()
    }

    /// The servers that lead a stream or hold a copy of one.
    #[must_use]
    pub fn holders(&self) -> BTreeSet<&str> {
        let clusters = self.streams.values().filter_map(|info| info.cluster.as_ref());
        let names = clusters.flat_map(|cluster| {
            let copies = cluster.replicas.iter().map(|copy| copy.name.as_str());
            cluster.leader.as_deref().into_iter().chain(copies)
        });
        names.filter(|name| !name.is_empty()).collect()
    }
}

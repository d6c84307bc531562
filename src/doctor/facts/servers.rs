//! The nats-servers themselves: over the system account, or over their monitoring pages.

use std::time::Duration;

use natterjack_nats::{cluster, subjects::system};
use natterjack_runtime::clock::Clock;
use serde::Deserialize;

use super::{Missing, Seen, scatter};
use crate::doctor::args::Args;

const HTTP_WITHIN: Duration = Duration::from_secs(4);
const GIVE: &str =
    "give --nats-system-nkey (or --config), or --nats-monitor http://host:8222 for each server";

/// One nats-server.
#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    /// Its name.
    #[serde(rename = "server_name")]
    pub name: String,
    /// Its version.
    pub version: String,
    /// How far its clock is ahead of this machine's, in milliseconds; behind it if negative.
    #[serde(skip)]
    pub ahead_ms: Option<i64>,
    /// By how much that may be wrong, in milliseconds.
    #[serde(skip)]
    pub clock_error_ms: i64,
    /// JetStream, if it is on.
    #[serde(default)]
    pub jetstream: JetStream,
    /// When the server said this, RFC 3339.
    now: String,
}

/// Of one server.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct JetStream {
    /// How it is set; absent where JetStream is off.
    #[serde(default)]
    pub config: Option<JetStreamConfig>,
    /// What it holds.
    #[serde(default)]
    pub stats: JetStreamStats,
}

/// How JetStream is set on a server.
#[derive(Debug, Clone, Deserialize)]
pub struct JetStreamConfig {
    /// How many bytes its streams may take on disk.
    #[serde(default)]
    pub max_storage: u64,
    /// Where they are.
    #[serde(default)]
    pub store_dir: String,
    /// How often a file is synced, in nanoseconds, where it is not at each write.
    #[serde(default)]
    pub sync_interval: u64,
    /// Whether each write is synced before it is acknowledged.
    #[serde(default)]
    pub sync_always: bool,
}

/// What JetStream holds on a server.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct JetStreamStats {
    /// Bytes on disk.
    #[serde(default)]
    pub storage: u64,
    /// Bytes that streams were promised.
    #[serde(default)]
    pub reserved_storage: u64,
}

/// The servers that answer, of which there is one at least, and why others do not.
#[derive(Debug)]
pub struct Servers {
    /// Those that answer.
    pub seen: Vec<Server>,
    /// For each that was named and does not.
    pub away: Vec<Missing>,
}

/// Looks at all of them.
pub async fn look(args: &Args) -> Seen<Servers> {
    if let Some(login) = args.system() {
        let (seen, away) = (over_nats(login).await?, Vec::new());
        return Ok(Servers { seen, away });
    }
    if args.nats_monitor.is_empty() {
        return Err(Missing::not_given(
            "the settings of the nats-servers are only seen with a user of the system account, or on their \
             monitoring pages",
            GIVE,
        ));
    }
    let pages = args.nats_monitor.iter().map(|url| over_http(url));
    let (mut seen, mut away) = (Vec::new(), Vec::new());
    for page in futures::future::join_all(pages).await {
        match page {
            Ok(server) => seen.push(server),
            Err(missing) => away.push(missing),
        }
    }
    if seen.is_empty()
        && let Some(first) = away.pop()
    {
        return Err(away.into_iter().fold(first, |all, next| Missing {
            why: format!("{}; {}", next.why, all.why),
            ..all
        }));
    }
    seen.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Servers { seen, away })
}

/// What a server of the system account's answer holds.
#[derive(Deserialize)]
struct Answer {
    data: Server,
}

async fn over_nats(login: cluster::Login) -> Seen<Vec<Server>> {
    let client = cluster::connect(login, "natterjack doctor (system)", |_| {}).await;
    let client = client.map_err(|error| {
        Missing::away(
            format!("the system account does not let us in: {error}"),
            "use nkeys/system.nk of the folder that `natterjack provision --write-config` wrote",
        )
    })?;
    let asked_ms = now_ms();
    let answers = scatter::ask(&client, system::SERVERS).await;
    let answers = answers
        .map_err(|why| Missing::away(format!("the nats-servers could not be asked: {why}"), "try again"))?;
    let heard_ms = now_ms();
    let mut servers: Vec<Server> = answers
        .iter()
        .filter_map(|answer| serde_json::from_slice::<Answer>(&answer.payload).ok())
        .map(|Answer { data }| data.timed(asked_ms, heard_ms))
        .collect();
    if servers.is_empty() {
        return Err(Missing::away(
            "no nats-server answers to this user about itself",
            "it has to be a user of the system account: nkeys/system.nk",
        ));
    }
    servers.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(servers)
}

async fn over_http(url: &str) -> Seen<Server> {
    let away = |why: String| {
        Missing::away(
            format!("the monitoring page at {url} does not answer: {why}"),
            "look whether that server runs, and whether `http:` in its configuration names this address",
        )
    };
    let client = reqwest::Client::builder().timeout(HTTP_WITHIN).build();
    let client = client.map_err(|error| away(error.to_string()))?;
    let asked_ms = now_ms();
    let page = format!("{}/varz", url.trim_end_matches('/'));
    let answer = client
        .get(page)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| away(error.without_url().to_string()))?;
    let heard_ms = now_ms();
    let server: Server = answer
        .json()
        .await
        .map_err(|error| away(error.without_url().to_string()))?;
    Ok(server.timed(asked_ms, heard_ms))
}

impl Server {
    /// Compares its clock: what it said lies between when it was asked and when it was heard.
    fn timed(mut self, asked_ms: i64, heard_ms: i64) -> Self {
        self.clock_error_ms = (heard_ms - asked_ms) / 2;
        let said_ms = rfc3339_ms(&self.now);
        self.ahead_ms = said_ms.map(|said_ms| said_ms - (asked_ms + heard_ms) / 2);
        self
    }
}

/// Milliseconds since 1970 by this machine's clock.
pub(super) fn now_ms() -> i64 {
    i64::try_from(Clock::system().now_ms()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970 of a time as nats-server writes it.
pub(super) fn rfc3339_ms(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}

//! The edges: their leases, and how they answer over HTTP.

use std::time::Duration;

use async_nats::Client;
use natterjack_nats::{topology::Bucket, wire::Lease};
use reqwest::header::DATE;

use super::{Missing, Seen, servers::now_ms};
use crate::{doctor::args::Args, fleet::audit};

const HTTP_WITHIN: Duration = Duration::from_secs(4);
/// More than anybody runs; each is one request.
const EDGES_MAX: usize = 1_000;

/// What an address answered.
#[derive(Debug, Clone)]
pub struct Reached {
    /// Whether `/readyz` says so.
    pub ready: bool,
    /// What it said, or why it said nothing.
    pub words: String,
    /// How far its clock is ahead of ours, in milliseconds, to a second.
    pub ahead_ms: Option<i64>,
}

/// An edge that holds a lease, or the address that was given for all of them.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Its id; of the given address, none.
    pub id: Option<String>,
    /// Its lease; of the given address, none.
    pub lease: Option<Lease>,
    /// Where it was asked.
    pub url: String,
    /// What came of it.
    pub reached: Reached,
}

/// Looks at all of them.
pub async fn look(client: &Client, args: &Args) -> Seen<Vec<Edge>> {
    let leases = audit::bucket::<Lease>(client, Bucket::Edges).await;
    let leases = leases.map_err(|error| {
        Missing::away(
            format!("the bucket edges could not be read: {error:#}"),
            "run `natterjack provision` if there is none yet; else look at this user's permissions",
        )
    })?;
    let http = args
        .http(HTTP_WITHIN)
        .map_err(|why| Missing::away(why, "look at the file"))?;
    let given = args.edge_url.iter().map(|url| (None, None, url.clone()));
    let leased = leases.into_iter().take(EDGES_MAX).map(|(id, lease)| {
        let url = lease.url.clone();
        (Some(id), Some(lease), url)
    });
    let looks = leased.chain(given).map(|(id, lease, url)| {
        let http = http.clone();
        async move {
            let reached = ready(&http, &url).await;
            Edge {
                id,
                lease,
                url,
                reached,
            }
        }
    });
    Ok(futures::future::join_all(looks).await)
}

async fn ready(http: &reqwest::Client, url: &str) -> Reached {
    let asked_ms = now_ms();
    let page = format!("{}/readyz", url.trim_end_matches('/'));
    match http.get(page).send().await {
        Ok(answer) => {
            let heard_ms = now_ms();
            let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
            // The header counts whole seconds: on average it is half of one late.
            let ahead_ms = date
                .and_then(http_date_ms)
                .map(|said| said + 500 - (asked_ms + heard_ms) / 2);
            let status = answer.status();
            let body = answer.text().await.unwrap_or_default();
            Reached {
                ready: status.is_success(),
                words: format!("{status}: {}", body.trim()),
                ahead_ms,
            }
        }
        Err(error) => Reached {
            ready: false,
            words: causes(&error.without_url()),
            ahead_ms: None,
        },
    }
}

fn http_date_ms(text: &str) -> Option<i64> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(time.timestamp().as_millisecond())
}

/// An error with what caused it, the last of which says most.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

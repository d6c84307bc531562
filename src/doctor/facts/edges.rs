//! The edges: their leases, and how they answer over HTTP.

use std::{net::IpAddr, time::Duration};

use async_nats::Client;
use natterjack_nats::{topology::Bucket, wire::Lease};
use reqwest::{Response, Url, header::DATE};

use super::{Missing, Seen, servers::now_ms};
use crate::{doctor::args::Args, fleet::audit};

const HTTP_WITHIN: Duration = Duration::from_secs(4);
/// More than `/readyz` ever says, in bytes; whatever else answers there is not read further.
const WORDS_MAX: usize = 300;
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
    /// Where it was asked: where it says that it is, or at the address of all edges if what it says leads
    /// every machine to itself.
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
        let given = args.edge_url.clone().filter(|_| leads_to_itself(&lease.url));
        let url = given.unwrap_or_else(|| lease.url.clone());
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
            let body = beginning(answer).await;
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

/// What it says, as far as it is read.
async fn beginning(mut answer: Response) -> String {
    let mut read = Vec::new();
    // What was read before an error is worth telling; the client's time-out bounds all of it.
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = WORDS_MAX.saturating_sub(read.len());
        read.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return format!("{}…", String::from_utf8_lossy(&read));
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// Whether an address is each machine's own (`localhost`), so that what answers there from here tells nothing.
pub fn leads_to_itself(url: &str) -> bool {
    let Ok(url) = url.parse::<Url>() else {
        return false;
    };
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    let host = host.trim_end_matches('.');
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn whoever_answers_without_end_is_not_read_without_end() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let talker = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("a caller");
            let mut request = [0; 1_024];
            let _ = socket.read(&mut request).await.expect("a request");
            socket
                .write_all(b"HTTP/1.1 503 No\r\n\r\n")
                .await
                .expect("somebody who listens");
            let mut written = 0_u64;
            while socket.write_all(&[b'x'; 4_096]).await.is_ok() {
                written += 4_096;
            }
            written
        });
        let http = reqwest::Client::builder().timeout(HTTP_WITHIN).build();
        let reached = ready(&http.expect("a client"), &url).await;
        assert!(!reached.ready);
        assert!(reached.words.len() < 2 * WORDS_MAX, "{}", reached.words.len());
        assert!(
            reached.words.starts_with("503") && reached.words.ends_with("x…"),
            "{}",
            reached.words
        );
        // It was hung up on.
        let written = talker.await.expect("an end");
        assert!(written < 64 << 20, "{written} bytes");
    }

    #[test]
    fn addresses_that_are_each_machines_own() {
        for url in [
            "http://127.0.0.1:8080",
            "https://localhost:8443/",
            "http://[::1]:80",
            "http://0.0.0.0:8080",
        ] {
            assert!(leads_to_itself(url), "{url}");
        }
        for url in [
            "https://chat.example.org",
            "http://10.0.0.1:8080",
            "localhost",
            "",
        ] {
            assert!(!leads_to_itself(url), "{url}");
        }
    }
}

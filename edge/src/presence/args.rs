//! What an operator says about an edge's place among the others.

use std::{net::SocketAddr, time::Duration};

use natterjack_nats::EdgeId;

/// What the end of a process takes besides the spread of its sockets: the lease that says so, the
/// closes that clients answer, the last session keys, and the end of the lease.
const END_MS: u64 = 4_000;
/// Longest name of a region, in bytes.
const REGION_BYTES_MAX: usize = 64;

/// Which edge this is, and how it goes.
#[derive(Debug, Clone, clap::Args)]
pub struct PlaceArgs {
    /// The id of this edge; no other that runs may have it [default: a fresh one at each start]
    #[arg(long, env = "EDGE_ID", value_name = "ID")]
    pub edge_id: Option<EdgeId>,

    /// Where this edge stands, in words of your own: clients may ask for the edges of a region
    #[arg(long, env = "EDGE_REGION", default_value = "default", value_parser = region, value_name = "NAME")]
    pub region: String,

    /// Where clients reach this edge: https://… or http://…, without a path [default: http://, or https:// with
    /// --tls-cert, and the address that it listens on]
    #[arg(long, env = "EDGE_PUBLIC_URL", value_parser = public_url, value_name = "URL")]
    pub public_url: Option<String>,

    /// Over how long the closing of sockets is spread when the edge drains
    #[arg(long, env = "EDGE_DRAIN_SPREAD_MS", default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(0..=600_000), value_name = "MS")]
    pub drain_spread_ms: u64,

    /// How long the process may take to end after SIGTERM: less than the time after which your service
    /// manager kills it
    #[arg(long, env = "EDGE_DRAIN_GRACE_MS", default_value_t = 8_000, value_parser = clap::value_parser!(u64).range(1_000..=3_600_000), value_name = "MS")]
    pub drain_grace_ms: u64,
}

impl PlaceArgs {
    /// Whether the drain fits into its grace.
    ///
    /// # Errors
    /// It does not; the message says what to change.
    pub fn check(&self) -> anyhow::Result<()> {
        let needs_ms = self.drain_spread_ms + END_MS;
        anyhow::ensure!(
            needs_ms <= self.drain_grace_ms,
            "a drain that closes sockets over {} ms (--drain-spread-ms) takes up to {needs_ms} ms, but the process \
             has only {} ms (--drain-grace-ms): raise --drain-grace-ms to {needs_ms}, and the time after which \
             your service manager kills beyond that, or lower --drain-spread-ms",
            self.drain_spread_ms,
            self.drain_grace_ms,
        );
        Ok(())
    }

    /// How long the process may take to end.
    #[must_use]
    pub const fn drain_grace(&self) -> Duration {
        Duration::from_millis(self.drain_grace_ms)
    }

    /// Whether clients reach the edge by TLS, as far as the operator said so.
    #[must_use]
    pub fn is_https(&self) -> bool {
        let url = self.public_url.as_deref();
        url.is_some_and(|url| url.starts_with("https:"))
    }

    /// Where clients reach the edge, which itself speaks TLS or does not.
    #[must_use]
    pub fn url(&self, listens: SocketAddr, tls: bool) -> String {
        let Some(url) = &self.public_url else {
            if listens.ip().is_unspecified() {
                tracing::warn!(
                    edge.address = %listens,
                    "clients are told to come to an address that is none; set --public-url"
                );
            }
            return format!("{}://{listens}", if tls { "https" } else { "http" });
        };
        url.clone()
    }
}

fn region(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    if name.is_empty() || name.len() > REGION_BYTES_MAX {
        return Err("a region is a word of 1 to 64 bytes");
    }
    Ok(name.to_owned())
}

fn public_url(text: &str) -> Result<String, String> {
    let wrong = |what: &str| format!("{what}; it looks like https://edge-1.example.com");
    let url = reqwest::Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("it begins with https:// or http:// and names a host"));
    }
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it has a path, a query or a user"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        place: PlaceArgs,
    }

    fn place(options: &[&str]) -> Result<PlaceArgs, clap::Error> {
        Ok(Command::try_parse_from([&["edge"], options].concat())?.place)
    }

    #[test]
    fn the_defaults_fit_and_what_does_not_says_what_to_change() -> anyhow::Result<()> {
        place(&[])?.check()?;
        place(&["--drain-spread-ms=60000", "--drain-grace-ms=64000"])?.check()?;
        let refused = place(&["--drain-spread-ms=60000"])?
            .check()
            .expect_err("too long")
            .to_string();
        assert!(refused.contains("raise --drain-grace-ms to 64000"), "{refused}");
        Ok(())
    }

    #[test]
    fn the_address_that_clients_are_told_is_one() -> anyhow::Result<()> {
        let listens = SocketAddr::from(([127, 0, 0, 1], 8080));
        assert_eq!(place(&[])?.url(listens, false), "http://127.0.0.1:8080");
        assert_eq!(place(&[])?.url(listens, true), "https://127.0.0.1:8080");
        let given = place(&["--public-url=https://edge-1.example.com:8443/"])?;
        assert_eq!(given.url(listens, false), "https://edge-1.example.com:8443");
        for wrong in [
            "edge-1",
            "ftp://a",
            "https://a/path",
            "https://a?b",
            "https://u@a",
            "https://",
        ] {
            assert!(place(&["--public-url", wrong]).is_err(), "{wrong}");
        }
        assert!(place(&["--region", " "]).is_err());
        assert_eq!(place(&["--region", " eu "])?.region, "eu");
        Ok(())
    }
}

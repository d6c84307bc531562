//! Where to connect: edges that discovery or an edge that drains has named, and the configured servers
//! behind them.
//!
//! What was named is kept for a while and asked for again after a loss. It is never followed to where the
//! configuration does not lead: from `https` to `http`, or from elsewhere to this very machine (an edge
//! whose operator told it no public address names the one that it listens on).

use std::{net::IpAddr, time::Duration};

use rand::{Rng, RngExt as _};
use reqwest::Url;

/// How long an answer is believed; up to half of it longer, so that a crowd does not ask at one moment.
const FRESH: Duration = Duration::from_secs(60);

/// After a loss an answer that is older than this is asked for again. The edge that was lost may be named
/// for as long as its lease lasts (6 s).
const DOUBTED_AFTER: Duration = Duration::from_secs(5);

/// More than an edge names, so that a list without end does no harm.
const FOUND_MAX: usize = 64;

/// The way of one client; without I/O and clock.
#[derive(Debug)]
pub(crate) struct Route {
    configured: Vec<String>,
    discovers: bool,
    /// The best first.
    found: Vec<String>,
    /// When the last answer came, a failure included.
    asked_at: Option<Duration>,
    fresh_until: Duration,
    /// The one that was lost, or could not be reached, since the last answer: that may be wrong.
    lost: Option<String>,
    /// Those that were lost or could not be reached since a connection came to be: tried again once all
    /// others were, whatever is named meanwhile.
    failed: Vec<String>,
    /// Into [`Self::candidates`].
    place: usize,
}

impl Route {
    pub(crate) fn new(configured: Vec<String>, discovers: bool) -> Self {
        let plain = |server: String| server.trim_end_matches('/').to_owned();
        Self {
            configured: configured.into_iter().map(plain).collect(),
            discovers,
            found: Vec::new(),
            asked_at: None,
            fresh_until: Duration::ZERO,
            lost: None,
            failed: Vec::new(),
            place: 0,
        }
    }

    /// The server to connect to; none only if none was configured.
    pub(crate) fn current(&self) -> Option<&str> {
        self.candidates().nth(self.place).map(String::as_str)
    }

    /// Whether discovery is to be asked before the next attempt.
    pub(crate) fn wants(&self, now: Duration) -> bool {
        let doubted = |at| self.lost.is_some() && now >= at + DOUBTED_AFTER;
        self.discovers
            && self
                .asked_at
                .is_none_or(|at| now >= self.fresh_until || doubted(at))
    }

    /// What discovery answered, the best first; `None` where it could not be asked: then what is known
    /// goes on to be used.
    pub(crate) fn answered(&mut self, now: Duration, edges: Option<Vec<String>>, rng: &mut impl Rng) {
        self.asked_at = Some(now);
        self.lost = None;
        let Some(edges) = edges else {
            // Not for as long as a good answer: whoever was away may be back soon.
            self.fresh_until = now + DOUBTED_AFTER;
            return;
        };
        self.fresh_until = now + FRESH + FRESH.mul_f64(rng.random_range(0.0..0.5));
        self.find(edges);
        // The dead may be named for a while, and first.
        let untried = self.candidates().position(|server| !self.has_failed(server));
        match untried {
            Some(place) => self.place = place,
            None => self.failed.clear(),
        }
    }

    /// A connection came to be.
    pub(crate) fn connected(&mut self) {
        self.failed.clear();
    }

    /// The edge in use drains, and named these instead. Answers whether there is somewhere else to go;
    /// then that is the current one.
    pub(crate) fn leave(&mut self, now: Duration, edges: Vec<String>) -> bool {
        let left = self.current().map(str::to_owned);
        if self.discovers && !edges.is_empty() {
            self.find(edges);
            (self.asked_at, self.fresh_until) = (Some(now), now + FRESH);
            self.lost = None;
        } else {
            self.lost.clone_from(&left);
        }
        let elsewhere = |server: &&String| Some(*server) != left.as_ref();
        let untried = |server: &String| elsewhere(&server) && !self.has_failed(server);
        let other = self.candidates().position(untried);
        let other = other.or_else(|| self.candidates().position(|server| elsewhere(&server)));
        self.place = other.unwrap_or(self.place);
        other.is_some()
    }

    /// A connection was lost that had come to be.
    pub(crate) fn lost(&mut self) {
        self.lost = self.current().map(str::to_owned);
        let failed = self.lost.clone().filter(|server| !self.has_failed(server));
        self.failed.extend(failed);
    }

    /// There was none, or the server said to go: the next one in turn.
    pub(crate) fn next(&mut self) {
        self.lost();
        let candidates: Vec<_> = self.candidates().collect();
        let count = candidates.len().max(1);
        let mut behind = (1..count).map(|step| (self.place + step) % count);
        let untried = behind.find(|place| {
            candidates
                .get(*place)
                .is_some_and(|server| !self.has_failed(server))
        });
        self.place = untried.unwrap_or_else(|| {
            self.failed.clear();
            (self.place + 1) % count
        });
    }

    fn has_failed(&self, server: &String) -> bool {
        self.failed.contains(server)
    }

    fn candidates(&self) -> impl Iterator<Item = &String> {
        let further = self
            .configured
            .iter()
            .filter(|server| !self.found.contains(server));
        self.found.iter().chain(further)
    }

    fn find(&mut self, edges: Vec<String>) {
        self.found = followed(edges, &self.configured);
        self.place = 0;
    }
}

/// Those of the addresses that somebody named which may be followed, each once.
pub(crate) fn followed(edges: impl IntoIterator<Item = String>, configured: &[String]) -> Vec<String> {
    let configured: Vec<_> = configured.iter().filter_map(|text| text.parse().ok()).collect();
    let mut found: Vec<String> = Vec::new();
    for edge in edges {
        let edge = edge.trim_end_matches('/').to_owned();
        if found.len() < FOUND_MAX && follows(&edge, &configured) && !found.contains(&edge) {
            found.push(edge);
        }
    }
    found
}

/// Whether an address that somebody named may be followed by whoever was configured with these.
fn follows(edge: &str, configured: &[Url]) -> bool {
    let Ok(url) = edge.parse::<Url>() else {
        return false;
    };
    let secure = |url: &Url| matches!(url.scheme(), "https" | "wss");
    let known = matches!(url.scheme(), "http" | "https" | "ws" | "wss") && url.has_host();
    known
        && (secure(&url) || !configured.iter().all(secure))
        && (!is_this_machine(&url) || configured.iter().any(is_this_machine))
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

#[cfg(test)]
mod tests;

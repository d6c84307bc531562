//! What was heard of leases, and how edges are ranked by it: without I/O and clocks of its own.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use natterjack_nats::{
    EdgeId,
    limits::{EDGES_NAMED_MAX, LEASE_TTL_MS},
    wire::{EdgeInfo, Lease},
};
use tokio::time::Instant;

/// How long a lease counts after it was heard.
const TTL: Duration = Duration::from_millis(LEASE_TTL_MS);

/// Loads that differ by less than this many percent are about equal: a random share of it is added to
/// each, so that not everybody goes to the one that is a little less loaded.
const ABOUT_EQUAL_PERCENT: u64 = 10;

/// Which edges somebody wants.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    /// Those of this region first.
    pub region: Option<&'a str>,
    /// Not this one.
    pub except: Option<EdgeId>,
}

/// Leases by edge.
#[derive(Debug, Default)]
pub(super) struct Known {
    edges: HashMap<EdgeId, Heard>,
    /// When anything was heard last that was news.
    heard_at: Option<Instant>,
    /// When what has expired was forgotten last.
    cleaned_at: Option<Instant>,
}

#[derive(Debug)]
struct Heard {
    lease: Lease,
    revision: u64,
    at: Instant,
}

impl Known {
    /// A lease was written. What is heard again, because the bucket is read anew, is no news and makes
    /// no lease younger.
    pub fn hear(&mut self, edge: EdgeId, lease: Lease, revision: u64, now: Instant) {
        if self
            .edges
            .get(&edge)
            .is_some_and(|known| known.revision == revision)
        {
            return;
        }
        self.news(now);
        let at = now;
        self.edges.insert(edge, Heard { lease, revision, at });
    }

    /// A lease expired or was given back.
    pub fn gone(&mut self, edge: EdgeId, now: Instant) {
        if self.edges.remove(&edge).is_some() {
            self.news(now);
        }
    }

    fn news(&mut self, now: Instant) {
        self.heard_at = Some(now);
        if self.cleaned_at.is_none_or(|at| now.duration_since(at) >= TTL) {
            self.cleaned_at = Some(now);
            self.edges.retain(|_, heard| heard.lives(now));
        }
    }

    /// The edges to name, the best first; `None` where too little was heard to tell. `random` answers a
    /// number below its argument.
    pub fn ranked(
        &self,
        wanted: &Wanted<'_>,
        now: Instant,
        mut random: impl FnMut(u64) -> u64,
    ) -> Option<Vec<EdgeInfo>> {
        self.heard_at.filter(|at| now.duration_since(*at) < TTL)?;
        let mut named: Vec<_> = self
            .edges
            .iter()
            .filter(|(edge, heard)| {
                heard.lives(now) && !heard.lease.draining && Some(**edge) != wanted.except
            })
            .map(|(edge, Heard { lease, .. })| {
                let load = load(lease);
                let near = wanted.region.is_none_or(|region| region == lease.region);
                let place = (
                    load >= 100,
                    Reverse(near),
                    u64::from(load) + random(ABOUT_EQUAL_PERCENT),
                );
                (place, random(u64::MAX), *edge, lease)
            })
            .collect();
        named.sort_unstable_by_key(|(place, tie, ..)| (*place, *tie));
        named.truncate(EDGES_NAMED_MAX);
        let info = |(_, _, id, lease): (_, _, EdgeId, &Lease)| EdgeInfo {
            id,
            url: lease.url.clone(),
            region: lease.region.clone(),
            load: load(lease),
            version: lease.version.clone(),
        };
        Some(named.into_iter().map(info).collect())
    }
}

impl Heard {
    fn lives(&self, now: Instant) -> bool {
        now.duration_since(self.at) < TTL
    }
}

/// In percent, rounded down: 100 says that there is no room.
fn load(lease: &Lease) -> u8 {
    let taken = u64::from(lease.connections) * 100;
    let percent = taken.checked_div(lease.connections_max.into()).unwrap_or(100);
    u8::try_from(percent.min(100)).unwrap_or(100)
}

#[cfg(test)]
#[path = "known/tests.rs"]
mod tests;

//! The edges: who holds a lease, who is on the way out, and whether clients reach them.

use super::seen;
use crate::doctor::{
    facts::{Edge, Facts, leads_to_itself},
    finding::Findings,
};

/// Percent of its connections from which an edge needs company.
const LOADED: u64 = 85;

pub fn leases(facts: &Facts, findings: &mut Findings) {
    let Some(edges) = seen(&facts.edges, "nats.reached", findings) else {
        return;
    };
    let mut leases = 0;
    let mut connections = 0_u64;
    for edge in edges {
        let (Some(id), Some(lease)) = (&edge.id, &edge.lease) else {
            continue;
        };
        leases += 1;
        connections += u64::from(lease.connections);
        if lease.draining {
            findings.warn(
                id,
                format!(
                    "drains: it takes nobody new, and {} are connected",
                    lease.connections
                ),
                "stop it once it is empty, or take it back with `nats req svc.edge.undrain.<edge> ''`",
            );
        }
        if u64::from(lease.connections) * 100 >= u64::from(lease.connections_max.max(1)) * LOADED {
            findings.warn(
                id,
                format!(
                    "{} of {} connections are taken",
                    lease.connections, lease.connections_max
                ),
                "start another edge",
            );
        }
    }
    let serving = edges
        .iter()
        .filter_map(|edge| edge.lease.as_ref())
        .filter(|lease| !lease.draining);
    if serving.count() == 0 {
        findings.fail(
            "",
            "no edge holds a lease and takes connections",
            "start an edge (`natterjack edge`), or look at the log of the one that should run",
        );
    }
    if findings.all_well() {
        findings.ok(
            "",
            format!("{leases} hold a lease; {connections} connections are open"),
        );
    }
}

pub fn ready(facts: &Facts, findings: &mut Findings) {
    let Some(edges) = seen(&facts.edges, "nats.reached", findings) else {
        return;
    };
    for edge in edges {
        let Edge { id, url, reached, .. } = edge;
        let of = id.clone().unwrap_or_else(|| "the given address".to_owned());
        let draining = edge.lease.as_ref().is_some_and(|lease| lease.draining);
        let announced = edge.lease.as_ref().map_or(url, |lease| &lease.url);
        if leads_to_itself(announced) && !leads_to_itself(url) {
            findings.warn(
                &of,
                format!("announces {announced}, which leads every client to its own machine"),
                "give the edge the address at which clients reach it: --public-url (EDGE_PUBLIC_URL)",
            );
        }
        if reached.ready {
            findings.ok(of, format!("ready at {url}"));
        } else if draining {
            findings.ok(of, format!("not ready at {url}, since it drains"));
        } else {
            findings.fail(
                of,
                format!("is not ready at {url}, where clients are sent: {}", reached.words),
                "if it is up, look at what is between here and there (load balancer, DNS, certificate), and at \
                 --public-url, which it announces",
            );
        }
    }
    if edges.is_empty() {
        findings.see("edges.leases");
    }
}

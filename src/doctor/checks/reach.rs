//! Whether the parts answer at all: told here, once.

use super::seen_or_told;
use crate::doctor::{facts::Facts, finding::Findings, format};

const AWAY: &str =
    "start that server again; if it never comes back, see \"A node that is lost\" in nats/README.md";

pub fn nats(facts: &Facts, findings: &mut Findings) {
    if let Some(nats) = seen_or_told(&facts.nats, findings) {
        let streams = nats.streams.len() + nats.silent.len();
        findings.ok("", format!("answers, with {streams} streams"));
    }
}

pub fn servers(facts: &Facts, findings: &mut Findings) {
    let Some(servers) = seen_or_told(&facts.servers, findings) else {
        return;
    };
    let names: Vec<String> = servers.iter().map(|server| server.name.clone()).collect();
    let without: Vec<String> = servers
        .iter()
        .filter(|server| server.jetstream.config.is_none())
        .map(|server| server.name.clone())
        .collect();
    for missing in &facts.servers_away {
        findings.fail("", &missing.why, &missing.todo);
    }
    // All answer the system account; of monitoring pages only those were asked that were named.
    if let (Ok(nats), true) = (&facts.nats, facts.args.system().is_some()) {
        for away in nats.holders() {
            if !names.iter().any(|name| name == away) {
                findings.fail(away, "holds copies of streams and does not answer", AWAY);
            }
        }
    }
    if without.is_empty() {
        findings.ok(
            "",
            format!("{} with JetStream: {}", names.len(), format::some(&names)),
        );
    } else {
        findings.warn(
            format::some(&without),
            "runs without JetStream",
            "fine for a leaf or a gateway; else add `jetstream {}` to its configuration",
        );
    }
}

pub fn postgres(facts: &Facts, findings: &mut Findings) {
    if let Some(database) = seen_or_told(&facts.database, findings) {
        findings.ok("", format!("answers, version {}", database.version));
    }
}

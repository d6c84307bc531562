//! Whether the parts answer at all: told here, once.

use crate::doctor::{
    facts::{Facts, Seen},
    finding::Findings,
    format,
};

pub fn nats(facts: &Facts, findings: &mut Findings) {
    if let Some(nats) = reached(&facts.nats, findings) {
        findings.ok("", format!("answers, with {} streams", nats.streams.len()));
    }
}

pub fn servers(facts: &Facts, findings: &mut Findings) {
    let Some(servers) = reached(&facts.servers, findings) else {
        return;
    };
    let names: Vec<String> = servers.iter().map(|server| server.name.clone()).collect();
    let without: Vec<String> = servers
        .iter()
        .filter(|server| server.jetstream.config.is_none())
        .map(|server| server.name.clone())
        .collect();
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
    if let Some(database) = reached(&facts.database, findings) {
        findings.ok("", format!("answers, version {}", database.version));
    }
}

fn reached<'a, T>(part: &'a Seen<T>, findings: &mut Findings) -> Option<&'a T> {
    match part {
        Ok(part) => return Some(part),
        Err(missing) if missing.asked_for => findings.fail("", &missing.why, &missing.todo),
        Err(missing) => findings.skip(&missing.why, &missing.todo),
    }
    None
}

//! The nats-servers: versions, and whether what is acknowledged is on disk.

use natterjack_nats::cluster::SERVER_VERSION_MIN;

use super::seen;
use crate::doctor::{
    facts::{Facts, Server},
    finding::Findings,
    format,
};

pub fn version(facts: &Facts, findings: &mut Findings) {
    let Some(servers) = seen(&facts.servers, "nats.servers", findings) else {
        return;
    };
    let (major, minor) = SERVER_VERSION_MIN;
    for server in servers {
        if numbers(&server.version) < SERVER_VERSION_MIN {
            findings.fail(
                &server.name,
                format!("runs nats-server {}", server.version),
                format!(
                    "upgrade it to {major}.{minor} or newer: per-message TTL and group commit are needed"
                ),
            );
        }
    }
    let mut versions: Vec<String> = servers.iter().map(|server| server.version.clone()).collect();
    versions.sort();
    versions.dedup();
    match versions.as_slice() {
        [one] if findings.all_well() => findings.ok("", format!("all run nats-server {one}")),
        [_, _, ..] => findings.warn(
            "",
            format!("different versions run: {}", format::some(&versions)),
            "fine during an upgrade; finish it",
        ),
        _ => {}
    }
}

fn numbers(version: &str) -> (u64, u64) {
    let mut numbers = version
        .split(['.', '-'])
        .map(|number| number.parse().unwrap_or_default());
    (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    )
}

pub fn sync(facts: &Facts, findings: &mut Findings) {
    let Some(servers) = seen(&facts.servers, "nats.servers", findings) else {
        return;
    };
    let lazy = |server: &&Server| {
        let config = server.jetstream.config.as_ref();
        config.is_some_and(|config| !config.sync_always)
    };
    for server in servers.iter().filter(lazy) {
        let every = server
            .jetstream
            .config
            .as_ref()
            .map(|config| config.sync_interval);
        findings.fail(
            &server.name,
            format!(
                "acknowledges messages that are not on disk, and syncs every {}: a power cut loses them",
                format::seconds(every.unwrap_or_default() / 1_000_000_000)
            ),
            "write `sync_interval: always` into the jetstream block of its configuration and restart it, one \
             server at a time",
        );
    }
    if findings.all_well() {
        findings.ok("", "every message is on disk before it is acknowledged");
    }
}

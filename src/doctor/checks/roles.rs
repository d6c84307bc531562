//! Which roles run, and of which version.

use std::collections::BTreeMap;

use natterjack_nats::services::names;

use super::seen;
use crate::doctor::{facts::Facts, finding::Findings, format};

/// What answers, by the role that answers it, and what is missing without.
const ROLES: &[(&str, &[&str], &str)] = &[
    (
        "persister",
        &[names::ACCOUNTS, names::CONVERSATIONS, names::HISTORY],
        "nobody can log in or read what was, and streams fill up",
    ),
    ("presence", &[names::PRESENCE], "nobody's state changes"),
    ("notifier", &[names::PUSH], "nobody is pushed"),
    ("edge", &[names::EDGE], "nobody is connected"),
];

pub fn running(facts: &Facts, findings: &mut Findings) {
    let Some(services) = seen(&facts.services, "nats.reached", findings) else {
        return;
    };
    for (role, own, without) in ROLES {
        let counts = own.iter().map(|name| {
            let of_service = services.iter().filter(|instance| instance.name == *name);
            of_service.count()
        });
        match counts.min().unwrap_or_default() {
            0 => findings.fail(
                *role,
                format!("none answers: {without}"),
                format!("start one (`natterjack {role}`), or look at the log of the one that should run"),
            ),
            1 => findings.ok(*role, "one answers"),
            count => findings.ok(*role, format!("{count} answer")),
        }
    }
}

pub fn version(facts: &Facts, findings: &mut Findings) {
    let Some(services) = seen(&facts.services, "nats.reached", findings) else {
        return;
    };
    let ours: Vec<&str> = ROLES.iter().flat_map(|(_, own, _)| own.iter().copied()).collect();
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for instance in services
        .iter()
        .filter(|instance| ours.contains(&instance.name.as_str()))
    {
        *versions.entry(&instance.version).or_default() += 1;
    }
    for process in facts.processes.iter().flatten() {
        *versions.entry(&process.info.version).or_default() += 1;
    }
    let own = env!("CARGO_PKG_VERSION");
    let found: Vec<String> = versions.keys().map(ToString::to_string).collect();
    match found.as_slice() {
        [] => findings.see("roles.running"),
        [one] if one == own => findings.ok("", format!("all run natterjack {own}")),
        [one] => findings.warn(
            "",
            format!("all run natterjack {one}, and this doctor is {own}"),
            "run the doctor of the same version",
        ),
        _ => findings.warn(
            "",
            format!("different versions run: {}", format::some(&found)),
            "fine during an upgrade; finish it, in the order of docs/operations.md",
        ),
    }
}

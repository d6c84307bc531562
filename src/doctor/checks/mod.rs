//! The checks: a table of them, each a function over what was seen.

mod certificates;
mod clocks;
mod dead;
mod disk;
mod edges;
mod lag;
mod nats;
mod permissions;
mod postgres;
mod push;
mod reach;
mod roles;
mod streams;

use super::{
    facts::{Facts, Seen},
    finding::{Finding, Findings},
};

/// One check.
struct Check {
    /// Its name, for machines: it stays.
    name: &'static str,
    run: fn(&Facts, &mut Findings),
}

const CHECKS: &[Check] = &[
    check("nats.reached", reach::nats),
    check("nats.servers", reach::servers),
    check("nats.version", nats::version),
    check("nats.sync", nats::sync),
    check("nats.disk", disk::nats),
    check("streams.shards", streams::shards),
    check("streams.topology", streams::topology),
    check("streams.replicas", streams::replicas),
    check("streams.fill", streams::fill),
    check("streams.lag", lag::lag),
    check("roles.running", roles::running),
    check("roles.version", roles::version),
    check("edges.leases", edges::leases),
    check("edges.ready", edges::ready),
    check("postgres.reached", reach::postgres),
    check("postgres.version", postgres::version),
    check("postgres.settings", postgres::settings),
    check("postgres.connections", postgres::connections),
    check("postgres.schema", postgres::schema),
    check("postgres.disk", disk::postgres),
    check("dead.pushes", dead::pushes),
    check("dead.history", dead::history),
    check("push.web", push::web),
    check("push.fcm", push::fcm),
    check("permissions", permissions::users),
    check("certificates", certificates::certificates),
    check("clocks", clocks::clocks),
];

const fn check(name: &'static str, run: fn(&Facts, &mut Findings)) -> Check {
    Check { name, run }
}

/// Runs all of them.
#[must_use]
pub fn all(facts: &Facts) -> Vec<Finding> {
    let mut all = Vec::new();
    for Check { name, run } in CHECKS {
        let mut findings = Findings::of(name);
        run(facts, &mut findings);
        all.extend(findings.done());
    }
    all
}

/// What was seen of a part; if nothing was, that is noted. Why not is told once, by the check that is named
/// `by`.
fn seen<'a, T>(part: &'a Seen<T>, by: &'static str, findings: &mut Findings) -> Option<&'a T> {
    match part {
        Ok(part) => Some(part),
        Err(_) => {
            findings.see(by);
            None
        }
    }
}

/// The same for a part that one check alone looks at: it tells itself why nothing was seen.
fn seen_or_told<'a, T>(part: &'a Seen<T>, findings: &mut Findings) -> Option<&'a T> {
    match part {
        Ok(part) => return Some(part),
        Err(missing) if missing.asked_for => findings.fail("", &missing.why, &missing.todo),
        Err(missing) => findings.skip(&missing.why, &missing.todo),
    }
    None
}

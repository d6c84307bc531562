//! What was given up and waits for a person.

use natterjack_nats::topology::PUSH_DEAD;

use super::seen;
use crate::doctor::{facts::Facts, finding::Findings};

pub fn pushes(facts: &Facts, findings: &mut Findings) {
    let Some(nats) = seen(&facts.nats, "nats.reached", findings) else {
        return;
    };
    match nats.streams.get(PUSH_DEAD).map(|info| info.state.messages) {
        None => findings.see("streams.replicas"),
        Some(0) => findings.ok("", "no push was given up"),
        Some(count) => findings.warn(
            "",
            format!("{count} pushes were given up in the last 30 days"),
            "see which with `nats req svc.push.dead '{}'`; once the reason is mended, `nats req svc.push.replay \
             '{}'`",
        ),
    }
}

pub fn history(facts: &Facts, findings: &mut Findings) {
    let Some(database) = seen(&facts.database, "postgres.reached", findings) else {
        return;
    };
    match database.dead_letters {
        None => findings.see("postgres.schema"),
        Some(0) => findings.ok("", "everything that was stored is in history"),
        Some(count) => findings.fail(
            "",
            format!("{count} messages could not be written into history"),
            "see \"Messages that could not be written\" in nats/README.md for which and why, and how to replay them; they are kept",
        ),
    }
}

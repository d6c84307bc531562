//! Whether keys let in whom they should, and permissions keep out what they should.

use super::seen_or_told;
use crate::doctor::{
    facts::{Facts, Tried},
    finding::Findings,
    format,
};

pub fn users(facts: &Facts, findings: &mut Findings) {
    let Some(all) = seen_or_told(&facts.permissions, findings) else {
        return;
    };
    for Tried { user, allowed } in all {
        match allowed {
            Err(why) => findings.fail(
                user.name(),
                format!("its key does not let it in: {why}"),
                "use the folder that belongs to this cluster; if it was written anew, tell each server with \
                 `nats-server --signal reload`",
            ),
            Ok(allowed) if !allowed.is_empty() => findings.fail(
                user.name(),
                format!("may use {}, which it must not", format::some(allowed)),
                "the servers run with other permissions than `natterjack provision --write-config` writes: \
                 write them anew, and tell each server with `nats-server --signal reload`",
            ),
            Ok(_) => {}
        }
    }
    if findings.all_well() {
        findings.ok(
            "",
            format!(
                "{} users get in with their keys, and no further than they should",
                all.len()
            ),
        );
    }
}

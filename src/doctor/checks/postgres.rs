//! Postgres: its version, settings that promises rest on, connections and schema.

use natterjack_nats::services::names;

use super::seen;
use crate::doctor::{facts::Facts, finding::Findings};

/// Percent of its connections from which Postgres is short of them.
const LOADED: i64 = 80;

pub fn version(facts: &Facts, findings: &mut Findings) {
    let Some(database) = seen(&facts.database, "postgres.reached", findings) else {
        return;
    };
    let words = format!("Postgres {}", database.version);
    if database.version_num < database.version_num_min {
        let oldest = database.version_num_min / 10_000;
        findings.fail("", words, format!("upgrade it to {oldest} or newer"));
    } else {
        findings.ok("", words);
    }
}

pub fn settings(facts: &Facts, findings: &mut Findings) {
    let Some(database) = seen(&facts.database, "postgres.reached", findings) else {
        return;
    };
    let off = |name: &str| database.settings.get(name).is_some_and(|value| value == "off");
    let lost = "after a crash, history may have lost what the streams have already let go";
    for (name, why) in [
        ("fsync", lost),
        (
            "full_page_writes",
            "a power cut may leave pages half written, and the database broken",
        ),
        ("synchronous_commit", lost),
    ] {
        if off(name) {
            findings.fail(
                name,
                format!("is off: {why}"),
                format!("set {name} = on in postgresql.conf, and reload"),
            );
        }
    }
    if off("autovacuum") {
        findings.warn(
            "autovacuum",
            "is off: tables grow and slow down, and in the end Postgres stops taking writes",
            "set autovacuum = on in postgresql.conf, and reload",
        );
    }
    if findings.all_well() {
        findings.ok(
            "",
            "commits are on disk: fsync, full_page_writes and synchronous_commit are on",
        );
    }
}

pub fn connections(facts: &Facts, findings: &mut Findings) {
    let Some(database) = seen(&facts.database, "postgres.reached", findings) else {
        return;
    };
    let (used, max) = (database.connections, database.connections_max);
    let persisters = facts.services.iter().flatten();
    let persisters = persisters
        .filter(|instance| instance.name == names::HISTORY)
        .count();
    let each = i64::from(facts.args.database.connections_max);
    let wanted = each * i64::try_from(persisters).unwrap_or(i64::MAX);
    let todo = "raise max_connections, or lower NATTERJACK_DATABASE_CONNECTIONS_MAX of the persisters";
    if used * 100 >= max * LOADED {
        findings.warn("", format!("{used} of {max} connections are taken"), todo);
    } else if wanted > max {
        findings.warn(
            "",
            format!("{persisters} persisters may make {wanted} connections, and Postgres takes {max}"),
            todo,
        );
    } else {
        findings.ok(
            "",
            format!("{used} of {max} are taken; {persisters} persisters may make {wanted}"),
        );
    }
}

pub fn schema(facts: &Facts, findings: &mut Findings) {
    let Some(database) = seen(&facts.database, "postgres.reached", findings) else {
        return;
    };
    let (found, known) = (database.schema, database.schema_known);
    let words = format!("the schema is at version {found}");
    if found == 0 {
        findings.fail(
            "",
            "the database has no schema yet",
            "start a persister, which makes it",
        );
    } else if found == known {
        findings.ok("", words);
    } else if found < known {
        findings.warn(
            "",
            format!("{words}, and this program knows {known}"),
            "start a persister of this version, which migrates it",
        );
    } else {
        findings.warn(
            "",
            format!("{words}, and this program knows only {known}"),
            "run the doctor of the version that runs here",
        );
    }
}

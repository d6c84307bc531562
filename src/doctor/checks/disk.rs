//! Room on the disks.

use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::seen;
use crate::doctor::{facts::Facts, finding::Findings, format};

/// Percent of a disk, or of what JetStream may take, from which somebody should act.
const FULL_WARNING: u64 = 80;
/// Percent from which it is urgent.
const FULL_FAILURE: u64 = 95;

pub fn nats(facts: &Facts, findings: &mut Findings) {
    let Some(servers) = seen(&facts.servers, "nats.servers", findings) else {
        return;
    };
    for server in servers {
        let Some(config) = &server.jetstream.config else {
            continue;
        };
        let stats = &server.jetstream.stats;
        let (taken, may) = (stats.storage, config.max_storage);
        let used = format::percent(taken, may);
        let words = format!(
            "holds {} of {} that it may take",
            format::bytes(taken),
            format::bytes(may)
        );
        let todo = "raise max_file_store and the disk behind it, or lower NATTERJACK_TAIL_WINDOW_HOURS";
        if used >= FULL_FAILURE {
            findings.fail(&server.name, words, todo);
        } else if used >= FULL_WARNING {
            findings.warn(&server.name, words, todo);
        } else if stats.reserved_storage > may {
            findings.warn(
                &server.name,
                format!(
                    "promised its streams {}, more than the {} that it may take",
                    format::bytes(stats.reserved_storage),
                    format::bytes(may)
                ),
                "raise max_file_store, or lower NATTERJACK_CHAT_BYTES_MAX and provision with --apply",
            );
        } else {
            findings.ok(&server.name, words);
        }
        here(findings, &server.name, &config.store_dir);
    }
}

pub fn postgres(facts: &Facts, findings: &mut Findings) {
    let Some(database) = seen(&facts.database, "postgres.reached", findings) else {
        return;
    };
    let known = database.data_directory.as_deref();
    if known.is_some_and(|dir| here(findings, "", dir)) {
        return;
    }
    findings.ok(
        "",
        format!(
            "the database takes {}; Postgres does not say how much is free: watch that disk where it is",
            format::bytes(database.database_bytes)
        ),
    );
}

/// Looks at the disk itself, where that directory is on this machine.
fn here(findings: &mut Findings, of: &str, dir: &str) -> bool {
    let path = Path::new(dir);
    if dir.is_empty() || !path.is_absolute() {
        return false;
    }
    let Ok(disk) = statvfs(path) else {
        return false;
    };
    let block = u128::from(disk.fragment_size());
    let bytes = |blocks: u128| u64::try_from(blocks * block).unwrap_or(u64::MAX);
    let free = bytes(u128::from(disk.blocks_available()));
    let all = bytes(u128::from(disk.blocks()));
    let full = 100_u64.saturating_sub(format::percent(free, all));
    let words = format!(
        "{} of {} are free on the disk of {dir}",
        format::bytes(free),
        format::bytes(all)
    );
    let todo = "make room or enlarge that disk: a full one stops everything that is stored";
    if full >= FULL_FAILURE {
        findings.fail(of, words, todo);
    } else if full >= FULL_WARNING + 5 {
        findings.warn(of, words, todo);
    } else {
        findings.ok(of, words);
    }
    true
}

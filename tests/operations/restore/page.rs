//! The blocks of docs/restore.md, by what they begin with.

use anyhow::{Context, ensure};

const PAGE: &str = include_str!("../../../docs/restore.md");

pub const DUMP: &str = "pg_dump ";
pub const BASE_BACKUP: &str = "pg_basebackup ";
pub const BACK_UP_BUCKETS: &str = "nats --context natterjack-admin backup stream KV_push_keys ";
pub const PUT_BASE_BACKUP: &str = "cp -a backup/base ";
pub const PUT_DUMP: &str = "pg_restore ";
pub const PUT_BUCKETS: &str = "nats --context natterjack-admin backup restore stream backup/KV_push_keys";
pub const PROVISION: &str = "natterjack provision ";
pub const LOOK: &str = "nats stream info CHAT_0 ";
pub const BACK_UP_CHAT: &str = "nats --context natterjack-admin backup stream CHAT_0 ";
pub const PUT_CHAT: &str = "sed -i ";

/// All of them, in the page's order; the rehearsals run each.
const RUN: &[&str] = &[
    DUMP,
    BASE_BACKUP,
    BACK_UP_BUCKETS,
    PUT_BASE_BACKUP,
    PUT_DUMP,
    PUT_BUCKETS,
    PROVISION,
    LOOK,
    BACK_UP_CHAT,
    PUT_CHAT,
];

/// What stands between fences, in the page's order.
fn blocks() -> Vec<Vec<&'static str>> {
    let mut open = None;
    let mut blocks = Vec::new();
    for line in PAGE.lines() {
        if line.starts_with("```") {
            match open.take() {
                Some(block) => blocks.push(block),
                None => open = Some(Vec::new()),
            }
        } else if let Some(block) = &mut open {
            block.push(line);
        }
    }
    blocks
}

/// The lines of the block that begins so.
pub fn block(begins: &str) -> anyhow::Result<Vec<&'static str>> {
    let begins_so = |block: &Vec<&str>| block.first().is_some_and(|line| line.starts_with(begins));
    let mut found = blocks().into_iter().filter(begins_so);
    let block = found
        .next()
        .with_context(|| format!("no block begins with {begins}"))?;
    ensure!(found.next().is_none(), "two blocks begin with {begins}");
    Ok(block)
}

#[test]
fn every_block_of_the_page_is_run() {
    let first: Vec<&str> = blocks().iter().map(|block| block[0]).collect();
    assert_eq!(first.len(), RUN.len(), "{first:#?}");
    for (first, begins) in first.iter().zip(RUN) {
        assert!(first.starts_with(begins), "{first} is not {begins}");
    }
}

//! The transcripts of `nats/golden/transcripts/`: the Rust client plays the client's side against a server that
//! reads the server's side, and a script plays the client's side against real edges.
//!
//! The TypeScript SDK plays them in `web/sdk/test/conformance/`.

mod client;
mod edge;
mod script;

use anyhow::Context;
use script::Script;

/// Each transcript is a test of its own for both players, named here so that none is forgotten.
macro_rules! transcripts {
    ($($name:ident: $file:literal),+ $(,)?) => {
        $(mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn the_client_plays_it() -> anyhow::Result<()> {
                super::client::play(super::Script::read($file)?).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_real_edge_plays_it() -> anyhow::Result<()> {
                super::edge::play(super::Script::read($file)?).await
            }
        })+

        const ALL: &[&str] = &[$($file),+];
    };
}

transcripts! {
    background: "background",
    codes_by_range: "codes-by-range",
    draining: "draining",
    edits_while_away: "edits-while-away",
    gap: "gap",
    half_open: "half-open",
    new_device: "new-device",
    newer_server: "newer-server",
    nudge: "nudge",
    own_edit: "own-edit",
    rate_limited: "rate-limited",
    refused: "refused",
    repetition: "repetition",
    resume: "resume",
    retry_same_id: "retry-same-id",
    revoked: "revoked",
    send_order: "send-order",
    token_expired: "token-expired",
    token_in_band: "token-in-band",
    truncated: "truncated",
    unknown_predecessor: "unknown-predecessor",
}

#[test]
fn every_transcript_is_played() -> anyhow::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(script::DIR)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            files.push(stem.context("a name in UTF-8")?.to_owned());
        }
    }
    files.sort();
    assert_eq!(files, ALL);
    Ok(())
}

//! What somebody changed with the `nats` command line is reported, put right where nothing can be lost by
//! that, and left alone with the reason where something could.

use std::process::{Output, Stdio};

use anyhow::ensure;
use natterjack::fleet::{Ground, GroundConfig};
use tokio::process::Command;

use crate::nats_cli::NatsCli;

async fn provision(ground: &Ground, more: &[&str]) -> anyhow::Result<Output> {
    let output = Command::new(env!("CARGO_BIN_EXE_natterjack"))
        .args(["provision", "--nats-url", ground.nats_url()])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .await?;
    Ok(output)
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// Fails unless each of these has a line, with all of its words in it.
fn tells(text: &str, lines: &[&[&str]]) -> anyhow::Result<()> {
    for words in lines {
        let found = text
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)));
        ensure!(found, "nothing says {words:?}:\n{text}");
    }
    Ok(())
}

#[tokio::test]
async fn what_was_changed_by_hand_is_told_and_put_right_where_that_is_safe() -> anyhow::Result<()> {
    let ground = Ground::start(GroundConfig {
        open: true,
        opened: true,
        ..GroundConfig::default()
    })
    .await?;
    let Some(nats) = NatsCli::find(ground.path(), &["--server", ground.nats_url()]).await? else {
        return ground.finish().await;
    };
    let fine = provision(&ground, &[]).await?;
    ensure!(fine.status.success(), "{}", said(&fine));
    ensure!(said(&fine).contains("nothing to do"), "{}", said(&fine));

    // Nothing is lost by taking these back.
    nats.run(&[
        "stream",
        "edit",
        "CHAT_0",
        "-f",
        "--max-bytes=100MiB",
        "--discard=old",
        "--no-republish",
    ])
    .await?;
    nats.run(&[
        "stream",
        "edit",
        "CHAT_1",
        "-f",
        "--subjects=chat.1.dm.>",
        "--description=mine",
    ])
    .await?;
    nats.run(&[
        "consumer",
        "edit",
        "CHAT_0",
        "persister",
        "-f",
        "--wait=2s",
        "--max-pending=7",
    ])
    .await?;
    let edges = nats.json(&["stream", "info", "KV_edges", "--json"]).await?;
    let mut config = edges["config"].clone();
    config["subject_delete_marker_ttl"] = serde_json::json!(60_000_000_000_u64);
    nats.run(&["req", "$JS.API.STREAM.UPDATE.KV_edges", &config.to_string()])
        .await?;
    // By these something could be.
    nats.run(&[
        "stream",
        "edit",
        "CHAT_2",
        "-f",
        "--subjects=chat.2.>",
        "--subjects=elsewhere.>",
        "--dupe-window=10m",
    ])
    .await?;
    nats.run(&["stream", "edit", "PUSH_DEAD", "-f", "--max-age=60d"])
        .await?;
    nats.run(&["consumer", "rm", "CHAT_3", "persister", "-f"]).await?;
    nats.run(&[
        "consumer",
        "add",
        "CHAT_3",
        "persister",
        "--pull",
        "--deliver=new",
        "--ack=explicit",
        "--defaults",
    ])
    .await?;

    let safe: &[&[&str]] = &[
        &["stream CHAT_0: max_bytes is 104857600, not 1073741824"],
        &["stream CHAT_0: discard is \"old\""],
        &["stream CHAT_0: republish is unset"],
        &["stream CHAT_1: subjects"],
        &["stream CHAT_1: description is \"mine\""],
        &["consumer CHAT_0 > persister: ack_wait is 2s, not 30s"],
        &["consumer CHAT_0 > persister: max_ack_pending is 7, not 8192"],
        &["bucket edges: subject_delete_marker_ttl is 60s, not 86400s"],
    ];
    let unsafe_ones: &[&[&str]] = &[
        &[
            "stream CHAT_2: subjects",
            "elsewhere.>",
            "left alone",
            "look who needs it",
        ],
        &[
            "stream CHAT_2: duplicate_window is 600s, not 120s",
            "left alone",
            "edges",
        ],
        &[
            "stream PUSH_DEAD: max_age is 5184000s",
            "left alone",
            "would delete",
        ],
        &[
            "consumer CHAT_3 > persister: deliver_policy is \"new\"",
            "left alone",
            "consumer rm",
        ],
    ];
    let told = provision(&ground, &[]).await?;
    ensure!(!told.status.success(), "drift is no success: {}", said(&told));
    tells(&said(&told), safe)?;
    tells(&said(&told), unsafe_ones)?;
    let untouched = nats.json(&["stream", "info", "CHAT_0", "--json"]).await?;
    ensure!(
        untouched["config"]["discard"] == "old",
        "a report changed something: {untouched}"
    );

    let applied = provision(&ground, &["--apply"]).await?;
    ensure!(
        !applied.status.success(),
        "what is left is told: {}",
        said(&applied)
    );
    tells(&said(&applied), unsafe_ones)?;
    tells(
        &said(&applied),
        &[
            &["updated", "stream CHAT_0"],
            &["updated", "stream CHAT_1"],
            &["updated", "bucket edges"],
        ],
    )?;
    let chat = nats.json(&["stream", "info", "CHAT_0", "--json"]).await?;
    let config = &chat["config"];
    ensure!(
        config["discard"] == "new"
            && config["max_bytes"] == 1 << 30
            && config["republish"]["dest"] == "live.>",
        "{config}"
    );
    let other = nats.json(&["stream", "info", "CHAT_2", "--json"]).await?;
    ensure!(
        other["config"]["subjects"].as_array().map(Vec::len) == Some(2),
        "what was to be left alone was not: {other}"
    );

    // A person decides.
    nats.run(&[
        "stream",
        "edit",
        "CHAT_2",
        "-f",
        "--subjects=chat.2.>",
        "--dupe-window=2m",
    ])
    .await?;
    nats.run(&["stream", "edit", "PUSH_DEAD", "-f", "--max-age=30d"])
        .await?;
    nats.run(&["consumer", "rm", "CHAT_3", "persister", "-f"]).await?;
    let mended = provision(&ground, &[]).await?;
    ensure!(mended.status.success(), "{}", said(&mended));
    tells(&said(&mended), &[&["created", "consumer CHAT_3 > persister"]])?;
    let fine = provision(&ground, &[]).await?;
    ensure!(said(&fine).contains("nothing to do"), "{}", said(&fine));

    let fewer = provision(&ground, &["--shards", "2", "--apply"]).await?;
    ensure!(!fewer.status.success());
    tells(
        &said(&fewer),
        &[&["provisioned with 4 shards and cannot change to 2"]],
    )?;
    let smaller = provision(&ground, &["--chat-bytes-max", "536870912"]).await?;
    tells(
        &said(&smaller),
        &[&["stream CHAT_0: max_bytes is 1073741824, not 536870912"]],
    )?;
    ground.finish().await
}

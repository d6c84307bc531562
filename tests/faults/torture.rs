//! `natterjack torture`, the command itself, on a short set of seeds.

use std::process::Command;

use natterjack_runtime::skipped::{By, skip_test};
use serde_json::Value;

use crate::programs::Kind;

/// Runs it; fails with the verdict if a promise was broken.
fn torture(seed: u64, more: &[&str]) -> anyhow::Result<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_natterjack"))
        .args([
            "torture",
            "--json",
            "--clients",
            "18",
            "--seed",
            &seed.to_string(),
        ])
        .args(more)
        .output()?;
    let (told, verdict) = (
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    anyhow::ensure!(output.status.success(), "{told}\n{verdict}");
    let verdict: Value = serde_json::from_str(&verdict)?;
    println!("{}: {}", verdict["command"], verdict["checked"]);
    for what in verdict["left_out"].as_array().into_iter().flatten() {
        skip_test(By::Kernel, &format!("a fault run leaves out {what}"))?;
    }
    Ok(verdict)
}

/// What a run of nothing would not show.
fn is_telling(verdict: &Value, faults: u64) -> anyhow::Result<()> {
    let count = |name: &str| verdict["checked"][name].as_u64().unwrap_or_default();
    anyhow::ensure!(
        verdict["kept"] == true && verdict["violation"].is_null(),
        "{verdict:#}"
    );
    for (name, least) in [
        ("acked", 100),
        ("delivered", 300),
        ("receivers", 50),
        ("changed", 5),
        ("cursors", 50),
        ("shown", 100),
    ] {
        anyhow::ensure!(count(name) >= least, "{name}: {verdict:#}");
    }
    let happened: u64 = verdict["faults"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_u64)
        .sum();
    anyhow::ensure!(happened == faults, "{happened} faults: {verdict:#}");
    Ok(())
}

/// One after the other, so that each has the machine for itself.
#[tokio::test]
async fn whatever_fails_every_promise_is_kept() -> anyhow::Result<()> {
    let clocks = Kind {
        name: "libfaketime",
        programs: &["faketime"],
        package: "faketime",
    };
    // Said by then where it is not there.
    clocks.locate().await?;
    for seed in [1, 2, 4] {
        is_telling(&torture(seed, &["--faults", "6"])?, 6)?;
    }
    // A cluster that loses leaders, links and majorities.
    let cluster = [
        "--nats-nodes",
        "3",
        "--faults",
        "6",
        "--faults-of",
        "cluster,kill,cut",
    ];
    is_telling(&torture(3, &cluster)?, 6)
}

#[test]
fn the_same_seed_gives_the_same_plan() -> anyhow::Result<()> {
    let plan = |seed: &str| {
        let words = ["torture", "--plan", "--faults", "30", "--seed", seed];
        Command::new(env!("CARGO_BIN_EXE_natterjack"))
            .args(words)
            .output()
    };
    let (one, same, other) = (plan("7")?, plan("7")?, plan("8")?);
    assert!(one.status.success());
    assert_eq!(String::from_utf8(one.stdout.clone())?.lines().count(), 30);
    assert_eq!(one.stdout, same.stdout);
    assert_ne!(one.stdout, other.stdout);
    Ok(())
}

#[test]
fn a_run_that_cannot_start_says_so_and_fails() -> anyhow::Result<()> {
    let full = tempfile::tempdir()?;
    std::fs::write(full.path().join("something"), "")?;
    let output = Command::new(env!("CARGO_BIN_EXE_natterjack"))
        .args(["torture", "--faults", "1", "--keep"])
        .arg(full.path())
        .output()?;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("name another directory"));
    Ok(())
}

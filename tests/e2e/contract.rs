//! The HTTP API against its own description: schemathesis makes requests from `docs/openapi.json`,
//! good ones and bad ones, and looks whether every answer is one of those that are written there.
//! docs/fuzzing.md tells how to run it for longer.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, ensure};
use natterjack_runtime::servers::{SilentProgress, install_python, testing_tools_dir};
use tokio::process::Command;

use crate::support::stage::{self, Play};

const NAME: &str = "schemathesis-4.32.5";
const REQUIREMENTS: &str = include_str!("contract/requirements.txt");

/// More than it takes on a busy machine; the request count is what bounds it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Requests for each operation and phase; the seed of them all.
const EXAMPLES: &str = "4";
const SEED: &str = "1";

/// A program of Python with the tool's libraries, in the directory of its files.
async fn python(url: &str) -> anyhow::Result<Command> {
    let libraries = install_python(NAME, REQUIREMENTS, &testing_tools_dir(), &SilentProgress).await?;
    let mut python = Command::new("python3");
    python
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/contract"))
        .env("PYTHONPATH", libraries)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NATTERJACK_URL", url)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Ok(python)
}

/// Runs it to its end, and fails with what it printed if it does.
async fn succeeds(mut command: Command) -> anyhow::Result<String> {
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .context("it did not end")?
        .context("python3")?;
    let printed = |bytes: &[u8]| {
        // Reproductions of large requests are long.
        let cut = |line: &str| line.chars().take(400).collect::<String>();
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().map(cut).collect::<Vec<_>>().join("\n")
    };
    let (told, complained) = (printed(&output.stdout), printed(&output.stderr));
    ensure!(output.status.success(), "{}\n{told}\n{complained}", output.status);
    Ok(told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_documented() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let url = house.url(0);
        let mut goldens = python(&url).await?;
        goldens.arg("goldens.py");
        succeeds(goldens).await?;
        let mut fuzz = python(&url).await?;
        let document = format!("{url}/v1/openapi.json");
        fuzz.args([
            "-m",
            "schemathesis.cli",
            "--config-file",
            "schemathesis.toml",
            "run",
        ])
        .arg(document)
        .args(["--max-examples", EXAMPLES, "--seed", SEED, "--no-color"]);
        let told = succeeds(fuzz).await?;
        // That it ran at all: operations tested, and no phase left out.
        for phase in ["Examples (in", "Coverage (in", "Fuzzing (in", "Stateful (in"] {
            ensure!(told.contains(phase), "no {phase}\n{told}");
        }
        Ok(())
    })
    .await
}

//! The page for operators, nats/README.md: each of its commands is run, as the page has it, with the contexts
//! that `natterjack provision --write-config` ships, on a cluster in which people talk, and shows what the
//! page says. NATS may refuse nothing meanwhile.

mod cases;
mod people;
mod scene;

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::{
    io::AsyncReadExt as _,
    process::Command,
    time::{Instant, sleep, timeout_at},
};

use cases::{CASES, Case, How};
use scene::{SECRET, Scene};

use crate::page::{PAGE, commands, typed};

const FENCE: &str = "```sh";
/// Those that need three nodes or change keys: `tests/cluster/` runs them.
const IN_A_CLUSTER: &str = "```sh cluster";
/// What is set for all commands instead.
const EXPORT: &str = "export XDG_CONFIG_HOME=DIR/cli";
/// How long a command may take to show what it should, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

#[test]
fn every_command_of_the_page_is_expected_to_show_something() {
    let cases: Vec<&str> = CASES.iter().map(|case| case.command).collect();
    let mut run_here = commands(FENCE);
    run_here.retain(|line| *line != EXPORT);
    assert_eq!(
        run_here, cases,
        "cases.rs says what each command of the page shows"
    );
}

#[test]
fn a_test_runs_each_block_of_the_page() {
    let mut fenced = false;
    for line in PAGE.lines().filter(|line| line.starts_with("```")) {
        fenced = !fenced;
        assert!(!fenced || line == FENCE || line == IN_A_CLUSTER, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_page_shows_what_it_says() -> anyhow::Result<()> {
    let Some(mut scene) = Scene::start().await? else {
        return Ok(());
    };
    let mut wrong = Vec::new();
    for case in CASES {
        if let Err(error) = shows(&mut scene, case).await {
            wrong.push(format!("{error:#}"));
        }
        // Nothing that follows what they say would show anything.
        if scene.fell_silent() {
            break;
        }
    }
    if scene.fell_silent() {
        return scene.finish().await;
    }
    ensure!(
        wrong.is_empty(),
        "{} commands:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    scene.finish().await
}

/// Runs one.
async fn shows(scene: &mut Scene, case: &Case) -> anyhow::Result<()> {
    let command = case.command;
    scene
        .before(case.before)
        .await
        .with_context(|| format!("before {command}"))?;
    let line = scene.fill(command);
    let shows: Vec<String> = case.shows.iter().map(|words| scene.fill(words)).collect();
    let said = match case.how {
        How::Once => once(scene, &line).await?,
        How::Looks => looks(scene, &line, &shows).await?,
        How::Follows => follows(scene, &line, &shows).await?,
    };
    for words in &shows {
        ensure!(said.contains(words), "{line}\ndoes not show {words:?}:\n{said}");
    }
    let reads = shows.iter().any(|words| words == SECRET);
    ensure!(
        reads || !said.contains(SECRET),
        "{line}\nshows what people write:\n{said}"
    );
    Ok(())
}

/// A line as a person types it.
fn command(scene: &Scene, line: &str) -> Command {
    let mut command = typed(line);
    command
        .current_dir(scene.dir())
        .envs(scene.environment(line.starts_with("natterjack ")));
    command
}

async fn run(scene: &Scene, line: &str) -> anyhow::Result<(bool, String)> {
    let ended = tokio::time::timeout(PATIENCE, command(scene, line).output());
    let ended = ended.await.with_context(|| format!("{line}\nhangs"))??;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    Ok((ended.status.success(), said))
}

/// One that changes something.
async fn once(scene: &Scene, line: &str) -> anyhow::Result<String> {
    let (well, said) = run(scene, line).await?;
    ensure!(well, "{line}\nfails:\n{said}");
    Ok(said)
}

/// One that may be repeated until what is on its way has come.
async fn looks(scene: &Scene, line: &str, shows: &[String]) -> anyhow::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (well, said) = run(scene, line).await?;
        if well && shows.iter().all(|words| said.contains(words)) || Instant::now() > deadline {
            ensure!(well, "{line}\nfails:\n{said}");
            return Ok(said);
        }
        sleep(POLL).await;
    }
}

/// One that goes on until it is interrupted, here as soon as it has shown what it should.
async fn follows(scene: &Scene, line: &str, shows: &[String]) -> anyhow::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut child = command(scene, line).spawn()?;
    let mut output = child.stdout.take().context("its output")?;
    let (mut said, mut some) = (Vec::new(), [0; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&said).into_owned();
        if shows.iter().all(|words| text.contains(words)) {
            child.kill().await?;
            return Ok(text);
        }
        match timeout_at(deadline, output.read(&mut some)).await {
            Ok(count) => match count? {
                0 => return Ok(text),
                count => said.extend_from_slice(&some[..count]),
            },
            Err(_) => return Ok(text),
        }
    }
}

//! The web side's own tests, as a part of `cargo test`: formatting, lints and types, the SDK's and the page's
//! suites, and the page in a real Chromium, each against the program of this build.
//!
//! Without Node they are skipped, and say so. What they need from npm is installed once.

#[path = "../shared/browsers.rs"]
mod browsers;

use std::{io::Write as _, time::Duration};

use anyhow::Context as _;
use browsers::Kind;
use natterjack::web::{Built, Npm, Source};
use natterjack_runtime::{
    servers::{Progress, testing_tools_dir},
    skipped::{By, skip_test},
};
use tokio::sync::{Mutex, OnceCell};

const CHROMIUM: Kind = Kind {
    name: "Chromium",
    programs: &["chromium", "chromium-browser", "google-chrome"],
    package: "chromium",
};
/// Of what a suite said, where it fails.
const LINES: usize = 400;

/// What can be done where npm's registry is out of reach.
const LEFT_OUT: &str = "the tests of web/ cannot be prepared; leave them out with `cargo test --workspace -- \
                        --skip formatting_lints_and_types --skip the_sdk --skip the_page_in`";

/// One suite at a time: each uses all there is, and has limits of time.
static TURN: Mutex<()> = Mutex::const_new(());
static READY: OnceCell<Option<Npm>> = OnceCell::const_new();

/// Says past the test harness, which keeps to itself what a test that passes prints.
struct Loud;

impl Progress for Loud {
    fn say(&self, line: &str) {
        let _ = writeln!(std::io::stderr(), "web: {line}");
    }
}

/// An npm with all that the suites need installed and built; `None`, said loudly, without Node.
async fn npm() -> anyhow::Result<Option<Npm>> {
    let ready = READY.get_or_try_init(|| async {
        let source = Source::of_this_program().context("the sources of the web client are gone")?;
        if let Built::NoNode(missing) = source.build(&Loud).await.context(LEFT_OUT)? {
            skip_test(
                By::Npm,
                &format!("the web side: {missing}, and run this test again"),
            )?;
            return Ok(None);
        }
        let npm = source.install(&Loud).await.context(LEFT_OUT)?.tells(LINES);
        npm.run(&["run", "build", "--workspace", "sdk"], Duration::from_secs(180))
            .await?;
        let tools = testing_tools_dir();
        let npm = npm
            .env("NATTERJACK_BIN", env!("CARGO_BIN_EXE_natterjack"))
            .env("NATTERJACK_TOOLS_DIR", &tools.to_string_lossy());
        anyhow::Ok(Some(npm))
    });
    ready.await.cloned()
}

async fn run(words: &[&str], minutes: u64) -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let Some(npm) = npm().await? else { return Ok(()) };
    npm.run(words, Duration::from_secs(minutes * 60)).await
}

#[tokio::test]
async fn formatting_lints_and_types() -> anyhow::Result<()> {
    run(&["run", "check"], 6).await
}

#[tokio::test]
async fn the_sdk() -> anyhow::Result<()> {
    run(&["run", "test", "--workspace", "sdk"], 8).await
}

#[tokio::test]
async fn the_page_in_parts() -> anyhow::Result<()> {
    // Beside other tests on a small machine, the five seconds that a test has are not much.
    run(
        &[
            "run",
            "test",
            "--workspace",
            "client",
            "--",
            "--testTimeout=60000",
        ],
        6,
    )
    .await
}

#[tokio::test]
async fn the_page_in_a_browser() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let Some(npm) = npm().await? else { return Ok(()) };
    let Some(chromium) = CHROMIUM.locate().await? else {
        return Ok(());
    };
    let npm = npm.env("CHROMIUM", &chromium.to_string_lossy());
    npm.run(
        &["run", "test", "--workspace", "e2e"],
        Duration::from_secs(15 * 60),
    )
    .await
}

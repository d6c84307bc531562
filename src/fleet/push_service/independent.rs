//! Opening pushes by `http_ece`, in a process of Python's.

use std::process::Stdio;

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use natterjack_runtime::servers::{SilentProgress, install_python, testing_tools_dir};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
};

use super::Subscription;

const NAME: &str = "http_ece-1.2.1";
const REQUIREMENTS: &str = include_str!("requirements.txt");
const PROGRAM: &str = include_str!("opener.py");

/// The process.
#[derive(Debug)]
pub(super) struct Opener(Mutex<Pipes>);

#[derive(Debug)]
struct Pipes {
    /// Ends with its handle.
    _child: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Opener {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let libraries = install_python(NAME, REQUIREMENTS, &testing_tools_dir(), &SilentProgress).await?;
        let mut child = Command::new("python3")
            .args(["-c", PROGRAM])
            .env("PYTHONPATH", libraries)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start python3")?;
        let ask = child.stdin.take().context("no pipe")?;
        let answers = child.stdout.take().context("no pipe")?;
        Ok(Self(Mutex::new(Pipes {
            _child: child,
            ask,
            answers: BufReader::new(answers).lines(),
        })))
    }

    /// The plain text of a body.
    pub(super) async fn open(&self, body: &[u8], subscription: &Subscription) -> anyhow::Result<Vec<u8>> {
        let question = json!({
            "private_key": subscription.private_key,
            "auth": subscription.auth,
            "body": BASE64_URL_SAFE_NO_PAD.encode(body),
        });
        let mut pipes = self.0.lock().await;
        pipes.ask.write_all(format!("{question}\n").as_bytes()).await?;
        let line = pipes.answers.next_line().await?.context("http_ece has ended")?;
        let answer: Value = serde_json::from_str(&line)?;
        match answer["plain"].as_str() {
            Some(plain) => Ok(BASE64_URL_SAFE_NO_PAD.decode(plain)?),
            None => bail!("http_ece: {}", answer["error"]),
        }
    }
}

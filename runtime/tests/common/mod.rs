//! What the tests with real servers share.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "every test program has its own copy and uses a part of it, so that `expect` fails in some"
)]

use std::time::Duration;

use anyhow::{Context as _, bail};
use natterjack_runtime::servers::{StderrProgress, Tools, testing_tools_dir};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Nothing here takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub async fn tools() -> anyhow::Result<Tools> {
    Ok(Tools::locate_or_install(&testing_tools_dir(), &StderrProgress).await?)
}

pub async fn until(what: &str, mut condition: impl FnMut() -> bool) -> anyhow::Result<()> {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll)
        .await
        .with_context(|| format!("waited for: {what}"))
}

/// Whether the process exists and is more than an unreaped entry.
pub fn alive(pid: u32) -> bool {
    !matches!(state_of(pid), None | Some('Z'))
}

/// The state letter of a process, as `ps` shows it.
pub fn state_of(pid: u32) -> Option<char> {
    let output = std::process::Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stdout).trim().chars().next()
}

pub async fn http_get(base: &str, path: &str) -> anyhow::Result<String> {
    let address = base.strip_prefix("http://").context("no http address")?;
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        bail!("half an answer: {answer}")
    };
    anyhow::ensure!(head.contains(" 200 "), "{head}");
    Ok(body.to_owned())
}

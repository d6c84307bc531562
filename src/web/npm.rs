//! Node and npm: found if they are new enough, and run so that they end with whoever asked for it.

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
    time::timeout,
};

/// Which versions of Node build the web client, in words.
pub const NODE: &str = "Node.js 20.19, 22.12 or newer";
/// How many lines of what failed are told, unless it is chosen.
const LAST_LINES: usize = 25;
/// How long `--version` may take.
const VERSION: Duration = Duration::from_secs(10);

/// An npm that works, in the directory of its packages.
#[derive(Debug, Clone)]
pub struct Npm {
    dir: PathBuf,
    env: Vec<(String, String)>,
    lines: usize,
    lock: Option<Arc<File>>,
}

impl Npm {
    /// npm, beside a Node that is new enough.
    ///
    /// # Errors
    /// What is missing, in words for whoever starts the server.
    pub async fn find(dir: &Path) -> Result<Self, String> {
        let Some(node) = version("node").await else {
            return Err(format!("there is no Node.js here: install {NODE}"));
        };
        if !new_enough(&node) {
            return Err(format!("Node.js {node} is too old: install {NODE}"));
        }
        if version("npm").await.is_none() {
            return Err("there is Node.js here, but no npm: install it".to_owned());
        }
        Ok(Self {
            dir: dir.to_owned(),
            env: Vec::new(),
            lines: LAST_LINES,
            lock: None,
        })
    }

    /// With one more variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Telling at most so many of the last lines of what failed.
    #[must_use]
    pub const fn tells(mut self, lines: usize) -> Self {
        self.lines = lines;
        self
    }

    /// Keeping a locked file, as long as anything lives that it started: should this program be killed, the
    /// lock does not end before what npm started.
    #[must_use]
    pub(super) fn keeping(mut self, lock: &Arc<File>) -> Self {
        self.lock = Some(Arc::clone(lock));
        self
    }

    /// Runs `npm` with these words; all that it started is gone when this ends, however it ends.
    ///
    /// # Errors
    /// It fails or takes too long; the error holds its last lines.
    pub async fn run(&self, words: &[impl AsRef<OsStr>], limit: Duration) -> anyhow::Result<()> {
        let stdin = match &self.lock {
            // An empty file, as good as none; npm hands it on to what it starts.
            Some(lock) => Stdio::from(lock.try_clone()?),
            None => Stdio::null(),
        };
        let mut child = Command::new("npm")
            .args(words)
            .current_dir(&self.dir)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            // A server's `NODE_ENV=production` would leave out all that a build needs.
            .env_remove("NODE_ENV")
            // Plain lines, and no question to anybody.
            .envs([
                ("CI", "1"),
                ("NO_COLOR", "1"),
                ("NPM_CONFIG_UPDATE_NOTIFIER", "false"),
            ])
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("npm cannot be started")?;
        let group = Group(
            child
                .id()
                .and_then(|pid| i32::try_from(pid).ok())
                .map(Pid::from_raw),
        );
        let heard = Mutex::new(Vec::new());
        let (stdout, stderr) = (
            lines(child.stdout.take(), &heard),
            lines(child.stderr.take(), &heard),
        );
        let ended = timeout(limit, async { tokio::join!(stdout, stderr, child.wait()).2 }).await;
        drop(group);
        let heard = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
        let said = last(&heard, self.lines).join("\n");
        let words: Vec<_> = words.iter().map(|word| word.as_ref().to_string_lossy()).collect();
        let what = format!("npm {}", words.join(" "));
        let Ok(status) = ended else {
            anyhow::bail!("`{what}` took longer than {} s:\n{said}", limit.as_secs());
        };
        let status = status?;
        anyhow::ensure!(status.success(), "`{what}` failed ({status}):\n{said}");
        Ok(())
    }
}

/// The processes that npm starts; killed with it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody is left of it, if all went well.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

async fn lines(stream: Option<impl AsyncRead + Unpin>, heard: &Mutex<Vec<String>>) {
    let Some(stream) = stream else { return };
    let (mut stream, mut line) = (BufReader::new(stream), Vec::new());
    while stream
        .read_until(b'\n', &mut line)
        .await
        .is_ok_and(|read| read > 0)
    {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        line.clear();
    }
}

/// The last lines that say something; where in its own code a tool noticed it is nothing to anybody.
fn last(lines: &[String], most: usize) -> Vec<&str> {
    let says = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("at ");
    let said = lines.iter().map(String::as_str).filter(says);
    let mut last: Vec<_> = said.rev().take(most).collect();
    last.reverse();
    last
}

async fn version(program: &str) -> Option<String> {
    let asked = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(VERSION, asked).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| text.trim().trim_start_matches('v').to_owned())
}

/// Whether the tools of the build run on it: Vite 8 asks for `^20.19.0 || >=22.12.0`.
fn new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(20), Some(minor)) => minor >= 19,
        (Some(22), Some(minor)) => minor >= 12,
        (Some(major), _) => major > 22,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for good in ["20.19.0", "20.20.2", "22.12.0", "23.0.0", "26.1.0"] {
            assert!(new_enough(good), "{good}");
        }
        for old in ["", "18.20.0", "20.9.0", "20.18.3", "21.7.0", "22.2.0", "twenty"] {
            assert!(!new_enough(old), "{old}");
        }
    }
}

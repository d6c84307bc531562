//! Children of an earlier run that died without stopping them.
//!
//! Normally the kernel ends them with their parent. Where it does not (macOS, or no
//! setpriv), or while they still shut down, the next start ends what is verifiably ours:
//! the process that we noted, with our directory in its command line. The caller holds
//! the lock on the data directory, so that such a process cannot belong to a live run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ServerError;

const GRACE: Duration = Duration::from_secs(10);
/// Idle backends notice within milliseconds; only one that is deep in a computation does
/// not, and nobody is there any more to want its result.
const BACKEND_GRACE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);

/// Ends the process noted in `pid_file` if its command line contains `dir`.
pub(super) async fn end_noted(pid_file: &Path, dir: &Path, signal: Signal) -> Result<(), ServerError> {
    let noted = fs::read_to_string(pid_file).ok();
    let Some(pid) = noted.and_then(|text| text.trim().parse().ok()) else {
        return Ok(());
    };
    if !is_ours(pid, dir).await {
        return Ok(());
    }
    tracing::warn!(pid, dir = %dir.display(), "ending a server that an earlier run left behind");
    for signal in [signal, Signal::SIGKILL] {
        send(pid, signal);
        send(pid, Signal::SIGCONT);
        if holds_within(|| async { gone(pid) }, GRACE).await {
            return Ok(());
        }
    }
    Err(ServerError::Leftover {
        pid,
        dir: dir.to_owned(),
    })
}

/// Waits until no Postgres process works in `dir`. After a SIGKILL of the postmaster its
/// backends end by themselves within moments, and starting before would corrupt nothing,
/// but fail. Only Linux can be asked; elsewhere Postgres's own check has to do.
pub(super) async fn wait_for_backends(dir: &Path) -> Result<(), ServerError> {
    let none = || async { backends(dir).is_empty() };
    if holds_within(none, BACKEND_GRACE).await {
        return Ok(());
    }
    for pid in backends(dir) {
        send(pid, Signal::SIGKILL);
    }
    if holds_within(none, GRACE).await {
        return Ok(());
    }
    let pid = backends(dir).first().copied().unwrap_or_default();
    Err(ServerError::Leftover {
        pid,
        dir: dir.to_owned(),
    })
}

/// Whether [`wait_for_backends`] can see processes here.
pub(super) fn can_see_processes() -> bool {
    Path::new("/proc/self/cwd").exists()
}

async fn holds_within<F: Future<Output = bool>>(done: impl Fn() -> F, grace: Duration) -> bool {
    let poll = async {
        while !done().await {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(grace, poll).await.is_ok()
}

/// Whether the process has let go of its files and ports. One that nobody reaps stays
/// listed, and its first thread may be listed as ended while others still end.
fn gone(pid: u32) -> bool {
    if !can_see_processes() {
        let exists = i32::try_from(pid).map(|pid| kill(Pid::from_raw(pid), None));
        return matches!(exists, Ok(Err(nix::errno::Errno::ESRCH)) | Err(_));
    }
    let process = Path::new("/proc").join(pid.to_string());
    let Ok(stat) = fs::read_to_string(process.join("stat")) else {
        return true;
    };
    // The name before it stands in parentheses and may contain anything.
    let ended = stat
        .rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']));
    let threads = fs::read_dir(process.join("task")).map_or(0, Iterator::count);
    ended && threads <= 1
}

async fn is_ours(pid: u32, dir: &Path) -> bool {
    command_line(pid)
        .await
        .is_some_and(|line| line.contains(&*dir.to_string_lossy()))
}

async fn command_line(pid: u32) -> Option<String> {
    if can_see_processes() {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    let pid = pid.to_string();
    let output = tokio::process::Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", pid.as_str()])
        .output()
        .await
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn backends(dir: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let process = Path::new("/proc").join(pid.to_string());
            // A person's shell may stand in the directory too; only Postgres counts.
            fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == dir)
                && fs::read_to_string(process.join("comm")).is_ok_and(|name| name.starts_with("postgres"))
        })
        .collect()
}

fn send(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process with `dir` in its command line, which waits for input without end.
    fn sleeper(dir: &Path) -> std::io::Result<Child> {
        Command::new("sh")
            .args(["-c", "read line", "sh"])
            .arg(dir)
            .stdin(Stdio::piped())
            .spawn()
    }

    #[tokio::test]
    async fn only_the_noted_process_with_our_directory_is_ended() -> anyhow::Result<()> {
        let temp = tempfile::tempdir()?;
        let (dir, pid_file) = (temp.path().join("ours"), temp.path().join("pid"));
        end_noted(&pid_file, &dir, Signal::SIGTERM).await?;

        let other = temp.path().join("other");
        let mut foreign = sleeper(&other)?;
        assert!(holds_within(|| is_ours(foreign.id(), &other), GRACE).await);
        fs::write(&pid_file, foreign.id().to_string())?;
        end_noted(&pid_file, &dir, Signal::SIGTERM).await?;
        assert!(
            foreign.try_wait()?.is_none(),
            "a stranger with a reused process id was ended"
        );
        foreign.kill()?;
        foreign.wait()?;

        let mut ours = sleeper(&dir)?;
        // A command line shows up a moment after the process.
        assert!(holds_within(|| is_ours(ours.id(), &dir), GRACE).await);
        fs::write(&pid_file, format!("{}\n", ours.id()))?;
        end_noted(&pid_file, &dir, Signal::SIGTERM).await?;
        assert!(ours.try_wait()?.is_some());
        Ok(())
    }
}

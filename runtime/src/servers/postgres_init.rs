//! Making a new database cluster, so that a half made one never counts.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use rand::distr::{Alphanumeric, SampleString as _};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::launch::Wrapper;
use super::{ServerError, Tools};

/// The major version that we start, install and accept.
pub(super) const MAJOR: u32 = 18;
/// The database that is made beside Postgres's own.
pub(super) const DATABASE: &str = "natterjack";
/// 62^32 possibilities.
const PASSWORD_CHARS: usize = 32;
const OUTPUT_LINES: usize = 20;

/// Paths in the directory of one Postgres.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) dir: PathBuf,
    pub(super) data: PathBuf,
    pub(super) password: PathBuf,
}

impl Layout {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            data: dir.join("data"),
            password: dir.join("password"),
            dir,
        }
    }
}

/// Makes the cluster if there is none; answers the password of the user `postgres`.
pub(super) async fn ensure(tools: &Tools, layout: &Layout, wrapper: &Wrapper) -> Result<String, ServerError> {
    if layout.data.exists() {
        check_version(&layout.data)?;
        return fs::read_to_string(&layout.password)
            .ok()
            .map(|password| password.trim().to_owned())
            .filter(|password| !password.is_empty())
            .ok_or_else(|| ServerError::PasswordLost {
                path: layout.password.clone(),
            });
    }
    let password = new_password(&layout.password)?;
    let half = layout.dir.join("data.new");
    if half.exists() {
        // Left by a start that was interrupted here.
        fs::remove_dir_all(&half).map_err(ServerError::file("remove", &half))?;
    }
    if let Some((uid, gid)) = wrapper.owner {
        for path in [&layout.dir, &layout.password] {
            chown(path, Some(uid), Some(gid)).map_err(ServerError::file("give away", path))?;
        }
    }
    init(tools, wrapper, &half, &layout.password).await?;
    create_database(tools, wrapper, &half).await?;
    fs::rename(&half, &layout.data).map_err(ServerError::file("rename", &half))?;
    // The rename itself has to be on disk before anything counts on what is in there.
    fs::File::open(&layout.dir)
        .and_then(|dir| dir.sync_all())
        .map_err(ServerError::file("sync", &layout.dir))?;
    Ok(password)
}

fn check_version(data: &Path) -> Result<(), ServerError> {
    let path = data.join("PG_VERSION");
    let found = fs::read_to_string(&path).map_err(ServerError::file("read", &path))?;
    let found = found.trim();
    if found == MAJOR.to_string() {
        return Ok(());
    }
    Err(ServerError::OtherVersion {
        dir: data.to_owned(),
        found: found.to_owned(),
        wanted: MAJOR,
    })
}

fn new_password(path: &Path) -> Result<String, ServerError> {
    let password = Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_CHARS);
    let write = || -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{password}")?;
        file.sync_all()
    };
    write().map_err(ServerError::file("write", path))?;
    Ok(password)
}

async fn init(tools: &Tools, wrapper: &Wrapper, data: &Path, password: &Path) -> Result<(), ServerError> {
    let mut argv = wrapper.argv(&tools.initdb());
    argv.push("-D".into());
    argv.push(data.into());
    argv.push("--pwfile".into());
    argv.push(password.into());
    argv.extend(
        [
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            // The same order of text on every machine, whatever locales it has.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        .map(Into::into),
    );
    step("initdb", argv, "").await
}

/// We link no Postgres client, so that it cannot be used from here: Postgres's
/// single-user mode makes the database.
async fn create_database(tools: &Tools, wrapper: &Wrapper, data: &Path) -> Result<(), ServerError> {
    let mut argv = wrapper.argv(&tools.postgres());
    argv.extend(["--single", "-D"].map(Into::into));
    argv.push(data.into());
    // The last word is the database to connect to; -j would change how lines end.
    argv.push("postgres".into());
    step("create database", argv, &format!("create database {DATABASE};\n")).await
}

async fn step(name: &'static str, argv: Vec<std::ffi::OsString>, input: &str) -> Result<(), ServerError> {
    let [program, arguments @ ..] = argv.as_slice() else {
        return Ok(());
    };
    let output = run(program, arguments, input)
        .await
        .map_err(|source| ServerError::Spawn {
            program: program.into(),
            source,
        })?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    // Single-user mode ends well even if a statement failed.
    if output.status.success() && !text.contains("ERROR:") {
        return Ok(());
    }
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let first = lines.len().saturating_sub(OUTPUT_LINES);
    Err(ServerError::Setup {
        step: name,
        output: lines.into_iter().skip(first).collect(),
    })
}

async fn run(program: &std::ffi::OsStr, arguments: &[std::ffi::OsString], input: &str) -> io::Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        // Messages in English, so that they can be recognised and looked up.
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading has its reason in its output.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    child.wait_with_output().await
}

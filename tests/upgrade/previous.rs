//! The previous version of the program, built from the history of this repository.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use natterjack_runtime::skipped::{By, skip_test};
use tokio::process::Command;

/// The last commit before the schema changed in steps. The next release takes its own predecessor's.
const COMMIT: &str = "07cc3ec8b13f";

/// The binary; `None`, and a loud word, where the commit is not in this clone.
pub async fn binary() -> anyhow::Result<Option<PathBuf>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let current = Path::new(env!("CARGO_BIN_EXE_natterjack"));
    let profile = current.parent().context("a binary stands in a directory")?;
    let target = profile.parent().context("and that in the target directory")?;
    let home = target.join(format!("natterjack-previous-{COMMIT}"));
    let kept = home.join("natterjack");
    if kept.exists() {
        return Ok(Some(kept));
    }
    let object = format!("{COMMIT}^{{commit}}");
    let known = Command::new("git")
        .args(["cat-file", "-e", &object])
        .current_dir(here)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    if !known.is_ok_and(|status| status.success()) {
        skip_test(
            By::History,
            &format!(
                "old and new at once are not tested: the commit {COMMIT} is not in this clone; `git fetch \
                 --unshallow` brings it"
            ),
        )?;
        return Ok(None);
    }
    if home.exists() {
        // Left by a build that was interrupted.
        fs::remove_dir_all(&home)?;
    }
    let (source, out) = (home.join("source"), home.join("target"));
    fs::create_dir_all(&source)?;
    let archive = home.join("source.tar");
    run(Command::new("git")
        .args(["archive", "--output"])
        .arg(&archive)
        .arg(COMMIT)
        .current_dir(here))
    .await?;
    run(Command::new("tar").arg("xf").arg(&archive).current_dir(&source)).await?;
    // What both are built from need not be built twice.
    for part in ["deps", "build", ".fingerprint"] {
        let name = profile.file_name().context("the directory of the profile")?;
        share(&profile.join(part), &out.join(name).join(part))?;
    }
    eprintln!("building the previous version, once; it takes a minute or two …");
    let mut build = Command::new(env!("CARGO"));
    // As the tests are built, for the same features of the same dependencies.
    build
        .args([
            "test",
            "--locked",
            "--workspace",
            "--test",
            "dependencies",
            "--no-run",
            "--quiet",
        ])
        .current_dir(&source)
        .env("CARGO_TARGET_DIR", &out);
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy();
        if ours.starts_with("CARGO_PKG_")
            || ours.starts_with("CARGO_BIN_")
            || ours.starts_with("CARGO_MANIFEST_")
        {
            build.env_remove(&name);
        }
    }
    run(&mut build).await?;
    let built = out.join("debug/natterjack");
    fs::rename(&built, &kept).with_context(|| format!("{}", built.display()))?;
    for rest in [&source, &out] {
        fs::remove_dir_all(rest)?;
    }
    fs::remove_file(&archive)?;
    Ok(Some(kept))
}

async fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("{command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Links the files of a directory into another, all but those of our own crates, which are others there.
fn share(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_ours(&name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            share(&entry.path(), &to.join(&name))?;
        } else if entry.file_type()?.is_file() {
            // Cargo replaces files and does not write into them.
            fs::hard_link(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

/// Tests of ours have other names, and are built for this version alone.
fn is_ours(name: &OsStr) -> bool {
    name.to_string_lossy().contains("natterjack")
}

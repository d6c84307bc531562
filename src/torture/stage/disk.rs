//! A small disk of its own for a store, that can be filled up: an ext4 image in a loop mount.
//!
//! The run has a mount namespace of its own ([`enter_namespace`]), so that its mounts end with its
//! last process, whatever becomes of it, and nobody else ever sees them.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

/// Set for the run within its own mount namespace.
const INSIDE: &str = "NATTERJACK_TORTURE_NAMESPACE";
/// Enough for what a run stores in minutes; an hour's run has larger ones.
const MIB_MIN: u64 = 512;
const MIB_A_MINUTE: u64 = 64;
const BLOCK: [u8; 4096] = [0x5a; 4096];

/// A mounted disk.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
}

/// Runs this very command once more in a mount namespace of its own, in place of this process.
/// Returns where that is not possible, or was done before; whether disks can be mounted.
pub fn enter_namespace() -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let words = ["--mount", "--propagation", "private", "--"];
    let able = Command::new("unshare")
        .args(words)
        .args(["sh", "-c", "command -v mkfs.ext4 && mount -t tmpfs none /mnt"])
        .output()
        .is_ok_and(|output| output.status.success());
    let Ok(exe) = std::env::current_exe() else {
        return false;
    };
    if able {
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        let mut command = Command::new("unshare");
        let command = command.args(words).arg(exe).args(arguments).env(INSIDE, "1");
        // It returns only where it fails.
        let error = command.exec();
        eprintln!("no mount namespace: {error}");
    }
    false
}

impl Disk {
    /// Makes a disk in the file `image` and mounts it at `at`, for a run of so many minutes.
    ///
    /// # Errors
    /// What `mkfs.ext4` or `mount` says.
    pub fn mount(image: &Path, at: &Path, minutes: u64) -> anyhow::Result<Self> {
        let mib = MIB_MIN + MIB_A_MINUTE * minutes;
        fs::create_dir_all(at).with_context(|| format!("{}", at.display()))?;
        File::create(image)
            .and_then(|file| file.set_len(mib << 20))
            .with_context(|| format!("{}", image.display()))?;
        // No blocks kept back for root: full is full.
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(at))?;
        // A nats-server takes any directory in its store for an account.
        let found = at.join("lost+found");
        fs::remove_dir(&found).with_context(|| format!("{}", found.display()))?;
        Ok(Self { at: at.to_owned() })
    }

    /// Takes the last byte.
    ///
    /// # Errors
    /// Any but that there is no space.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.filler())
            .context("the file that fills a disk")?;
        loop {
            match file.write_all(&BLOCK) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("filling a disk"),
            }
        }
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// The file that fills it cannot be removed.
    pub fn free(&self) -> anyhow::Result<()> {
        match fs::remove_file(self.filler()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("freeing a disk"),
            _ => Ok(()),
        }
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The end of the namespace would do it as well; this lets the directory be removed.
        if let Err(error) = run(Command::new("umount").arg("-l").arg(&self.at)) {
            tracing::warn!(%error, "a disk of the run stays mounted until its end");
        }
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

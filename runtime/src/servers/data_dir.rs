//! The one directory that survives restarts, held by one process at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// An open data directory; the lock on it is held until this is dropped.
///
/// ```text
/// lock        held by the process that runs here; contains its process id
/// ports.json  the ports chosen at the first start
/// nats/       nats-server: configuration, log and JetStream's files
/// postgres/   Postgres: password, log and data
/// tools/      servers that were installed because none was found
/// ```
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    // Only held: closing the file releases the lock.
    _lock: File,
}

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process runs on it.
    #[error(
        "{} is in use by {}; stop it first, or choose another --data-dir",
        path.display(),
        pid.map_or_else(|| "another natterjack".to_owned(), |pid| format!("natterjack with process id {pid}"))
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who holds it, if that could be read.
        pid: Option<u32>,
    },
    /// It could not be created, or not be written to.
    #[error("cannot use {} as the data directory: {source}", path.display())]
    File {
        /// The directory or a file in it.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl DataDir {
    /// Creates the directory if it is missing and takes its lock.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataDirError> {
        let path = path.as_ref();
        let failed = |source| DataDirError::File {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(mode())
            .create(path)
            .map_err(failed)?;
        // The children's command lines name it, whatever directory they run in.
        let path = fs::canonicalize(path).map_err(failed)?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// The directory itself, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where nats-server lives.
    pub fn nats(&self) -> PathBuf {
        self.path.join("nats")
    }

    /// Where Postgres lives.
    pub fn postgres(&self) -> PathBuf {
        self.path.join("postgres")
    }

    /// Where servers are installed if none is found.
    pub fn tools(&self) -> PathBuf {
        self.path.join("tools")
    }
}

/// Ours alone. Root's may be passed through but not listed, because there Postgres may
/// have to run as `nobody` in a directory below; every secret below has its own 0600.
fn mode() -> u32 {
    if nix::unistd::geteuid().is_root() {
        0o711
    } else {
        0o700
    }
}

fn lock(dir: &Path) -> Result<File, DataDirError> {
    let path = dir.join("lock");
    let failed = |source| DataDirError::File {
        path: path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who holds it is a help, not the point.
            let _ = file.read_to_string(&mut holder);
            return Err(DataDirError::InUse {
                path: dir.to_owned(),
                pid: holder.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0).map_err(failed)?;
    file.rewind().map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_second_open_names_the_holder_and_a_later_one_succeeds() -> anyhow::Result<()> {
        let temp = tempfile::tempdir()?;
        let path = temp.path().join("deep/data");
        let first = DataDir::open(&path)?;
        let error = DataDir::open(&path).expect_err("it is held");
        let DataDirError::InUse { pid, .. } = &error else {
            anyhow::bail!("{error}")
        };
        assert_eq!(*pid, Some(std::process::id()));
        assert!(error.to_string().contains("choose another --data-dir"), "{error}");
        drop(first);
        let again = DataDir::open(&path)?;
        assert_eq!(fs::metadata(again.path())?.permissions().mode() & 0o066, 0);
        Ok(())
    }

    #[test]
    fn a_file_in_its_place_is_an_error_with_the_path() -> anyhow::Result<()> {
        let temp = tempfile::tempdir()?;
        let path = temp.path().join("data");
        fs::write(&path, "")?;
        let error = DataDir::open(&path).expect_err("a file is no directory");
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        Ok(())
    }
}

//! Writing files that hold secrets: whole or not at all, for their owner alone, and never over one that is
//! to be kept.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::Context;

/// For whom a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone.
    Owner,
    /// Everybody on the machine: it holds no secret.
    All,
}

/// Whether a file was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was, and is as it was.
    Kept,
    /// It was not.
    Made,
}

/// Makes a directory and those above it, unless they are there.
///
/// # Errors
/// It cannot be made.
pub fn directory(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .with_context(|| format!("cannot make the directory {}", path.display()))
}

/// Writes a secret that must never change, unless it is there.
///
/// # Errors
/// It cannot be made or written.
pub fn once(path: &Path, make: impl FnOnce() -> anyhow::Result<Vec<u8>>) -> anyhow::Result<Kept> {
    if path.try_exists().with_context(|| format!("{}", path.display()))? {
        return Ok(Kept::Kept);
    }
    write(path, &make()?, Readers::Owner)?;
    Ok(Kept::Made)
}

/// Writes a file anew: who reads it meanwhile sees the old one or the new one.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, content: &[u8], readers: Readers) -> anyhow::Result<()> {
    let next = path.with_added_extension("new");
    let failed = || format!("cannot write {}", path.display());
    // One that an earlier run left half written may be for other readers.
    match fs::remove_file(&next) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(failed),
        _ => {}
    }
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::All => 0o644,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&next)
        .with_context(failed)?;
    // Whatever the mask of this process says.
    file.set_permissions(Permissions::from_mode(mode))
        .with_context(failed)?;
    file.write_all(content).with_context(failed)?;
    file.sync_all().with_context(failed)?;
    fs::rename(&next, path).with_context(failed)
}

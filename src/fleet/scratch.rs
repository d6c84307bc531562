//! A temporary directory that stays where it is unless everything went well.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tempfile::TempDir;

/// A directory that is removed by [`Scratch::remove`] and kept, with its path told, otherwise.
#[derive(Debug)]
pub struct Scratch {
    dir: Option<TempDir>,
    path: PathBuf,
}

impl Scratch {
    /// A new, empty directory.
    ///
    /// # Errors
    /// It could not be made.
    pub fn new() -> anyhow::Result<Self> {
        // Postgres may have to run as somebody else, who must be able to pass through.
        let dir = tempfile::Builder::new()
            .prefix("natterjack-")
            .permissions(Permissions::from_mode(0o711))
            .tempdir()
            .context("a temporary directory")?;
        Ok(Self {
            path: dir.path().to_owned(),
            dir: Some(dir),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it: nobody needs what is in it any more.
    ///
    /// # Errors
    /// Something in it could not be removed.
    pub fn remove(mut self) -> anyhow::Result<()> {
        self.dir
            .take()
            .map_or(Ok(()), TempDir::close)
            .with_context(|| format!("{}", self.path.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take() {
            eprintln!("kept for a look at what happened: {}", dir.keep().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_unless_it_is_removed() -> anyhow::Result<()> {
        let kept = Scratch::new()?;
        let path = kept.path().to_owned();
        drop(kept);
        assert!(path.exists());
        std::fs::remove_dir(path)?;
        let removed = Scratch::new()?;
        let path = removed.path().to_owned();
        removed.remove()?;
        assert!(!path.exists());
        Ok(())
    }
}

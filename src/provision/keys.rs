//! The nkeys of all users, in a directory: made once, and kept.

use std::path::{Path, PathBuf};

use anyhow::Context;
use natterjack_nats::{
    access::{User, UserKeys},
    cluster::NatsAuth,
};
use nkeys::KeyPair;

use super::files::{self, Kept};

/// Where the seed of a user is below the directory of keys.
#[must_use]
pub fn path(dir: &Path, user: User) -> PathBuf {
    dir.join(format!("{user}.nk"))
}

/// Makes a key for each user who has none in this directory, and answers the public halves and the files
/// that were written.
///
/// # Errors
/// A file cannot be written, or is there and holds no seed.
pub fn ensure(dir: &Path) -> anyhow::Result<(UserKeys, Vec<PathBuf>)> {
    files::directory(dir)?;
    let (mut keys, mut written) = (UserKeys::new(), Vec::new());
    for user in User::ALL {
        let path = path(dir, user);
        let made = files::once(&path, || {
            let seed = KeyPair::new_user().seed().context("a new nkey has no seed")?;
            Ok(format!("{seed}\n").into_bytes())
        })?;
        if made == Kept::Made {
            written.push(path.clone());
        }
        let NatsAuth::Nkey(key) = NatsAuth::nkey_file(&path)? else {
            anyhow::bail!("{} holds no nkey", path.display());
        };
        keys.insert(user, key.public_key());
    }
    Ok((keys, written))
}

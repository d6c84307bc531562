//! What is kept between two starts: device, tokens, cursors. One file a server and handle, for the
//! owner's eyes only.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, bail};
use natterjack_nats::{Conversation, services::accounts::Tokens};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    tokens: Option<Tokens>,
    /// Absent until the first session has told where the conversations stand.
    cursors: Option<BTreeMap<Conversation, u64>>,
}

/// The open file; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct State(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    saved: Mutex<Saved>,
    /// Held for as long as this process lives: a refresh token that two processes use is taken for
    /// a stolen one.
    _lock: File,
}

/// `$XDG_STATE_HOME/natterjack`, or `~/.local/state/natterjack`.
pub(super) fn default_dir() -> anyhow::Result<PathBuf> {
    let of = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = of("XDG_STATE_HOME").or_else(|| Some(of("HOME")?.join(".local/state")));
    Ok(base
        .context("there is no home directory: name one with --state-dir")?
        .join("natterjack"))
}

impl State {
    pub(super) fn open(dir: &Path, server: &str, handle: &str) -> anyhow::Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.with_context(|| format!("cannot make the directory {}", dir.display()))?;
        let name = format!(
            "{}-{}",
            safe(server.split("://").last().unwrap_or(server)),
            safe(handle)
        );
        let lock = private(&dir.join(format!("{name}.lock")))?;
        if lock.try_lock().is_err() {
            bail!("{handle} is in another terminal already: a second one needs its own --state-dir");
        }
        let path = dir.join(format!("{name}.json"));
        let saved = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged: delete it and log in again", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Saved::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Self(Arc::new(Inner {
            path,
            saved: Mutex::new(saved),
            _lock: lock,
        })))
    }

    pub(super) fn tokens(&self) -> Option<Tokens> {
        self.change(|saved| saved.tokens.clone())
    }

    pub(super) fn cursors(&self) -> Option<BTreeMap<Conversation, u64>> {
        self.change(|saved| saved.cursors.clone())
    }

    /// Another device starts afresh: cursors belong to the device that had them.
    pub(super) fn set_login(&self, tokens: &Tokens) -> anyhow::Result<()> {
        self.change(|saved| {
            if saved
                .tokens
                .as_ref()
                .is_none_or(|old| old.device != tokens.device)
            {
                saved.cursors = None;
            }
            saved.tokens = Some(tokens.clone());
            self.write(saved)
        })
    }

    pub(super) fn set_cursors(&self, cursors: BTreeMap<Conversation, u64>) -> anyhow::Result<()> {
        self.change(|saved| {
            if saved.cursors.as_ref() == Some(&cursors) {
                return Ok(());
            }
            saved.cursors = Some(cursors);
            self.write(saved)
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Saved) -> T) -> T {
        change(&mut self.0.saved.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whole or not at all: half a file would be a lost login.
    fn write(&self, saved: &Saved) -> anyhow::Result<()> {
        let path = &self.0.path;
        let new = path.with_extension("new");
        let write = || -> anyhow::Result<()> {
            let mut file = private(&new)?;
            file.set_len(0)?;
            file.write_all(&serde_json::to_vec(saved)?)?;
            file.sync_all()?;
            Ok(fs::rename(&new, path)?)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

fn private(path: &Path) -> anyhow::Result<File> {
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path);
    opened.with_context(|| format!("cannot write {}", path.display()))
}

fn safe(text: &str) -> String {
    text.chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() || char == '.' {
                char
            } else {
                '-'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use natterjack_nats::{DeviceId, UserId, wire::Profile};

    use super::*;

    fn tokens(device: u64) -> Tokens {
        Tokens {
            user: Profile {
                id: UserId::from_parts(1, 1),
                handle: None,
                name: "alice".to_owned(),
            },
            device: DeviceId::from_parts(device, 1),
            access_token: "a".to_owned(),
            expires_at: 1,
            refresh_token: "r".to_owned(),
        }
    }

    #[test]
    fn it_survives_a_restart_and_is_private_and_exclusive() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let open = || State::open(dir.path(), "http://127.0.0.1:8080", "alice");
        let state = open()?;
        assert!(open().is_err(), "two terminals would share a refresh token");
        state.set_login(&tokens(1))?;
        let cursors = BTreeMap::from([(Conversation::User(UserId::from_parts(1, 1)), 7)]);
        state.set_cursors(cursors.clone())?;
        let path = dir.path().join("127.0.0.1-8080-alice.json");
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        drop(state);

        let state = open()?;
        assert_eq!(state.cursors(), Some(cursors));
        assert_eq!(
            state.tokens().map(|tokens| tokens.refresh_token),
            Some("r".to_owned())
        );
        state.set_login(&tokens(2))?;
        assert_eq!(state.cursors(), None);
        Ok(())
    }
}

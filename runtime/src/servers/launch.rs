//! How a child is executed: whether the kernel ends it together with this process,
//! and as whom Postgres runs when we are root.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;

use nix::unistd::User;
use tokio::process::Command;

use super::ServerError;

/// The words before the program on the command line of a child.
///
/// All of them exec what follows, so that the process id of the child is the server's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wrapper {
    words: Vec<OsString>,
    /// Whom files have to belong to, if not to us.
    pub(super) owner: Option<(u32, u32)>,
}

impl Wrapper {
    /// As ourselves.
    pub(super) fn ourselves() -> Self {
        Self::default()
    }

    /// As somebody whom Postgres accepts: ourselves, unless we are root.
    ///
    /// A user namespace in which root looks like an ordinary user comes first, because
    /// files go on belonging to us; some containers forbid it, and there it is `nobody`.
    pub(super) async fn unprivileged() -> Result<Self, ServerError> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(Self::ourselves());
        }
        for candidate in [Some(Self::namespace()), Self::nobody()].into_iter().flatten() {
            if candidate.works("true").await {
                return Ok(candidate);
            }
        }
        Err(ServerError::Root)
    }

    fn namespace() -> Self {
        let words = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"];
        Self {
            words: words.map(Into::into).to_vec(),
            owner: None,
        }
    }

    pub(super) fn nobody() -> Option<Self> {
        let user = User::from_name("nobody").ok()??;
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        let words = [
            "setpriv".to_owned(),
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            "--clear-groups".to_owned(),
            "--".to_owned(),
        ];
        Some(Self {
            words: words.map(Into::into).to_vec(),
            owner: Some((uid, gid)),
        })
    }

    /// The same, but with the kernel sending `signal` when the parent dies, where
    /// util-linux's setpriv can arrange that. It stands last, because changing user
    /// clears the arrangement. Elsewhere the next start clears up (see `leftover`).
    pub(super) async fn dying_with_parent(mut self, signal: &str) -> Self {
        let mut with = self.clone();
        with.words
            .extend(["setpriv", "--pdeathsig", signal, "--"].map(Into::into));
        if with.works("true").await {
            self.words = with.words;
        }
        self
    }

    /// Whether whoever this runs as can use `path`.
    pub(super) async fn can_reach(&self, path: &Path) -> bool {
        self.run(&["test".as_ref(), "-x".as_ref(), path.as_os_str()])
            .await
    }

    /// The full command line for a program.
    pub(super) fn argv(&self, program: &Path) -> Vec<OsString> {
        let mut words = self.words.clone();
        words.push(program.into());
        words
    }

    async fn works(&self, program: &str) -> bool {
        self.run(&[program.as_ref()]).await
    }

    async fn run(&self, command: &[&OsStr]) -> bool {
        let mut words = self
            .words
            .iter()
            .map(OsString::as_os_str)
            .chain(command.iter().copied());
        let Some(program) = words.next() else { return false };
        Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await
            .is_ok_and(|status| status.success())
    }
}

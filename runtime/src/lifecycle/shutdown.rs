//! The two steps of a shutdown: soft (finish what you hold), then hard (let go).

use tokio_util::sync::CancellationToken;

/// Two tokens, soft and hard; cheap to clone, all clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Shutdown {
    /// Nothing is requested yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the drain: take nothing new, finish what is under way, end.
    pub fn soft(&self) {
        self.soft.cancel();
    }

    /// Ends the drain; implies [`Shutdown::soft`].
    pub fn hard(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Resolves once the drain was asked for.
    pub async fn draining(&self) {
        self.soft.cancelled().await;
    }

    /// Resolves once the drain is over and nobody waits any more.
    pub async fn killed(&self) {
        self.hard.cancelled().await;
    }

    /// Whether the drain was asked for.
    pub fn is_draining(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// The soft token, for code that speaks [`CancellationToken`].
    pub fn soft_token(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// The hard token, for code that speaks [`CancellationToken`].
    pub fn hard_token(&self) -> CancellationToken {
        self.hard.clone()
    }

    /// A shutdown that follows this one but can be asked for on its own.
    pub(super) fn child(&self) -> Self {
        Self {
            soft: self.soft.child_token(),
            hard: self.hard.child_token(),
        }
    }
}

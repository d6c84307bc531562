//! Whether this edge takes connections. It is asked to drain by an operator or by the end of the
//! process; the lease says so first, and only then do sockets hear it: who goes elsewhere, or asks
//! where that is, is not sent back here.

use std::sync::Arc;

use natterjack_nats::wire::{Code, WireError};
use tokio::sync::watch;

/// When those who are refused are to try again: an edge comes back, or another one is found, in about
/// that time.
const RETRY_MS: u64 = 1_000;

/// Where an edge stands; the later ones mean all that the earlier ones mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It takes connections.
    Serving,
    /// It takes none and closes those that it has; it may serve again.
    Draining,
    /// The same, and then the process ends.
    Stopping,
}

/// Asks an edge to drain, and tells those whom it concerns; cheap to clone.
#[derive(Debug, Clone)]
pub struct Drain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    asked: watch::Sender<Standing>,
    told: watch::Sender<Standing>,
}

impl Default for Drain {
    /// An edge that starts takes nobody yet, and is not named to anybody.
    fn default() -> Self {
        let starts = || watch::Sender::new(Standing::Draining);
        Self(Arc::new(Inner {
            asked: starts(),
            told: starts(),
        }))
    }
}

impl Drain {
    /// What was asked for: it counts at once for whoever comes.
    #[must_use]
    pub fn asked(&self) -> Standing {
        *self.0.asked.borrow()
    }

    /// What the lease says: it counts for whoever is here.
    #[must_use]
    pub fn told(&self) -> Standing {
        *self.0.told.borrow()
    }

    /// Whether whoever comes may stay.
    ///
    /// # Errors
    /// `unavailable`, with the time after which to try elsewhere, or here again.
    pub fn open(&self) -> Result<(), WireError> {
        if self.asked() == Standing::Serving {
            return Ok(());
        }
        let error = WireError::new(
            Code::Unavailable,
            "this edge takes no new connections; go to another one, or come back soon",
        );
        Err(error.retry_after_ms(RETRY_MS))
    }

    /// Asks for it. A process that ends does not serve again.
    pub fn ask(&self, standing: Standing) {
        self.0.asked.send_if_modified(|asked| {
            let changes = *asked != standing && *asked != Standing::Stopping;
            if changes {
                *asked = standing;
            }
            changes
        });
    }

    /// Tells sockets and polls.
    pub fn tell(&self, standing: Standing) {
        self.0.told.send_if_modified(|told| {
            let changes = *told != standing;
            *told = standing;
            changes
        });
    }

    /// Hears what is asked for.
    #[must_use]
    pub fn orders(&self) -> watch::Receiver<Standing> {
        self.0.asked.subscribe()
    }

    /// Resolves once all were told what was asked for.
    pub async fn settled(&self) {
        let mut told = self.0.told.subscribe();
        let _ = told.wait_for(|told| *told == self.asked()).await;
    }

    /// Resolves once those who are connected are to go.
    pub async fn begun(&self) {
        let mut told = self.0.told.subscribe();
        // The sender lives in `self`, so that waiting cannot fail.
        let _ = told.wait_for(|told| *told != Standing::Serving).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_edge_that_stops_does_not_serve_again() {
        let drain = Drain::default();
        assert!(drain.open().is_err(), "it starts");
        drain.ask(Standing::Serving);
        drain.tell(Standing::Serving);
        assert!(drain.open().is_ok());
        drain.ask(Standing::Draining);
        assert_eq!(
            (drain.asked(), drain.told()),
            (Standing::Draining, Standing::Serving)
        );
        drain.ask(Standing::Serving);
        assert_eq!(drain.asked(), Standing::Serving);
        drain.ask(Standing::Stopping);
        drain.ask(Standing::Serving);
        assert_eq!(drain.asked(), Standing::Stopping);
        drain.tell(Standing::Stopping);
        drain.begun().await;
    }
}

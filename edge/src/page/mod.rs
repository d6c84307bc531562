//! The web client's files, as the edge serves them at `/`: kept in memory, found by their exact path, and
//! read again when a new build takes their place.
//!
//! Where there is no page, whoever opens the address is told how to get one, and the API goes on.

mod absent;
mod answer;
#[cfg(feature = "embed-web")]
mod embedded;
mod files;
mod headers;

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

pub use absent::Absent;
use answer::Asked;
use axum::{
    extract::{Request, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use files::Files;
use tokio::{sync::Mutex, time::Instant};

use crate::{app::SharedApp, metrics::Count};

/// How often at most it is looked whether the files on disk are still those in memory.
const LOOK: Duration = Duration::from_secs(1);

/// The page of an edge.
#[derive(Debug)]
pub struct Page {
    dir: Option<PathBuf>,
    files: RwLock<Arc<Files>>,
    absent: RwLock<Absent>,
    /// When it was looked last; held while it is looked.
    looked: Mutex<Option<Instant>>,
}

impl Page {
    /// The page in a directory, which may be filled later; without one, the page that the program was built
    /// with, if it was; with `none`, neither.
    #[must_use]
    pub fn new(dir: Option<PathBuf>, none: bool) -> Self {
        let dir = dir.filter(|_| !none);
        let embedded = (dir.is_none() && !none).then(embedded).flatten();
        Self {
            dir,
            files: RwLock::new(Arc::new(embedded.unwrap_or_default())),
            absent: RwLock::default(),
            looked: Mutex::default(),
        }
    }

    /// Whether there is a page, as far as it was looked.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.files().index().is_some()
    }

    /// Sets what people are told while there is no page.
    pub fn set_absent(&self, absent: Absent) {
        *self.absent.write().unwrap_or_else(PoisonError::into_inner) = absent;
    }

    /// Reads the files if they are not those in memory. What cannot be read is logged, and the files in
    /// memory stay.
    pub async fn refresh(&self) {
        let mut looked = self.looked.lock().await;
        self.look().await;
        *looked = Some(Instant::now());
    }

    /// The same, but not more often than once a second, and nobody waits for another's look.
    async fn refresh_sometimes(&self) {
        let Ok(mut looked) = self.looked.try_lock() else {
            return;
        };
        if looked.is_none_or(|last| last.elapsed() >= LOOK) {
            self.look().await;
            *looked = Some(Instant::now());
        }
    }

    /// The answer, and what to count it as; `https` says that the edge is reached by TLS alone.
    async fn answer(&self, request: &Parts, https: bool) -> (&'static str, Response) {
        let missing = || ("missing", StatusCode::NOT_FOUND.into_response());
        let Some(asked) = Asked::of(request) else {
            return missing();
        };
        self.refresh_sometimes().await;
        let files = self.files();
        if let Some((path, file)) = asked.file(&files) {
            return asked.answer(path, file, https);
        }
        if asked.is_root() {
            let absent = self.absent.read().unwrap_or_else(PoisonError::into_inner);
            return ("absent", absent.response());
        }
        missing()
    }

    async fn look(&self) {
        let Some(dir) = self.dir.clone() else { return };
        let before = self.files();
        let read = tokio::task::spawn_blocking(move || Files::read(&dir, &before)).await;
        match read {
            Ok(Ok(Some(files))) => {
                tracing::info!(
                    page.files = files.len(),
                    page.bytes = files.bytes(),
                    "the page was read"
                );
                *self.files.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(files);
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(%error, page.dir = ?self.dir, "the page cannot be read"),
            Err(error) => tracing::error!(%error, "reading the page failed"),
        }
    }

    fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether the program was built with a page in it (feature `embed-web`).
#[must_use]
pub const fn is_embedded() -> bool {
    cfg!(feature = "embed-web")
}

fn embedded() -> Option<Files> {
    #[cfg(feature = "embed-web")]
    return Some(Files::embedded(embedded::FILES));
    #[cfg(not(feature = "embed-web"))]
    None
}

/// `GET` of whatever is no route: a file of the page, the page itself for a person who navigates, or
/// nothing.
pub(crate) async fn serve(State(app): State<SharedApp>, request: Request) -> Response {
    let (outcome, response) = app.page.answer(&request.into_parts().0, app.is_https()).await;
    app.metrics.page.count(outcome);
    response
}

#[cfg(test)]
mod tests;

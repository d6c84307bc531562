//! The page of the plain run: built beside the start of the servers and after it, and told of where it is served.

use std::path::PathBuf;

use natterjack_edge::page::{self, Absent};
use natterjack_runtime::servers::{Progress, StderrProgress};
use tokio::task::{JoinError, JoinSet};

use super::{Built, Source};
use crate::up::Args;

/// The page that a run serves, and the build that makes it.
#[derive(Debug)]
pub struct Page {
    /// Where it is; `None` if there is none, or the program has it in itself.
    pub dir: Option<PathBuf>,
    source: Option<Source>,
    is_unwanted: bool,
    /// Ends with this; empty once its end was told.
    build: JoinSet<anyhow::Result<Built>>,
}

/// How it stands with the page at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// It is to be seen.
    There,
    /// It is being built.
    Building,
    /// There will be none: it is not wanted, or could not be built, which was told.
    Not,
}

impl Page {
    /// Begins to build it, if it is to be built here.
    #[must_use]
    pub fn start(args: &Args) -> Self {
        let mut build = JoinSet::new();
        let ours = !(args.no_web || args.web_dir.is_some() || page::is_embedded());
        let named = || {
            args.web_source
                .clone()
                .map_or_else(Source::of_this_program, Source::at)
        };
        let source = ours.then(named).flatten();
        if let Some(source) = source.clone() {
            build.spawn(async move { source.build(&StderrProgress).await });
        }
        Self {
            dir: args.web_dir.clone().or_else(|| source.as_ref().map(Source::page)),
            source,
            is_unwanted: args.no_web,
            build,
        }
    }

    /// How it stands, without waiting; an edge serves what there is.
    pub async fn now(&mut self, served: &page::Page, progress: &dyn Progress) -> Stands {
        if self.source.is_none() {
            let is_there = !self.is_unwanted && (self.dir.is_some() || page::is_embedded());
            return if is_there { Stands::There } else { Stands::Not };
        }
        match self.build.try_join_next() {
            Some(built) => self.ended(built, served, progress).await,
            None => {
                served.set_absent(Absent::Building);
                Stands::Building
            }
        }
    }

    /// Waits for the build, and has an edge serve what there is; what went wrong is told, and stops nothing.
    pub async fn built(&mut self, served: &page::Page, progress: &dyn Progress) -> Stands {
        match self.build.join_next().await {
            Some(built) => self.ended(built, served, progress).await,
            None => Stands::Not,
        }
    }

    async fn ended(
        &self,
        built: Result<anyhow::Result<Built>, JoinError>,
        served: &page::Page,
        progress: &dyn Progress,
    ) -> Stands {
        let built = built.unwrap_or_else(|error| Err(error.into()));
        let has_page = self.source.as_ref().is_some_and(Source::has_page);
        let (absent, problem) = match built {
            Ok(Built::Fresh(_)) => (Absent::NotBuilt, None),
            Ok(Built::NoNode(missing)) => (
                Absent::NotBuilt,
                Some(format!("the web client is not built: {missing}, and start again")),
            ),
            Err(error) => (
                Absent::Failed(format!("{error:#}")),
                Some(format!("the web client could not be built: {error:#}")),
            ),
        };
        served.set_absent(absent);
        served.refresh().await;
        if let Some(problem) = problem {
            let rest = if has_page {
                "the one that was built before is served"
            } else {
                "everything else works"
            };
            progress.say(&format!("{problem}\n({rest})"));
        }
        if has_page { Stands::There } else { Stands::Not }
    }
}

//! The page of the plain run: built beside the start of the servers, and told of where it is served.

use std::path::PathBuf;

use natterjack_edge::page::{self, Absent};
use natterjack_runtime::servers::{Progress, StderrProgress};
use tokio::task::JoinSet;

use super::{Built, Source};
use crate::up::Args;

/// The page that a run serves, and the build that makes it.
#[derive(Debug)]
pub struct Page {
    /// Where it is; `None` if there is none, or the program has it in itself.
    pub dir: Option<PathBuf>,
    source: Option<Source>,
    /// Ends with this.
    build: JoinSet<anyhow::Result<Built>>,
}

impl Page {
    /// Begins to build it, if it is to be built here.
    #[must_use]
    pub fn start(args: &Args) -> Self {
        let mut build = JoinSet::new();
        let ours = !(args.no_web || args.web_dir.is_some() || page::is_embedded());
        let source = ours.then(Source::of_this_program).flatten();
        if let Some(source) = source.clone() {
            build.spawn(async move { source.build(&StderrProgress).await });
        }
        Self {
            dir: args.web_dir.clone().or_else(|| source.as_ref().map(Source::page)),
            source,
            build,
        }
    }

    /// Waits for the build, and has an edge serve what there is; what went wrong is told, and stops nothing.
    pub async fn ready(mut self, served: &page::Page, progress: &dyn Progress) {
        let Some(source) = &self.source else { return };
        served.set_absent(Absent::Building);
        let built = match self.build.join_next().await {
            Some(Ok(built)) => built,
            Some(Err(error)) => Err(error.into()),
            None => return,
        };
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
            let rest = if source.has_page() {
                "the one that was built before is served"
            } else {
                "everything else works"
            };
            progress.say(&format!("{problem}\n({rest})"));
        }
    }
}

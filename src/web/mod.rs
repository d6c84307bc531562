//! Builds the web client where its sources lie beside the program: when they changed since the last build,
//! and Node is there to do it. A run is never kept from starting by it.

mod npm;
mod plain;
mod sources;

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use natterjack_runtime::servers::Progress;
pub use npm::{NODE, Npm};
pub use plain::{Page, Stands};

/// What `npm ci` may take on a slow line.
const INSTALL: Duration = Duration::from_secs(300);
/// What a build may take on a slow machine.
const BUILD: Duration = Duration::from_secs(180);
/// How often it is looked whether another run is done with its build.
const TURN: Duration = Duration::from_millis(100);
/// Which sources a built page came from, beside it.
const STAMP: &str = ".sources";

/// The sources of the web client.
#[derive(Debug, Clone)]
pub struct Source {
    web: PathBuf,
}

/// How it stands with the page after [`Source::build`].
#[derive(Debug, PartialEq, Eq)]
pub enum Built {
    /// It is that of the sources; whether it was built just now.
    Fresh(bool),
    /// It could not be built for want of Node; the words say what there is instead.
    NoNode(String),
}

impl Source {
    /// The sources that this program was compiled from, if they are still there.
    #[must_use]
    pub fn of_this_program() -> Option<Self> {
        Self::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("web"))
    }

    /// The sources in a directory, if they are there.
    #[must_use]
    pub fn at(web: PathBuf) -> Option<Self> {
        let all = ["package-lock.json", "client/package.json"];
        all.iter()
            .all(|file| web.join(file).is_file())
            .then_some(Self { web })
    }

    /// The directory that all npm packages share.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.web
    }

    /// Where the built page is, or will be.
    #[must_use]
    pub fn page(&self) -> PathBuf {
        self.web.join("client/dist")
    }

    /// Whether there is a page, of whichever sources.
    #[must_use]
    pub fn has_page(&self) -> bool {
        self.page().join("index.html").is_file()
    }

    /// Builds the page unless it is that of the sources, and tells `progress` of it. One build runs at a time,
    /// whoever starts it; the page of before stays until the new one is whole.
    ///
    /// # Errors
    /// What is installed or built fails, with its last lines.
    pub async fn build(&self, progress: &dyn Progress) -> anyhow::Result<Built> {
        if self.is_fresh().await? {
            return Ok(Built::Fresh(false));
        }
        let npm = match Npm::find(&self.web).await {
            Ok(npm) => npm,
            Err(missing) => return Ok(Built::NoNode(missing)),
        };
        let lock = Arc::new(self.turn(progress).await?);
        let npm = npm.keeping(&lock);
        // Whoever had the turn before may have done it.
        if self.is_fresh().await? {
            return Ok(Built::Fresh(false));
        }
        self.install_with(&npm, progress).await?;
        let started = Instant::now();
        progress.say("building the web client: its sources changed …");
        let hash = self.hash().await?;
        let next = self.work().join("next");
        let words = [
            "run",
            "--silent",
            "build",
            "--workspace",
            "client",
            "--",
            "--emptyOutDir",
            "--outDir",
            "../.build/next",
        ];
        npm.run(&words, BUILD).await?;
        fs::write(next.join(STAMP), hash)?;
        let (page, before) = (self.page(), self.work().join("before"));
        remove(&before)?;
        if page.exists() {
            fs::rename(&page, &before)?;
        }
        fs::rename(&next, &page).context("the new page cannot take the place of the old one")?;
        remove(&before)?;
        progress.say(&format!(
            "the web client was built in {:.1} s",
            started.elapsed().as_secs_f32()
        ));
        Ok(Built::Fresh(true))
    }

    /// Installs what the build and the tests need, unless it is there.
    ///
    /// # Errors
    /// There is no Node, or npm fails.
    pub async fn install(&self, progress: &dyn Progress) -> anyhow::Result<Npm> {
        let npm = Npm::find(&self.web).await.map_err(anyhow::Error::msg)?;
        let lock = Arc::new(self.turn(progress).await?);
        self.install_with(&npm.clone().keeping(&lock), progress).await?;
        Ok(npm)
    }

    async fn install_with(&self, npm: &Npm, progress: &dyn Progress) -> anyhow::Result<()> {
        // npm writes this file last, when all else is in its place.
        let changed = |file: &str| fs::metadata(self.web.join(file)).and_then(|about| about.modified());
        let wanted = changed("package-lock.json")?;
        if changed("node_modules/.package-lock.json").is_ok_and(|installed| installed >= wanted) {
            return Ok(());
        }
        let started = Instant::now();
        progress.say("installing what the web client is built with (npm ci) …");
        // All of it is for the build; a server may be set up to leave such packages out.
        let words = ["ci", "--include=dev", "--no-audit", "--no-fund"];
        npm.run(&words, INSTALL).await.with_context(|| {
            format!(
                "the packages that the web client is built with could not be installed. They come from the npm \
                 registry, once: where this machine has a way there, run `npm ci` in {}, or name a mirror with \
                 NPM_CONFIG_REGISTRY; without any, `--no-web` (NATTERJACK_NO_WEB=true) runs all but the page",
                self.web.display()
            )
        })?;
        progress.say(&format!("installed in {:.1} s", started.elapsed().as_secs_f32()));
        Ok(())
    }

    async fn is_fresh(&self) -> anyhow::Result<bool> {
        let Ok(stamp) = fs::read_to_string(self.page().join(STAMP)) else {
            return Ok(false);
        };
        Ok(self.has_page() && stamp == self.hash().await?)
    }

    async fn hash(&self) -> anyhow::Result<String> {
        let web = self.web.clone();
        let hash = tokio::task::spawn_blocking(move || sources::hash(&web)).await?;
        hash.context("the sources of the web client cannot be read")
    }

    /// What a build needs and nobody else looks at.
    fn work(&self) -> PathBuf {
        self.web.join(".build")
    }

    /// Waits until no other run builds; its turn ends with the file.
    async fn turn(&self, progress: &dyn Progress) -> anyhow::Result<File> {
        let place = self.work().join("lock");
        let cannot = || format!("{} cannot be written", place.display());
        fs::create_dir_all(self.work()).with_context(cannot)?;
        let file = File::create(&place).with_context(cannot)?;
        let started = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error).context("the build's lock"),
                Err(TryLockError::WouldBlock) => {}
            }
            if !std::mem::replace(&mut told, true) {
                progress.say("another run is building the web client; waiting for it …");
            }
            anyhow::ensure!(
                started.elapsed() < INSTALL + BUILD,
                "another run holds {} and does not end",
                place.display()
            );
            tokio::time::sleep(TURN).await;
        }
    }
}

fn remove(dir: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;

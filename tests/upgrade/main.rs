//! Old and new at once: a cluster of the previous version is replaced process by process, in the order that
//! docs/decisions/expand-then-contract.md gives, while people talk; then it goes back, and forth again.
//!
//! The binary of every process is one link, as it is on a machine where a package is upgraded: what runs goes
//! on as it is, and what is started again is of the version that the link shows.
//!
//! Nothing of what `src/check/rules/` promises may fail, and no log may tell of an error.

#[path = "../shared/crowd.rs"]
mod crowd;
mod previous;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use crowd::Crowd;
use natterjack::fleet::{Fleet, FleetConfig, Ground, GroundConfig, RoleProcess};
use natterjack_persister::db::look;
use natterjack_runtime::clock::Clock;
use tokio::time::sleep;

const PEOPLE: usize = 20;

/// What all processes are started from.
struct Link(PathBuf);

impl Link {
    /// From now on who starts is of this version.
    fn show(&self, binary: &Path) -> std::io::Result<()> {
        let next = self.0.with_extension("next");
        std::os::unix::fs::symlink(binary, &next)?;
        std::fs::rename(next, &self.0)
    }
}

/// What a process of the version before logs, at once before it listens to signals. Until then `SIGTERM` ends it on
/// the spot, though it is ready by its services.
const LISTENS: &str = " is ready";
const LISTENS_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Replaces processes one after the other, each ready before the next one goes.
async fn roll<'a>(roles: impl IntoIterator<Item = &'a RoleProcess>) -> anyhow::Result<()> {
    for role in roles {
        let log = role.program().log();
        let starts = || anyhow::Ok(std::fs::read_to_string(&log)?.matches(LISTENS).count());
        let before = starts()?;
        role.stop().await?;
        role.restart().await?;
        let deadline = Instant::now() + LISTENS_WITHIN;
        while starts()? == before {
            ensure!(
                Instant::now() < deadline,
                "{} does not say that it is ready",
                log.display()
            );
            sleep(POLL).await;
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// Everything that an operator would look up: what connects again after a restart only warns.
fn no_errors(fleet: &Fleet) -> anyhow::Result<()> {
    let others = fleet
        .persisters
        .iter()
        .chain(&fleet.presences)
        .chain(&fleet.notifiers);
    for role in others.chain(&fleet.edges) {
        let log = role.program().log();
        let text = std::fs::read_to_string(&log)?;
        let error = text.lines().find(|line| line.contains("ERROR"));
        ensure!(
            error.is_none(),
            "{}: {}",
            log.display(),
            error.unwrap_or_default()
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_upgraded_and_goes_back_while_people_talk() -> anyhow::Result<()> {
    let Some(old) = previous::binary().await? else {
        return Ok(());
    };
    let new = Path::new(env!("CARGO_BIN_EXE_natterjack"));
    // The old version knows no keys.
    let config = GroundConfig {
        open: true,
        opened: true,
        ..GroundConfig::default()
    };
    let ground = Ground::start(config).await?;
    let database = ground.database_url().to_owned();
    let link = Link(ground.path().join("natterjack"));
    link.show(&old)?;
    let config = FleetConfig {
        persisters: 2,
        presences: 2,
        notifiers: 2,
        ..FleetConfig::new(&link.0)
    };
    let fleet = Fleet::start(ground, &config).await?;
    let schema = async || anyhow::Ok(look::look(database.as_str()).await?.schema);
    ensure!(schema().await? == 3, "the old version made the schema");
    let mut crowd = Crowd::gather(&fleet.urls(), PEOPLE).await?;
    ensure!(crowd.users().len() == PEOPLE, "all are there");
    crowd.talk(Clock::system().now_ms());

    // The first new persister takes the steps, beside an old one and below old edges.
    link.show(new)?;
    roll(&fleet.persisters[..1]).await?;
    let known = look::look(database.as_str()).await?.schema_known;
    ensure!(known > 3 && schema().await? == known, "the steps were taken");
    // An old process that restarts by chance does not stay away.
    link.show(&old)?;
    roll(&fleet.persisters[1..])
        .await
        .context("old on the newer schema")?;
    link.show(new)?;
    roll(&fleet.persisters[1..]).await?;
    roll(&fleet.presences).await?;
    roll(&fleet.notifiers).await?;
    roll(&fleet.edges).await?;

    // All the way back, in the other order, and half of it forth again.
    link.show(&old)?;
    roll(&fleet.edges).await?;
    roll(&fleet.notifiers).await?;
    roll(&fleet.presences).await?;
    roll(&fleet.persisters).await?;
    ensure!(schema().await? == known, "it stays as it is");
    link.show(new)?;
    roll(&fleet.persisters).await?;
    roll(&fleet.edges[..1]).await?;

    let summary = crowd.check().await?;
    ensure!(summary.acked > 0, "people talked");
    crowd.leave().await?;
    no_errors(&fleet)?;
    fleet.finish().await
}

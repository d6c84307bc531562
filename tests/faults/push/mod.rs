//! Pushes while notifiers and NATS are killed.
//!
//! The promises: whatever dies, each device that is to be told is told at least once; what a device in the
//! foreground had confirmed in time is told to nobody; and what is told twice is rare, and the second one
//! stands in the first one's place. What is true is taken from the streams and from the push service: the
//! first say what was stored, and when, and what was confirmed; the second what devices were told.
//!
//! What may fail: nats-server confirms an ack before it writes it. One that is killed forgets the acks of the
//! last tenths of a second, and pushes that another notifier had sent come again; they are counted apart.

mod judge;
mod people;
mod record;
mod rules;
mod talk;

use std::{path::Path, time::Duration};

use anyhow::{Context, ensure};
use natterjack::fleet::{Fleet, FleetConfig, Ground, GroundConfig, Phones, Weather};
use natterjack_runtime::clock::Clock;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep};

use crate::seed;
use people::{Cast, Count};

/// How long devices have to confirm.
const GRACE: Duration = Duration::from_secs(2);
/// How long it is talked, and killed.
const LASTS: Duration = Duration::from_secs(60);
/// Milliseconds between one fault and the next.
const PAUSE_MS: std::ops::Range<u64> = 6_000..12_000;
/// To the push service and back, each: somebody may die in between.
const PUSH_TAKES: Duration = Duration::from_millis(2);

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Notifier(usize),
    BothNotifiers,
    Nats,
}

impl Victim {
    /// How many notifiers that are.
    pub const fn notifiers(self) -> usize {
        match self {
            Self::Notifier(_) => 1,
            Self::BothNotifiers => 2,
            Self::Nats => 0,
        }
    }
}

async fn set() -> anyhow::Result<Fleet> {
    let ground = Ground::start(GroundConfig::default()).await?;
    let mut config = FleetConfig::new(Path::new(env!("CARGO_BIN_EXE_natterjack")));
    config.notifiers = 2;
    config.edge_options.push("--push-anywhere".into());
    let grace_ms = GRACE.as_millis().to_string();
    config.notifier_options = ["--grace-ms", &grace_ms, "--push-anywhere"]
        .map(str::to_owned)
        .to_vec();
    Fleet::start(ground, &config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_push_that_is_due_is_sent_whatever_is_killed() -> anyhow::Result<()> {
    let seed = seed();
    let fleet = set().await?;
    let phones = Phones::start(fleet.ground().admin()).await?;
    phones.set_weather(Weather::Late(PUSH_TAKES));
    let count = Count {
        offline: 60,
        background: 25,
        half_open: 15,
        foreground: 30,
        senders: 6,
        groups: 6,
    };
    let cast = Cast::gather(&fleet, &phones, count).await?;
    let mut talk = talk::Talk::start(&cast, seed);
    let killed = kill(&fleet, StdRng::seed_from_u64(seed)).await?;
    let said = talk.hush().await?;
    println!("{said} said");
    ensure!(killed.len() >= 4, "hardly anything was killed: {killed:?}");

    judge::Judge::new(&fleet, &cast, &phones).pass(&killed).await?;
    cast.leave().await;
    fleet.finish().await
}

/// Kills one or the other again and again; when and whom, in order.
async fn kill(fleet: &Fleet, mut random: StdRng) -> anyhow::Result<Vec<(u64, Victim)>> {
    let (until, mut killed) = (Instant::now() + LASTS, Vec::new());
    loop {
        sleep(Duration::from_millis(random.random_range(PAUSE_MS))).await;
        if Instant::now() >= until {
            return Ok(killed);
        }
        let victim = match random.random_range(0..10) {
            0..3 => Victim::Notifier(0),
            3..6 => Victim::Notifier(1),
            6..7 => Victim::BothNotifiers,
            _ => Victim::Nats,
        };
        let away = Duration::from_millis(random.random_range(0..1_500));
        killed.push((Clock::system().now_ms(), victim));
        strike(fleet, victim, away)
            .await
            .with_context(|| format!("{victim:?}"))?;
    }
}

async fn strike(fleet: &Fleet, victim: Victim, away: Duration) -> anyhow::Result<()> {
    let chosen: &[usize] = match &victim {
        Victim::Notifier(index) => std::slice::from_ref(index),
        Victim::BothNotifiers => &[0, 1],
        Victim::Nats => {
            let nats = fleet.ground().nats();
            nats.kill().await;
            sleep(away).await;
            return Ok(nats.restart().await?);
        }
    };
    for index in chosen {
        fleet.notifiers[*index].program().kill().await;
    }
    sleep(away).await;
    for index in chosen {
        fleet.notifiers[*index].restart().await?;
    }
    Ok(())
}

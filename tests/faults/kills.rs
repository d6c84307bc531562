//! SIGKILL of everything, in seeded order.

use std::time::Duration;

use natterjack::fleet::Fleet;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::time::sleep;

use crate::{crowd::Crowd, fleet, seed};

const CLIENTS: usize = 50;

#[derive(Debug, Clone, Copy)]
enum Victim {
    Edge(usize),
    Persister,
    Nats,
    Postgres,
}

async fn kill(fleet: &Fleet, victim: Victim) {
    match victim {
        Victim::Edge(index) => fleet.edges[index].program().kill().await,
        Victim::Persister => fleet.persisters[0].program().kill().await,
        Victim::Nats => fleet.ground().nats().kill().await,
        Victim::Postgres => fleet.ground().postgres().unwrap().kill().await,
    }
}

async fn revive(fleet: &Fleet, victim: Victim) -> anyhow::Result<()> {
    match victim {
        Victim::Edge(index) => fleet.edges[index].restart().await?,
        Victim::Persister => fleet.persisters[0].restart().await?,
        Victim::Nats => fleet.ground().nats().restart().await?,
        Victim::Postgres => fleet.ground().postgres().unwrap().restart().await?,
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_no_acknowledged_message_is_lost_or_doubled() -> anyhow::Result<()> {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let fleet = fleet().await?;
    let mut crowd = Crowd::gather(&fleet, CLIENTS).await?;
    crowd.talk(seed);
    // Everything dies, some of it twice.
    let mut order = [
        Victim::Edge(0),
        Victim::Edge(1),
        Victim::Persister,
        Victim::Nats,
        Victim::Postgres,
    ]
    .to_vec();
    order.extend([Victim::Nats, Victim::Persister]);
    order.shuffle(&mut random);
    for victim in order {
        sleep(Duration::from_millis(random.random_range(300..2_000))).await;
        let down_ms = random.random_range(50..2_500);
        println!("{victim:?} dies for {down_ms} ms");
        kill(&fleet, victim).await;
        sleep(Duration::from_millis(down_ms)).await;
        revive(&fleet, victim).await?;
    }
    // Two at once: what depends on each other comes back together.
    for pair in [
        [Victim::Nats, Victim::Edge(0)],
        [Victim::Postgres, Victim::Persister],
    ] {
        sleep(Duration::from_millis(random.random_range(300..1_500))).await;
        println!("{pair:?} die");
        for victim in pair {
            kill(&fleet, victim).await;
        }
        sleep(Duration::from_millis(random.random_range(50..1_000))).await;
        for victim in pair {
            revive(&fleet, victim).await?;
        }
    }
    let summary = crowd.check().await?;
    anyhow::ensure!(summary.acked > 500, "{summary:?}");
    crowd.leave().await?;
    fleet.finish().await
}

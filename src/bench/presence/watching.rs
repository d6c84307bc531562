//! What it costs that people are watched: sockets that watch, while others go to the foreground and
//! to the background at a fixed rate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use natterjack_nats::{
    UserId,
    wire::{ClientFrame, ServerFrame},
};
use rand::{SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    super::{
        cluster::Cluster,
        cost::{Cost, Meter},
        idle::{memory, population::Person},
    },
    heard::Heard,
    result::{ByRole, Watching, each},
    stand_in::{Seat, StandIns},
};
use crate::fleet::Socket;

/// How long the answer to `watch` may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// So often a second some seats change, at most.
const BEATS: u64 = 50;
/// For so much longer than the grace a seat stays where it is: what it leaves again within the grace never
/// changed, and nobody is told.
const STAYS: Duration = Duration::from_secs(3);

/// Sockets, each with a task that reads, and a way to tell them whom to watch.
pub struct Watchers {
    orders: Vec<mpsc::Sender<Vec<UserId>>>,
    frames: Arc<AtomicU64>,
    answers: Arc<AtomicU64>,
    tasks: JoinSet<anyhow::Result<()>>,
}

/// How the changes are made.
pub struct Load<'a> {
    pub stand_ins: &'a StandIns,
    /// Those who are online.
    pub seats: &'a [Seat],
    pub heard: &'a Heard,
    /// Changes a second; fewer where so few seats would change again within the grace.
    pub rate: u64,
    /// How long a lower state waits before it is told.
    pub grace: Duration,
    /// How often some of them have changed.
    pub turn: AtomicUsize,
    pub in_flight: usize,
    pub warm_up: Duration,
    pub length: Duration,
    pub settle: Duration,
}

impl Watchers {
    /// Connects each of `people`, over all edges in turn; they watch nobody yet.
    ///
    /// # Errors
    /// An edge refuses.
    pub async fn connect(cluster: &Cluster, people: &[Person]) -> anyhow::Result<Self> {
        let (frames, answers) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (mut orders, mut tasks) = (Vec::new(), JoinSet::new());
        for (person, url) in people.iter().zip(cluster.edge_urls.iter().cycle()) {
            let socket = Socket::open(url, &person.token, true).await?;
            let (order, ordered) = mpsc::channel(1);
            orders.push(order);
            tasks.spawn(read(socket, ordered, Arc::clone(&frames), Arc::clone(&answers)));
        }
        Ok(Self {
            orders,
            frames,
            answers,
            tasks,
        })
    }

    /// Lets each watch so many of the seats, whichever, and waits until all were answered.
    async fn watch(&mut self, seats: &[Seat], watched: usize) -> anyhow::Result<()> {
        let mut random = SmallRng::seed_from_u64(1);
        let before = self.answers.load(Ordering::Relaxed);
        for order in &self.orders {
            let users = seats.sample(&mut random, watched).map(|seat| seat.user).collect();
            order.send(users).await.context("a socket is gone")?;
        }
        let all = before + self.orders.len() as u64;
        let answered = async {
            while self.answers.load(Ordering::Relaxed) < all {
                if let Some(ended) = self.tasks.try_join_next() {
                    ended??;
                }
                sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        timeout(PATIENCE, answered)
            .await
            .context("not every `watch` was answered")?
    }

    /// Measures with each of them watching so many.
    ///
    /// # Errors
    /// A socket is lost, or NATS refuses.
    pub async fn measure(
        &mut self,
        cluster: &Cluster,
        load: &Load<'_>,
        watched: usize,
    ) -> anyhow::Result<Watching> {
        self.watch(load.seats, 0).await?;
        sleep(load.settle).await;
        let empty = memory::anonymous(&cluster.processes());
        let (idle_cost, idle_changes, _) = load.run(cluster, &self.frames).await?;
        self.watch(load.seats, watched).await?;
        sleep(load.settle).await;
        let full = memory::anonymous(&cluster.processes());
        let (cost, changes, frames) = load.run(cluster, &self.frames).await?;
        let bytes = |bytes: &memory::Bytes| bytes.get("edge").copied().unwrap_or_default();
        let watches = each(self.orders.len() * watched);
        Ok(Watching {
            watchers: self.orders.len(),
            watched,
            changes_per_second: count(changes) / cost.seconds,
            frames_each: count(frames) / count(changes),
            cpu_us_each: cpu_us_each(&cost, changes),
            idle_cpu_us_each: cpu_us_each(&idle_cost, idle_changes),
            bytes_each: (bytes(&full) - bytes(&empty)) / watches,
        })
    }
}

impl Load<'_> {
    /// Lets seats change at the rate; what it cost, and how many changes were heard and how many frames
    /// came meanwhile.
    async fn run(&self, cluster: &Cluster, frames: &AtomicU64) -> anyhow::Result<(Cost, u64, u64)> {
        let changing = self.change();
        let measuring = async {
            sleep(self.warm_up).await;
            let meter = Meter::start(cluster);
            self.heard.begin();
            let before = frames.load(Ordering::Relaxed);
            sleep(self.length).await;
            let came = frames.load(Ordering::Relaxed) - before;
            (meter.stop(cluster), self.heard.changes(), came)
        };
        let (cost, changes, frames) = tokio::select! {
            failed = changing => return Err(failed.err().context("it changes until it is told to end")?),
            measured = measuring => measured,
        };
        anyhow::ensure!(changes > 0, "nothing changed in the time that counts");
        Ok((cost, changes, frames))
    }

    /// Every seat in turn, to the background and back.
    async fn change(&self) -> anyhow::Result<()> {
        let rate = bearable(self.rate, self.seats.len(), self.grace + STAYS);
        let some = usize::try_from(rate / BEATS)?.max(1);
        let mut due = interval(Duration::from_secs(1) * u32::try_from(some)? / u32::try_from(rate)?);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let chunks = self.seats.len().div_ceil(some);
        loop {
            due.tick().await;
            // It goes on where the last run ended: who is in the background already does not change.
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let seats = self.seats.chunks(some).nth(turn % chunks).unwrap_or_default();
            let active = (turn / chunks) % 2 == 1;
            self.stand_ins.come(seats, active, self.in_flight).await?;
        }
    }
}

/// At most so many changes a second that each of the seats stays for this long.
fn bearable(rate: u64, seats: usize, stays: Duration) -> u64 {
    let most = seats as u128 * 1_000 / stays.as_millis().max(1);
    rate.min(u64::try_from(most).unwrap_or(u64::MAX)).max(1)
}

async fn read(
    mut socket: Socket,
    mut orders: mpsc::Receiver<Vec<UserId>>,
    frames: Arc<AtomicU64>,
    answers: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            Some(users) = orders.recv() => {
                let id = "watch".into();
                socket.say(&ClientFrame::Watch { id, users }).await?;
            }
            frame = socket.next() => match frame? {
                ServerFrame::Presence { id: Some(_), .. } => {
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                ServerFrame::Presence { .. } => {
                    frames.fetch_add(1, Ordering::Relaxed);
                }
                ServerFrame::Error { error, .. } => anyhow::bail!("an edge complains: {error:?}"),
                _ => {}
            }
        }
    }
}

fn cpu_us_each(cost: &Cost, changes: u64) -> ByRole {
    let us = |(role, seconds): (&String, &f64)| (role.clone(), seconds * 1e6 / count(changes));
    cost.cpu_s.iter().map(us).collect()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn count(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_seats_change_less_often() {
        let stays = Duration::from_secs(4);
        assert_eq!(bearable(300, 250, stays), 62);
        assert_eq!(bearable(300, 4_000, stays), 300);
        assert_eq!(bearable(300, 1, stays), 1);
    }
}

//! Which pushes go out at once, and which wait for which: one task holds the board, and attempts run beside
//! it.
//!
//! Pushes to one device go one after the other, so that none overtakes another; different devices wait for
//! each other only where their origin is busy. What would wait for long goes back to the consumer, so that
//! memory holds no more than a bound, whatever does not answer.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::jetstream::AckKind;
use natterjack_runtime::lifecycle::Shutdown;
use tokio::{
    sync::mpsc,
    task::{Id, JoinError, JoinSet},
};

use super::{
    answers::answer,
    backoff,
    job::{Delivered, Device, Ready},
    origins::{Admission, Origins, Permit, Verdict},
    pusher::{Prepared, Pusher},
    source::Fetched,
    verdict::Due,
};
use crate::push::PushService;

/// Most pushes that wait for one device.
const LANE_MAX: usize = 8;
/// Who has waited for longer goes back to the consumer: with the longest attempt, it is answered before its
/// ack is overdue.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// The pause of one that found no room to wait stops growing after so many.
const BUSY_COUNT_MAX: u32 = 5;
/// How often those who wait are looked at without anything having happened.
const TICK: Duration = Duration::from_millis(250);

/// The board of one kind of push service.
pub struct Board<S> {
    pusher: Arc<Pusher<S>>,
    origins: Origins,
    /// Devices that are being pushed, each with what comes next for it.
    lanes: HashMap<Device, VecDeque<Box<Ready>>>,
    /// For a place, first come first served.
    waiting: VecDeque<Box<Ready>>,
    /// How many of these wait for each origin.
    waiting_for: HashMap<Arc<str>, usize>,
    attempts: JoinSet<Verdict>,
    /// Those that need no attempt.
    settling: JoinSet<()>,
    under_way: HashMap<Id, (Device, Permit)>,
}

impl<S: PushService> Board<S> {
    /// Nothing is under way yet.
    pub fn new(pusher: Arc<Pusher<S>>, in_flight_max: usize) -> Self {
        let per_origin_max = pusher.service.per_origin_max(in_flight_max);
        let refused_users_max = pusher.service.refused_users_max();
        Self {
            pusher,
            origins: Origins::new(in_flight_max, per_origin_max, refused_users_max),
            lanes: HashMap::new(),
            waiting: VecDeque::new(),
            waiting_for: HashMap::new(),
            attempts: JoinSet::new(),
            settling: JoinSet::new(),
            under_way: HashMap::new(),
        }
    }

    /// Pushes what comes, until nothing comes any more or the drain begins; then ends what is under way.
    pub async fn run(mut self, mut fetched: mpsc::Receiver<Vec<Fetched>>, shutdown: Shutdown) {
        // One at a time: two entries of one conversation keep their order.
        let mut preparing: JoinSet<Prepared> = JoinSet::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                batch = fetched.recv(), if preparing.is_empty() => {
                    let Some(batch) = batch else { break };
                    let pusher = Arc::clone(&self.pusher);
                    preparing.spawn(async move { pusher.prepare(batch).await });
                }
                Some(prepared) = preparing.join_next() => match prepared {
                    Ok(prepared) => {
                        self.settle(prepared.settled);
                        for ready in prepared.ready {
                            self.place(Box::new(ready)).await;
                        }
                    }
                    // Its pushes come again once their acks are overdue.
                    Err(error) => tracing::error!(%error, "pushes could not be prepared"),
                },
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended).await,
                Some(settled) = self.settling.join_next() => report(settled),
                _ = tick.tick() => self.look().await,
                () = shutdown.draining() => break,
            }
        }
        fetched.close();
        self.hand_back(fetched, preparing).await;
        while let Some(ended) = self.attempts.join_next_with_id().await {
            self.close(ended);
        }
        while let Some(settled) = self.settling.join_next().await {
            report(settled);
        }
        self.pusher.flush().await;
    }

    fn settle(&mut self, settled: Vec<(Delivered, Due)>) {
        if !settled.is_empty() {
            let pusher = Arc::clone(&self.pusher);
            self.settling
                .spawn(async move { pusher.settle_all(settled).await });
        }
    }

    /// Starts a push, or finds it a place to wait.
    async fn place(&mut self, ready: Box<Ready>) {
        if ready.delivered.fetched.elapsed() > WAIT_MAX {
            // Not at once: it would come before all others, and wait again.
            self.put_off_busy(&ready, "waited").await;
        } else if self.lanes.contains_key(&ready.delivered.device) {
            self.queue(ready).await;
        } else if let Some(ready) = self.admit(ready).await {
            if self.is_crowded(&ready.origin) {
                self.put_off_busy(&ready, "busy").await;
            } else {
                *self.waiting_for.entry(Arc::clone(&ready.origin)).or_default() += 1;
                self.waiting.push_back(ready);
            }
        }
    }

    /// Whether as many wait for an origin as may: more would take the room of all others.
    fn is_crowded(&self, origin: &Arc<str>) -> bool {
        let in_lanes = self.lanes.values().flatten();
        let in_lanes = in_lanes.filter(|ready| ready.origin == *origin).count();
        let waiting = self.waiting_for.get(origin).copied().unwrap_or(0);
        waiting + in_lanes >= self.origins.waiting_max(origin)
    }

    /// Behind what is under way to the same device.
    async fn queue(&mut self, mut ready: Box<Ready>) {
        ready.queued = true;
        let Some(lane) = self.lanes.get_mut(&ready.delivered.device) else {
            return;
        };
        let of_the_same = lane
            .iter()
            .position(|other| other.delivered.conversation == ready.delivered.conversation);
        if let Some(other) = of_the_same.and_then(|position| lane.remove(position)) {
            // The older of two entries of one conversation is not needed any more.
            let (older, newer) = if other.delivered.revision > ready.delivered.revision {
                (ready, other)
            } else {
                (other, ready)
            };
            let twice = older.delivered.revision == newer.delivered.revision;
            lane.push_back(newer);
            // Of one that was delivered twice, the later delivery is answered.
            if !twice {
                self.pusher.replaced(&older.delivered).await;
            }
            return;
        }
        let (first, full) = (lane.is_empty(), lane.len() >= LANE_MAX);
        if full {
            self.put_off_busy(&ready, "device").await;
        } else if !first && self.is_crowded(&ready.origin) {
            self.put_off_busy(&ready, "busy").await;
        } else if let Some(lane) = self.lanes.get_mut(&ready.delivered.device) {
            lane.push_back(ready);
        }
    }

    /// Starts a push if its origin may be asked now; hands it back if it has to wait.
    async fn admit(&mut self, ready: Box<Ready>) -> Option<Box<Ready>> {
        let push = &ready.delivered;
        let (device, count) = (push.device, push.count);
        let admission = self.origins.admit(
            &ready.origin,
            device.user,
            count,
            Instant::now(),
            &mut rand::rng(),
        );
        match admission {
            Admission::Go(permit) => {
                let pusher = Arc::clone(&self.pusher);
                let attempt = self.attempts.spawn(async move { pusher.attempt(*ready).await });
                self.under_way.insert(attempt.id(), (device, permit));
                self.lanes.insert(device, VecDeque::new());
                None
            }
            Admission::Wait => Some(ready),
            Admission::PutOff { why, after } => {
                self.put_off(&ready, why, after).await;
                None
            }
        }
    }

    async fn put_off_busy(&self, ready: &Ready, why: &'static str) {
        // Nothing has failed: it comes again before long.
        let count = ready.delivered.count.min(BUSY_COUNT_MAX);
        let after = backoff::pause(count, &mut rand::rng());
        self.put_off(ready, why, after).await;
    }

    async fn put_off(&self, ready: &Ready, why: &'static str, after: Duration) {
        self.pusher.put_off(&ready.delivered, why, after).await;
    }

    async fn ended(&mut self, ended: Result<(Id, Verdict), JoinError>) {
        for next in self.close(ended) {
            self.place(next).await;
        }
        self.fill().await;
    }

    /// Gives back the places of an attempt, and what waits for its device.
    fn close(&mut self, ended: Result<(Id, Verdict), JoinError>) -> VecDeque<Box<Ready>> {
        let (id, verdict) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // It comes again once its ack is overdue.
                tracing::error!(%error, "an attempt to push died");
                (error.id(), Verdict::Unknown)
            }
        };
        let Some((device, permit)) = self.under_way.remove(&id) else {
            return VecDeque::new();
        };
        self.origins
            .ended(&permit, verdict, Instant::now(), &mut rand::rng());
        if !self.origins.is_misconfigured(permit.origin()) && self.pusher.misconfigured.over(permit.origin())
        {
            tracing::info!(
                push.origin = permit.origin(),
                "a push service takes our pushes again"
            );
        }
        self.lanes.remove(&device).unwrap_or_default()
    }

    /// Starts who may go now, in the order in which they came.
    async fn fill(&mut self) {
        self.waiting_for.clear();
        for ready in std::mem::take(&mut self.waiting) {
            self.place(ready).await;
        }
    }

    async fn look(&mut self) {
        self.origins.forget_idle(Instant::now());
        self.fill().await;
        let in_lanes: usize = self.lanes.values().map(VecDeque::len).sum();
        let in_flight = self.origins.in_flight();
        let held = in_flight + in_lanes + self.waiting.len();
        self.pusher.metrics.holds(in_flight, held, self.origins.paused());
        self.pusher.metrics.misconfigured(self.origins.misconfigured());
    }

    /// What was not begun goes to another process at once.
    async fn hand_back(
        &mut self,
        mut fetched: mpsc::Receiver<Vec<Fetched>>,
        mut preparing: JoinSet<Prepared>,
    ) {
        while let Some(batch) = fetched.recv().await {
            for (message, ..) in batch {
                answer(&message, AckKind::Nak(None)).await;
            }
        }
        let lanes = std::mem::take(&mut self.lanes).into_values().flatten();
        for ready in lanes.chain(std::mem::take(&mut self.waiting)) {
            self.put_off(&ready, "draining", Duration::ZERO).await;
        }
        while let Some(prepared) = preparing.join_next().await {
            let prepared = prepared.unwrap_or_default();
            self.settle(prepared.settled);
            for ready in prepared.ready {
                self.put_off(&ready, "draining", Duration::ZERO).await;
            }
        }
    }
}

fn report(settled: Result<(), JoinError>) {
    if let Err(error) = settled {
        // What it held comes again once its acks are overdue.
        tracing::error!(%error, "pushes could not be settled");
    }
}

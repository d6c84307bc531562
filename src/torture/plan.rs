//! Which fault comes when: drawn from the seed before anything starts, by a pure function.
//!
//! At most [`AT_A_TIME`] faults overlap, and never two of the same part, link or client. In a
//! cluster at most one fault at a time touches the nats-servers, so that a quorum is lost only
//! where the plan says so.

#[cfg(test)]
mod tests;

use std::fmt;

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::Serialize;

use super::fault::{Fault, Kind, Part, Wire};

/// Faults that overlap at most.
pub const AT_A_TIME: usize = 3;
/// Before the first fault everybody has connected and talks.
const WARM_UP_MS: u64 = 2_000;
/// Shortest and longest time from the begin of one fault to that of the next.
const GAP_MS: (u64, u64) = (200, 2_000);
/// Furthest that a clock is put ahead or back.
const STEP_MS_MAX: i64 = 600_000;

/// What the plan is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Edges.
    pub edges: usize,
    /// Persisters.
    pub persisters: usize,
    /// Presence processes.
    pub presences: usize,
    /// nats-servers: 1 or 3.
    pub nats_nodes: usize,
    /// Clients, devices of their own.
    pub clients: usize,
    /// Shards of the streams.
    pub shards: u16,
}

/// How long it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// So many faults.
    Faults(usize),
    /// So many minutes of faults.
    Minutes(u64),
}

/// A fault with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Counts from 1.
    pub number: usize,
    /// When it begins, in milliseconds since the clients began to talk.
    pub at_ms: u64,
    /// How long it lasts.
    pub hold_ms: u64,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
}

/// All faults of a run: the same for the same seed, shape, kinds and length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// From which it was drawn.
    pub seed: u64,
    /// For what it was drawn.
    pub shape: Shape,
    /// The faults, by their begin.
    pub faults: Vec<Planned>,
}

/// What a fault has for itself as long as it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Part(Part),
    Wire(Wire),
    Client(usize),
    Clock(Part),
    /// The nats-servers of a cluster together.
    Quorum,
}

impl Planned {
    /// When it ends.
    #[must_use]
    pub const fn end_ms(&self) -> u64 {
        self.at_ms + self.hold_ms
    }
}

impl Plan {
    /// Draws a plan. Kinds come in bags, so that even a short run has all of them.
    #[must_use]
    pub fn draw(seed: u64, shape: Shape, kinds: &[Kind], length: Length) -> Self {
        let mut dice = Dice {
            random: StdRng::seed_from_u64(seed),
            shape,
        };
        let kinds: Vec<Kind> = kinds.iter().copied().filter(|kind| dice.has(*kind)).collect();
        let (mut faults, mut bag, mut at_ms) = (Vec::<Planned>::new(), Vec::new(), WARM_UP_MS);
        while !kinds.is_empty() {
            let over = match length {
                Length::Faults(count) => faults.len() >= count,
                Length::Minutes(minutes) => at_ms >= WARM_UP_MS + minutes * 60_000,
            };
            if over {
                break;
            }
            if bag.is_empty() {
                bag = dice.bag(&kinds);
            }
            let Some(kind) = bag.pop() else { break };
            let (fault, hold_ms) = dice.fault(kind);
            at_ms = free_from(&faults, &fault, shape, at_ms);
            let number = faults.len() + 1;
            faults.push(Planned {
                number,
                at_ms,
                hold_ms,
                fault,
            });
            at_ms += dice.random.random_range(GAP_MS.0..GAP_MS.1);
        }
        Self { seed, shape, faults }
    }

    /// The faults before this one that want something of what it wants: it begins once they are over,
    /// even if that is later than planned, because something took its time to come back.
    #[must_use]
    pub fn clashes(&self, index: usize) -> Vec<usize> {
        let Some(fault) = self.faults.get(index) else {
            return Vec::new();
        };
        let wanted = claims(&fault.fault, self.shape);
        let clashes = |other: &&usize| {
            let theirs = claims(&self.faults[**other].fault, self.shape);
            theirs.iter().any(|claim| wanted.contains(claim))
        };
        (0..index)
            .collect::<Vec<_>>()
            .iter()
            .filter(clashes)
            .copied()
            .collect()
    }

    /// When the last fault ends, in milliseconds since the clients began to talk.
    #[must_use]
    pub fn end_ms(&self) -> u64 {
        self.faults.iter().map(Planned::end_ms).max().unwrap_or_default()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = format!("{}.{:03}", self.at_ms / 1_000, self.at_ms % 1_000);
        write!(
            f,
            "#{:<4} {at:>9} s  for {:>5} ms  {}",
            self.number, self.hold_ms, self.fault
        )
    }
}

/// The first moment from `at_ms` on at which the fault has all for itself and there is room.
fn free_from(faults: &[Planned], fault: &Fault, shape: Shape, at_ms: u64) -> u64 {
    let wanted = claims(fault, shape);
    let clashes = |other: &Planned| {
        claims(&other.fault, shape)
            .iter()
            .any(|claim| wanted.contains(claim))
    };
    let clash = faults
        .iter()
        .filter(|other| clashes(other))
        .map(Planned::end_ms)
        .max();
    let mut at_ms = at_ms.max(clash.unwrap_or_default());
    loop {
        let mut ends: Vec<u64> = faults
            .iter()
            .map(Planned::end_ms)
            .filter(|end| *end > at_ms)
            .collect();
        if ends.len() < AT_A_TIME {
            return at_ms;
        }
        ends.sort_unstable();
        at_ms = ends[ends.len() - AT_A_TIME];
    }
}

fn claims(fault: &Fault, shape: Shape) -> Vec<Claim> {
    let cluster = shape.nats_nodes > 1;
    match *fault {
        Fault::Kill(part) | Fault::Pause(part) | Fault::FullDisk(part) => match part {
            Part::Nats(_) if cluster => vec![Claim::Part(part), Claim::Quorum],
            _ => vec![Claim::Part(part)],
        },
        Fault::Cut(wire) | Fault::Still(wire) | Fault::Late(wire, _) | Fault::Narrow(wire, _) => match wire {
            Wire::Route(..) => vec![Claim::Wire(wire), Claim::Quorum],
            _ => vec![Claim::Wire(wire)],
        },
        Fault::Clock(part, _) => vec![Claim::Clock(part)],
        Fault::Slow(client) | Fault::Leave(client) | Fault::Crash(client) => vec![Claim::Client(client)],
        Fault::Leader(_) | Fault::Majority(..) => vec![Claim::Quorum],
    }
}

/// The source of all that is left to chance.
struct Dice {
    random: StdRng,
    shape: Shape,
}

impl Dice {
    fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Cluster => self.shape.nats_nodes > 1,
            Kind::Slow | Kind::Churn => self.shape.clients > 0,
            _ => true,
        }
    }

    /// Kinds in a random order, the more telling ones more often.
    fn bag(&mut self, kinds: &[Kind]) -> Vec<Kind> {
        let often = |kind: &Kind| match kind {
            Kind::Kill => 4,
            Kind::Cut | Kind::Churn => 3,
            Kind::Pause | Kind::Delay | Kind::Cluster => 2,
            Kind::Disk | Kind::Clock | Kind::Slow => 1,
        };
        let mut bag: Vec<Kind> = kinds
            .iter()
            .flat_map(|kind| std::iter::repeat_n(*kind, often(kind)))
            .collect();
        bag.shuffle(&mut self.random);
        bag
    }

    fn fault(&mut self, kind: Kind) -> (Fault, u64) {
        let (fault, hold) = match kind {
            Kind::Kill => (Fault::Kill(self.part()), 50..3_000),
            Kind::Pause => (Fault::Pause(self.part()), 300..4_000),
            Kind::Cut if self.random.random_bool(0.5) => (Fault::Cut(self.wire()), 1..1_500),
            Kind::Cut => (Fault::Still(self.wire()), 500..6_000),
            Kind::Delay if self.random.random_bool(0.7) => {
                let ms = self.random.random_range(10..300);
                (Fault::Late(self.wire(), ms), 1_000..5_000)
            }
            Kind::Delay => {
                let kib = self.random.random_range(16..256);
                (Fault::Narrow(self.wire(), kib), 1_000..4_000)
            }
            Kind::Disk => (Fault::FullDisk(self.store()), 2_000..5_000),
            Kind::Clock => {
                let ms = self.random.random_range(-STEP_MS_MAX..=STEP_MS_MAX);
                (Fault::Clock(self.clock(), ms), 3_000..12_000)
            }
            Kind::Slow => (Fault::Slow(self.client()), 2_000..8_000),
            Kind::Churn if self.random.random_bool(0.5) => (Fault::Leave(self.client()), 200..6_000),
            Kind::Churn => (Fault::Crash(self.client()), 200..6_000),
            Kind::Cluster if self.random.random_bool(0.5) => (
                Fault::Leader(self.random.random_range(0..self.shape.shards)),
                500..4_000,
            ),
            Kind::Cluster => {
                let mut nodes: Vec<usize> = (0..self.shape.nats_nodes).collect();
                nodes.shuffle(&mut self.random);
                (Fault::Majority(nodes[0], nodes[1]), 3_000..8_000)
            }
        };
        (fault, self.random.random_range(hold))
    }

    /// Each kind of part as often as the others, however many there are of it.
    fn part(&mut self) -> Part {
        match self.random.random_range(0..5) {
            0 => Part::Edge(self.random.random_range(0..self.shape.edges)),
            1 => Part::Persister(self.random.random_range(0..self.shape.persisters)),
            2 => Part::Presence(self.random.random_range(0..self.shape.presences)),
            3 => Part::Nats(self.random.random_range(0..self.shape.nats_nodes)),
            _ => Part::Postgres,
        }
    }

    fn wire(&mut self) -> Wire {
        let (edge, persister) = (
            self.random.random_range(0..self.shape.edges),
            self.random.random_range(0..self.shape.persisters),
        );
        let presence = self.random.random_range(0..self.shape.presences);
        let kinds = if self.shape.nats_nodes > 1 { 6 } else { 5 };
        match self.random.random_range(0..kinds) {
            0 => Wire::Clients(edge),
            1 => Wire::EdgeNats(edge),
            2 => Wire::PersisterNats(persister),
            3 => Wire::PersisterPostgres(persister),
            4 => Wire::PresenceNats(presence),
            _ => {
                let one = self.random.random_range(0..self.shape.nats_nodes);
                Wire::Route(one, (one + 1) % self.shape.nats_nodes)
            }
        }
    }

    fn store(&mut self) -> Part {
        if self.random.random_bool(0.5) {
            Part::Postgres
        } else {
            Part::Nats(self.random.random_range(0..self.shape.nats_nodes))
        }
    }

    /// A Go program asks the kernel for the time itself, so that a nats-server cannot be fooled.
    fn clock(&mut self) -> Part {
        match self.random.random_range(0..4) {
            0 => Part::Edge(self.random.random_range(0..self.shape.edges)),
            1 => Part::Persister(self.random.random_range(0..self.shape.persisters)),
            2 => Part::Presence(self.random.random_range(0..self.shape.presences)),
            _ => Part::Postgres,
        }
    }

    fn client(&mut self) -> usize {
        self.random.random_range(0..self.shape.clients)
    }
}

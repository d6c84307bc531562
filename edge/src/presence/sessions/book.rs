//! What the bucket `sessions` should say of each device that is connected here, and what it is
//! believed to say. No I/O and no clock: the writer brings the one in line with the other.

use std::collections::{HashMap, VecDeque, hash_map::Entry as Place};

use natterjack_nats::{DeviceId, UserId, wire::DeviceSession};

/// A device of a user.
pub(super) type Key = (UserId, DeviceId);

/// One write of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Put(DeviceSession),
    Purge,
}

/// All devices that are connected here, and those that were and are not purged yet.
#[derive(Debug, Default)]
pub(super) struct Book {
    devices: HashMap<Key, Device>,
    /// Those that differ, each once, in the order in which they came to.
    queue: VecDeque<Key>,
    epoch: u64,
    /// Counts the comparisons with what is stored.
    round: u32,
}

/// Small: there is one for each connection.
#[derive(Debug)]
struct Device {
    since: u64,
    sockets: u32,
    /// Sockets on which the app is in the foreground.
    active: u32,
    /// The comparison in which it was last found, or written.
    round: u32,
    stored: Stored,
    step: Step,
}

/// What the bucket is believed to say, under the present epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Nothing,
    /// Something else than it should, or a write whose outcome is not known.
    Unknown,
    Away,
    Active,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Idle,
    /// In the queue.
    Waits,
    /// At most one write of a key is under way, so that they stay in order.
    Writing,
    /// Written a moment ago: who changes often is written now and then.
    Rests,
}

impl Device {
    const fn new(since: u64, stored: Stored) -> Self {
        Self {
            since,
            sockets: 0,
            active: 0,
            round: 0,
            stored,
            step: Step::Idle,
        }
    }

    const fn wanted(&self) -> Stored {
        match (self.sockets, self.active) {
            (0, _) => Stored::Nothing,
            (_, 0) => Stored::Away,
            _ => Stored::Active,
        }
    }

    fn is_in_line(&self) -> bool {
        self.stored == self.wanted()
    }
}

impl Book {
    /// A socket of the device opened.
    pub fn enter(&mut self, key: Key, active: bool, now_ms: u64) -> bool {
        let device = match self.devices.entry(key) {
            Place::Vacant(vacant) => vacant.insert(Device::new(now_ms, Stored::Nothing)),
            Place::Occupied(occupied) => {
                let device = occupied.into_mut();
                if device.sockets == 0 {
                    // It was away for a moment; what is stored has another time.
                    device.since = now_ms;
                    device.stored = Stored::Unknown;
                }
                device
            }
        };
        device.sockets += 1;
        device.active += u32::from(active);
        self.touch(key)
    }

    /// The app of one socket comes to the foreground, or leaves it.
    pub fn turn(&mut self, key: Key, active: bool) -> bool {
        if let Some(device) = self.devices.get_mut(&key) {
            device.active = if active {
                device.active + 1
            } else {
                device.active - 1
            };
        }
        self.touch(key)
    }

    /// A socket of the device closed.
    pub fn leave(&mut self, key: Key, active: bool) -> bool {
        if let Some(device) = self.devices.get_mut(&key) {
            device.sockets -= 1;
            device.active -= u32::from(active);
        }
        self.touch(key)
    }

    /// Queues what differs, and forgets what is gone; whether there is something to write.
    fn touch(&mut self, key: Key) -> bool {
        let Some(device) = self.devices.get_mut(&key) else {
            return false;
        };
        if device.step != Step::Idle {
            return false;
        }
        if !device.is_in_line() {
            device.step = Step::Waits;
            self.queue.push_back(key);
            return true;
        }
        if device.sockets == 0 {
            self.devices.remove(&key);
            self.shrink();
        }
        false
    }

    /// The next write. Each is answered with [`Self::wrote`].
    pub fn next(&mut self) -> Option<(Key, Change)> {
        while let Some(key) = self.queue.pop_front() {
            let Some(device) = self.devices.get_mut(&key) else {
                continue;
            };
            device.step = Step::Idle;
            if device.is_in_line() {
                // It came and went.
                self.touch(key);
                continue;
            }
            device.step = Step::Writing;
            let change = match device.wanted() {
                Stored::Nothing => Change::Purge,
                wanted => Change::Put(DeviceSession {
                    epoch: self.epoch,
                    active: wanted == Stored::Active,
                    since: device.since,
                }),
            };
            return Some((key, change));
        }
        None
    }

    /// A write ended. A key that was written rests until [`Self::rested`].
    pub fn wrote(&mut self, key: Key, change: Change, done: bool) {
        let (epoch, round) = (self.epoch, self.round);
        let Some(device) = self.devices.get_mut(&key) else {
            return;
        };
        device.stored = match change {
            _ if !done => Stored::Unknown,
            Change::Purge => Stored::Nothing,
            // A new epoch began meanwhile, or the device came back.
            Change::Put(put) if put.epoch != epoch || put.since != device.since => Stored::Unknown,
            Change::Put(put) if put.active => Stored::Active,
            Change::Put(_) => Stored::Away,
        };
        device.round = round;
        if done {
            device.step = Step::Rests;
        } else {
            device.step = Step::Idle;
            self.touch(key);
        }
    }

    /// A key may be written again; whether there is something to write.
    pub fn rested(&mut self, key: Key) -> bool {
        if let Some(device) = self.devices.get_mut(&key)
            && device.step == Step::Rests
        {
            device.step = Step::Idle;
        }
        self.touch(key)
    }

    /// All that was written before counts for nothing.
    pub fn begin_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        let keys: Vec<_> = self.devices.keys().copied().collect();
        for key in keys {
            if let Some(device) = self.devices.get_mut(&key)
                && device.stored != Stored::Nothing
            {
                device.stored = Stored::Unknown;
            }
            self.touch(key);
        }
    }

    /// A comparison with what is stored begins.
    pub const fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// This is stored. What is not known here is to be purged.
    pub fn found(&mut self, key: Key, session: Option<DeviceSession>) {
        let (epoch, round) = (self.epoch, self.round);
        let device = self
            .devices
            .entry(key)
            .or_insert_with(|| Device::new(0, Stored::Unknown));
        device.round = round;
        let as_believed = session.is_some_and(|session| {
            let stored = if session.active {
                Stored::Active
            } else {
                Stored::Away
            };
            session.epoch == epoch && session.since == device.since && stored == device.stored
        });
        // What is under way is newer than what was found.
        if !as_believed && device.step != Step::Writing {
            device.stored = Stored::Unknown;
            self.touch(key);
        }
    }

    /// All that is stored was found: what should be there and was not is written again.
    pub fn end_round(&mut self) {
        let round = self.round;
        let missing = self.devices.iter_mut().filter_map(|(key, device)| {
            let missing =
                device.round != round && device.stored != Stored::Nothing && device.step != Step::Writing;
            missing.then(|| {
                device.stored = Stored::Unknown;
                *key
            })
        });
        let missing: Vec<_> = missing.collect();
        for key in missing {
            self.touch(key);
        }
    }

    /// Whether nobody is connected and nothing is left in the bucket.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// How many devices are connected, or not purged yet.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Gives room back after many have gone.
    fn shrink(&mut self) {
        const KEPT: usize = 1_024;
        if self.devices.capacity() > KEPT && self.devices.len() < self.devices.capacity() / 8 {
            self.devices.shrink_to(self.devices.len() * 2);
            self.queue.shrink_to(KEPT);
        }
    }
}

#[cfg(test)]
mod tests;

//! One shard's index, kept up to date for all who ask at the same moment by one read.
//!
//! Whoever asks must see everything that was stored before they asked. A read that is under way may
//! have passed the end already, so it does not count: an asker waits for one that begins later, which
//! is then everybody's who has asked by that time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex as SyncMutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use natterjack_nats::{Conversation, direct::DirectError};
use tokio::sync::Mutex;

use super::index::{Head, Index};

/// Messages beyond the lowest floor that are held at most: several seconds' worth of a shard that
/// writes as fast as one machine can. Far beyond it lies only what a persister left that was away.
pub const MESSAGES_MAX: usize = 8_192;
/// Payload bytes that one look reads at most.
const BYTES_MAX: usize = 16 << 20;

/// Where messages come from.
pub trait Source: Send + Sync {
    /// The first messages beyond a sequence, as many as one request brings.
    fn after(&self, seq: u64) -> impl Future<Output = Result<Part, DirectError>> + Send;
}

/// What one request brought.
#[derive(Debug, Default)]
pub struct Part {
    /// In the order of the stream; without a conversation those that belong to none.
    pub messages: Vec<(Option<Conversation>, Head)>,
    /// Of all payloads.
    pub bytes: usize,
    /// How many more there are.
    pub left: u64,
}

/// Why an index could not be looked at.
#[derive(Debug, Clone)]
pub enum Missing {
    /// The shard does not answer.
    Away(DirectError),
    /// More lies beyond the floor than is held.
    TooMuch,
}

/// The index of one shard.
#[derive(Debug)]
pub struct Line<S> {
    source: S,
    /// Everybody who asks gets a number.
    asked: AtomicU64,
    /// From where on somebody may still ask, with how many do.
    floors: SyncMutex<BTreeMap<u64, u32>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    index: Index,
    /// Those up to this number asked before the last read began.
    answered: u64,
    outcome: Result<(), Missing>,
    /// From a floor below this one on there is more than is held.
    too_much_below: u64,
}

/// A promise that what lies beyond a sequence can be asked for; it ends when this is dropped.
#[derive(Debug)]
pub struct Floor<S> {
    line: Arc<Line<S>>,
    seq: u64,
}

impl<S: Source> Line<S> {
    /// Nothing was read yet.
    pub fn new(source: S) -> Self {
        Self {
            source,
            asked: AtomicU64::new(0),
            floors: SyncMutex::default(),
            state: Mutex::new(State {
                index: Index::default(),
                answered: 0,
                outcome: Ok(()),
                too_much_below: 0,
            }),
        }
    }

    /// Whoever holds this may ask for the content of everything beyond `seq`.
    pub fn hold(self: &Arc<Self>, seq: u64) -> Floor<S> {
        *self.floors().entry(seq).or_default() += 1;
        Floor {
            line: Arc::clone(self),
            seq,
        }
    }

    async fn look<T>(&self, see: impl FnOnce(&Index) -> T) -> Result<T, Missing> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        // The lock is fair: whoever waits for it is not overtaken, and finds the answer of the read
        // that began after they asked, or begins it.
        let mut state = self.state.lock().await;
        if state.answered < number {
            let asked = self.asked.load(Ordering::SeqCst);
            // Cancelled here, it was nobody's, and the next one goes on where it stopped.
            let outcome = self.read_on(&mut state).await;
            (state.outcome, state.answered) = (outcome, asked);
        }
        state.outcome.clone()?;
        Ok(see(&state.index))
    }

    async fn read_on(&self, state: &mut State) -> Result<(), Missing> {
        // Whoever asks holds one.
        let (lowest, highest) = {
            let floors = self.floors();
            let (mut ends, last) = (floors.keys(), floors.keys().next_back());
            (
                ends.next().copied().unwrap_or_default(),
                last.copied().unwrap_or_default(),
            )
        };
        match self.read_from(state, lowest).await {
            // Who has been at it for so long must not take it from all others.
            Err(Missing::TooMuch) if lowest < highest => {}
            result => return result,
        }
        self.read_from(state, highest).await
    }

    /// Reads what was stored since, up to what there is as it begins.
    async fn read_from(&self, state: &mut State, floor: u64) -> Result<(), Missing> {
        if floor < state.too_much_below {
            return Err(Missing::TooMuch);
        }
        state.index.advance(floor);
        let (mut read, mut bytes, mut wanted) = (0_u64, 0, None);
        loop {
            let after = state.index.upto();
            let part = self.source.after(after).await.map_err(Missing::Away)?;
            read += part.messages.len() as u64;
            bytes += part.bytes;
            // What is stored from here on is the next one's.
            let left = wanted.get_or_insert(read + part.left).saturating_sub(read);
            let is_last = part.messages.is_empty() || part.left == 0 || left == 0;
            for (conversation, head) in part.messages {
                state.index.push(conversation, head);
            }
            let beyond = state.index.whole() as u64 + left;
            let too_many = beyond.saturating_sub(MESSAGES_MAX as u64);
            if too_many > 0 {
                state.too_much_below = floor + too_many;
            } else if bytes > BYTES_MAX && !is_last {
                state.too_much_below = state.index.upto();
            } else if is_last {
                return Ok(());
            } else {
                continue;
            }
            state.index.restart(floor);
            return Err(Missing::TooMuch);
        }
    }
}

impl<S> Line<S> {
    fn floors(&self) -> MutexGuard<'_, BTreeMap<u64, u32>> {
        self.floors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Source> Floor<S> {
    /// The sequence.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Shows the index once it has everything beyond the floor that was stored before this was called.
    ///
    /// # Errors
    /// [`Missing`].
    pub async fn look<T>(&self, see: impl FnOnce(&Index) -> T) -> Result<T, Missing> {
        let see = |index: &Index| (self.seq >= index.whole_from()).then(|| see(index));
        self.line.look(see).await?.ok_or(Missing::TooMuch)
    }
}

impl<S> Drop for Floor<S> {
    fn drop(&mut self) {
        let mut floors = self.line.floors();
        if let Some(count) = floors.get_mut(&self.seq) {
            *count -= 1;
            if *count == 0 {
                floors.remove(&self.seq);
            }
        }
    }
}

//! How the load of `bench send` is made, and by whom.

use std::fmt;

use serde::Serialize;

/// How the load is made.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// So many in flight.
    Closed(usize),
    /// So many a second.
    Open(f64),
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(in_flight) => write!(f, "{in_flight:>4} in flight"),
            Self::Open(rate) => write!(f, "{rate:.0} a second"),
        }
    }
}

/// The three ways of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To JetStream, alone.
    Raw,
    /// To JetStream, with the persister at work.
    RawPersisted,
    /// Through an edge, with the persister at work.
    Natterjack,
}

impl Way {
    /// For a person.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::RawPersisted => "raw, persisted",
            Self::Natterjack => "natterjack",
        }
    }
}

/// Something for each way.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ways<T> {
    /// Absent if the persister is not ours to be held still.
    pub raw: Option<T>,
    pub raw_persisted: T,
    pub natterjack: T,
}

impl<T> Ways<T> {
    /// Those that are there, in the order in which they are measured.
    pub fn all(&self) -> impl Iterator<Item = (Way, &T)> {
        let raw = self.raw.iter().map(|raw| (Way::Raw, raw));
        raw.chain([
            (Way::RawPersisted, &self.raw_persisted),
            (Way::Natterjack, &self.natterjack),
        ])
    }
}

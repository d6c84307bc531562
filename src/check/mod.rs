//! The checker: did the system keep its promises, as far as its clients could tell?
//!
//! A [`Journal`] records what every client tried, was told and was given. [`check`] compares it
//! with the history that the server answers at the end and names the first broken promise, with
//! what surrounds it. It knows nothing of faults, clocks or servers, so that every test, benchmark
//! and fault run can use it. A [`Recorder`] keeps the journal of Rust clients.

mod journal;
mod recorder;
mod rules;

pub use journal::{Attempt, Change, Delivery, Journal, Receiver, Sessions, Span, Told};
pub use recorder::{Recorded, Recorder};
pub use rules::{SENDS_REFUSED_WITHIN, Summary, Violation, check, presence};

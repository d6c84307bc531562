//! Who is there, and which edges are.

pub mod args;
pub mod discovery;
pub mod drain;
pub mod lease;
pub(crate) mod operator;
pub mod privacy;
pub mod sessions;
pub mod watch;

pub use args::PlaceArgs;
pub use discovery::Discovery;
pub use drain::{Drain, Standing};
pub use lease::{Lease, Leave};
pub use sessions::{Present, Sessions};

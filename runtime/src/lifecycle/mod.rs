//! How a process, or one role in a test, starts, fails and ends: named tasks under a
//! supervisor, a soft shutdown that lets them drain and a hard one that does not wait.
//!
//! Nothing is global: a test process runs as many of these side by side as it likes.

mod shutdown;
mod signals;
mod tasks;

pub use shutdown::Shutdown;
pub use tasks::Tasks;

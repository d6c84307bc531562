//! Who is there, and which edges are.

pub mod discovery;

pub use discovery::Discovery;

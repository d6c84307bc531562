//! Who may do what in NATS: one user for each role, and for those who operate a cluster.

mod user;

pub use user::User;

//! The Rust client: one connection state machine with outbox, resume and gap repair.

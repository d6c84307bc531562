//! The Rust client: one connection state machine with outbox, resume and gap repair.
//!
//! [`Account`] signs up or logs in and keeps the tokens fresh, [`Api`] is the HTTP side, and
//! [`Client::connect`] opens the socket side: a [`Client`] to write with and [`Events`] to read.
//! What is written is kept until the server has it on disk; what is read is in order and without
//! a hole, whatever happens to the connection between.

mod account;
mod actor;
mod api;
mod backoff;
mod client;
mod clock;
mod config;
mod draft;
mod error;
mod event;
mod machine;
mod outbox;
mod receipts;
mod requests;
mod route;
mod socket;
mod timeline;
mod token;

pub use account::{Account, Credentials};
pub use api::{Api, Sent};
pub use backoff::Backoff;
pub use client::Client;
pub use config::Config;
pub use draft::Draft;
pub use error::{ApiError, QueueError, RequestError, SendFailure, StopReason};
pub use event::{Event, Events};
pub use token::{AccessToken, StaticToken, TokenError, TokenFuture, TokenSource};

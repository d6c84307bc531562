//! Deciding, on a real nats-server: what edges and the persister write is written by hand, and what is to be
//! pushed is read from the bucket `pushes`, with the reasons from the trace.

#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod outages;
mod outcomes;
mod persister;
mod read_and_deleted;
mod receipts;
mod speed;
mod twins;
mod why;
mod world;

use world::{World, device, dm, user};

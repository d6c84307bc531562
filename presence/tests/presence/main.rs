//! Presence on a real nats-server: what edges write is written by hand, and what presence makes of it is
//! read from the bucket and heard where edges hear it.

#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod edge;
mod leases;
mod many;
mod outages;
mod services;
mod states;
mod world;

use edge::Edge;
use world::{World, device, user};

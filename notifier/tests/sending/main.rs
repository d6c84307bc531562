//! Pushing on a real nats-server: what stands in the bucket `pushes` is written by hand, push services are
//! servers of the test's own, and the notifier is the real one.

#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod accounts;
mod dead_services;
mod fcm;
mod fcm_schema;
mod fcm_server;
mod kills;
mod outcomes;
mod push_server;
mod replay;
mod waiting;
mod world;

use push_server::{Answer, PushServer};
use world::{World, dm, until};

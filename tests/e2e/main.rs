//! The message path end to end: two edges and a persister on a real nats-server and Postgres.
//!
//! One program for all scenarios, because linking it costs more than running a scenario.

#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

#[path = "../shared/browsers.rs"]
mod browsers;
mod chat;
mod contract;
mod devices;
mod draining;
mod firefox;
mod gap;
mod groups;
mod http;
mod idempotency;
mod identity;
mod limits;
mod moving;
mod nudged;
mod plain_page;
mod plain_run;
mod polling;
mod push;
mod refusals;
mod registering;
mod resume;
mod signals;
mod slow;
mod strangers;
mod support;
mod transcripts;
mod watching;
mod web_push;

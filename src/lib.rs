//! Natterjack: a self-hosted chat backend centred on NATS JetStream.
//!
//! This package composes the roles: [`cli`] is the command line, [`up`] the plain run that starts
//! everything on one machine, [`local`] the servers below it, [`web`] the build of the web client, [`chat`] the terminal client, [`check`]
//! the checker that tests and fault runs share, [`fleet`] what they stand on, [`bench`] the
//! benchmarks, [`torture`] the fault run, and [`doctor`] a look at how a cluster stands.

pub mod bench;
pub mod chat;
pub mod check;
pub mod cli;
pub mod doctor;
pub mod fleet;
pub mod local;
pub mod provision;
pub mod ready;
pub mod role;
pub mod torture;
pub mod up;
pub mod web;

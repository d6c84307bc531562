//! The topology of compose.yaml as processes, from the same files: where no container engine is, and to see what
//! happens to those who are connected while each part of it is restarted.
//!
//! Each service runs with the command, environment, volumes, secrets, networks, user, stop signal and health check
//! that compose.yaml gives it, in namespaces as containers have them. What stands in for an engine: the programs are
//! those of this machine and of the tests' own tools rather than of the images, Postgres's image is three lines of
//! shell, and ports are not published: clients are on the networks.

mod balancer;
mod compose;
mod console;
mod container;
mod copies;
#[path = "../shared/crowd.rs"]
mod crowd;
mod doctor;
mod files;
mod leaked;
mod lost;
mod names;
#[path = "../operations/nats_cli.rs"]
#[expect(dead_code, reason = "operations look at what it prints in more ways")]
mod nats_cli;
mod net;
#[path = "../shared/page.rs"]
mod page;
#[path = "../shared/browsers.rs"]
mod programs;
mod renewal;
mod rolling;
mod sandbox;
mod sight;
mod stage;
mod stand;

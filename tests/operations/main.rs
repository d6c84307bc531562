//! What operators rely on, on real servers: who may do what, and what they look at and repair with.

mod console;
mod contexts;
#[path = "../shared/crowd.rs"]
mod crowd;
mod doctor;
mod drift;
mod login;
mod nats_cli;
#[path = "../shared/page.rs"]
mod page;
mod pages;
mod permissions;
#[path = "../shared/browsers.rs"]
mod programs;
mod restore;
mod sight;

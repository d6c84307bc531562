//! A real nats-server and a real Postgres as supervised children of this process.
//!
//! The plain run, the tests and the benchmarks start them through the same code:
//! [`Tools`] finds or installs the binaries, [`DataDir`] owns the directory that
//! survives restarts, [`Ports`] remembers the ports in it, and [`NatsServer`] and
//! [`Postgres`] are ready when the servers say so and failed when they exit.

mod data_dir;
mod error;
mod launch;
mod leftover;
mod nats;
mod nats_config;
mod ports;
mod postgres;
mod postgres_init;
mod process;
mod program;
mod progress;
mod testing;
mod tools;
mod tools_install;
mod tools_npm;

pub use data_dir::{DataDir, DataDirError};
pub use error::{ServerError, ServerExit};
pub use nats::NatsServer;
pub use nats_config::{NatsConfig, PING_INTERVAL_S, PINGS_OUT_MAX};
pub use ports::{PortError, PortRequest, Ports};
pub use postgres::{Postgres, PostgresConfig};
pub use program::{Program, ProgramConfig};
pub use progress::{Progress, SilentProgress, StderrProgress};
pub use testing::testing_tools_dir;
pub use tools::{ToolError, Tools};
pub use tools_install::install_python;
pub use tools_npm::install_postgres_with_tls;

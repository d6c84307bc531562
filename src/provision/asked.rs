//! What a configuration was written for: kept beside it, so that a later run, such as the one that renews
//! certificates, needs no argument and takes nothing away.

use std::{fs, io::ErrorKind, path::Path};

use anyhow::Context;
use natterjack_nats::Shards;
use serde::{Deserialize, Serialize};

use super::config::ConfigArgs;

/// The names of the servers where nobody says otherwise: those of the compose file.
const NATS_HOSTS: [&str; 3] = ["nats-1", "nats-2", "nats-3"];

/// What the files are written for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// The servers of NATS.
    pub nats_hosts: Vec<String>,
    /// Further names in the certificates.
    pub sans: Vec<String>,
    /// How many shards the permissions name.
    pub shards: u16,
}

impl Asked {
    /// What the arguments say, and where they say nothing, what the file at `path` kept.
    ///
    /// # Errors
    /// The file is damaged, or was written for more shards.
    pub fn new(path: &Path, args: &ConfigArgs, shards: Shards) -> anyhow::Result<Self> {
        let kept = match fs::read(path) {
            Ok(text) => Some(serde_json::from_slice::<Self>(&text).with_context(|| {
                format!(
                    "{} is damaged: remove it, and say all arguments again",
                    path.display()
                )
            })?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).context(format!("{}", path.display())),
        };
        let shards = shards.count();
        if let Some(kept) = &kept {
            anyhow::ensure!(
                shards >= kept.shards,
                "this configuration is for {} shards, and fewer would lock the roles out of the others: say \
                 --shards {} (or set NATTERJACK_SHARDS)",
                kept.shards,
                kept.shards
            );
        }
        let (hosts, sans) = kept.map_or_else(
            || (NATS_HOSTS.map(String::from).to_vec(), Vec::new()),
            |kept| (kept.nats_hosts, kept.sans),
        );
        let or = |said: &[String], kept| if said.is_empty() { kept } else { said.to_vec() };
        Ok(Self {
            nats_hosts: or(&args.nats_host, hosts),
            sans: or(&args.san, sans),
            shards,
        })
    }
}

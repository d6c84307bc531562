//! The commands of nats/README.md that need three nodes or change keys: those in its blocks ```sh cluster are run
//! here, as the page has them, with the contexts that are shipped.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use tokio::time::timeout;

use super::{
    page::{commands, typed},
    sandbox::Sandbox,
};

const FENCE: &str = "```sh cluster";
/// How long a command may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where they are typed.
pub struct Console {
    dir: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    /// What only our own program is to know: a key in the environment goes before that of a context.
    provisions: Vec<(&'static str, OsString)>,
    left: BTreeSet<&'static str>,
}

impl Console {
    /// None where the command line cannot be had.
    pub fn new(sandbox: &Sandbox, nats_url: &str) -> anyhow::Result<Option<Self>> {
        let Some(nats) = &sandbox.nats_cli else {
            return Ok(None);
        };
        let dir = sandbox.project().join("config");
        let programs = [
            nats,
            Path::new(env!("CARGO_BIN_EXE_natterjack")),
            &sandbox.nats_server,
        ];
        let homes = programs.iter().filter_map(|program| program.parent());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(homes.map(PathBuf::from).chain(std::env::split_paths(&path)))?;
        let environment = vec![
            ("PATH", path),
            ("XDG_CONFIG_HOME", dir.join("cli").into()),
            ("NO_COLOR", "1".into()),
        ];
        let provisions = vec![
            ("NATS_URL", nats_url.into()),
            ("NATS_NKEY", dir.join("nkeys/provision.nk").into()),
            ("NATS_CA", dir.join("tls/ca.pem").into()),
        ];
        Ok(Some(Self {
            dir,
            environment,
            provisions,
            left: commands(FENCE).into_iter().collect(),
        }))
    }

    /// Runs a line of the page, which has to do what it should; what it says.
    pub async fn does(&mut self, line: &str) -> anyhow::Result<String> {
        self.does_with(line, &[]).await
    }

    /// The same, with these in place of what the page leaves to who reads it.
    pub async fn does_with(&mut self, line: &str, names: &[(&str, &str)]) -> anyhow::Result<String> {
        let (well, said) = self.types(line, names).await?;
        ensure!(well, "{line}\nfails:\n{said}");
        Ok(said)
    }

    /// Runs a line of the page that ends with an error, since something is left to a person; what it says.
    pub async fn leaves_something(&mut self, line: &str) -> anyhow::Result<String> {
        let (well, said) = self.types(line, &[]).await?;
        ensure!(!well, "{line}\nleaves nothing to do:\n{said}");
        Ok(said)
    }

    async fn types(&mut self, line: &str, names: &[(&str, &str)]) -> anyhow::Result<(bool, String)> {
        let own = commands(FENCE).into_iter().find(|command| *command == line);
        self.left
            .remove(own.with_context(|| format!("the page has no such command: {line}"))?);
        let dir = self.dir.to_str().context("UTF-8")?;
        let filled = names
            .iter()
            .fold(line.replace("DIR", dir), |line, (name, value)| {
                line.replace(name, value)
            });
        let mut command = typed(&filled);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if line.starts_with("natterjack ") {
            command.envs(self.provisions.iter().map(|(name, value)| (name, value)));
        }
        let ended = timeout(PATIENCE, command.output());
        let ended = ended.await.with_context(|| format!("{filled}\nhangs"))??;
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        println!("$ {line}");
        Ok((ended.status.success(), said))
    }

    /// Fails unless each command of these blocks was run.
    pub fn nothing_is_left(&self) -> anyhow::Result<()> {
        ensure!(self.left.is_empty(), "no test runs these: {:?}", self.left);
        Ok(())
    }
}

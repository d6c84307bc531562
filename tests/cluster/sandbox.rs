//! Namespaces in which the files of compose.yaml can be taken word for word: the test runs once more within a user,
//! mount, network and process namespace of its own, where it is root over nothing but those. With their last process
//! all of it is gone: networks, mounts, and whoever was left running.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use natterjack::fleet::Scratch;
use natterjack_runtime::{
    servers::{SilentProgress, Tools, install_postgres_with_tls, testing_tools_dir},
    skipped::{By, skip_test},
};

use crate::{nats_cli::NatsCli, programs::Kind, sight};

/// Set within: the directory of everything.
const INSIDE: &str = "NATTERJACK_CLUSTER_DIR";
const POSTGRES_BIN: &str = "NATTERJACK_CLUSTER_POSTGRES_BIN";
const NATS_SERVER: &str = "NATTERJACK_CLUSTER_NATS_SERVER";
const PROMETHEUS: &str = "NATTERJACK_CLUSTER_PROMETHEUS";
const NATS_CLI: &str = "NATTERJACK_CLUSTER_NATS_CLI";
const NAMESPACES: [&str; 8] = [
    "--user",
    "--map-root-user",
    "--mount",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
];

/// What there is within.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// The directory of everything.
    pub dir: PathBuf,
    /// Postgres's programs.
    pub postgres_bin: PathBuf,
    /// The program.
    pub nats_server: PathBuf,
    /// Whether there is a Prometheus.
    pub prometheus: bool,
    /// The `nats` command line, where it could be had.
    pub nats_cli: Option<PathBuf>,
    /// What the tester's `PATH` has and that of the containers may not.
    pub programs: Vec<PathBuf>,
}

impl Sandbox {
    /// The directory with compose.yaml.
    pub fn project(&self) -> PathBuf {
        self.dir.join("project")
    }

    /// Where a named volume is.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.dir.join("volumes").join(name)
    }

    /// Within the namespaces, what there is. Outside, it runs the test of this name within, and answers `None` when
    /// that has passed, or when this machine cannot do it, which is said loudly.
    pub async fn enter(test: &str) -> anyhow::Result<Option<Self>> {
        if let Some(dir) = std::env::var_os(INSIDE) {
            let path = |name: &str| std::env::var_os(name).map(PathBuf::from).context(name.to_owned());
            return Ok(Some(Self {
                dir: dir.into(),
                postgres_bin: path(POSTGRES_BIN)?,
                nats_server: path(NATS_SERVER)?,
                prometheus: std::env::var_os(PROMETHEUS).is_some(),
                nats_cli: path(NATS_CLI).ok(),
                programs: path(PROMETHEUS).into_iter().collect(),
            }));
        }
        if let Some(reason) = missing().await? {
            skip_test(By::Kernel, &format!("the cluster as processes: {reason}"))?;
            return Ok(None);
        }
        let tools_dir = testing_tools_dir();
        let tools = Tools::locate_or_install(&tools_dir, &SilentProgress).await?;
        let postgres_bin = match install_postgres_with_tls(&tools_dir, &SilentProgress).await {
            Ok(bin) => bin,
            Err(error) => {
                skip_test(By::Npm, &format!("the cluster as processes: {error}"))?;
                return Ok(None);
            }
        };
        let prometheus = sight::PROGRAM.locate().await?;
        let scratch = Scratch::new()?;
        let nats_cli = NatsCli::find(scratch.path(), &[]).await?;
        let nats_cli = nats_cli.map(|cli| (NATS_CLI, cli.program().to_owned()));
        let ca = scratch.path().join("project/config/tls/ca.pem");
        let status = Command::new("unshare")
            .args(NAMESPACES)
            .arg("--")
            .arg(std::env::current_exe()?)
            .args([test, "--exact", "--nocapture"])
            .env(INSIDE, scratch.path())
            .env(POSTGRES_BIN, postgres_bin)
            .env(NATS_SERVER, tools.nats_server())
            .envs(prometheus.map(|program| (PROMETHEUS, program)))
            .envs(nats_cli)
            // Whom the clients of the test trust.
            .env("SSL_CERT_FILE", ca)
            .status()?;
        ensure!(
            status.success(),
            "within the namespaces: {status}; logs are in {}",
            scratch.path().display()
        );
        scratch.remove()?;
        Ok(None)
    }
}

/// Why it cannot be done here.
async fn missing() -> anyhow::Result<Option<String>> {
    for (programs, package) in [
        (&["haproxy"], "haproxy"),
        (&["ip"], "iproute2"),
        (&["wget"], "wget"),
        (&["nsenter"], "util-linux"),
    ] {
        let kind = Kind {
            name: package,
            programs,
            package,
        };
        if kind.locate().await?.is_none() {
            return Ok(Some(format!("{package} is missing")));
        }
    }
    // Bridges between network namespaces are what not every kernel lets everybody make.
    let probe = "ip link add probe type bridge && ip link add one type veth peer name other && \
                 mount -t tmpfs probe /mnt && unshare --user --map-user=1000 true";
    let tried = Command::new("unshare")
        .args(NAMESPACES)
        .args(["--", "sh", "-c", probe])
        .output();
    Ok(match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "this kernel allows no namespaces with networks to this user ({}); run it as root, or with \
             kernel.unprivileged_userns_clone=1",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(format!("unshare of util-linux: {error}")),
    })
}

/// Runs a shell script, and fails with what it said.
pub fn sh(script: &str) -> anyhow::Result<()> {
    let output = Command::new("sh").args(["-euc", script]).output().context("sh")?;
    if !output.status.success() {
        bail!("{script}\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// A word that a shell takes as it is.
pub fn quoted(word: impl AsRef<str>) -> String {
    format!("'{}'", word.as_ref().replace('\'', r"'\''"))
}

/// A path that a shell takes as it is.
pub fn quoted_path(path: &Path) -> String {
    quoted(path.to_string_lossy())
}

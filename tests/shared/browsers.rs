//! Browsers and other programs for tests: found on the `PATH`, or installed where apt and root are there to do it.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use natterjack_runtime::{
    servers::testing_tools_dir,
    skipped::{By, skip_test},
};
use tokio::process::Command;

/// What it costs to download one on a slow line.
const INSTALLING: Duration = Duration::from_secs(600);

/// Packages with a service of the same name, which Debian starts with the machine from then on: a test wants the
/// program alone.
const SERVICES: [&str; 2] = ["haproxy", "prometheus"];

/// A kind of browser, or another program.
pub struct Kind {
    /// What people call it.
    pub name: &'static str,
    /// Names that its program goes by.
    pub programs: &'static [&'static str],
    /// Debian's package of it.
    pub package: &'static str,
}

impl Kind {
    /// Where it is; `None`, said loudly, where it is neither there nor can be installed.
    ///
    /// # Errors
    /// It is not there, and the machine was said to have all that apt installs.
    pub async fn locate(&self) -> anyhow::Result<Option<PathBuf>> {
        if let Some(found) = self.on_path() {
            return Ok(Some(found));
        }
        let (name, package) = (self.name, self.package);
        let apt = Path::new("/usr/bin/apt-get");
        if !(apt.exists() && nix::unistd::geteuid().is_root()) {
            skip_test(
                By::Apt,
                &format!(
                    "there is no {name} here, and it can be installed neither: install {package} (as Debian calls \
                     it), and run this test again"
                ),
            )?;
            return Ok(None);
        }
        // One of several tests that start at once installs it; the others wait.
        let tools = testing_tools_dir();
        fs::create_dir_all(&tools)?;
        let lock = File::create(tools.join("apt.lock"))?;
        let _lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
        if let Some(found) = self.on_path() {
            return Ok(Some(found));
        }
        let started = Instant::now();
        self.say(&format!("installing {package} …"));
        if let Err(error) = install(package).await {
            skip_test(
                By::Apt,
                &format!(
                    "there is no {name} here, and it could not be installed: {error:#}. Install {package}, and run \
                     this test again"
                ),
            )?;
            return Ok(None);
        }
        let took = started.elapsed().as_secs_f32();
        self.say(&format!("installed {package} in {took:.1} s"));
        let found = self.on_path();
        Ok(Some(found.with_context(|| {
            format!("{package} is installed and not on PATH")
        })?))
    }

    fn on_path(&self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        let programs = |dir: PathBuf| self.programs.iter().map(move |program| dir.join(program));
        std::env::split_paths(&path)
            .flat_map(programs)
            .find(|program| program.is_file())
    }

    /// Past the test harness, which keeps to itself what a test that passes prints.
    pub fn say(&self, words: &str) {
        let _ = writeln!(std::io::stderr(), "{}: {words}", self.name);
    }
}

/// Installs a package, and starts nothing.
async fn install(package: &str) -> anyhow::Result<()> {
    let apt = async |arguments: &[&str]| {
        // What could not be fetched is an error also of an update.
        let options = [
            "-qq",
            "-o",
            "DPkg::Lock::Timeout=300",
            "-o",
            "APT::Update::Error-Mode=any",
        ];
        run("apt-get", &[&options, arguments].concat()).await
    };
    apt(&["update"]).await?;
    let words = ["install", "-y", "--no-install-recommends", package];
    // Where systemd is what runs this machine.
    if !(SERVICES.contains(&package) && Path::new("/run/systemd/system").exists()) {
        return apt(&words).await;
    }
    let unit = format!("{package}.service");
    run("systemctl", &["mask", &unit]).await?;
    let installed = apt(&words).await;
    // Whoever wants the service enables it.
    run("systemctl", &["unmask", &unit]).await?;
    installed?;
    run("systemctl", &["disable", &unit]).await
}

async fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(INSTALLING, output)
        .await
        .with_context(|| format!("{program} {arguments:?} takes too long"))??;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?}: {told}");
    Ok(())
}

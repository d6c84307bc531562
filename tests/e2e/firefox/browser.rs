//! A real Firefox without a screen: found, or installed where apt and root are there to do it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tokio::process::{Child, Command};

use super::marionette::Marionette;
use crate::support::until;

/// Names that it goes by.
const NAMES: &[&str] = &["firefox-esr", "firefox"];
/// What it costs to download it on a slow line.
const INSTALLING: Duration = Duration::from_secs(600);

/// The browser; it ends with its handle, and its profile goes.
pub struct Browser {
    pub marionette: Marionette,
    process: Child,
    profile: tempfile::TempDir,
}

/// Where it is; `None`, said loudly, where it is neither there nor can be installed.
pub async fn locate() -> anyhow::Result<Option<PathBuf>> {
    if let Some(found) = on_path() {
        return Ok(Some(found));
    }
    let apt = Path::new("/usr/bin/apt-get");
    if !(apt.exists() && nix::unistd::geteuid().is_root()) {
        say(
            "SKIPPED: there is no Firefox here, and it can be installed neither: install firefox-esr (Debian) or \
             firefox, and run this test again",
        );
        return Ok(None);
    }
    let started = Instant::now();
    say("installing firefox-esr …");
    let run = async |arguments: &[&str]| -> anyhow::Result<()> {
        let output = Command::new(apt)
            .args(["-qq", "-o", "DPkg::Lock::Timeout=300"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output();
        let output = tokio::time::timeout(INSTALLING, output).await??;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "apt-get {arguments:?}: {told}");
        Ok(())
    };
    let installed = async {
        run(&["update"]).await?;
        run(&["install", "-y", "--no-install-recommends", "firefox-esr"]).await
    };
    match installed.await {
        Ok(()) => {
            say(&format!(
                "installed firefox-esr in {:.1} s",
                started.elapsed().as_secs_f32()
            ));
            Ok(Some(
                on_path().context("firefox-esr is installed and not on PATH")?,
            ))
        }
        Err(error) => {
            say(&format!(
                "SKIPPED: there is no Firefox here, and it could not be installed: {error:#}. Install \
                 firefox-esr, and run this test again"
            ));
            Ok(None)
        }
    }
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = |dir: PathBuf| NAMES.iter().map(move |name| dir.join(name));
    std::env::split_paths(&path)
        .flat_map(names)
        .find(|program| program.is_file())
}

/// Past the test harness, which keeps to itself what a test that passes prints.
pub fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "firefox: {words}");
}

impl Browser {
    /// Starts it with an empty profile; its push service is at `push_url` (`ws:`).
    pub async fn start(program: &Path, push_url: &str) -> anyhow::Result<Self> {
        let profile = tempfile::Builder::new().prefix("natterjack-firefox-").tempdir()?;
        std::fs::write(profile.path().join("user.js"), preferences(push_url))?;
        let log = std::fs::File::create(profile.path().join("firefox.log"))?;
        let mut process = Command::new(program)
            .args([
                "--headless",
                "--no-remote",
                "--marionette",
                "--remote-allow-system-access",
                "--profile",
            ])
            .arg(profile.path())
            .arg("about:blank")
            // It will not run as root in the home of somebody else.
            .env("HOME", profile.path())
            .env("MOZ_CRASHREPORTER_DISABLE", "1")
            .env_remove("DISPLAY")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        // It chooses a port and writes it down.
        let file = profile.path().join("MarionetteActivePort");
        let port = until("Firefox is up", async || {
            if let Some(status) = process.try_wait()? {
                let log = std::fs::read_to_string(profile.path().join("firefox.log"))?;
                anyhow::bail!("Firefox ended ({status}):\n{log}");
            }
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            Ok(text.trim().parse::<u16>().ok())
        })
        .await?;
        Ok(Self {
            marionette: Marionette::connect(port).await?,
            process,
            profile,
        })
    }

    /// Ends it, with its children.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.marionette.quit().await?;
        until("Firefox is gone", async || Ok(self.process.try_wait()?)).await?;
        self.profile.close()?;
        Ok(())
    }
}

/// `user.js`: what keeps it quiet comes from Marionette itself; these are ours.
fn preferences(push_url: &str) -> String {
    let preferences = [
        ("marionette.port", "0".to_owned()),
        ("dom.push.serverURL", format!("{push_url:?}")),
        // Without TLS: Firefox has this for tests of its own.
        ("dom.push.testing.allowInsecureServerURL", "true".to_owned()),
        // 1: whoever asks may show notifications. Nobody is there to press the button.
        ("permissions.default.desktop-notification", "1".to_owned()),
        (
            "dom.webnotifications.requireinteraction.enabled",
            "true".to_owned(),
        ),
        // There is no notification daemon.
        ("alerts.useSystemBackend", "false".to_owned()),
    ];
    preferences
        .into_iter()
        .map(|(name, value)| format!("user_pref({name:?}, {value});\n"))
        .collect()
}

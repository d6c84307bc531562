//! A real Firefox without a screen.

use std::{path::Path, process::Stdio};

use anyhow::Context as _;
use tokio::process::{Child, Command};

use super::marionette::Marionette;
use crate::{browsers::Kind, support::until};

/// Where to find it.
pub const FIREFOX: Kind = Kind {
    name: "Firefox",
    programs: &["firefox-esr", "firefox"],
    package: "firefox-esr",
};

/// The browser; it ends with its handle, and its profile goes.
pub struct Browser {
    pub marionette: Marionette,
    process: Child,
    profile: tempfile::TempDir,
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

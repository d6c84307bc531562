//! What compose.yaml says, as far as a process can be started from it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, bail};
use serde::Deserialize;

/// The file.
#[derive(Debug, Deserialize)]
pub struct Compose {
    pub services: BTreeMap<String, Service>,
    pub networks: BTreeMap<String, Option<Network>>,
    pub secrets: BTreeMap<String, OfFile>,
    pub configs: BTreeMap<String, OfFile>,
}

#[derive(Debug, Deserialize)]
pub struct Network {
    #[serde(default)]
    pub internal: bool,
}

#[derive(Debug, Deserialize)]
pub struct OfFile {
    pub file: String,
}

/// One container.
#[derive(Debug, Clone, Deserialize)]
pub struct Service {
    pub image: String,
    pub user: String,
    pub entrypoint: Option<Vec<String>>,
    #[serde(default)]
    pub command: Vec<String>,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    #[serde(default)]
    pub networks: Vec<String>,
    #[serde(default)]
    pub depends_on: BTreeMap<String, Dependency>,
    #[serde(default)]
    pub secrets: Vec<Mounted>,
    #[serde(default)]
    pub configs: Vec<Mounted>,
    #[serde(default)]
    pub volumes: Vec<Volume>,
    #[serde(default)]
    pub tmpfs: Vec<String>,
    #[serde(default)]
    pub profiles: Vec<String>,
    #[serde(default)]
    pub cap_drop: Vec<String>,
    #[serde(default)]
    pub cap_add: Vec<String>,
    #[serde(default)]
    pub security_opt: Vec<String>,
    pub working_dir: Option<String>,
    pub stop_signal: Option<String>,
    pub stop_grace_period: Option<String>,
    pub healthcheck: Option<HealthCheck>,
    pub restart: String,
    #[serde(default)]
    pub read_only: bool,
    pub mem_limit: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Dependency {
    pub condition: Condition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Condition {
    #[serde(rename = "service_started")]
    Started,
    #[serde(rename = "service_healthy")]
    Healthy,
    #[serde(rename = "service_completed_successfully")]
    Completed,
}

/// A named volume, or a path of the project.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Volume {
    /// `source:target[:ro]`: made if it is not there.
    Short(String),
    /// With all its words.
    Long(Bind),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    #[serde(rename = "type")]
    pub kind: String,
    pub source: String,
    pub target: String,
    pub read_only: bool,
    pub bind: BindOptions,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindOptions {
    pub create_host_path: bool,
}

/// A secret or a configuration file, and where it is within the container.
#[derive(Debug, Clone, Deserialize)]
pub struct Mounted {
    pub source: String,
    pub target: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct HealthCheck {
    pub test: Vec<String>,
}

impl Compose {
    /// Reads it, with these variables in place of those of a shell or of `.env`.
    pub fn read(path: &Path, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        Ok(serde_saphyr::from_str(&interpolated(&text, variables)?)?)
    }
}

impl Service {
    /// How long its end may take before it is killed.
    pub fn grace(&self) -> anyhow::Result<Duration> {
        // The default of compose.
        let text = self.stop_grace_period.as_deref().unwrap_or("10s");
        let seconds = text
            .strip_suffix('s')
            .with_context(|| format!("{text} is not in seconds"))?;
        Ok(Duration::from_secs(seconds.parse()?))
    }
}

/// `${NAME:-default}` and `${NAME}`.
fn interpolated(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inner, after) = after.split_once('}').context("a ${ without its }")?;
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let given = variables
            .iter()
            .find(|(given, _)| *given == name)
            .map(|(_, value)| *value);
        let Some(value) = given.or(default) else {
            bail!("${{{inner}}} has neither a value nor a default");
        };
        whole.push_str(before);
        whole.push_str(value);
        rest = after;
    }
    whole.push_str(rest);
    Ok(whole)
}

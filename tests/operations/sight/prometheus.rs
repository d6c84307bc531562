//! A real Prometheus with the configuration that is shipped: it reaches every process, understands every rule and every
//! query of the dashboard, is silent while all is well, and tells of what is broken.
//!
//! What is changed of the files: addresses, 15 s between two looks to three, and `for`, which a test cannot wait for.
//! The load balancer's metrics, and the names that are shipped, are asked for where those are: in `tests/cluster/`.

use std::{ffi::OsString, fs, path::PathBuf, time::Duration};

use anyhow::{Context, ensure};
use natterjack_runtime::servers::{Program, ProgramConfig};
use reqwest::Url;
use serde_json::{Value, json};

use super::{alerts, dashboard, file, scene::Scene, until};
use crate::programs::Kind;

/// Between two looks, and as long as one may take.
const INTERVAL: &str = "3s";
const STOP_GRACE: Duration = Duration::from_secs(10);
/// What Grafana puts for `$__rate_interval`: enough looks to see a change.
const RATE_INTERVAL: &str = "1m";
/// Panels that may be empty while all is well.
const OF_TROUBLE: [&str; 2] = ["Checks that fail", "Failures"];

/// Prometheus, as far as it is asked.
pub struct Prometheus {
    program: Program,
    url: Url,
}

/// Where its program is; `None`, said loudly, where it cannot be had.
pub async fn program() -> anyhow::Result<Option<PathBuf>> {
    let kind = Kind {
        name: "Prometheus",
        programs: &["prometheus"],
        package: "prometheus",
    };
    kind.locate().await
}

impl Prometheus {
    /// Starts it, for the processes of this scene.
    pub async fn start(program: PathBuf, scene: &Scene) -> anyhow::Result<Self> {
        let dir = scene.fleet.ground().path().join("prometheus");
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("alerts.yml"), rules()?)?;
        let path = dir.join("prometheus.yml");
        fs::write(&path, configuration(scene, None)?)?;
        let arguments = [
            format!("--config.file={}", path.display()),
            format!("--storage.tsdb.path={}", dir.join("data").display()),
            "--web.listen-address=127.0.0.1:0".to_owned(),
            "--web.enable-lifecycle".to_owned(),
        ];
        let program = Program::start(ProgramConfig {
            name: "prometheus",
            program,
            arguments: arguments.map(OsString::from).into(),
            environment: Vec::new(),
            dir: dir.clone(),
        })
        .await?;
        let address = until("where Prometheus listens", async || {
            if let Some(exit) = program.ended() {
                return Err(exit.into());
            }
            Ok(listens(&fs::read_to_string(program.log())?))
        })
        .await?;
        let prometheus = Self {
            program,
            url: format!("http://{address}").parse()?,
        };
        until("Prometheus is ready", async || {
            let answer = reqwest::get(prometheus.url.join("/-/ready")?).await;
            Ok(answer
                .is_ok_and(|answer| answer.status().is_success())
                .then_some(()))
        })
        .await?;
        // It looks at itself too, and only now it is known where.
        fs::write(&path, configuration(scene, Some(&address))?)?;
        let reload = reqwest::Client::new().post(prometheus.url.join("/-/reload")?);
        reload.send().await?.error_for_status()?;
        Ok(prometheus)
    }

    /// What its API says.
    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let request = reqwest::Client::new().get(self.url.join(path)?).query(query);
        let answer: Value = request.send().await?.json().await?;
        ensure!(answer["status"] == "success", "{path} {query:?}: {answer}");
        Ok(answer["data"].clone())
    }

    /// The series that an expression has now.
    async fn query(&self, expression: &str) -> anyhow::Result<Vec<Value>> {
        let data = self.ask("/api/v1/query", &[("query", expression)]).await?;
        Ok(array(&data["result"])?.clone())
    }

    /// The alerts that fire, by name, with their labels.
    async fn firing(&self) -> anyhow::Result<Vec<Value>> {
        let data = self.ask("/api/v1/alerts", &[]).await?;
        let alerts = array(&data["alerts"])?.iter();
        Ok(alerts
            .filter(|alert| alert["state"] == "firing")
            .map(|alert| alert["labels"].clone())
            .collect())
    }

    /// All is well: every target answers, every rule could be evaluated, no alert fires, and the dashboard shows it.
    pub async fn look(&self, scene: &Scene) -> anyhow::Result<()> {
        // Each process, and itself.
        let count = scene.roles().len() + 1;
        until("every target is up", async || {
            let data = self.ask("/api/v1/targets", &[("state", "active")]).await?;
            let targets = array(&data["activeTargets"])?;
            let up = targets.iter().filter(|target| target["health"] == "up").count();
            Ok((up == count && targets.len() == count).then_some(()))
        })
        .await?;
        let shipped = alerts::names()?;
        until("every rule was evaluated", async || {
            let data = self.ask("/api/v1/rules", &[]).await?;
            let groups = array(&data["groups"])?.iter();
            let rules: Vec<&Value> = groups
                .map(|group| array(&group["rules"]))
                .collect::<anyhow::Result<Vec<_>>>()?
                .into_iter()
                .flatten()
                .collect();
            for rule in &rules {
                ensure!(rule["health"] != "err", "{}: {}", rule["name"], rule["lastError"]);
            }
            let fine = rules.iter().filter(|rule| rule["health"] == "ok").count();
            Ok((fine == shipped.len() && rules.len() == fine).then_some(()))
        })
        .await?;
        self.draw().await?;
        self.silent().await
    }

    /// Waits until no alert fires.
    async fn silent(&self) -> anyhow::Result<()> {
        let mut firing = Vec::new();
        let silent = until("no alert", async || {
            firing = self.firing().await?;
            Ok(firing.is_empty().then_some(()))
        });
        silent.await.with_context(|| format!("{firing:?}"))
    }

    /// Every query of the dashboard is one, and all panels but those of trouble have something to show.
    async fn draw(&self) -> anyhow::Result<()> {
        for (panel, expressions) in dashboard::queries()? {
            until(&format!("something in {panel:?}: {expressions:?}"), async || {
                let mut series = 0;
                for expression in &expressions {
                    let expression = expression.replace("$__rate_interval", RATE_INTERVAL);
                    series += self.query(&expression).await?.len();
                }
                Ok((series > 0 || OF_TROUBLE.contains(&&*panel)).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Without a persister somebody is woken; with one, nobody is any more.
    pub async fn tell(&self, scene: &Scene) -> anyhow::Result<()> {
        let away = json!({"alertname": "NatterjackRoleAway", "role": "persister", "severity": "page"});
        let persister = &scene.fleet.persisters[0];
        persister.stop().await?;
        let its_own = |alert: &Value| alert["role"] == "persister" || alert["service"] == "persister";
        let mut firing = Vec::new();
        // A look that a busy machine was too slow for fires too, until the next.
        let told = until(
            "an alert that the persister is away, and no other is",
            async || {
                firing = self.firing().await?;
                Ok((firing.contains(&away) && firing.iter().all(its_own)).then_some(()))
            },
        );
        told.await.with_context(|| format!("{firing:?}"))?;
        persister.restart().await?;
        self.silent().await
    }

    /// Ends it.
    pub async fn stop(self) -> anyhow::Result<()> {
        let exit = self.program.stop(STOP_GRACE).await;
        ensure!(exit.status.success(), "{exit}");
        Ok(())
    }
}

/// The address that its log tells.
fn listens(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
    let (_, address) = line.split_once(" address=")?;
    Some(address.split_whitespace().next()?.to_owned())
}

/// The rules, without waiting.
fn rules() -> anyhow::Result<String> {
    let rules = fs::read_to_string(file(alerts::RULES))?;
    let without = rules
        .lines()
        .filter(|line| !line.trim_start().starts_with("for: "));
    Ok(without.map(|line| format!("{line}\n")).collect())
}

/// The configuration, for the processes of the scene, and for itself once it is known where that is.
fn configuration(scene: &Scene, itself: Option<&str>) -> anyhow::Result<String> {
    let shipped = fs::read_to_string(file("deploy/prometheus/prometheus.yml"))?;
    let mut config: Value = serde_saphyr::from_str(&shipped)?;
    for interval in ["scrape_interval", "evaluation_interval"] {
        ensure!(config["global"][interval].is_string(), "no {interval}");
        config["global"][interval] = json!(INTERVAL);
    }
    let mut jobs = Vec::new();
    for job in array(&config["scrape_configs"])? {
        let mut job = job.clone();
        match job["job_name"].as_str() {
            Some("natterjack") => {
                for targets in job["static_configs"].as_array_mut().context("no targets")? {
                    let service = targets["labels"]["service"].clone();
                    let own = scene.roles().into_iter().find(|(role, _)| service == *role);
                    let (_, process) = own.with_context(|| format!("{service} is no role"))?;
                    targets["targets"] = json!([process.url().trim_start_matches("http://")]);
                }
            }
            Some("prometheus") => {
                let Some(itself) = itself else { continue };
                job["static_configs"] = json!([{ "targets": [itself] }]);
            }
            Some("haproxy") => continue,
            other => anyhow::bail!("{other:?} is nowhere here"),
        }
        jobs.push(job);
    }
    config["scrape_configs"] = Value::Array(jobs);
    // JSON is YAML.
    Ok(config.to_string())
}

fn array(value: &Value) -> anyhow::Result<&Vec<Value>> {
    value.as_array().with_context(|| format!("no list: {value}"))
}

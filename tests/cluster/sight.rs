//! Prometheus, as compose.yaml starts it with the files that are shipped: it finds everybody by name, and understands
//! every rule.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::time::sleep;

use super::{net::Networks, programs::Kind};

/// The service.
pub const SERVICE: &str = "prometheus";
/// Each role twice, the load balancer, and itself.
const TARGETS: usize = 10;
/// It looks every 15 s.
const SEEN_WITHIN: Duration = Duration::from_secs(45);
const POLL: Duration = Duration::from_millis(500);

/// The program of its image.
pub const PROGRAM: Kind = Kind {
    name: "Prometheus",
    programs: &["prometheus"],
    package: "prometheus",
};

/// Waits until every target answers and every rule was evaluated.
pub async fn of_all(networks: &Networks) -> anyhow::Result<()> {
    let base = format!("http://{}:9090/api/v1", networks.address(SERVICE, "monitoring")?);
    let ask = async |what: &str| -> anyhow::Result<Value> {
        let answer: Value = reqwest::get(format!("{base}/{what}")).await?.json().await?;
        ensure!(answer["status"] == "success", "{what}: {answer}");
        Ok(answer["data"].clone())
    };
    let begun = Instant::now();
    loop {
        let (targets, rules) = (ask("targets?state=active").await?, ask("rules").await?);
        let targets = list(&targets["activeTargets"])?;
        let groups = list(&rules["groups"])?.iter();
        let rules: Vec<&Value> = groups
            .filter_map(|group| group["rules"].as_array())
            .flatten()
            .collect();
        for rule in &rules {
            ensure!(rule["health"] != "err", "{}: {}", rule["name"], rule["lastError"]);
        }
        let up = targets.iter().filter(|target| target["health"] == "up").count();
        let fine = rules.iter().filter(|rule| rule["health"] == "ok").count();
        if (up, targets.len()) == (TARGETS, TARGETS) && fine == rules.len() && fine > 0 {
            println!("Prometheus reaches {up} targets and evaluates {fine} rules");
            return Ok(());
        }
        ensure!(
            begun.elapsed() < SEEN_WITHIN,
            "{up} of {targets:?}; {fine} of {rules:?}"
        );
        sleep(POLL).await;
    }
}

fn list(value: &Value) -> anyhow::Result<&Vec<Value>> {
    value.as_array().with_context(|| format!("no list: {value}"))
}

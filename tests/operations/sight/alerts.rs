//! The alerts: each is known to its page, tried by promtool, and made of metrics that there are.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, ensure};

use super::{file, page};
use crate::programs::Kind;

/// Where the rules are.
pub const RULES: &str = "deploy/prometheus/alerts.yml";
const TRIED: &str = "deploy/prometheus/alerts_test.yml";

/// promtool, where it can be had: it is part of Prometheus.
pub async fn promtool() -> anyhow::Result<Option<PathBuf>> {
    let kind = Kind {
        name: "promtool",
        programs: &["promtool"],
        package: "prometheus",
    };
    kind.locate().await
}

/// What the alerts are called.
pub fn names() -> anyhow::Result<Vec<String>> {
    Ok(values(&std::fs::read_to_string(file(RULES))?, "alert"))
}

/// Values of a key of the rules: a line each, or a block below it.
fn values(text: &str, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start().trim_start_matches("- ");
        let Some(value) = trimmed.strip_prefix(key).and_then(|rest| rest.strip_prefix(':')) else {
            continue;
        };
        let depth = line.len() - line.trim_start().len();
        let mut value = value.trim().to_owned();
        if value == "|" {
            value.clear();
            while let Some(next) = lines.next_if(|next| next.len() - next.trim_start().len() > depth) {
                value.push_str(next.trim());
                value.push('\n');
            }
        }
        found.push(value);
    }
    found
}

#[test]
fn every_alert_is_explained_and_made_of_metrics_that_there_are() -> anyhow::Result<()> {
    let rules = std::fs::read_to_string(file(RULES))?;
    let (alerts, known) = (values(&rules, "alert"), page::metrics()?);
    ensure!(alerts.len() >= 10, "{alerts:?}");
    let expressions = values(&rules, "expr");
    ensure!(expressions.len() == alerts.len(), "{expressions:?}");
    for (alert, expression) in alerts.iter().zip(&expressions) {
        let ours = page::named_in(expression, &known)?;
        ensure!(
            !ours.is_empty() || expression.contains("node_"),
            "{alert} looks at nothing"
        );
    }
    let runbooks = values(&rules, "runbook");
    ensure!(runbooks.len() == alerts.len(), "{runbooks:?}");
    for (alert, runbook) in alerts.iter().zip(&runbooks) {
        let (path, anchor) = runbook.split_once('#').context("a runbook without an anchor")?;
        ensure!(
            page::anchors(path)?.iter().any(|found| found == anchor),
            "{alert} points to {runbook}, which is not there"
        );
        ensure!(
            anchor == alert.to_lowercase(),
            "{alert} points to what is for another: {runbook}"
        );
    }
    // The page explains none that there is not.
    let page = std::fs::read_to_string(file(page::PAGE))?;
    for explained in page
        .lines()
        .filter_map(|line| line.strip_prefix("### Natterjack"))
    {
        let explained = format!("Natterjack{explained}");
        ensure!(alerts.contains(&explained), "{explained} is no alert");
    }
    Ok(())
}

#[tokio::test]
async fn every_alert_is_shown_to_fire_and_not_to() -> anyhow::Result<()> {
    let alerts = names()?;
    let tried = std::fs::read_to_string(file(TRIED))?;
    for alert in alerts {
        let quiet = format!("alertname: {alert} }}");
        let fires = format!("alertname: {alert}\n        exp_alerts:");
        ensure!(
            tried.contains(&quiet),
            "it is not shown that {alert} may be quiet"
        );
        ensure!(tried.contains(&fires), "it is not shown that {alert} fires");
    }
    let Some(promtool) = promtool().await? else {
        return Ok(());
    };
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let output = Command::new(&promtool)
            .args(arguments)
            .current_dir(file("deploy/prometheus"))
            .output()?;
        ensure!(
            output.status.success(),
            "promtool {arguments:?}:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

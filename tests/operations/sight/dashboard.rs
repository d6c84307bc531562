//! The dashboard: it parses, and draws only what there is.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{file, page};

const DASHBOARD: &str = "deploy/grafana/dashboards/natterjack.json";

/// What each panel asks for, by its title.
pub fn queries() -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let dashboard: Value = serde_json::from_slice(&std::fs::read(file(DASHBOARD))?)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let drawn = panels.iter().filter(|panel| panel["type"] != "row");
    drawn
        .map(|panel| {
            let title = panel["title"].as_str().context("a panel without a title")?;
            let targets = panel["targets"]
                .as_array()
                .with_context(|| format!("{title} draws nothing"))?;
            let expressions = targets.iter().filter_map(|target| target["expr"].as_str());
            Ok((title.to_owned(), expressions.map(str::to_owned).collect()))
        })
        .collect()
}

#[test]
fn every_panel_draws_metrics_that_there_are() -> anyhow::Result<()> {
    let dashboard: Value = serde_json::from_slice(&std::fs::read(file(DASHBOARD))?)?;
    ensure!(
        dashboard["schemaVersion"]
            .as_u64()
            .is_some_and(|version| version >= 36)
    );
    ensure!(dashboard["uid"].is_string() && dashboard["title"].is_string());
    let variables = dashboard["templating"]["list"]
        .as_array()
        .context("no variables")?;
    ensure!(
        variables
            .iter()
            .any(|variable| variable["name"] == "datasource" && variable["type"] == "datasource"),
        "the source of its data cannot be chosen"
    );
    let known = page::metrics()?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let (mut rows, mut drawn, mut ids) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().context("a panel without a title")?;
        ensure!(ids.insert(panel["id"].as_u64()), "{title} has the id of another");
        ensure!(
            panel["gridPos"]["w"].as_u64().is_some_and(|width| width <= 24),
            "{title}"
        );
        if panel["type"] == "row" {
            rows.push(title.to_owned());
            continue;
        }
        ensure!(
            panel["datasource"]["uid"] == "${datasource}",
            "{title} has data of its own"
        );
        let targets = panel["targets"]
            .as_array()
            .context("a panel that draws nothing")?;
        ensure!(!targets.is_empty(), "{title} draws nothing");
        for target in targets {
            let expression = target["expr"]
                .as_str()
                .context("a target without an expression")?;
            let named = page::named_in(expression, &known)?;
            ensure!(!named.is_empty(), "{title}: {expression}");
            drawn.extend(named);
        }
    }
    for role in ["Edge", "Persister", "Presence", "Notifier"] {
        ensure!(rows.iter().any(|row| row == role), "no row for {role}: {rows:?}");
    }
    ensure!(drawn.len() > 25, "hardly anything is drawn: {drawn:?}");
    Ok(())
}

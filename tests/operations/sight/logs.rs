//! What stands in the logs at their finest: JSON, and nothing that is nobody's business.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::scene::Scene;

/// Every line is an object of the documented form, and none holds a secret.
pub fn look(scene: &Scene) -> anyhow::Result<()> {
    for (role, process) in scene.roles() {
        let text = std::fs::read_to_string(process.program().log())?;
        let mut fine = 0;
        for line in text.lines() {
            let line: Value = serde_json::from_str(line)
                .with_context(|| format!("a line of the {role} is no JSON: {line}"))?;
            for field in ["timestamp", "level", "target", "message"] {
                ensure!(
                    line[field].is_string(),
                    "no {field} in a line of the {role}: {line}"
                );
            }
            let ours = line["target"]
                .as_str()
                .is_some_and(|target| target.starts_with("natterjack"));
            let level = line["level"].as_str().unwrap_or_default();
            if ["DEBUG", "TRACE"].contains(&level) {
                ensure!(ours, "a library speaks, and might say what it carries: {line}");
                fine += 1;
            }
        }
        ensure!(
            text.lines().count() > 2,
            "the {role} has logged next to nothing: {text}"
        );
        if role == "edge" {
            ensure!(fine > 0, "the filter is not as fine as it was asked for");
        }
        ensure!(scene.secrets.len() >= 12, "hardly anything is looked for");
        for (what, secret) in &scene.secrets {
            ensure!(secret.len() >= 8, "{what} is too short to be found by chance");
            let found = text.lines().find(|line| line.contains(secret.as_str()));
            ensure!(
                found.is_none(),
                "{what} stands in the log of the {role}: {found:?}"
            );
        }
    }
    Ok(())
}

//! docs/metrics.md as a table: which metrics there are.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

use super::file;

/// What stands where the page is.
pub const PAGE: &str = "docs/metrics.md";

/// The metrics that the page tells of, by their name without the suffix of a counter, with their types.
pub fn metrics() -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(file(PAGE))?;
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `natterjack_")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        ensure!(cells.len() == 5, "not five cells: {line}");
        let (name, kind) = (cells[0].trim_matches('`'), cells[1]);
        ensure!(!cells[3].is_empty(), "says nothing: {line}");
        let base = match kind {
            "counter" => name
                .strip_suffix("_total")
                .with_context(|| format!("a counter without _total: {name}"))?,
            "gauge" | "histogram" => name,
            other => anyhow::bail!("{name} is no {other}"),
        };
        ensure!(
            found.insert(base.to_owned(), kind.to_owned()).is_none(),
            "{name} stands there twice"
        );
    }
    ensure!(found.len() > 60, "only {} metrics were found", found.len());
    Ok(found)
}

/// The metrics of ours that an expression of Prometheus names, by their name without the suffix.
pub fn named_in(expression: &str, known: &BTreeMap<String, String>) -> anyhow::Result<Vec<String>> {
    let is_name = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
    let words = expression
        .split(|byte| !is_name(byte))
        .filter(|word| word.starts_with("natterjack_"));
    words
        .map(|word| {
            let suffixes = match known.get(word) {
                Some(kind) if kind == "gauge" => return Ok(word.to_owned()),
                _ => [
                    ("_total", "counter"),
                    ("_bucket", "histogram"),
                    ("_sum", "histogram"),
                    ("_count", "histogram"),
                ],
            };
            suffixes
                .iter()
                .find_map(|(suffix, kind)| {
                    let base = word.strip_suffix(suffix)?;
                    (known.get(base)? == kind).then(|| base.to_owned())
                })
                .with_context(|| format!("{word} is in no row of {PAGE}, or of another type: {expression}"))
        })
        .collect()
}

/// The anchors of a page, as they are made from its headings.
pub fn anchors(path: &str) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(file(path)).with_context(|| path.to_owned())?;
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        heading
            .trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect::<String>()
    };
    Ok(headings.map(anchor).collect())
}

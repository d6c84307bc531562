//! Results for a person's eyes.

use std::{collections::BTreeSet, fmt};

use super::{cluster::Facts, machine::Machine, window::Window};

/// Rows of equal length, the first column and those of words to the left, numbers to the right.
#[derive(Debug)]
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// A table with these headings.
    pub fn new<T: Into<String>>(headings: impl IntoIterator<Item = T>) -> Self {
        Self(vec![headings.into_iter().map(Into::into).collect()])
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or_default();
        let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column: usize| {
            self.0
                .iter()
                .map(|row| cell(row, column).chars().count())
                .max()
                .unwrap_or_default()
        };
        let is_number = |text: &str| text == "–" || text.starts_with(|first: char| first.is_ascii_digit());
        for row in &self.0 {
            let mut line = String::new();
            for column in 0..columns {
                let (text, width) = (cell(row, column), width(column));
                let numbers = self.0.iter().skip(1).all(|row| is_number(&cell(row, column)));
                line += &if numbers {
                    format!("  {text:>width$}")
                } else {
                    format!("  {text:<width$}")
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// On what it was measured.
pub fn heading(machine: &Machine, cluster: &Facts) -> String {
    let debug = if machine.optimised {
        ""
    } else {
        " (built without optimisation: the figures are worth nothing)"
    };
    format!(
        "natterjack {}{debug}, nats-server {}, {} shards, {} edges, on {} cores of {}, {}",
        machine.natterjack,
        cluster.nats_server,
        cluster.shards,
        cluster.edges,
        machine.cores,
        machine.processor,
        machine.system,
    )
}

/// What each role costs in each of some windows.
pub fn costs(windows: &[(&str, &Window)]) -> Table {
    let mut table = Table::new(
        ["role"]
            .into_iter()
            .chain(windows.iter().map(|(name, _)| *name))
            .chain(["MiB"]),
    );
    let roles: BTreeSet<&String> = windows
        .iter()
        .flat_map(|(_, window)| window.cpu_us_each.keys())
        .collect();
    for role in roles {
        let each = |window: &Window| {
            window
                .cpu_us_each
                .get(role)
                .map_or_else(|| "–".into(), |us| format!("{us:.1}"))
        };
        let memory = windows
            .iter()
            .rev()
            .find_map(|(_, window)| window.rss_mib.get(role));
        let memory = memory.map_or_else(|| "–".into(), |mib| format!("{mib:.0}"));
        table.row(
            [role.clone()]
                .into_iter()
                .chain(windows.iter().map(|(_, window)| each(window)))
                .chain([memory])
                .collect(),
        );
    }
    let sum = |window: &Window| format!("{:.1}", window.cpu_us_each.values().sum::<f64>());
    table.row(
        ["all".into()]
            .into_iter()
            .chain(windows.iter().map(|(_, window)| sum(window)))
            .collect(),
    );
    let cores = |window: &Window| format!("{:.2}", window.cpu_all_s() / window.seconds);
    table.row(
        ["cores busy".into()]
            .into_iter()
            .chain(windows.iter().map(|(_, window)| cores(window)))
            .collect(),
    );
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        let mut table = Table::new(["way", "acks/s"]);
        table.row(vec!["raw".into(), "7".into()]);
        table.row(vec!["natterjack".into(), "1234".into()]);
        let expected = "  way         acks/s\n  raw              7\n  natterjack    1234\n";
        assert_eq!(table.to_string(), expected);
    }
}

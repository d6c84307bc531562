//! Tables for a person's eyes.

use std::{collections::BTreeSet, fmt};

use super::{figure::number, window::Window};

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

    /// As a table of Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let columns = self.columns();
        let line = |row: &Vec<String>| {
            let cells: Vec<&str> = (0..columns).map(|column| cell(row, column)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule = |column| if self.has_numbers(column) { "---:|" } else { "---|" };
        let mut lines = self.0.iter().map(line);
        let heading = lines.next().unwrap_or_default();
        let rules: String = (0..columns).map(rule).collect();
        format!("{heading}|{rules}\n{}", lines.collect::<String>())
    }

    fn columns(&self) -> usize {
        self.0.iter().map(Vec::len).max().unwrap_or_default()
    }

    fn has_numbers(&self, column: usize) -> bool {
        let is_number = |text: &str| {
            text.is_empty() || text == "–" || text.starts_with(|first: char| first.is_ascii_digit())
        };
        self.0.iter().skip(1).all(|row| is_number(cell(row, column)))
    }
}

fn cell(row: &[String], column: usize) -> &str {
    row.get(column).map_or("", String::as_str)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.columns();
        let width = |column: usize| {
            let widths = self.0.iter().map(|row| cell(row, column).chars().count());
            widths.max().unwrap_or_default()
        };
        for row in &self.0 {
            let mut line = String::new();
            for column in 0..columns {
                let (text, width) = (cell(row, column), width(column));
                line += &if self.has_numbers(column) {
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

/// What each role costs in each of some windows, in µs of CPU for one, with its memory at the end
/// of each.
#[must_use]
pub fn costs(windows: &[(&str, &Window)]) -> Table {
    let named = windows.iter().map(|(name, _)| format!("{name}, µs"));
    let memory = windows.iter().map(|(name, _)| format!("{name}, MiB"));
    let mut table = Table::new(std::iter::once("role".to_owned()).chain(named).chain(memory));
    let roles: BTreeSet<&String> = windows
        .iter()
        .flat_map(|(_, window)| window.cpu_us_each.keys())
        .collect();
    let shown = |value: Option<f64>| value.map_or_else(|| "–".into(), number);
    let mut row = |name: &str, us: &dyn Fn(&Window) -> Option<f64>, mib: &dyn Fn(&Window) -> Option<f64>| {
        let us = windows.iter().map(|(_, window)| shown(us(window)));
        let mib = windows.iter().map(|(_, window)| shown(mib(window)));
        table.row(std::iter::once(name.to_owned()).chain(us).chain(mib).collect());
    };
    for role in roles {
        row(role, &|window| window.cpu_us_each.get(role).copied(), &|window| {
            window.cost.rss_mib.get(role).copied()
        });
    }
    row("all", &|window| Some(window.cpu_us_all()), &|window| {
        Some(window.cost.rss_mib.values().sum())
    });
    let mut cores = |name: &str, of: &dyn Fn(&Window) -> Option<f64>| {
        let cells = windows.iter().map(|(_, window)| shown(of(window)));
        table.row(std::iter::once(name.to_owned()).chain(cells).collect());
    };
    cores("cores busy", &|window| {
        Some(window.cost.cpu_all_s() / window.cost.seconds)
    });
    cores("cores busy with others' work", &|window| window.cost.others_cores);
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

//! A result for a person's eyes: paragraphs and tables, as plain text or as Markdown.

use std::fmt::Write as _;

use super::table::Table;

/// Paragraphs and tables, in order.
#[derive(Debug, Default)]
pub struct Page(Vec<Block>);

#[derive(Debug)]
enum Block {
    Text(String),
    Table(Table),
}

impl Page {
    /// Adds a paragraph.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.0.push(Block::Text(text.into()));
        self
    }

    /// Adds a table, with what it shows above it.
    #[must_use]
    pub fn table(self, caption: impl Into<String>, table: Table) -> Self {
        let mut page = self.text(caption);
        page.0.push(Block::Table(table));
        page
    }

    /// Adds all of another page.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// For a terminal.
    #[must_use]
    pub fn plain(&self) -> String {
        self.joined(ToString::to_string)
    }

    /// For a file like docs/performance.md.
    #[must_use]
    pub fn markdown(&self) -> String {
        self.joined(Table::markdown)
    }

    fn joined(&self, of_table: impl Fn(&Table) -> String) -> String {
        let mut all = String::new();
        for block in &self.0 {
            let text = match block {
                Block::Text(text) => text.clone(),
                Block::Table(table) => of_table(table),
            };
            let between = if all.is_empty() { "" } else { "\n\n" };
            // Writing to a string does not fail.
            let _ = write!(all, "{between}{}", text.trim_end());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_text_and_as_markdown() {
        let mut table = Table::new(["way", "acks/s"]);
        table.row(vec!["raw".into(), "1,234".into()]);
        let page = Page::default().text("On a machine.").table("Rates:", table);
        assert_eq!(
            page.plain(),
            "On a machine.\n\nRates:\n\n  way  acks/s\n  raw   1,234"
        );
        assert_eq!(
            page.markdown(),
            "On a machine.\n\nRates:\n\n| way | acks/s |\n|---|---:|\n| raw | 1,234 |"
        );
    }
}

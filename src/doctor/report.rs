//! The findings as a person reads them, and as a machine does.

use std::{collections::BTreeSet, fmt::Write as _};

use serde::Serialize;

use super::finding::{Finding, State};

/// All that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How many findings are failures.
    pub failures: usize,
    /// How many are warnings.
    pub warnings: usize,
    /// How many could not be looked at.
    pub not_checked: usize,
    /// The findings, in the order of the checks.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Counts them.
    #[must_use]
    pub fn new(findings: Vec<Finding>) -> Self {
        let count = |state| findings.iter().filter(|finding| finding.state == state).count();
        Self {
            failures: count(State::Failure),
            warnings: count(State::Warning),
            not_checked: count(State::NotChecked),
            findings,
        }
    }

    /// As a page for a terminal: what is well first, by themes; then what was not checked, warnings and
    /// failures, each with what to do.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = String::new();
        let width = self.findings.iter().map(|finding| finding.check.len()).max();
        let width = width.unwrap_or_default();
        let mut theme = "";
        for finding in self.of(State::Ok) {
            let own = finding.check.split('.').next().unwrap_or_default();
            if own != theme && !theme.is_empty() {
                page.push('\n');
            }
            theme = own;
            line(&mut page, "ok     ", finding, width);
        }
        for (state, title, word) in [
            (State::NotChecked, "Not checked", "  --   "),
            (State::Warning, "Warnings", "WARN   "),
            (State::Failure, "Failures", "FAIL   "),
        ] {
            let mut of_state = self.of(state).filter(|finding| finding.see.is_empty()).peekable();
            if of_state.peek().is_some() {
                let _ = writeln!(page, "\n{title}");
            }
            let mut last_todo = "";
            while let Some(finding) = of_state.next() {
                line(&mut page, word, finding, width);
                let again = of_state.peek().is_some_and(|next| next.todo == finding.todo);
                // What is to be done for several is said once, below the last of them.
                if !finding.todo.is_empty() && !again && finding.todo != last_todo {
                    let _ = writeln!(page, "{:indent$}do: {}", "", finding.todo, indent = 7 + width + 2);
                    last_todo = &finding.todo;
                }
                self.likewise(&mut page, finding.check, width);
            }
        }
        let _ = writeln!(
            page,
            "\n{} ok, {} not checked, {} warnings, {} failures",
            self.of(State::Ok).count(),
            self.not_checked,
            self.warnings,
            self.failures
        );
        page
    }

    /// Which checks could not look for the same reason: in one line.
    fn likewise(&self, page: &mut String, check: &str, width: usize) {
        let others: BTreeSet<&str> = self
            .findings
            .iter()
            .filter(|other| other.see == check)
            .map(|other| other.check)
            .collect();
        if !others.is_empty() {
            let others = others.into_iter().collect::<Vec<_>>().join(", ");
            let _ = writeln!(
                page,
                "{:indent$}so not looked at: {others}",
                "",
                indent = 7 + width + 2
            );
        }
    }

    fn of(&self, state: State) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.state == state)
    }
}

fn line(page: &mut String, word: &str, finding: &Finding, width: usize) {
    let Finding {
        check, of, finding, ..
    } = finding;
    let colon = if of.is_empty() { "" } else { ": " };
    let _ = writeln!(page, "{word}{check:width$}  {of}{colon}{finding}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Findings;

    #[test]
    fn what_fails_comes_last_with_what_to_do() {
        let mut findings = Findings::of("nats.sync");
        findings.fail("nats-1", "it syncs every 2 minutes", "write it into the file");
        findings.ok("nats-2", "each write is synced");
        findings.fail("nats-3", "it syncs every 2 minutes", "write it into the file");
        let report = Report::new(findings.done());
        assert_eq!((report.failures, report.warnings, report.not_checked), (2, 0, 0));
        assert_eq!(
            report.page(),
            "ok     nats.sync  nats-2: each write is synced\n\
             \n\
             Failures\n\
             FAIL   nats.sync  nats-1: it syncs every 2 minutes\n\
             FAIL   nats.sync  nats-3: it syncs every 2 minutes\n\
             \x20                 do: write it into the file\n\
             \n\
             1 ok, 0 not checked, 0 warnings, 2 failures\n"
        );
    }
}

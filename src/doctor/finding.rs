//! What a check found, and how findings are gathered.

use serde::Serialize;

use super::format;

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It could not be looked at; the finding says why, and what would help.
    NotChecked,
    /// It works, and somebody should look at it before it does not.
    Warning,
    /// Something is broken, or a promise does not hold.
    Failure,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of the check, such as `nats.sync`: for machines; it stays.
    pub check: &'static str,
    /// Of what: a server, a stream, an edge; empty where there is only one.
    pub of: String,
    /// How it stands.
    pub state: State,
    /// The check that says why this one could not look; empty unless there is one.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub see: &'static str,
    /// What was found, in words.
    pub finding: String,
    /// What to do about it; empty where there is nothing to do.
    #[serde(rename = "do")]
    pub todo: String,
}

/// The findings of one check.
#[derive(Debug)]
pub struct Findings {
    check: &'static str,
    all: Vec<Finding>,
}

impl Findings {
    /// Nothing was found yet.
    #[must_use]
    pub const fn of(check: &'static str) -> Self {
        Self {
            check,
            all: Vec::new(),
        }
    }

    /// As it should be.
    pub fn ok(&mut self, of: impl Into<String>, finding: impl Into<String>) {
        self.add(State::Ok, of.into(), finding.into(), String::new());
    }

    /// It works still.
    pub fn warn(&mut self, of: impl Into<String>, finding: impl Into<String>, todo: impl Into<String>) {
        self.add(State::Warning, of.into(), finding.into(), todo.into());
    }

    /// It is broken.
    pub fn fail(&mut self, of: impl Into<String>, finding: impl Into<String>, todo: impl Into<String>) {
        self.add(State::Failure, of.into(), finding.into(), todo.into());
    }

    /// It could not be looked at.
    pub fn skip(&mut self, why: impl Into<String>, todo: impl Into<String>) {
        self.add(State::NotChecked, String::new(), why.into(), todo.into());
    }

    /// It could not be looked at, and another check says why.
    pub fn see(&mut self, check: &'static str) {
        self.skip(format!("see {check}"), "");
        if let Some(last) = self.all.last_mut() {
            last.see = check;
        }
    }

    /// Whether nothing was said yet beyond what is as it should be.
    #[must_use]
    pub fn all_well(&self) -> bool {
        self.all.iter().all(|finding| finding.state == State::Ok)
    }

    /// All of them.
    #[must_use]
    pub fn done(self) -> Vec<Finding> {
        self.all
    }

    /// Much of it others said, and a terminal is to show it, not to obey it.
    fn add(&mut self, state: State, of: String, finding: String, todo: String) {
        let [of, finding, todo] = [of, finding, todo].map(|text| format::harmless(&text));
        self.all.push(Finding {
            check: self.check,
            of,
            state,
            see: "",
            finding,
            todo,
        });
    }
}

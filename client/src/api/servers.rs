//! The servers that calls go to: the configured ones, and those that discovery found.

use std::sync::{PoisonError, RwLock};

#[derive(Debug)]
pub(super) struct Servers {
    configured: Vec<String>,
    learned: RwLock<Learned>,
}

#[derive(Debug, Default)]
struct Learned {
    /// The best first.
    found: Vec<String>,
    /// The one that answered last.
    current: Option<String>,
}

impl Servers {
    pub fn new(configured: Vec<String>) -> Self {
        Self {
            configured,
            learned: RwLock::default(),
        }
    }

    pub fn configured(&self) -> &[String] {
        &self.configured
    }

    /// All of them in the order in which they are tried: the one that answered last, then those that were
    /// configured, then those that were found.
    pub fn in_turn(&self) -> Vec<String> {
        let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<String> = Vec::new();
        let known = learned
            .current
            .iter()
            .chain(&self.configured)
            .chain(&learned.found);
        for server in known {
            if !all.contains(server) {
                all.push(server.clone());
            }
        }
        all
    }

    /// It answered.
    pub fn works(&self, server: &str) {
        let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
        if learned.current.as_deref() != Some(server) {
            learned.current = Some(server.to_owned());
        }
    }

    /// These live; what was found before is forgotten.
    pub fn found(&self, servers: Vec<String>) {
        self.learned.write().unwrap_or_else(PoisonError::into_inner).found = servers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_answered_is_asked_first_and_each_once() {
        let servers = Servers::new(vec!["a".into(), "b".into()]);
        assert_eq!(servers.in_turn(), ["a", "b"]);
        servers.found(vec!["c".into(), "a".into()]);
        servers.works("c");
        assert_eq!(servers.in_turn(), ["c", "a", "b"]);
        servers.found(vec![]);
        servers.works("b");
        assert_eq!(servers.in_turn(), ["b", "a"]);
    }
}

//! What a test does where the machine lacks what it needs: it says so loudly and passes, unless somebody said
//! that this machine has it. Then it fails with the same words, so that a run that is meant to be complete is.
//!
//! `$NATTERJACK_TESTS_COMPLETE` tells by which means this machine gets what is missing, as `apt,npm,go`, or `all`.

use std::{ffi::OsStr, io::Write as _};

/// The variable of the environment that turns skips into failures.
pub const COMPLETE: &str = "NATTERJACK_TESTS_COMPLETE";

/// By what means a machine gets what a test needs beyond Rust and Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A package of Debian, which root installs (`apt`).
    Apt,
    /// Node.js with npm, and what npm installs (`npm`).
    Npm,
    /// Go, and what it builds (`go`).
    Go,
    /// Old commits of this repository in the clone (`history`).
    History,
    /// What the kernel, or whoever runs this machine, allows: namespaces, loop mounts (`kernel`).
    Kernel,
}

impl By {
    const ALL: [Self; 5] = [Self::Apt, Self::Npm, Self::Go, Self::History, Self::Kernel];

    fn word(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Npm => "npm",
            Self::Go => "go",
            Self::History => "history",
            Self::Kernel => "kernel",
        }
    }
}

/// A test cannot be left out.
#[derive(Debug, thiserror::Error)]
pub enum SkipError {
    /// What it needs was said to be here.
    #[error(
        "{words}. {COMPLETE} says that this machine gets it by {}: see to that, or take the word out", by.word()
    )]
    Demanded {
        /// Why it would have been left out.
        words: String,
        /// By what means it was to be had.
        by: By,
    },
    /// The variable has a word that means nothing.
    #[error(
        "{COMPLETE} is {value:?}: it may be `all`, or some of apt, npm, go, history and kernel with commas between"
    )]
    Unknown {
        /// What it is.
        value: String,
    },
}

/// Leaves a test out, or a part of one, for want of what a machine gets `by` some means: tells it on stderr, past
/// the test harness, which keeps to itself what a test that passes prints.
///
/// `words` say what is not tested, why, and what to install; no full stop.
///
/// # Errors
/// `$NATTERJACK_TESTS_COMPLETE` says that this machine has it, or what it says means nothing.
pub fn skip_test(by: By, words: &str) -> Result<(), SkipError> {
    decide(std::env::var_os(COMPLETE).as_deref(), by, words)?;
    // Where nobody reads it there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {words}");
    Ok(())
}

fn decide(complete: Option<&OsStr>, by: By, words: &str) -> Result<(), SkipError> {
    let value = complete.unwrap_or_default().to_string_lossy();
    let mut demanded = false;
    for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let known = word == "all" || By::ALL.iter().any(|by| by.word() == word);
        if !known {
            return Err(SkipError::Unknown {
                value: value.into_owned(),
            });
        }
        demanded |= word == "all" || word == by.word();
    }
    if demanded {
        let words = words.to_owned();
        return Err(SkipError::Demanded { words, by });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(complete: &str, by: By) -> Result<(), SkipError> {
        decide(Some(OsStr::new(complete)), by, "no such thing")
    }

    #[test]
    fn a_test_is_left_out_unless_the_machine_is_said_to_have_what_it_needs() {
        assert!(decide(None, By::Kernel, "").is_ok());
        assert!(told("", By::Apt).is_ok());
        assert!(told("npm, go", By::Apt).is_ok());
        for by in By::ALL {
            for complete in ["all", by.word(), &format!("{} ,", by.word())] {
                let error = told(complete, by).expect_err(complete).to_string();
                assert!(error.starts_with("no such thing. "), "{error}");
                assert!(error.contains(by.word()), "{error}");
            }
        }
    }

    #[test]
    fn a_word_that_means_nothing_is_refused() {
        let error = told("apt,gο", By::Kernel).expect_err("that is no Latin o");
        assert!(matches!(error, SkipError::Unknown { .. }), "{error}");
        assert!(told("1", By::Apt).is_err());
    }
}

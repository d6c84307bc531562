//! Who is mentioned in a text: `@handle`, where no word begins before and goes on after it.

use std::collections::HashSet;

/// A handle's longest (`docs/protocol.md`).
const HANDLE_MAX: usize = 32;
/// Mentions beyond so many in one text are not looked for: nobody means a hundred people.
const MENTIONS_MAX: usize = 100;

/// The handles that a text mentions, and what would be one if a point or hyphen at the end belonged to it.
#[derive(Debug, Default)]
pub struct Mentions(HashSet<String>);

impl Mentions {
    /// Of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut found = HashSet::new();
        for (at, _) in text.match_indices('@') {
            // `x@ada` is an address, not a mention.
            if text[..at].chars().next_back().is_some_and(char::is_alphanumeric) {
                continue;
            }
            let rest = &text[at + 1..];
            let end = rest.find(|c| !of_handle(c)).unwrap_or(rest.len());
            if end > 2 * HANDLE_MAX || rest[end..].chars().next().is_some_and(char::is_alphanumeric) {
                continue;
            }
            // A handle may end in a point, and so may a sentence.
            let mut handle = rest[..end].to_ascii_lowercase();
            while !handle.is_empty() && found.len() < MENTIONS_MAX {
                found.insert(handle.clone());
                if !handle.ends_with(['.', '-']) {
                    break;
                }
                handle.pop();
            }
        }
        Self(found)
    }

    /// Whether it mentions who has this handle.
    #[must_use]
    pub fn names(&self, handle: &str) -> bool {
        !self.0.is_empty() && self.0.contains(&handle.to_ascii_lowercase())
    }
}

const fn of_handle(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_is_mentioned() {
        let table = [
            ("@ada", "ada", true),
            ("hello @Ada!", "ada", true),
            ("(@ada)", "ada", true),
            ("see you @ada.", "ada", true),
            ("see you @ada.", "ada.", true),
            ("@ada-", "ada", true),
            ("@ada.lovelace", "ada.lovelace", true),
            ("@ada.lovelace", "ada", false),
            ("@adam", "ada", false),
            ("@ada_", "ada", false),
            ("@adaé", "ada", false),
            ("mail x@ada", "ada", false),
            ("é@ada", "ada", false),
            ("@@ada", "ada", true),
            ("@bob @ada", "ada", true),
            ("ada", "ada", false),
            ("@", "ada", false),
            ("@ ada", "ada", false),
            ("🦎@ada🦎", "ada", true),
        ];
        for (text, handle, expected) in table {
            assert_eq!(Mentions::of(text).names(handle), expected, "{text} {handle}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_fine(text in any::<String>(), handle in "[a-z0-9_.-]{3,32}") {
            let _ = Mentions::of(&text);
            let text = format!("{text} @{handle} {text}");
            // A text of a hundred others may come before it.
            if text.matches('@').count() < 30 {
                prop_assert!(Mentions::of(&text).names(&handle));
            }
        }

        #[test]
        fn what_is_kept_is_bounded(text in "(@[a-z.-]{1,40} ?){0,300}") {
            prop_assert!(Mentions::of(&text).0.len() <= MENTIONS_MAX);
        }
    }
}

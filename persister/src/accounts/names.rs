//! Handles, names, device labels: what is taken, and what to say about the rest.

use natterjack_nats::limits::NAME_CHARS_MAX;

/// Fewest and most characters of a handle.
const HANDLE_CHARS: std::ops::RangeInclusive<usize> = 3..=32;
/// Fewest and most characters of a password.
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=1_024;

/// What is wrong with a name, handle or password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Of a handle.
    #[error("a handle has 3 to 32 characters, each one of a-z, 0-9, _, . and -")]
    Handle,
    /// Of a password.
    #[error("a password has 8 to 1024 characters")]
    Password,
    /// Of a name or title: nothing but blanks.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// Of a name or title: too long.
    #[error("the {0} is longer than {NAME_CHARS_MAX} characters")]
    TooLong(&'static str),
    /// Of a name or title: a line break, NUL or the like.
    #[error("the {0} holds a control character; leave out line breaks and the like")]
    Control(&'static str),
}

/// The canonical form of a handle: lower case.
pub fn handle(text: &str) -> Result<String, NameError> {
    let folded = text.to_ascii_lowercase();
    let taken = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    (HANDLE_CHARS.contains(&folded.len()) && folded.bytes().all(taken))
        .then_some(folded)
        .ok_or(NameError::Handle)
}

/// Refuses passwords that are too short to be worth anything or too long to hash.
pub fn password(text: &str) -> Result<(), NameError> {
    PASSWORD_CHARS
        .contains(&text.chars().count())
        .then_some(())
        .ok_or(NameError::Password)
}

/// Whether a text is longer than any password, and so not worth hashing.
pub fn too_long_for_a_password(text: &str) -> bool {
    text.chars().count() > *PASSWORD_CHARS.end()
}

/// A name or title to show, without blanks around it.
pub fn shown(what: &'static str, text: &str) -> Result<String, NameError> {
    let text = label(what, text)?;
    if text.is_empty() {
        return Err(NameError::Empty(what));
    }
    Ok(text)
}

/// A label that may be empty, such as the name of a device, without blanks around it. What is
/// checked is the text as it came, so that what is taken can be written down as a schema.
pub fn label(what: &'static str, text: &str) -> Result<String, NameError> {
    if text.chars().count() > NAME_CHARS_MAX {
        return Err(NameError::TooLong(what));
    }
    if text.chars().any(char::is_control) {
        return Err(NameError::Control(what));
    }
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_folded_and_checked() {
        assert_eq!(handle("Alice.B-c_9"), Ok("alice.b-c_9".to_owned()));
        let long = "x".repeat(33);
        for bad in [
            "",
            "ab",
            "al ice",
            "alicé",
            "a/b",
            "a%b",
            "al\0ice",
            long.as_str(),
        ] {
            assert_eq!(handle(bad), Err(NameError::Handle), "{bad:?}");
        }
    }

    #[test]
    fn names_keep_to_one_line() {
        assert_eq!(shown("name", "  Ada Lovelace "), Ok("Ada Lovelace".to_owned()));
        assert_eq!(shown("name", "  \u{2003} "), Err(NameError::Empty("name")));
        assert_eq!(shown("name", "Ada\n"), Err(NameError::Control("name")));
        assert_eq!(shown("name", "a\nb"), Err(NameError::Control("name")));
        let widest = "é".repeat(NAME_CHARS_MAX);
        assert_eq!(shown("name", &widest), Ok(widest.clone()));
        assert_eq!(
            shown("name", &format!("{widest}é")),
            Err(NameError::TooLong("name"))
        );
        assert_eq!(label("device", ""), Ok(String::new()));
    }

    #[test]
    fn passwords_are_counted_in_characters() {
        assert_eq!(password("éééééééé"), Ok(()));
        assert_eq!(password("ééééééé"), Err(NameError::Password));
        let longest = "é".repeat(1_024);
        assert_eq!(password(&longest), Ok(()));
        assert!(!too_long_for_a_password(&longest));
        assert_eq!(password(&format!("{longest}é")), Err(NameError::Password));
        assert!(too_long_for_a_password(&format!("{longest}é")));
    }
}

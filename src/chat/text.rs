//! Texts of others, made fit to print.

use jiff::{Timestamp, tz::TimeZone};

/// The rest of a text of several lines stands under its first one, so that it cannot pass for
/// lines of somebody else.
const CONTINUATION: &str = "\n        ";

/// A message's text without the power to move the cursor, colour the screen or reverse the reading
/// direction of what follows.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for char in text.replace("\r\n", "\n").chars() {
        match char {
            '\n' => clean.push_str(CONTINUATION),
            char => push(&mut clean, char),
        }
    }
    clean
}

/// The same for a name or a title, on one line.
pub(super) fn clean_line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for char in text.chars() {
        push(&mut clean, if char == '\n' { ' ' } else { char });
    }
    clean
}

fn push(clean: &mut String, char: char) {
    match char {
        '\t' => clean.push(' '),
        // Controls of both halves of Latin-1; direction marks (UAX #9); line and paragraph
        // separators.
        char if char.is_control() => clean.extend(char.escape_unicode()),
        '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            clean.extend(char.escape_unicode());
        }
        char => clean.push(char),
    }
}

/// The local time of day, `HH:MM`.
pub(super) fn time_of_day(unix_ms: u64) -> String {
    local(unix_ms, "%H:%M").unwrap_or_else(|| "--:--".to_owned())
}

/// The local date and time, `YYYY-MM-DD HH:MM`.
pub(super) fn date_and_time(unix_ms: u64) -> String {
    local(unix_ms, "%Y-%m-%d %H:%M").unwrap_or_else(|| "long ago".to_owned())
}

fn local(unix_ms: u64, format: &str) -> Option<String> {
    let time = Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    Some(time.to_zoned(TimeZone::system()).strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_command_the_terminal() {
        assert_eq!(
            clean("\u{1b}[2Jgone\u{7}\u{9b}31m"),
            r"\u{1b}[2Jgone\u{7}\u{9b}31m"
        );
        assert_eq!(clean("a\u{202e}b"), r"a\u{202e}b");
        assert_eq!(
            clean("one\r\ntwo\n12:00 bob: fake"),
            "one\n        two\n        12:00 bob: fake"
        );
        assert_eq!(clean_line("a\nb\rc"), r"a b\u{d}c");
        assert_eq!(clean("Grüße 👋 שלום"), "Grüße 👋 שלום");
    }

    #[test]
    fn a_time_beyond_all_calendars_does_no_harm() {
        assert_eq!(time_of_day(u64::MAX), "--:--");
        assert_eq!(time_of_day(0).len(), 5);
        assert_eq!(date_and_time(u64::MAX), "long ago");
        assert_eq!(date_and_time(0).len(), 16);
    }
}

//! Numbers as people read them.

/// Bytes in a unit that leaves few digits.
pub fn bytes(bytes: u64) -> String {
    const UNITS: &[&str] = &["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    let mut whole = bytes;
    while whole >= 10 * 1_024 && unit + 1 < UNITS.len() {
        whole /= 1_024;
        unit += 1;
    }
    format!("{whole} {}", UNITS[unit])
}

/// Seconds in a unit that leaves few digits.
pub fn seconds(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// How much of a whole, in percent, rounded down; all of nothing is nothing.
pub fn percent(part: u64, whole: u64) -> u64 {
    match whole {
        0 => 0,
        _ => u64::try_from(u128::from(part) * 100 / u128::from(whole)).unwrap_or(u64::MAX),
    }
}

/// Names with commas, and no more than a few of them.
pub fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The text without what a terminal would obey: control characters as their escapes, and so those that turn
/// the direction of writing around.
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for one in text.chars() {
        if one.is_control()
            || matches!(one, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            shown.extend(one.escape_default());
        } else {
            shown.push(one);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_digits() {
        assert_eq!(bytes(10_000), "10000 bytes");
        assert_eq!(bytes(5 << 30), "5120 MiB");
        assert_eq!(bytes(50 << 30), "50 GiB");
        assert_eq!(
            [seconds(90), seconds(7_000), seconds(10_000), seconds(200_000)],
            ["90 s", "116 min", "2 h", "2 days"]
        );
        assert_eq!((percent(1, 3), percent(1, 0)), (33, 0));
        let names: Vec<String> = (0..7).map(|name| name.to_string()).collect();
        assert_eq!(some(&names), "0, 1, 2, 3, 4 and 2 more");
    }

    #[test]
    fn a_terminal_obeys_nothing_of_it() {
        assert_eq!(
            harmless("503: \u{1b}[2Jé “ok”\r\n\u{202e}"),
            "503: \\u{1b}[2Jé “ok”\\r\\n\\u{202e}"
        );
    }
}

//! A figure that was measured several times: its median, and how far the others were from it.

use std::fmt;

use serde::Serialize;

/// Median, least and most of some measurements, in whatever unit they had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figure {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Figure {
    /// Of these; all zero of none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let ends = (values.first().copied(), values.last().copied());
        Self {
            median: median(values),
            min: ends.0.unwrap_or_default(),
            max: ends.1.unwrap_or_default(),
        }
    }

    /// Least and most for a person, as `3,601–3,815`.
    #[must_use]
    pub fn range(&self) -> String {
        format!("{}–{}", number(self.min), number(self.max))
    }
}

/// The median with least and most, as `3,728 (3,601–3,815)`; the median alone if it was the only one.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", number(self.median))?;
        if self.min < self.max {
            write!(f, " ({})", self.range())?;
        }
        Ok(())
    }
}

/// The middle one; of an even number the upper middle. 0 of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A number for a person: three digits and more, as `1,234`, `123`, `12.3`, `1.23`.
#[must_use]
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 99.95 => 0,
        middle if middle >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, rest) = digits
        .split_once('.')
        .map_or((digits, ""), |(whole, _)| (whole, &digits[whole.len()..]));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

/// A share for a person, as `67 %`; a dash where there is nothing to compare with.
#[must_use]
pub fn percent(share: f64) -> String {
    if share.is_finite() {
        format!("{:.0} %", share * 100.0)
    } else {
        "–".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends() {
        for (values, expected) in [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0, 5.0], 5.0)] {
            assert!((median(values) - expected).abs() < f64::EPSILON);
        }
        let figure = Figure::of([9.0, 1.0, 5.0]);
        assert_eq!(figure.to_string(), "5.00 (1.00–9.00)");
        assert_eq!(Figure::of([5_000.0]).to_string(), "5,000");
        assert_eq!(Figure::of([]), Figure::default());
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        for (value, expected) in [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (9.999, "10.0"),
            (99.96, "100"),
            (1_234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
            (-12_345.0, "-12,345"),
        ] {
            assert_eq!(number(value), expected);
        }
        assert_eq!(percent(0.666), "67 %");
        assert_eq!(percent(f64::NAN), "–");
    }
}

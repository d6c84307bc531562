//! How far a run is, and how long it still takes.

use std::time::{Duration, Instant};

use natterjack_runtime::servers::Progress;

/// Tells how far a run is, one line a measurement.
pub struct Steps<'a> {
    progress: &'a dyn Progress,
    begun: Instant,
    /// When the first was done: it took a cluster's start with it, and the others do not.
    first: Option<Instant>,
    done: usize,
    all: usize,
}

impl<'a> Steps<'a> {
    /// So many measurements of about the same length are to come, the first of them now.
    #[must_use]
    pub fn new(progress: &'a dyn Progress, all: usize) -> Self {
        Self {
            progress,
            begun: Instant::now(),
            first: None,
            done: 0,
            all,
        }
    }

    /// One was done, and this came out.
    pub fn say(&mut self, what: &str) {
        self.done += 1;
        let left = self.all.saturating_sub(self.done);
        let (since, measured) = match self.first {
            Some(first) => (first, self.done - 1),
            None => (*self.first.insert(Instant::now()), 0),
        };
        let each = if measured == 0 {
            self.begun.elapsed()
        } else {
            since.elapsed() / u32::try_from(measured).unwrap_or(u32::MAX)
        };
        let to_go = to_go(each * u32::try_from(left).unwrap_or(u32::MAX));
        self.progress
            .say(&format!("[{:>2}/{}, {to_go}] {what}", self.done, self.all));
    }
}

/// `3:20 to go`, in minutes and seconds.
fn to_go(left: Duration) -> String {
    let seconds = left.as_secs();
    format!("{}:{:02} to go", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_and_seconds() {
        assert_eq!(to_go(Duration::from_millis(200_900)), "3:20 to go");
        assert_eq!(to_go(Duration::ZERO), "0:00 to go");
    }
}

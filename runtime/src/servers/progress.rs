//! Saying what takes a while, so that nobody waits in front of a silent terminal.

/// Hears one short line for each step that takes noticeable time.
pub trait Progress: Send + Sync {
    /// Says one line, without a line break at its end.
    fn say(&self, line: &str);
}

/// Writes each line to stderr.
#[derive(Debug, Clone, Copy, Default)]
pub struct StderrProgress;

impl Progress for StderrProgress {
    fn say(&self, line: &str) {
        eprintln!("{line}");
    }
}

/// Says nothing; for tests and benchmarks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentProgress;

impl Progress for SilentProgress {
    fn say(&self, _line: &str) {}
}

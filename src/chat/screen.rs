//! Where lines are printed.

use std::io::Write as _;

use rustyline::ExternalPrinter;

/// Prints whole lines: above the line that is being edited, or plainly.
pub(super) struct Screen(Option<Box<dyn ExternalPrinter + Send>>);

impl Screen {
    pub(super) const fn plain() -> Self {
        Self(None)
    }

    pub(super) fn terminal(printer: Box<dyn ExternalPrinter + Send>) -> Self {
        Self(Some(printer))
    }

    pub(super) const fn is_terminal(&self) -> bool {
        self.0.is_some()
    }

    /// A line. Whoever reads it may have gone away, which ends the session by its input, not here.
    pub(super) fn line(&mut self, text: &str) {
        match &mut self.0 {
            Some(printer) => {
                let _ = printer.print(format!("{text}\n"));
            }
            None => {
                let mut out = std::io::stdout().lock();
                let _ = writeln!(out, "{text}");
                let _ = out.flush();
            }
        }
    }

    /// A remark of the program itself.
    pub(super) fn note(&mut self, text: &str) {
        self.line(&format!("· {text}"));
    }
}

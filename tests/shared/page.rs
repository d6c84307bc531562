//! The page for operators, nats/README.md: its commands, as they stand there, and how a person runs one.

use std::process::Stdio;

use tokio::process::Command;

/// The page.
pub const PAGE: &str = include_str!("../../nats/README.md");

/// The commands in the page's blocks that begin with this fence, without what explains them.
pub fn commands(fence: &str) -> Vec<&'static str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in PAGE.lines() {
        if line.starts_with("```") {
            fenced = line == fence;
        } else if fenced {
            found.push(line.split(" # ").next().unwrap_or(line).trim());
        }
    }
    found
}

/// A line as a person types it; all that it says is on its standard output.
pub fn typed(line: &str) -> Command {
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("exec 2>&1; exec {line}")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

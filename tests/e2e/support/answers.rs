//! Server errors that anybody was told: a scenario that caused no outage must not see one, whatever
//! it looks at itself.

use std::sync::{Mutex, PoisonError};

/// With the address of the edge, since scenarios run beside each other.
static FAILURES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Notes an answer of an edge if it is a server error (5xx, on the socket a code with that status).
pub fn heard(url: &str, status: u16, what: impl FnOnce() -> String) {
    if status >= 500 {
        let mut failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push((url.to_owned(), format!("{status} {}", what())));
    }
}

/// Forgets what was heard from these addresses: of edges that have just started on ports that others may have had.
pub fn forget(edges: &[String]) {
    let mut failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
    failures.retain(|(url, _)| !is_of(edges, url));
}

/// Fails if one of these edges has answered so.
pub fn no_failure(edges: &[String]) -> anyhow::Result<()> {
    let failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
    let told: Vec<_> = failures
        .iter()
        .filter(|(url, _)| is_of(edges, url))
        .map(|(url, what)| format!("{url}: {what}"))
        .collect();
    anyhow::ensure!(told.is_empty(), "nothing was down, and yet:\n{}", told.join("\n"));
    Ok(())
}

fn is_of(edges: &[String], url: &str) -> bool {
    let starts = |edge: &String| {
        url.strip_prefix(edge.as_str())
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
    };
    edges.iter().any(starts)
}

#[test]
fn a_server_error_fails_the_scenario_of_its_edge_only() {
    let edges = ["http://127.0.0.1:1".to_owned()];
    heard("http://127.0.0.1:1/v1/me", 429, || "slow down".to_owned());
    assert!(no_failure(&edges).is_ok());
    heard("http://127.0.0.1:1/v1/me", 503, || "away".to_owned());
    assert!(no_failure(&edges).is_err());
    assert!(no_failure(&["http://127.0.0.1:2".to_owned()]).is_ok());
    heard("http://127.0.0.1:12/v1/me", 503, || "away".to_owned());
    forget(&edges);
    assert!(
        no_failure(&edges).is_ok(),
        "what another edge said on that port is not this one's"
    );
    assert!(no_failure(&["http://127.0.0.1:12".to_owned()]).is_err());
}

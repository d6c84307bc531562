//! The clocks: message ids, tokens and leases are judged by them.

use crate::doctor::{facts::Facts, finding::Findings};

/// A clock that is further off than this is wrong.
const OFF_MS: i64 = 1_000;
/// The same where the answer counts whole seconds.
const OFF_HTTP_MS: i64 = 2_000;
const TODO: &str = "run chrony or systemd-timesyncd on every machine; tokens, the ids of messages and leases \
                    rest on the time";

pub fn clocks(facts: &Facts, findings: &mut Findings) {
    let mut compared = 0;
    let mut look = |of: String, ahead_ms: Option<i64>, error_ms: i64| {
        let Some(ahead_ms) = ahead_ms else {
            return;
        };
        compared += 1;
        if ahead_ms.abs() > error_ms {
            let (by, way) = (ahead_ms.abs(), if ahead_ms > 0 { "ahead of" } else { "behind" });
            findings.warn(of, format!("its clock is {by} ms {way} this machine's"), TODO);
        }
    };
    match (&facts.servers, &facts.nats) {
        (Ok(servers), _) => {
            for server in servers {
                look(
                    server.name.clone(),
                    server.ahead_ms,
                    OFF_MS + server.clock_error_ms,
                );
            }
        }
        (Err(_), Ok(nats)) => look("NATS".into(), nats.ahead_ms, OFF_MS),
        (Err(_), Err(_)) => {}
    }
    if let Ok(database) = &facts.database {
        look("Postgres".into(), Some(database.ahead_ms), OFF_MS);
    }
    for process in facts.processes.iter().flatten() {
        let of = format!("{} {}", process.info.role, process.info.id);
        look(of, Some(process.ahead_ms), OFF_MS + process.clock_error_ms);
    }
    // Edges were asked as processes; the load balancer, if one was given, only here.
    for edge in facts.edges.iter().flatten().filter(|edge| edge.id.is_none()) {
        look(edge.url.clone(), edge.reached.ahead_ms, OFF_HTTP_MS);
    }
    match compared {
        0 => findings.skip("no other machine was reached", ""),
        _ if findings.all_well() => {
            findings.ok(
                "",
                format!("{compared} clocks agree with this machine's, to a second"),
            );
        }
        _ => {}
    }
}

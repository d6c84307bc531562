//! The benchmarks run to their end on a cluster of their own and say what they should. How fast
//! anything is in a debug build on a busy machine is not looked at.

use std::process::Command;

use serde_json::Value;

fn bench(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_natterjack"))
        .arg("bench")
        .args(arguments)
        .args([
            "--json",
            "--debug-build",
            "--repetitions",
            "1",
            "--warm-up-ms",
            "100",
            "--measure-ms",
            "400",
        ])
        .output()
        .expect("the binary runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    serde_json::from_slice(&output.stdout).expect("one JSON document on stdout")
}

/// Follows names and indices, which must be there.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value
        .pointer(pointer)
        .unwrap_or_else(|| panic!("{pointer} is missing from {value:#}"))
}

fn number(value: &Value, pointer: &str) -> f64 {
    at(value, pointer)
        .as_f64()
        .unwrap_or_else(|| panic!("{pointer} is no number in {value:#}"))
}

fn sane(window: &Value, roles: &[&str]) {
    assert!(number(window, "/count") > 0.0, "{window:#}");
    let (count, seconds) = (number(window, "/count"), number(window, "/seconds"));
    assert!(
        (number(window, "/per_second") - count / seconds).abs() < 0.01 * count / seconds + 1.0,
        "{window:#}"
    );
    let percentiles =
        ["p50", "p99", "p999", "max"].map(|name| number(window, &format!("/latency_ms/{name}")));
    assert!(percentiles[0] > 0.0 && percentiles.is_sorted(), "{window:#}");
    let spread = at(window, "/spread");
    assert!((number(spread, "/repetitions") - 1.0).abs() < f64::EPSILON);
    assert!(number(spread, "/per_second/min") <= number(window, "/per_second"));
    if cfg!(target_os = "linux") {
        assert!(number(window, "/others_cores") >= 0.0);
    }
    for role in roles {
        assert!(number(window, &format!("/cpu_s/{role}")) >= 0.0);
        if cfg!(target_os = "linux") {
            assert!(
                number(window, &format!("/rss_mib/{role}")) > 0.0,
                "{role} in {window:#}"
            );
        }
    }
}

fn about(result: &Value, name: &str, edges: f64) {
    assert_eq!(at(result, "/benchmark"), name);
    assert!(number(result, "/machine/cores") >= 1.0);
    assert!(
        at(result, "/cluster/nats_server")
            .as_str()
            .is_some_and(|version| version.starts_with("2."))
    );
    assert!((number(result, "/cluster/edges") - edges).abs() < f64::EPSILON);
    assert_eq!(at(result, "/cluster/jetstream_sync"), "always");
}

#[test]
fn send_stands_next_to_raw_jetstream() {
    let result = bench(&[
        "send",
        "--in-flight",
        "4",
        "--senders",
        "2",
        "--peers",
        "3",
        "--rate",
        "100",
        "--shards",
        "1,2",
    ]);
    about(&result, "send", 1.0);
    let roles = ["edge", "load", "nats-server", "persister", "postgres"];
    for (index, shards) in [(0, 1.0), (1, 2.0)] {
        let one = at(&result, &format!("/shards/{index}"));
        assert!((number(one, "/shards") - shards).abs() < f64::EPSILON);
        for way in ["raw", "raw_persisted", "natterjack"] {
            sane(at(one, &format!("/closed/0/{way}")), &roles);
            sane(at(one, &format!("/open/0/{way}")), &roles);
        }
        assert!(number(one, "/closed/0/ratio_to_raw") > 0.0);
        assert!(number(one, "/open/0/p99_to_raw") > 0.0);
        assert!(number(one, "/open/0/cpu_to_raw") > 0.0);
    }
    // Two loads, three ways, two clusters.
    assert!((number(&result, "/quality/measurements") - 12.0).abs() < f64::EPSILON);
}

#[test]
fn fanout_stands_next_to_bare_sockets() {
    let result = bench(&["fanout", "--members", "2,4", "--users", "8", "--in-flight", "4"]);
    about(&result, "fanout", 2.0);
    for (size, members) in [(0, 2.0), (1, 4.0)] {
        let of = |name: &str| at(&result, &format!("/sizes/{size}/{name}"));
        assert!((of("members").as_f64().unwrap_or_default() - members).abs() < f64::EPSILON);
        sane(at(of("bare"), "/window"), &["gateway", "load", "nats-server"]);
        sane(at(of("natterjack"), "/window"), &["edge", "load", "nats-server"]);
        assert!(number(of("natterjack"), "/per_core_second") >= 0.0);
    }
}

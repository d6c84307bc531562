//! The benchmarks run to their end on a cluster of their own and say what they should. How fast
//! anything is in a debug build on a busy machine is not looked at.

use std::process::Command;

use natterjack::fleet::{Ground, GroundConfig, House, Scratch};
use serde_json::Value;

const SHORT: [&str; 7] = [
    "--json",
    "--debug-build",
    "--repetitions",
    "1",
    "--warm-up-ms",
    "100",
    "--measure-ms",
];

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_natterjack"));
    command.arg("bench").args(arguments);
    command
}

fn bench(arguments: &[&str]) -> Value {
    let output = command(arguments)
        .args(SHORT)
        .arg("400")
        .output()
        .expect("the binary runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    serde_json::from_slice(&output.stdout).expect("one JSON document on stdout")
}

fn refused(arguments: &[&str]) -> String {
    let output = command(arguments).output().expect("the binary runs");
    assert!(!output.status.success());
    assert!(
        output.stdout.is_empty(),
        "a benchmark that failed prints no result"
    );
    String::from_utf8_lossy(&output.stderr).into_owned()
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
    // Beyond the usual limit of a group's members, which is not that of a benchmark.
    let result = bench(&[
        "fanout",
        "--members",
        "2,101",
        "--users",
        "101",
        "--in-flight",
        "4",
    ]);
    about(&result, "fanout", 2.0);
    for (size, members) in [(0, 2.0), (1, 101.0)] {
        let of = |name: &str| at(&result, &format!("/sizes/{size}/{name}"));
        assert!((of("members").as_f64().unwrap_or_default() - members).abs() < f64::EPSILON);
        sane(at(of("bare"), "/window"), &["gateway", "load", "nats-server"]);
        sane(at(of("natterjack"), "/window"), &["edge", "load", "nats-server"]);
        assert!(number(of("natterjack"), "/per_core_second") >= 0.0);
    }
}

#[test]
fn growth_says_how_far_from_linear_it_is_and_draws_it() {
    let pictures = Scratch::new().expect("a directory");
    let dir = pictures.path().to_str().expect("a path in UTF-8");
    let result = bench(&["growth", "--axes", "edges", "--sizes", "1,2", "--svg", dir]);
    assert_eq!(at(&result, "/benchmark"), "growth");
    let axis = at(&result, "/axes/0");
    assert_eq!(at(axis, "/axis"), "edges");
    for (index, size) in [(0, 1.0), (1, 2.0)] {
        for series in ["ours", "baseline"] {
            let point = at(axis, &format!("/curves/0/{series}/points/{index}"));
            assert!((number(point, "/size") - size).abs() < f64::EPSILON);
            assert!(number(point, "/median") > 0.0);
        }
    }
    assert!(number(axis, "/curves/0/ours/exponent").is_finite());
    assert!(at(axis, "/curves/0/worse_than_linear").is_boolean());
    let svg = std::fs::read_to_string(pictures.path().join("growth-edges.svg")).expect("a picture");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert_eq!(
        svg.matches("<polyline").count(),
        6,
        "three panels with two curves each"
    );
    pictures.remove().expect("a directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_runs_already_is_measured_too() -> anyhow::Result<()> {
    let config = GroundConfig {
        open: true,
        ..GroundConfig::default()
    };
    let ground = Ground::start(config).await?;
    let (persister, edge) = (House::persister_args(&ground)?, House::edge_args(&ground)?);
    let presence = House::presence_args(&ground)?;
    let house = House::start(ground, persister, presence, vec![edge]).await?;
    let (nats_url, edge_url) = (house.ground().nats_url().to_owned(), house.url(0));
    let measured = tokio::task::spawn_blocking(move || {
        let there = ["--nats-url", nats_url.as_str(), "--edge-url", edge_url.as_str()];
        let at_there = |words: &[&'static str]| -> Vec<&str> { words.iter().copied().chain(there).collect() };
        let send = [
            "send",
            "--in-flight",
            "4",
            "--senders",
            "2",
            "--peers",
            "3",
            "--rate",
            "100",
        ];
        let send = bench(&at_there(&send));
        // Its persister is not ours to hold still, so there is no raw way.
        assert!(at(&send, "/shards/0/closed/0/raw").is_null());
        assert!(number(&send, "/shards/0/closed/0/natterjack/count") > 0.0);
        assert_eq!(at(&send, "/cluster/own"), false);
        assert!(!at(&send, "/command").to_string().contains(edge_url.as_str()));
        let fanout = bench(&at_there(&["fanout", "--members", "2", "--users", "4"]));
        assert!(number(&fanout, "/sizes/0/bare/window/count") > 0.0);
        let words = at_there(&["growth", "--debug-build"]);
        assert!(refused(&words).contains("leave out --nats-url"));
    });
    measured.await?;
    house.finish().await
}

#[test]
fn what_would_be_worth_nothing_is_refused() {
    if cfg!(debug_assertions) {
        assert!(refused(&["send"]).contains("--debug-build"));
    }
    let two = refused(&["fanout", "--debug-build", "--shards", "1,2"]);
    assert!(two.contains("one number of --shards"), "{two}");
}

#[test]
fn history_stands_next_to_bare_rows() {
    let result = bench(&[
        "history",
        "--rows",
        "3000",
        "--conversations",
        "40",
        "--in-flight",
        "2",
        "--rate",
        "50",
        "--ingest-rows",
        "400",
        "--only",
        "small",
    ]);
    about(&result, "history", 1.0);
    assert!((number(&result, "/space/messages") - 3_000.0).abs() < f64::EPSILON);
    let scenes = at(&result, "/scenes").as_array().expect("scenes");
    assert_eq!(scenes.len(), 2, "{result:#}");
    for scene in scenes {
        for way in ["postgres", "service", "edge"] {
            sane(
                at(scene, &format!("/closed/{way}")),
                &["edge", "load", "persister", "postgres"],
            );
            sane(at(scene, &format!("/open/{way}")), &[]);
        }
    }
    for rate in ["raw", "persister", "bare"] {
        assert!(number(&result, &format!("/ingest/{rate}_per_second/median")) > 0.0);
    }
}

#[test]
fn who_comes_back_gets_all_that_was_missed() {
    let result = bench(&[
        "resume",
        "--missed",
        "60",
        "--conversations",
        "6",
        "--crowd",
        "4",
        "--crowd-missed",
        "6",
        "--crowd-conversations",
        "2",
    ]);
    about(&result, "resume", 1.0);
    let all = at(&result, "/resumed").as_array().expect("four measurements");
    let places: Vec<&Value> = all.iter().map(|one| at(one, "/place")).collect();
    assert_eq!(places, ["tail", "tail", "postgres", "postgres"]);
    for (one, clients) in all.iter().zip([1.0, 4.0, 1.0, 4.0]) {
        assert!((number(one, "/clients") - clients).abs() < f64::EPSILON);
        assert!(number(one, "/last_ms/median") >= number(one, "/p50_ms/median"));
        assert!(number(one, "/bare_ms/median") > 0.0 && number(one, "/bytes_each/median") > 0.0);
    }
}

#[test]
fn who_comes_and_goes_stands_next_to_bare_writes() {
    let result = bench(&[
        "presence",
        "--users",
        "200",
        "--clients",
        "60",
        "--samples",
        "10",
        "--watchers",
        "4",
        "--watched",
        "3,50",
        "--rate",
        "100",
        "--grace-ms",
        "500",
        "--settle-ms",
        "100",
    ]);
    about(&result, "presence", 2.0);
    for way in ["raw", "come", "go", "connect", "vanish"] {
        assert!(number(&result, &format!("/{way}/per_second/median")) > 0.0);
        assert!(number(&result, &format!("/{way}/cpu_us_all/median")) >= 0.0);
    }
    for way in ["bytes_each", "raw_bytes_each", "client_bytes_each"] {
        assert!(number(&result, &format!("/{way}/nats-server/median")).is_finite());
    }
    for name in ["online", "offline"] {
        let of = |what: &str| number(&result, &format!("/shown/{name}_{what}_ms"));
        let told = ["p50", "p99", "max"].map(of);
        assert!(told[0] > 0.0 && told.is_sorted(), "{told:?}");
    }
    // Who goes is shown after the grace, and not before.
    assert!(number(&result, "/shown/offline_p50_ms") >= 500.0);
    for (index, watched) in [(0, 3.0), (1, 50.0)] {
        let one = at(&result, &format!("/watching/{index}"));
        assert!((number(one, "/watched") - watched).abs() < f64::EPSILON);
        assert!(number(one, "/changes_per_second") > 0.0);
    }
    // Four sockets that watch a quarter of all users each are told of a change once on average.
    let frames = number(&result, "/watching/1/frames_each");
    assert!((0.3..3.0).contains(&frames), "{frames} frames a change");
}

#[test]
fn pushes_stand_next_to_encrypting_alone() {
    let result = bench(&["push", "--users", "60", "--rate", "40", "--grace-ms", "200"]);
    about(&result, "push", 1.0);
    for (half, role) in [
        ("encrypt", "encrypt"),
        ("decide", "notifier"),
        ("push", "notifier"),
    ] {
        assert!(number(&result, &format!("/{half}/per_second/median")) > 0.0);
        assert!(number(&result, &format!("/{half}/cpu_us_each/{role}/median")) >= 0.0);
    }
    assert!(number(&result, "/body_bytes") > 200.0);
    let of = |what: &str| number(&result, &format!("/delay/{what}_ms"));
    let delays = ["p50", "p99", "max"].map(of);
    // Whoever is pushed before the grace is over had no chance to confirm. The ack comes a moment after the
    // message was stored.
    assert!(delays[0] > 150.0 && delays.is_sorted(), "{delays:?}");
}

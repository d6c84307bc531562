//! The dependency rules of the workspace, asserted from what cargo resolves: roles never depend on
//! each other, and only the persister links a Postgres client.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Who may depend on whom among our own crates, tests and benchmarks left aside.
const ALLOWED: &[(&str, &[&str])] = &[
    ("natterjack-nats", &[]),
    ("natterjack-runtime", &[]),
    ("natterjack-client", &["natterjack-nats"]),
    ("natterjack-service", &["natterjack-nats", "natterjack-runtime"]),
    ("natterjack-edge", ROLE),
    ("natterjack-persister", ROLE),
    ("natterjack-presence", ROLE),
    ("natterjack-notifier", ROLE),
    (
        "natterjack",
        &[
            "natterjack-client",
            "natterjack-edge",
            "natterjack-nats",
            "natterjack-notifier",
            "natterjack-persister",
            "natterjack-presence",
            "natterjack-runtime",
        ],
    ),
];

/// What a role may depend on: never on another role.
const ROLE: &[&str] = &["natterjack-nats", "natterjack-runtime", "natterjack-service"];

/// Normal and build dependencies of every package in the resolved graph.
fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .other_options(["--locked".to_owned(), "--offline".to_owned()])
        .exec()
        .expect("cargo metadata");
    let names: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, package.name.to_string()))
        .collect();
    let resolve = metadata.resolve.as_ref().expect("a resolved graph");
    let edges = resolve.nodes.iter().map(|node| {
        let shipped = node.deps.iter().filter(|dep| {
            dep.dep_kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development)
        });
        (
            names[&node.id].clone(),
            shipped.map(|dep| names[&dep.pkg].clone()).collect(),
        )
    });
    edges.collect()
}

fn reaches(graph: &BTreeMap<String, BTreeSet<String>>, from: &str, target: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut queue = vec![from];
    while let Some(package) = queue.pop() {
        if package == target {
            return true;
        }
        if seen.insert(package) {
            queue.extend(graph[package].iter().map(String::as_str));
        }
    }
    false
}

#[test]
fn our_crates_depend_on_each_other_as_allowed() {
    let graph = graph();
    let ours: BTreeSet<_> = graph
        .keys()
        .filter(|name| name.starts_with("natterjack"))
        .cloned()
        .collect();
    let ruled: BTreeSet<_> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(ours, ruled, "every crate of ours has a rule");
    for (name, allowed) in ALLOWED {
        for dependency in graph[*name].intersection(&ours) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn only_the_persister_links_a_postgres_client() {
    let graph = graph();
    for name in [
        "natterjack-nats",
        "natterjack-runtime",
        "natterjack-client",
        "natterjack-edge",
        "natterjack-presence",
        "natterjack-service",
    ] {
        assert!(
            !reaches(&graph, name, "tokio-postgres"),
            "{name} links a Postgres client"
        );
    }
    assert!(graph["natterjack-persister"].contains("tokio-postgres"));
    // The binary has it through the persister only.
    assert!(!graph["natterjack"].contains("tokio-postgres"));
}

#[test]
fn one_crypto_provider() {
    // `cargo metadata` also lists edges of features that are off; `cargo tree` knows better.
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--workspace",
            "--edges",
            "normal",
            "--invert",
            "ring",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree");
    let users = String::from_utf8_lossy(&tree.stdout);
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    assert!(
        users.is_empty(),
        "ring beside aws-lc-rs makes rustls panic:\n{users}"
    );
}

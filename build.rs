//! Tells the program what it was built from and how: a figure of a benchmark is worth nothing
//! without it.

use std::{env, fs, process::Command};

/// What a release is made of, beside `Cargo.lock`: a change of any makes the commit "dirty".
const SOURCES: &[&str] = &[
    "Cargo.toml",
    "src",
    "client/src",
    "edge/src",
    "nats/src",
    "persister/src",
    "runtime/src",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_PROFILE_RELEASE_LTO");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let rustc = said(&variable("RUSTC"), &["--version"]).unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=NATTERJACK_BUILD_RUSTC={rustc}");
    println!(
        "cargo::rustc-env=NATTERJACK_BUILD_OPT_LEVEL={}",
        variable("OPT_LEVEL")
    );
    let release = variable("PROFILE") == "release";
    let lto = if release { lto() } else { "off".into() };
    println!("cargo::rustc-env=NATTERJACK_BUILD_LTO={lto}");
    // A debug build measures nothing, and would be built again after every commit.
    if release && let Some(commit) = commit() {
        println!("cargo::rustc-env=NATTERJACK_BUILD_COMMIT={commit}");
    }
}

/// Cargo does not tell it, so it is read where Cargo reads it.
fn lto() -> String {
    if let Ok(lto) = env::var("CARGO_PROFILE_RELEASE_LTO") {
        return lto;
    }
    println!("cargo::rerun-if-changed=Cargo.toml");
    let manifest = fs::read_to_string("Cargo.toml").unwrap_or_default();
    let profile = manifest.split("[profile.release]").nth(1).unwrap_or_default();
    let settings = profile.lines().take_while(|line| !line.starts_with('['));
    let lto = settings
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| key.trim() == "lto");
    lto.map_or_else(
        || "off".into(),
        |(_, value)| value.trim().trim_matches('"').to_owned(),
    )
}

/// The commit, `None` outside a clone.
fn commit() -> Option<String> {
    let head_log = said("git", &["rev-parse", "--git-path", "logs/HEAD"])?;
    for path in SOURCES.iter().copied().chain([head_log.as_str()]) {
        println!("cargo::rerun-if-changed={path}");
    }
    said(
        "git",
        &["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
    )
}

/// The one line that a program says.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}

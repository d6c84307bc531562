//! What roles tell at `/metrics`, and what the page says of it.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use natterjack::fleet::{Ground, GroundConfig, House};
use natterjack_runtime::{clock::Clock, lifecycle::Tasks, metrics::Metrics};

use super::{PATIENCE, alerts, page, scene::Scene};

/// What has moved after some traffic, or stands there.
const MOVED: &[(&str, &str)] = &[
    ("edge", "natterjack_sends_total{role=\"edge\",what=\"ok\"}"),
    ("edge", "natterjack_frames_in_total{role=\"edge\",what=\"send\"}"),
    ("edge", "natterjack_ack_seconds_count{role=\"edge\"}"),
    (
        "edge",
        "natterjack_asked_seconds_count{role=\"edge\",what=\"open\"}",
    ),
    (
        "edge",
        "natterjack_http_requests_total{role=\"edge\",route=\"/v1/login\",status=\"4xx\"}",
    ),
    ("edge", "natterjack_http_request_seconds_count{role=\"edge\","),
    (
        "edge",
        "natterjack_check_fine{role=\"edge\",check=\"nats.publish\"}",
    ),
    ("edge", "natterjack_ready{role=\"edge\"}"),
    (
        "persister",
        "natterjack_ingest_batch_messages_count{role=\"persister\"}",
    ),
    (
        "persister",
        "natterjack_db_transactions_total{role=\"persister\",name=\"ingest\",outcome=\"ok\"}",
    ),
    (
        "persister",
        "natterjack_db_connections{role=\"persister\",pool=\"general\"}",
    ),
    ("persister", "natterjack_stream_bytes{role=\"persister\","),
    (
        "persister",
        "natterjack_stream_replicas_current{role=\"persister\",",
    ),
    (
        "persister",
        "natterjack_service_requests_total{role=\"persister\",service=\"accounts\",",
    ),
    ("presence", "natterjack_presence_looks_total{role=\"presence\"}"),
    ("presence", "natterjack_presence_edges{role=\"presence\"}"),
    (
        "notifier",
        "natterjack_push_outcomes_total{role=\"notifier\",channel=\"webpush\",outcome=\"accepted\"}",
    ),
    (
        "notifier",
        "natterjack_push_request_seconds_count{role=\"notifier\",channel=\"webpush\"}",
    ),
];

/// Consumers that tell how far they are, by role: each role tells of all of its own.
const CONSUMERS: &[(&str, &str, &str)] = &[
    ("persister", "CHAT_0", "persister"),
    ("persister", "RECEIPTS", "persister"),
    ("presence", "KV_sessions", "presence"),
    ("presence", "KV_edges", "presence"),
    ("notifier", "CHAT_0", "notifier"),
    ("notifier", "RECEIPTS", "notifier"),
    ("notifier", "KV_pushes", "webpush"),
];

/// What all processes tell is on the page, has moved, and is in good form.
pub async fn look(scene: &Scene) -> anyhow::Result<()> {
    let known = page::metrics()?;
    let promtool = alerts::promtool().await?;
    for (role, process) in scene.roles() {
        let url = format!("{}/metrics", process.url());
        let wanted: Vec<String> = MOVED
            .iter()
            .filter(|(of, _)| *of == role)
            .map(|(_, series)| (*series).to_owned())
            .chain(CONSUMERS.iter().filter(|(of, ..)| *of == role).map(|(role, stream, consumer)| {
                format!("natterjack_consumer_stalled_seconds{{role=\"{role}\",stream=\"{stream}\",consumer=\"{consumer}\"}}")
            }))
            .collect();
        let text = super::until(&format!("all of {wanted:?} at {url}"), async || {
            let text = reqwest::get(&url).await?.error_for_status()?.text().await?;
            let there = wanted.iter().all(|series| moved(&text, series));
            Ok(there.then_some(text))
        })
        .await
        .with_context(|| format!("the metrics of the {role}"))?;
        for (name, kind) in types(&text)? {
            ensure!(
                known.get(&name) == Some(&kind),
                "{name} of the {role} is a {kind}, and {} says {:?}",
                page::PAGE,
                known.get(&name)
            );
        }
        for person in &scene.people {
            ensure!(
                !text.contains(person.as_str()),
                "a label of the {role} names somebody"
            );
        }
        let Some(promtool) = &promtool else { continue };
        check(promtool, &text).with_context(|| format!("the metrics of the {role}"))?;
    }
    Ok(())
}

/// Whether a series that begins so has a value above 0, or is there at all where 0 is fine.
fn moved(text: &str, series: &str) -> bool {
    let mut found = text.lines().filter(|line| line.starts_with(series));
    found.any(|line| {
        series.starts_with("natterjack_consumer_") || !line.ends_with(" 0") && !line.ends_with(" 0.0")
    })
}

/// The types that are told, by name.
fn types(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines
        .map(|line| {
            let (name, kind) = line.split_once(' ').with_context(|| line.to_owned())?;
            Ok((name.to_owned(), kind.to_owned()))
        })
        .collect()
}

/// Has promtool look at the form. It reads the older text format, in which counters are told by their full name.
fn check(promtool: &Path, text: &str) -> anyhow::Result<()> {
    let counters: Vec<String> = types(text)?
        .into_iter()
        .filter_map(|(name, kind)| (kind == "counter").then_some(name))
        .collect();
    let mut plain = String::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", keyword, name, rest] if counters.iter().any(|counter| counter == name) => {
                plain.push_str(&format!("# {keyword} {name}_total {rest}"));
            }
            _ => plain.push_str(line),
        }
        plain.push('\n');
    }
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("its input")?
        .write_all(plain.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "promtool check metrics:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Both ways, also for what is rare: the page has what roles register, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_has_all_metrics_and_no_others() -> anyhow::Result<()> {
    let ground = Ground::start(GroundConfig::default()).await?;
    let tasks = Tasks::new();
    let [persister, presence, notifier] = ["persister", "presence", "notifier"].map(Metrics::new);
    let args = House::persister_args(&ground)?;
    natterjack_persister::run_with(&args, &tasks.child("p"), Clock::system(), persister.clone()).await?;
    let args = House::presence_args(&ground)?;
    natterjack_presence::run_with(&args, &tasks.child("q"), presence.clone()).await?;
    let args = House::notifier_args(&ground)?;
    natterjack_notifier::run_with(&args, &tasks.child("n"), notifier.clone()).await?;
    let edge = natterjack_edge::run(&House::edge_args(&ground)?, &tasks.child("e")).await?;
    let mut registered = BTreeMap::new();
    for metrics in [&persister, &presence, &notifier, &edge.app.registry] {
        registered.extend(metrics.registered());
    }
    let known = page::metrics()?;
    for (name, kind) in &registered {
        ensure!(
            known.get(name) == Some(kind),
            "{name}, a {kind}, is not on {}",
            page::PAGE
        );
    }
    for name in known.keys() {
        ensure!(
            registered.contains_key(name),
            "{} tells of {name}, and nobody tells it",
            page::PAGE
        );
    }
    drop(edge);
    tasks.stop(PATIENCE).await?;
    ground.finish().await
}

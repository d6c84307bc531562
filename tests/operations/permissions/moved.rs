//! A cluster whose edges were in one account with all the rest gets the newer form by reloads, while edges run.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use async_nats::{HeaderMap, header};
use natterjack::role;
use natterjack_nats::{
    access::User,
    cluster::{self, NatsArgs},
};
use natterjack_runtime::lifecycle::Tasks;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::{
    actor::{Action, Actor},
    secured::Secured,
};

const PATIENCE: Duration = Duration::from_secs(30);
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);
const MESSAGES: u64 = 300;
/// After this many the server gets the newer form.
const REWRITTEN_AFTER: u64 = 100;

/// The form that accounts had before: no account `EDGE`, and its user in that of the others.
fn older(path: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(path)?;
    let (before, rest) = text.split_once(" EDGE {\n").context("no account EDGE")?;
    let (edge, after) = rest.split_once("\n }\n").context("it does not end")?;
    let (_, users) = edge.split_once("  users: [\n").context("it has no users")?;
    let user = users.strip_suffix("\n  ]").context("its users do not end")?;
    let (head, rest) = before.split_once("  exports: [\n").context("no exports")?;
    let (_, others) = rest.split_once("  users: [\n").context("no users")?;
    fs::write(path, format!("{head}  users: [\n{user}\n{others}{after}"))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_that_run_move_to_their_account_by_reloads_and_lose_nothing() -> anyhow::Result<()> {
    let secured = Secured::start_with(older).await?;
    let NatsArgs { url, nkey, ca, .. } = secured.nats_args(User::Edge);
    let path = |path: Option<std::path::PathBuf>| path.unwrap_or_default().display().to_string();
    let (nkey, ca) = (path(nkey), path(ca));
    let args: natterjack_edge::Args = role::args(&[
        ("--nats-url", &url),
        ("--nats-nkey", &nkey),
        ("--nats-ca", &ca),
        ("--listen", "127.0.0.1:0"),
    ])?;
    let tasks = Tasks::new();
    let edge = Box::pin(natterjack_edge::run(&args, &tasks)).await?;
    let (admin, operator) = (
        Actor::new(&secured, User::Admin).await?,
        Actor::new(&secured, User::Operator).await?,
    );
    let heard = admin.listen("live.group.g").await?;
    let before = Actor::new(&secured, User::Edge).await?;
    before.works(&Action::Tell("live.group.g"), &admin).await?;
    assert_eq!(
        heard.next_subject().await?,
        "live.group.g",
        "the older form has one account"
    );

    // What an edge stores, it stores once, however often the connection goes.
    let login = secured.nats_args(User::Edge).login(User::Edge);
    let client = cluster::connect(login, "moved", |_| {}).await?;
    for id in 0..MESSAGES {
        if id == REWRITTEN_AFTER {
            secured.rewrite()?;
            // A server that makes an account in a reload lets nothing cross yet (`configureAccounts`); the next one
            // finds the account there.
            secured.reload().await?;
            secured.reload().await?;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut headers = HeaderMap::new();
            headers.insert(header::NATS_MESSAGE_ID, id.to_string());
            let stored = client.request_with_headers("chat.0.dm.a.b", headers, "{}".into());
            if let Ok(Ok(answer)) = timeout(ANSWERED_WITHIN, stored).await {
                let answer: Value = serde_json::from_slice(&answer.payload)?;
                assert!(answer["seq"].as_u64() > Some(0), "{answer}");
                break;
            }
            anyhow::ensure!(Instant::now() < deadline, "message {id} is not stored");
            sleep(POLL).await;
        }
    }
    let told = admin.told("$JS.API.STREAM.INFO.CHAT_0", "").await?;
    assert_eq!(told["state"]["messages"], MESSAGES, "{told}");

    // The edge is back, and is asked from the other account.
    let deadline = Instant::now() + PATIENCE;
    while edge.app.health.ready().is_err() {
        anyhow::ensure!(Instant::now() < deadline, "{:?}", edge.app.health.ready());
        sleep(POLL).await;
    }
    let told = operator.told("svc.process.info", "{}").await?;
    assert_eq!(told["role"], "edge", "{told}");
    // What edges say to each other is theirs alone now.
    let after = Actor::new(&secured, User::Edge).await?;
    after
        .works(&Action::Hear("live.group.g", "live.group.g"), &before)
        .await?;
    admin.publish("live.group.g", "of the admin").await?;
    assert_eq!(heard.next_text().await?, "of the admin");
    tasks.stop(PATIENCE).await?;
    secured.stop().await;
    Ok(())
}

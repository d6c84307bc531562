//! The Rust client chooses its edge by itself, and moves when that one goes away.

use std::time::Duration;

use anyhow::{Context, ensure};
use natterjack::fleet::House;
use natterjack_client::{Account, Api, Client, Credentials, Event, Events};
use natterjack_nats::{
    Conversation, EdgeId,
    wire::{EdgeInfo, HelloDevice, HistoryQuery},
};
use tokio::time::sleep;

use crate::support::{
    stage::{self, Play},
    until, within,
};

async fn sign_up(servers: &[String]) -> anyhow::Result<Account> {
    let device = HelloDevice {
        id: None,
        name: "test".into(),
        platform: "test".into(),
    };
    let credentials = Credentials {
        handle: "alice".into(),
        password: "correct horse".into(),
        device,
    };
    Ok(Account::sign_up(&Api::of_servers(servers)?, credentials).await?)
}

/// Waits until that edge names so many.
async fn named(url: &str, count: usize) -> anyhow::Result<Vec<EdgeInfo>> {
    let api = Api::new(url)?;
    until("the edges are named", async || {
        let edges = api.edges(None).await.ok();
        Ok(edges.filter(|edges| edges.len() == count))
    })
    .await
}

/// The edge of the next connection, and whether the client said that it moves there.
async fn next_edge(events: &mut Events) -> anyhow::Result<(EdgeId, Option<String>)> {
    let mut moving = None;
    let ready = async {
        loop {
            match events.next().await.context("the client goes on")? {
                Event::Ready(ready) => return anyhow::Ok(ready.edge),
                Event::Moving { to } => moving = Some(to),
                Event::Stopped(reason) => anyhow::bail!("{reason}"),
                _ => {}
            }
        }
    };
    let edge = within("a connection", ready).await??;
    Ok((edge, moving))
}

fn index(house: &House, edges: &[EdgeInfo], edge: EdgeId) -> anyhow::Result<usize> {
    let info = edges
        .iter()
        .find(|info| info.id == edge)
        .context("a known edge")?;
    let index = house.urls().iter().position(|url| *url == info.url);
    index.with_context(|| format!("an edge of the house: {info:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_knows_one_edge_is_on_another_one_when_its_own_goes_away() -> anyhow::Result<()> {
    /// Each edge goes away once, and comes back.
    const ROUNDS: usize = 2;
    const MESSAGES: usize = 60;
    stage::run(async |Play { house, .. }| {
        let account = sign_up(&[house.url(0)]).await?;
        let mut edges = named(&house.url(0), 2).await?;
        let (client, mut events) = Client::connect(account.config())?;
        let notes = Conversation::dm(account.user().id, account.user().id);
        let (mut edge, _) = next_edge(&mut events).await?;
        for round in 0..ROUNDS {
            let going = index(house, &edges, edge)?;
            let writer = client.clone();
            let writing = tokio::spawn(async move {
                for number in 0..MESSAGES {
                    writer.send(notes, format!("{round} {number}"))?;
                    sleep(Duration::from_millis(3)).await;
                }
                anyhow::Ok(())
            });
            house.stop_edge(going).await?;
            let (next, moving) = next_edge(&mut events).await?;
            ensure!(next != edge, "it is on the other edge");
            // Who is sent on twice in a short time pauses first.
            let told = round > 0 || moving == Some(house.url(1 - going));
            ensure!(told, "it was told where: {moving:?}");
            writing.await??;
            ensure!(
                client.flush(Duration::from_secs(30)).await,
                "all that was written is acked"
            );
            // HTTP finds it too, although the configuration names the first edge only.
            account.api().me().await?;
            edge = next;
            house.start_edge(going).await?;
            edges = named(&house.url(going), 2).await?;
        }
        let query = HistoryQuery {
            conversation: notes,
            before: None,
            after: None,
            around: None,
            at: None,
            limit: Some(200),
        };
        let page = account.api().history(&query).await?;
        let texts: Vec<_> = page
            .messages
            .into_iter()
            .filter_map(|message| message.text)
            .collect();
        let sent: Vec<_> = (0..ROUNDS)
            .flat_map(|round| (0..MESSAGES).map(move |number| format!("{round} {number}")))
            .collect();
        ensure!(texts == sent, "each once and in order: {texts:?}");
        client.close().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_first_server_is_dead_the_next_one_is_asked() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        // Nobody listens there.
        let dead = "http://127.0.0.1:9".to_owned();
        let account = sign_up(&[dead, house.url(1)]).await?;
        named(&house.url(1), 2).await?;
        let (client, mut events) = Client::connect(account.config())?;
        next_edge(&mut events).await?;
        client.close().await;
        Ok(())
    })
    .await
}

//! Clients that do not read, and clients that are gone without a word.

use std::time::Duration;

use anyhow::ensure;
use futures::StreamExt;
use natterjack_nats::wire::ServerFrame;
use tokio_tungstenite::tungstenite::Message as Ws;

use crate::support::{
    raw::chained,
    stage::{Play, Stage},
    until,
    user::User,
    within,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_is_closed_and_nobody_else_is_harmed() -> anyhow::Result<()> {
    Stage::new()
        .edge(|args| {
            args.socket.write_timeout_ms = 1_500;
            args.socket.socket_queue_bytes = 1 << 20;
        })
        .run(async |Play { house, .. }| {
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let dm = alice.dm(&bob);
            let (mut a, mut reader, mut stuck) =
                (alice.online(1).await?, bob.online(0).await?, bob.online(0).await?);
            let first = a.say(dm, "first").await?;
            ensure!(stuck.message().await?.seq == first && reader.message().await?.seq == first);
            // From here on it reads nothing, while more comes than any kernel buffers.
            let text = "x".repeat(90_000);
            let mut sent = Vec::new();
            let closes = async || -> anyhow::Result<bool> {
                let metrics = reqwest::get(format!("{}/metrics", house.url(0)))
                    .await?
                    .text()
                    .await?;
                let open = metrics
                    .lines()
                    .find(|line| line.starts_with("natterjack_sockets{"))
                    .unwrap_or_default();
                Ok(open.ends_with(" 1"))
            };
            let mut rounds = 0;
            while !closes().await? {
                rounds += 1;
                ensure!(rounds < 60, "it was not closed after {} messages", sent.len());
                for _ in 0..10 {
                    sent.push(a.say(dm, &text).await?);
                }
                // The other socket of the same user gets everything in time.
                let given = reader.messages(10).await?;
                ensure!(
                    given
                        .iter()
                        .map(|message| message.seq)
                        .eq(sent[sent.len() - 10..].iter().copied())
                );
            }
            // It finds out when it reads again, and resumes from where it was.
            let mut last = first;
            let mut buffered = Vec::new();
            let code = loop {
                match within("the end", stuck.stream.next()).await? {
                    Some(Ok(Ws::Text(text))) => {
                        if let ServerFrame::Message(message) = serde_json::from_str(&text)? {
                            buffered.push(*message);
                        }
                    }
                    Some(Ok(Ws::Close(frame))) => break frame.map(|frame| u16::from(frame.code)),
                    Some(Ok(_)) => {}
                    _ => break None,
                }
            };
            // The close frame itself may not have fitted any more.
            ensure!(matches!(code, Some(3008) | None), "{code:?}");
            chained(&buffered, first)?;
            last = buffered.last().map_or(last, |message| message.seq);
            let missed: Vec<_> = sent.iter().copied().filter(|seq| *seq > last).collect();
            ensure!(!missed.is_empty());
            let mut back = bob.resume(0, &[(dm, last)]).await?;
            let given = back.messages(missed.len()).await?;
            chained(&given, last)?;
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_peer_is_noticed_by_its_silence() -> anyhow::Result<()> {
    Stage::new()
        .edge(|args| args.socket.ping_interval_ms = 1_000)
        .run(async |Play { house, .. }| {
            let alice = User::sign_up(house, "alice").await?;
            let (quiet, mut lively) = (alice.online(0).await?, alice.online(0).await?);
            // One answers pings, as reading does by itself; the other does nothing at all.
            let until_closed = async {
                until("one socket is left", async || {
                    let metrics = reqwest::get(format!("{}/metrics", house.url(0)))
                        .await?
                        .text()
                        .await?;
                    let line = metrics
                        .lines()
                        .find(|line| line.starts_with("natterjack_sockets{"));
                    Ok(line.is_some_and(|line| line.ends_with(" 1")).then_some(()))
                })
                .await
            };
            let reading = async {
                loop {
                    let read = tokio::time::timeout(Duration::from_millis(50), lively.stream.next()).await;
                    if matches!(read, Ok(Some(Ok(Ws::Close(_)) | Err(_)) | None)) {
                        return;
                    }
                }
            };
            tokio::select! {
                closed = until_closed => closed?,
                () = reading => anyhow::bail!("the lively one was closed"),
            }
            let mut quiet = quiet;
            ensure!(quiet.closed().await? == Some(3012));
            Ok(())
        })
        .await
}

//! Connections that say nothing, connections that are too many, and what a drain leaves behind.

mod common;

use std::sync::Arc;

use common::{PATIENCE, Stage};
use natterjack_edge::ops::Caller;
use natterjack_nats::{
    Conversation, DeviceId, UserId, cluster, subjects,
    wire::{Cursor, ReceiptBatch},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// All that comes until the server ends the connection.
async fn rest(mut socket: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, socket.read_to_end(&mut bytes))
        .await
        .expect("the server ends it");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn half_a_request_ends_in_time_and_gives_its_place_back() {
    let stage = Stage::new(&["--header-timeout-ms=300", "--connections-max=2"]).await;
    let connect = || TcpStream::connect(stage.edge.addr);
    let silent = connect().await.expect("connected");
    let mut half = connect().await.expect("connected");
    half.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
        .await
        .expect("written");
    let slots = &stage.edge.app.slots;
    timeout(PATIENCE, async {
        while slots.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("both are taken in");
    let refused = rest(connect().await.expect("connected")).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("\"overloaded\""), "{refused}");

    assert_eq!(rest(silent).await, "");
    rest(half).await;
    let mut whole = connect().await.expect("connected");
    whole
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .expect("written");
    let answer = rest(whole).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    stage.end().await;
}

#[tokio::test]
async fn a_drain_stores_the_last_receipts_and_leaves_nats() {
    let stage = Stage::new(&["--receipts-interval-ms=10000"]).await;
    let observer = cluster::connect(&stage.server.url(), "observer", |_| {})
        .await
        .expect("a connection");
    let context = async_nats::jetstream::new(observer.clone());
    let app = Arc::clone(&stage.edge.app);
    let user = UserId::from_parts(1, 1);
    let conversation = Conversation::dm(user, user);
    let caller = Caller {
        user,
        device: DeviceId::from_parts(2, 2),
    };
    // A connection that is still there when the drain begins, and what it said last.
    let slot = Arc::clone(&app.slots).acquire_owned().await.expect("a slot");
    let tasks = stage.tasks.clone();
    let stopped = tokio::spawn(async move { tasks.stop(PATIENCE).await });
    app.tasks.shutdown().draining().await;
    let gone = async {
        while TcpStream::connect(stage.edge.addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the listener ends");
    app.receipt(&caller, conversation, Some(7), Some(5), true)
        .await
        .expect("taken");
    drop(slot);
    stopped.await.expect("no panic").expect("all tasks end");

    let subject = subjects::receipt::subject(app.shards.of(&conversation));
    let stream = context.get_stream("RECEIPTS").await.expect("the stream");
    let last = stream
        .get_last_raw_message_by_subject(&subject)
        .await
        .expect("stored");
    let batch: ReceiptBatch = serde_json::from_slice(&last.payload).expect("a batch");
    assert_eq!(
        batch.receipts[0].cursor,
        Cursor {
            delivered: 7,
            read: 5
        }
    );
    assert!(app.nats.publish.current().is_none());
    assert!(app.nats.service.flush().await.is_err(), "it is closed");
    let page = format!("{}/connz", stage.server.monitor_url());
    let left = async {
        loop {
            let page = reqwest::get(&page).await.expect("answered").text().await;
            let page: serde_json::Value = serde_json::from_str(&page.expect("a page")).expect("JSON");
            let connections = page["connections"].as_array().expect("a list");
            let names = connections.iter().map(|one| one["name"].as_str());
            if !names.flatten().any(|name| name.starts_with("natterjack-edge-")) {
                return;
            }
        }
    };
    timeout(PATIENCE, left)
        .await
        .expect("the server has none of them");
    stage.server.stop().await;
}

#[tokio::test]
async fn a_probe_that_fails_says_why_in_plain_lines() {
    let stage = Stage::new(&[]).await;
    stage.edge.app.health.set("test", Err("for no reason".into()));
    let mut socket = TcpStream::connect(stage.edge.addr).await.expect("connected");
    socket
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .expect("written");
    let answer = rest(socket).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("test: for no reason\n"), "{answer}");
    stage.end().await;
}

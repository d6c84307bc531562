//! Connections that say nothing, connections that are too many, and what a drain leaves behind.

mod common;

use std::{sync::Arc, time::Duration};

use common::{PATIENCE, Stage};
use natterjack_edge::ops::Caller;
use natterjack_nats::{
    Conversation, DeviceId, UserId, cluster, subjects,
    wire::{Cursor, ReceiptBatch},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
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

/// What operators see of a drain while it lasts: of one that they asked for, and of one that ends the process.
#[tokio::test]
async fn a_drain_is_told_on_the_admin_listener_until_it_is_over() {
    let stage = Stage::new(&["--admin-listen=127.0.0.1:0", "--drain-spread-ms=100"]).await;
    let admin = stage.edge.admin.expect("a second listener");
    let seen = async |drains: bool| {
        let (metrics, ready) = (
            format!("http://{admin}/metrics"),
            format!("http://{admin}/readyz"),
        );
        let line = format!("natterjack_draining{{role=\"edge\"}} {}", u8::from(drains));
        timeout(PATIENCE, async {
            loop {
                let text = reqwest::get(&metrics).await.expect("it answers");
                let text = text.text().await.expect("a text");
                let status = reqwest::get(&ready).await.expect("it answers").status();
                if text.lines().any(|found| found == line) && status.is_server_error() == drains {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{line} is not told"));
    };
    seen(false).await;
    let operator = cluster::connect(&stage.server.url(), "operator", |_| {})
        .await
        .expect("a connection");
    for (verb, drains) in [("drain", true), ("undrain", false)] {
        let subject = format!("svc.edge.{verb}.{}", stage.edge.app.edge);
        operator.request(subject, "".into()).await.expect("it is taken");
        seen(drains).await;
    }
    // A connection that is still there when the process is to end.
    let app = Arc::clone(&stage.edge.app);
    let slot = Arc::clone(&app.slots).acquire_owned().await.expect("a slot");
    let tasks = stage.tasks.clone();
    let stopped = tokio::spawn(async move { tasks.stop(PATIENCE * 4).await });
    app.tasks.shutdown().draining().await;
    seen(true).await;
    drop(slot);
    stopped.await.expect("no panic").expect("all tasks end");
    assert!(TcpStream::connect(admin).await.is_err(), "it is over");
    stage.server.stop().await;
}

//! What an edge's memory may be: so much for each connection, and no more whatever strangers do.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use natterjack::fleet::{Fleet, FleetConfig, Ground, GroundConfig, RoleProcess};
use natterjack_client::{Account, Api, Credentials};
use natterjack_nats::wire::HelloDevice;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: usize = 300;
/// For each of them, everything included, in a build without optimisation.
const CLIENT_KIB_MAX: u64 = 48;
/// Connections of strangers of each kind.
const STRANGERS: usize = 1_000;
/// What all that strangers do may add.
const STRANGERS_KIB_MAX: u64 = 96 * 1_024;

async fn one_edge() -> anyhow::Result<Fleet> {
    let ground = Ground::start(GroundConfig::default()).await?;
    let mut config = FleetConfig::new(env!("CARGO_BIN_EXE_natterjack"));
    config.edges = 1;
    config.edge_options.extend(
        [
            "--write-timeout-ms",
            "500",
            "--hello-timeout-ms",
            "60000",
            "--header-timeout-ms",
            "60000",
        ]
        .map(str::to_owned),
    );
    Fleet::start(ground, &config).await
}

fn address(edge: &RoleProcess) -> anyhow::Result<SocketAddr> {
    Ok(edge.url().trim_start_matches("http://").parse()?)
}

fn resident_kib(edge: &RoleProcess) -> anyhow::Result<u64> {
    edge.resident_kib().context("the memory of a process, from /proc")
}

const UPGRADE: &str = "GET /v1/ws HTTP/1.1\r\nhost: edge\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A WebSocket that has not said anything.
async fn socket(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(UPGRADE.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(timeout(PATIENCE, stream.read_u8()).await??);
    }
    ensure!(
        answer.starts_with(b"HTTP/1.1 101 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    Ok(stream)
}

/// The start of a text frame that says how long it is; masked with zeros, which changes nothing.
fn text_header(bytes: u64) -> Vec<u8> {
    let mut header = vec![0x81, 0xff];
    header.extend(bytes.to_be_bytes());
    header.extend([0; 4]);
    header
}

/// A client that is let in and then says nothing more.
async fn client(address: SocketAddr, account: &Account, token: &str) -> anyhow::Result<TcpStream> {
    let mut stream = socket(address).await?;
    let hello = json!({"type": "hello", "token": token, "client": "test"}).to_string();
    let mut frame = text_header(hello.len() as u64);
    frame.extend(hello.as_bytes());
    stream.write_all(&frame).await?;
    let mut answer = vec![0; 4_096];
    let read = timeout(PATIENCE, stream.read(&mut answer)).await??;
    let answer = String::from_utf8_lossy(&answer[..read]);
    ensure!(
        answer.contains("\"type\":\"ready\""),
        "{}: {answer}",
        account.user().id
    );
    Ok(stream)
}

async fn sign_up(url: &str, count: usize) -> anyhow::Result<Vec<(Account, String)>> {
    let api = &Api::new(url)?;
    let one = |index: usize| async move {
        let credentials = Credentials {
            handle: format!("user{index}"),
            password: "correct horse".into(),
            device: HelloDevice {
                id: None,
                name: "test".into(),
                platform: "test".into(),
            },
        };
        let account = Account::sign_up(api, credentials).await?;
        let token = account.tokens().await.access_token;
        Ok::<_, anyhow::Error>((account, token))
    };
    stream::iter(0..count).map(one).buffered(16).try_collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_costs_little() -> anyhow::Result<()> {
    let fleet = one_edge().await?;
    let edge = &fleet.edges[0];
    let accounts = sign_up(edge.url(), CLIENTS + 20).await?;
    let (first, rest) = accounts.split_at(20);
    let mut open = Vec::new();
    // What is needed once is there before it counts.
    for (account, token) in first {
        open.push(client(address(edge)?, account, token).await?);
    }
    let before = resident_kib(edge)?;
    for (account, token) in rest {
        open.push(client(address(edge)?, account, token).await?);
    }
    // Heads are compared a little later; that is part of it.
    sleep(Duration::from_secs(3)).await;
    let each = resident_kib(edge)?.saturating_sub(before) / CLIENTS as u64;
    println!("{each} KiB for each connection");
    ensure!(each <= CLIENT_KIB_MAX, "{each} KiB for each connection");
    drop(open);
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_fill_no_memory() -> anyhow::Result<()> {
    let fleet = one_edge().await?;
    let edge = &fleet.edges[0];
    let address = address(edge)?;
    let before = resident_kib(edge)?;
    let mut open = Vec::new();
    // Half a request each, as long as it may get.
    for _ in 0..STRANGERS {
        let mut stream = TcpStream::connect(address).await?;
        let half = format!("GET /v1/me HTTP/1.1\r\nx-long: {}", "x".repeat(12_000));
        stream.write_all(half.as_bytes()).await?;
        open.push(stream);
    }
    // A head without an end is refused, or cut off while it is still being sent.
    let endless = join_all((0..20).map(|_| endless_head(address))).await;
    ensure!(endless.iter().all(Result::is_ok), "{endless:?}");
    // Frames that are announced as large as can be, of which little comes.
    for _ in 0..STRANGERS {
        let mut stream = socket(address).await?;
        stream.write_all(&text_header(1_300_000)).await?;
        stream.write_all(&[b'x'; 8_000]).await?;
        open.push(stream);
    }
    // And such as are larger than that: told so, and closed, though they do not close themselves.
    for answer in join_all((0..100).map(|_| too_large(address))).await {
        let answer = answer?;
        ensure!(answer.contains("bad_request"), "{answer}");
    }
    sleep(Duration::from_millis(500)).await;
    let more = resident_kib(edge)?.saturating_sub(before);
    println!("{more} KiB for {} strangers", open.len());
    ensure!(
        more <= STRANGERS_KIB_MAX,
        "{more} KiB for {} strangers",
        open.len()
    );
    drop(open);
    fleet.finish().await
}

/// Announces a frame larger than any may be; all that is answered.
async fn too_large(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = socket(address).await?;
    stream.write_all(&text_header(1 << 40)).await?;
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Sends a request's head that never ends, until nobody takes it any more.
async fn endless_head(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /v1/me HTTP/1.1\r\n").await?;
    let line = format!("x-long: {}\r\n", "x".repeat(4_000)).repeat(16);
    let sending = async { while stream.write_all(line.as_bytes()).await.is_ok() {} };
    timeout(PATIENCE, sending)
        .await
        .context("it takes a head without an end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_reads_holds_no_place() -> anyhow::Result<()> {
    let fleet = one_edge().await?;
    let edge = &fleet.edges[0];
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    let mut stream = socket.connect(address(edge)?).await?;
    // Far more answers than fit into any buffer on the way.
    let requests = "GET /metrics HTTP/1.1\r\nhost: edge\r\n\r\n".repeat(1_000);
    let begun = Instant::now();
    let asking = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
    timeout(PATIENCE, asking)
        .await
        .context("it waits for ever for somebody who reads nothing")?;
    println!("given up after {:?}", begun.elapsed());
    fleet.finish().await
}

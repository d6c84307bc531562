//! The reader on a server that says what a test wants it to say: a real one does not misbehave.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::*;

/// A server that says what the test wants it to say.
struct Scripted {
    listener: TcpListener,
    address: SocketAddr,
}

impl Scripted {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        Self { listener, address }
    }

    fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Lets a client in; answers its connection behind the first PING.
    async fn let_in(&self, info: &str) -> BufReader<TcpStream> {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        let (socket, _) = accepted.expect("it comes").expect("accepted");
        let mut socket = BufReader::new(socket);
        let greeting = format!("INFO {info}\r\n");
        socket.write_all(greeting.as_bytes()).await.expect("written");
        assert!(line(&mut socket).await.starts_with("CONNECT {"));
        assert_eq!(line(&mut socket).await, "PING\r\n");
        // One byte after the other: it makes no difference.
        for byte in b"+OK\r\nPONG\r\n" {
            socket.write_all(&[*byte]).await.expect("written");
        }
        socket
    }
}

async fn line(socket: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    let read = timeout(PATIENCE, socket.read_line(&mut line)).await;
    read.expect("in time").expect("read");
    line
}

const INFO: &str = r#"{"max_payload":1024}"#;

#[tokio::test]
async fn garbage_ends_the_connection_and_the_next_one_knows_everything() {
    let server = Scripted::new().await;
    let url = server.url();
    let (stage, first) = tokio::join!(Stage::start(&url), server.let_in(INFO));
    let (mut stage, mut socket) = (stage.expect("connected"), first);
    stage.subscribe_only("a");
    for garbage in [&b"WHAT\r\n"[..], b"MSG a 1 9999999\r\n", b"MSG a 1 1\r\nxyz"] {
        let known: Vec<_> = [line(&mut socket).await, line(&mut socket).await].into();
        assert!(known.contains(&"SUB a 1\r\n".to_owned()), "{known:?}");
        assert!(known.contains(&"PING\r\n".to_owned()), "{known:?}");
        socket.write_all(garbage).await.expect("written");
        socket = server.let_in(INFO).await;
        assert_eq!(stage.next().await, Told::Reconnected);
    }
    stage.end().await;
}

#[tokio::test]
async fn a_server_that_is_about_to_stop_is_left_for_one_that_it_told_of() {
    let (old, new) = (Scripted::new().await, Scripted::new().await);
    let url = old.url();
    let (stage, mut socket) = tokio::join!(Stage::start(&url), old.let_in(INFO));
    let mut stage = stage.expect("connected");
    let news = format!(
        "INFO {{\"max_payload\":1024,\"ldm\":true,\"connect_urls\":[\"{}\"]}}\r\n",
        new.address
    );
    socket.write_all(news.as_bytes()).await.expect("written");
    let _socket = new.let_in(INFO).await;
    assert_eq!(stage.next().await, Told::Reconnected);
    stage.end().await;
}

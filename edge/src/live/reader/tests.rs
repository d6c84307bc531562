//! The reader on a real nats-server; on a scripted one where a real one does not misbehave.

use std::{net::SocketAddr, sync::Condvar, time::Instant};

use async_nats::{Client, HeaderMap};
use natterjack_runtime::servers::{NatsConfig, NatsServer, SilentProgress, Tools, testing_tools_dir};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::*;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq)]
struct To(String);

impl Target for To {
    fn subject(&self) -> String {
        self.0.clone()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Heard {
        to: String,
        subject: String,
        payload: String,
    },
    Reconnected,
}

/// Writes down what it is told, unless it is held.
struct Recorder {
    told: mpsc::UnboundedSender<Told>,
    held: Arc<Hold>,
}

/// Holds a reader still while it hears, as a machine does that is too busy.
#[derive(Debug, Default)]
struct Hold(Mutex<bool>, Condvar);

impl Hold {
    fn set(&self, held: bool) {
        *self.0.lock().expect("no panic") = held;
        self.1.notify_all();
    }

    fn wait(&self) {
        let held = self.0.lock().expect("no panic");
        if *held {
            // What else this thread has to do is done by another one meanwhile.
            tokio::task::block_in_place(|| drop(self.1.wait_while(held, |held| *held)));
        }
    }
}

impl Sink for Recorder {
    type Target = To;

    fn hear(&mut self, target: &To, message: &Message<'_>) -> usize {
        self.held.wait();
        let _ = self.told.send(Told::Heard {
            to: target.0.clone(),
            subject: message.subject.to_owned(),
            payload: String::from_utf8_lossy(message.payload).into_owned(),
        });
        1
    }

    fn reconnected(&mut self) {
        let _ = self.told.send(Told::Reconnected);
    }
}

/// A reader with its recorder.
struct Stage {
    reader: Reader<To>,
    told: mpsc::UnboundedReceiver<Told>,
    held: Arc<Hold>,
    health: Health,
    tasks: Tasks,
}

impl Stage {
    async fn new(url: &str) -> Self {
        Self::start(url).await.expect("connected")
    }

    async fn start(url: &str) -> Result<Self, StartError> {
        let (sender, told) = mpsc::unbounded_channel();
        let held = Arc::<Hold>::default();
        let recorder = Recorder {
            told: sender,
            held: Arc::clone(&held),
        };
        let (reader, health, tasks) = (Reader::new(), Health::new(), Tasks::new());
        let options = Options {
            address: Address::parse(url).expect("a URL"),
            name: "reader test".into(),
        };
        reader.start(options, recorder, &health, &tasks).await?;
        Ok(Self {
            reader,
            told,
            held,
            health,
            tasks,
        })
    }

    /// Subscribes, and waits until the server knows.
    async fn subscribe(&self, subject: &str) -> Line {
        let line = self.subscribe_only(subject);
        assert!(self.reader.passes(line.ticket, PATIENCE).await);
        line
    }

    fn subscribe_only(&self, subject: &str) -> Line {
        let to = To(subject.to_owned());
        self.reader.subscribe(|line| ([to], line))
    }

    async fn next(&mut self) -> Told {
        let next = timeout(PATIENCE, self.told.recv()).await;
        next.expect("in time").expect("it runs")
    }

    async fn heard(&mut self, to: &str, subject: &str, payload: &str) {
        let expected = Told::Heard {
            to: to.into(),
            subject: subject.into(),
            payload: payload.into(),
        };
        assert_eq!(self.next().await, expected);
    }

    async fn end(self) {
        self.tasks.shutdown().soft();
        self.reader.close();
        self.tasks.stop(PATIENCE).await.expect("all tasks end");
    }
}

async fn server(dir: &tempfile::TempDir, extra: &str) -> NatsServer {
    let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress)
        .await
        .expect("tools");
    let mut config = NatsConfig::new(dir.path());
    config.extra = extra.to_owned();
    NatsServer::start(&tools, config).await.expect("nats-server")
}

async fn publish(client: &Client, subject: &str, payload: &str) {
    let (subject, payload) = (subject.to_owned(), payload.to_owned());
    client.publish(subject, payload.into()).await.expect("published");
    client.flush().await.expect("flushed");
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_subscribed_is_heard_until_it_is_no_longer() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = server(&dir, "").await;
    let client = async_nats::connect(server.url()).await.expect("connected");
    let mut stage = Stage::new(&server.url()).await;
    let one = stage.subscribe("a.*").await;
    stage.subscribe("b").await;
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Sequence", "7");
    client
        .publish_with_headers("a.x", headers, "with headers".into())
        .await
        .expect("published");
    publish(&client, "b", "without").await;
    stage.heard("a.*", "a.x", "with headers").await;
    stage.heard("b", "b", "without").await;

    stage.reader.unsubscribe(one.first, 1);
    assert_eq!(stage.reader.len(), 1);
    publish(&client, "a.x", "nobody hears it").await;
    publish(&client, "b", &"x".repeat(900_000)).await;
    publish(&client, "b", "small again").await;
    stage.heard("b", "b", &"x".repeat(900_000)).await;
    stage.heard("b", "b", "small again").await;
    stage.end().await;
    server.stop().await;
}

#[tokio::test]
async fn after_a_crash_of_the_server_everything_is_subscribed_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = server(&dir, "").await;
    let mut stage = Stage::new(&server.url()).await;
    for n in 0..5_000 {
        stage.subscribe_only(&format!("many.{n}"));
    }
    let gone = stage.subscribe("gone").await;
    server.kill().await;
    until("the loss is noticed", || stage.health.ready().is_err()).await;
    stage.reader.unsubscribe(gone.first, 1);
    let late = stage.subscribe_only("late");
    assert!(!stage.reader.passes(late.ticket, Duration::ZERO).await);
    server.restart().await.expect("it is back");
    assert_eq!(stage.next().await, Told::Reconnected);
    assert!(stage.reader.round_trip(PATIENCE).await);
    assert!(stage.reader.passes(late.ticket, Duration::ZERO).await);
    assert_eq!(stage.health.ready(), Ok(()));
    let client = async_nats::connect(server.url()).await.expect("connected");
    for subject in ["gone", "many.4999", "late", "many.0"] {
        publish(&client, subject, "").await;
    }
    for subject in ["many.4999", "late", "many.0"] {
        stage.heard(subject, subject, "").await;
    }
    stage.end().await;
    server.stop().await;
}

#[tokio::test]
async fn users_and_tokens_log_in_and_others_are_told_why_not() {
    for (extra, right, wrong) in [
        (
            r#"authorization { user: "me", password: "p@ss" }"#,
            "me:p%40ss",
            "me:other",
        ),
        (r#"authorization { token: "s3cret" }"#, "s3cret", "me"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let server = server(&dir, extra).await;
        let url = |who: &str| server.url().replace("nats://", &format!("nats://{who}@"));
        let Err(error) = Stage::start(&url(wrong)).await else {
            panic!("{wrong} got in");
        };
        let error = error.to_string();
        assert!(error.contains("Authorization Violation"), "{error}");
        assert!(!error.contains(wrong), "{error}");
        let stage = Stage::new(&url(right)).await;
        stage.subscribe("a").await;
        // The other connections log in the same way.
        let client = natterjack_nats::cluster::connect(&url(right), "reader test", |_| {}).await;
        client.expect("connected");
        stage.end().await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_refused_subscription_is_told_and_the_others_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let extra = r#"authorization { users: [
        { user: "me", password: "me", permissions: { subscribe: { deny: "secret" } } }
    ] }"#;
    let server = server(&dir, extra).await;
    let url = server.url().replace("nats://", "nats://me:me@");
    let mut stage = Stage::new(&url).await;
    stage.subscribe("secret").await;
    let failing = stage.health.ready().expect_err("it is told");
    assert!(failing[0].1.contains("Permissions Violation"), "{failing:?}");
    stage.subscribe("open").await;
    let client = natterjack_nats::cluster::connect(&url, "reader test", |_| {}).await;
    publish(&client.expect("connected"), "open", "x").await;
    stage.heard("open", "open", "x").await;
    stage.end().await;
    server.stop().await;
}

#[tokio::test]
async fn more_subscriptions_than_the_server_takes_do_not_take_the_others_along() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = server(&dir, "max_subscriptions: 2").await;
    let client = async_nats::connect(server.url()).await.expect("connected");
    let mut stage = Stage::new(&server.url()).await;
    stage.subscribe("a").await;
    stage.subscribe("b").await;
    stage.subscribe_only("c");
    until("it is told", || {
        let failing = stage.health.ready().err().unwrap_or_default();
        failing
            .iter()
            .any(|(_, reason)| reason.contains("maximum subscriptions"))
    })
    .await;
    assert!(stage.reader.round_trip(PATIENCE).await);
    publish(&client, "a", "x").await;
    stage.heard("a", "a", "x").await;
    stage.end().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_drops_us_as_slow_leaves_a_doubt_and_no_silence() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = server(&dir, "max_pending: 1MB").await;
    let client = async_nats::connect(server.url()).await.expect("connected");
    let mut stage = Stage::new(&server.url()).await;
    stage.subscribe("a").await;
    stage.held.set(true);
    // More than what the server keeps for us and the sockets' buffers hold together.
    let (payload, mut slow) = ("x".repeat(500_000), false);
    while !slow {
        publish(&client, "a", &payload).await;
        let page = reqwest::get(format!("{}/varz", server.monitor_url())).await;
        let page = page.expect("answered").text().await.expect("a page");
        let page: serde_json::Value = serde_json::from_str(&page).expect("JSON");
        slow = page["slow_consumers"].as_u64() > Some(0);
    }
    stage.held.set(false);
    while stage.next().await != Told::Reconnected {}
    assert!(stage.reader.round_trip(PATIENCE).await);
    publish(&client, "a", "heard again").await;
    stage.heard("a", "a", "heard again").await;
    stage.end().await;
    server.stop().await;
}

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

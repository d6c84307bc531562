//! The reader on a real nats-server.

mod scripted;

use std::{sync::Condvar, time::Instant};

use async_nats::{Client, HeaderMap};
use natterjack_runtime::servers::{NatsConfig, NatsServer, SilentProgress, Tools, testing_tools_dir};
use tokio::sync::mpsc;

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

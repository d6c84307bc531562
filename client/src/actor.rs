//! The one task of a client: it owns the socket and does what the machine says.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use rand::rngs::SmallRng;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::{
    api::Api,
    backoff::Backoff,
    client::{Load, Order, Question},
    config::Config,
    error::{ApiError, RequestError},
    event::Event,
    machine::{Command, Input, Machine, Output, Parts, Reply, Settings},
    outbox::Outbox,
    receipts::Receipts,
    route::Route,
    socket::{self, Server, Socket},
    timeline::Timeline,
    token::{AccessToken, TokenError},
};

/// A peer that takes nothing for so long is as good as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a close may take on its way out, and how long its reason is looked for on the way in.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

type Job<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

pub(crate) struct Actor {
    config: Config,
    api: Option<Api>,
    machine: Machine,
    epoch: Instant,
    orders: mpsc::Receiver<Order>,
    load: Arc<watch::Sender<Load>>,
    events: mpsc::Sender<Event>,
    /// Events that found no room; while there are any, the socket is not read.
    blocked: VecDeque<Event>,
    /// The last event of all, held back until everything else is said.
    end: Option<Event>,
    tickets: u64,
    answers: HashMap<u64, oneshot::Sender<Result<Reply, RequestError>>>,
    socket: Option<Box<Socket>>,
    connecting: Job<Result<Box<Socket>, String>>,
    token: Job<Result<AccessToken, TokenError>>,
    edges: Job<Option<Vec<String>>>,
}

/// What woke the task.
enum Woken {
    Order(Option<Order>),
    Room,
    Connected(Result<Box<Socket>, String>),
    Token(Result<AccessToken, TokenError>),
    Edges(Option<Vec<String>>),
    Socket(Option<Result<Message, tungstenite::Error>>),
    Time,
}

impl Actor {
    pub(crate) fn new(
        config: Config,
        api: Option<Api>,
        orders: mpsc::Receiver<Order>,
        events: mpsc::Sender<Event>,
        load: Arc<watch::Sender<Load>>,
        epoch: Instant,
    ) -> Self {
        let machine = machine(&config, api.is_some());
        Self {
            config,
            api,
            machine,
            epoch,
            orders,
            load,
            events,
            blocked: VecDeque::new(),
            end: None,
            tickets: 0,
            answers: HashMap::new(),
            socket: None,
            connecting: None,
            token: None,
            edges: None,
        }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    async fn input(&mut self, input: Input) {
        let mut outputs = self.machine.input(self.now(), input);
        // A write that fails is an input in its turn.
        while let Err(lost) = self.apply(outputs).await {
            outputs = self.machine.input(self.now(), lost);
        }
    }

    async fn apply(&mut self, outputs: Vec<Output>) -> Result<(), Input> {
        let mut frames = Vec::new();
        for output in outputs {
            match output {
                Output::Send(frame) => frames.extend(socket::encode(&frame)),
                Output::Emit(event) => self.emit(event),
                Output::Answer { ticket, answer } => {
                    if let Some(sender) = self.answers.remove(&ticket) {
                        // Whoever asked may have lost interest.
                        let _ = sender.send(answer);
                    }
                }
                Output::Release { bytes } => self.load.send_modify(|load| {
                    load.messages = load.messages.saturating_sub(1);
                    load.bytes = load.bytes.saturating_sub(bytes);
                }),
                Output::FetchToken { fresh } => {
                    let tokens = Arc::clone(&self.config.tokens);
                    self.token = Some(Box::pin(async move { tokens.token(fresh).await }));
                }
                Output::Discover => self.discover(),
                Output::Connect { server } => self.connect(&server),
                Output::Close => {
                    self.write(std::mem::take(&mut frames)).await.ok();
                    (self.connecting, self.edges) = (None, None);
                    if let Some(mut socket) = self.socket.take() {
                        let _ = timeout(CLOSE_TIMEOUT, Socket::close(&mut socket, None)).await;
                    }
                }
            }
        }
        self.write(frames).await
    }

    fn discover(&mut self) {
        let (api, region) = (self.api.clone(), self.config.region.clone());
        self.edges = Some(Box::pin(async move {
            let asked = api?.discover(region.as_deref()).await;
            let failed = |error: &ApiError| tracing::debug!(%error, "which edges there are is not known");
            asked.inspect_err(failed).ok()
        }));
    }

    fn connect(&mut self, server: &str) {
        self.socket = None;
        let (local_addr, within) = (self.config.local_addr, self.config.connect_timeout);
        self.connecting = Some(match Server::parse(server) {
            Ok(server) => Box::pin(socket::open(server, local_addr, within)),
            Err(error) => Box::pin(std::future::ready(Err(error.to_string()))),
        });
    }

    /// All frames of one step in one flush.
    async fn write(&mut self, frames: Vec<Message>) -> Result<(), Input> {
        let Some(socket) = self.socket.as_mut().filter(|_| !frames.is_empty()) else {
            return Ok(());
        };
        let writing = async {
            for frame in frames {
                socket.feed(frame).await?;
            }
            socket.flush().await
        };
        let reason = match timeout(WRITE_TIMEOUT, writing).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the server takes no more data".to_owned(),
        };
        Err(self.look_for_close(reason).await)
    }

    /// Writing failed; the server may have said why before.
    async fn look_for_close(&mut self, reason: String) -> Input {
        let mut lost = Input::Lost { code: None, reason };
        if let Some(mut socket) = self.socket.take() {
            let close = async {
                while let Some(Ok(message)) = socket.next().await {
                    if let Message::Close(frame) = message {
                        return Some(closed(frame));
                    }
                }
                None
            };
            if let Ok(Some(closed)) = timeout(CLOSE_TIMEOUT, close).await {
                lost = closed;
            }
        }
        lost
    }

    fn emit(&mut self, event: Event) {
        if matches!(event, Event::Stopped(_)) {
            self.end = Some(event);
        } else if self.blocked.is_empty() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.blocked.push_back(event);
            }
        } else {
            self.blocked.push_back(event);
        }
    }

    async fn order(&mut self, order: Order) {
        let command = match order {
            Order::Do(command) => command,
            Order::Ask(question, sender) => {
                self.tickets += 1;
                let ticket = self.tickets;
                self.answers.insert(ticket, sender);
                match question {
                    Question::History(query) => Command::History { ticket, query },
                    Question::Conversations(page) => Command::Conversations { ticket, page },
                    Question::Cursors => Command::Cursors { ticket },
                }
            }
        };
        self.input(Input::Command(command)).await;
    }

    async fn woken(&mut self) -> Woken {
        let free = self.blocked.is_empty();
        let deadline = self.machine.deadline().map(|after| self.epoch + after);
        tokio::select! {
            order = self.orders.recv() => Woken::Order(order),
            room = self.events.reserve(), if !free => {
                match (room, self.blocked.pop_front()) {
                    (Ok(room), Some(event)) => room.send(event),
                    // Nobody listens any more.
                    _ => self.blocked.clear(),
                }
                Woken::Room
            }
            socket = optional(&mut self.connecting), if free && self.connecting.is_some() => {
                self.connecting = None;
                Woken::Connected(socket)
            }
            token = optional(&mut self.token), if free && self.token.is_some() => {
                self.token = None;
                Woken::Token(token)
            }
            edges = optional(&mut self.edges), if free && self.edges.is_some() => {
                self.edges = None;
                Woken::Edges(edges)
            }
            message = next(&mut self.socket), if free && self.socket.is_some() => Woken::Socket(message),
            () = sleep_until(deadline.unwrap_or(self.epoch)), if free && deadline.is_some() => Woken::Time,
        }
    }

    async fn message(&mut self, message: Option<Result<Message, tungstenite::Error>>) {
        let input = match message {
            Some(Ok(Message::Text(text))) => match socket::decode(&text) {
                Some(frame) => Input::Frame(frame),
                None => Input::Heard,
            },
            Some(Ok(Message::Close(frame))) => {
                if let Some(mut socket) = self.socket.take() {
                    // The answer to the close frame waits in the library's buffer.
                    let _ = timeout(CLOSE_TIMEOUT, socket.flush()).await;
                }
                closed(frame)
            }
            Some(Ok(_)) => {
                // The answer to a ping waits in the library's buffer.
                if let Some(socket) = &mut self.socket {
                    let _ = timeout(CLOSE_TIMEOUT, socket.flush()).await;
                }
                Input::Heard
            }
            Some(Err(error)) => {
                self.socket = None;
                let reason = error.to_string();
                Input::Lost { code: None, reason }
            }
            None => {
                self.socket = None;
                let reason = "the connection ended".to_owned();
                Input::Lost { code: None, reason }
            }
        };
        self.input(input).await;
    }
}

/// Runs until the application closes the client or drops its last handle, or the server refuses it
/// for good.
pub(crate) async fn run(mut actor: Actor) {
    actor.input(Input::Start).await;
    while !actor.machine.stopped() {
        match actor.woken().await {
            Woken::Order(Some(order)) => actor.order(order).await,
            Woken::Order(None) => actor.input(Input::Command(Command::Close)).await,
            Woken::Room if actor.blocked.is_empty() => {
                // The silence before was our own.
                actor.input(Input::Heard).await;
            }
            Woken::Room => {}
            Woken::Connected(Ok(socket)) => {
                actor.socket = Some(socket);
                actor.input(Input::Opened).await;
            }
            Woken::Connected(Err(reason)) => actor.input(Input::Lost { code: None, reason }).await,
            Woken::Edges(edges) => actor.input(Input::Edges(edges)).await,
            Woken::Token(answer) => actor.input(Input::Token(answer)).await,
            Woken::Socket(message) => actor.message(message).await,
            Woken::Time => actor.input(Input::Tick).await,
        }
    }
    actor.orders.close();
    while let Some(order) = actor.orders.recv().await {
        actor.order(order).await;
    }
    let end = actor.end.take();
    for event in actor.blocked.drain(..).chain(end) {
        if actor.events.send(event).await.is_err() {
            break;
        }
    }
}

fn closed(frame: Option<tungstenite::protocol::CloseFrame>) -> Input {
    let (code, reason) = frame.map_or_else(
        || (None, "closed by the server".to_owned()),
        |frame| (Some(frame.code.into()), frame.reason.to_string()),
    );
    Input::Lost { code, reason }
}

async fn optional<T>(job: &mut Job<T>) -> T {
    match job {
        Some(job) => job.as_mut().await,
        None => std::future::pending().await,
    }
}

fn next(
    socket: &mut Option<Box<Socket>>,
) -> impl Future<Output = Option<Result<Message, tungstenite::Error>>> + '_ {
    match socket {
        Some(socket) => socket.next().left_future(),
        None => std::future::pending().right_future(),
    }
}

fn machine(config: &Config, discovers: bool) -> Machine {
    let backoff = Backoff {
        base: config.backoff_base,
        max: config.backoff_max,
    };
    let mut timeline = Timeline::new(backoff);
    for (conversation, cursor) in config.resume.iter().flatten() {
        timeline.know(*conversation, *cursor, false);
    }
    let settings = Settings {
        device: config.device.clone(),
        client: config.client.clone(),
        confirm_delivery: config.confirm_delivery,
        hello_timeout: config.hello_timeout,
        request_timeout: config.request_timeout,
        stable_after: config.stable_after,
        backoff,
    };
    let parts = Parts {
        outbox: Outbox::new(config.pipeline, config.ack_timeout, backoff),
        timeline,
        receipts: Receipts::new(config.receipt_delay),
        route: Route::new(config.servers.clone(), discovers),
        rng: rand::make_rng::<SmallRng>(),
        resumes: config.resume.is_some(),
        active: config.active,
    };
    Machine::new(settings, parts)
}

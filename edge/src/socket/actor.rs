//! The actor that owns a socket: it reads, runs the machine's effects and writes, and decides
//! nothing itself.

mod begin;

use std::{collections::VecDeque, ops::ControlFlow, pin::Pin, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use natterjack_nats::{
    SessionId,
    wire::{CloseCode, ServerFrame},
};
use natterjack_runtime::trace::Span;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::{
    admission::Admitted,
    close::close,
    machine::{Config, Draining, Effect, Machine, Now},
    wire::{Broken, Incoming, Outgoing, Socket},
    work::{self, Done, Work},
};
use crate::{
    app::App,
    live::{Attached, Delivery, Inlet},
    metrics::Count,
    ops::{
        Caller,
        send::{Draft, Lane},
    },
    presence::Present,
};

/// Deliveries that are taken at a time, and written with one flush.
const BATCH_MAX: usize = 128;
/// Room that a session keeps in each of its buffers.
const KEPT: usize = 4;

/// RFC 6455, 7.4.1: the answer to a client that closes.
const CLOSE_NORMAL: u16 = 1_000;

/// Runs one session until its end.
pub(super) async fn run(app: Arc<App>, socket: Socket) {
    app.metrics.sockets.inc();
    let reason = Actor::new(Arc::clone(&app), socket).run().await;
    app.metrics.closed.count(reason);
    app.metrics.sockets.dec();
}

struct Actor {
    app: Arc<App>,
    socket: Socket,
    machine: Machine,
    started: Instant,
    /// From the check of the token until the session begins to open.
    admitted: Option<Admitted>,
    place: Option<Place>,
    /// Each with what is traced of it.
    drafts: VecDeque<(Draft, Span)>,
    lane: Arc<Lane>,
    handing_over: bool,
    work: FuturesUnordered<Work>,
    effects: Vec<Effect>,
    spare: Spare,
}

/// Buffers that are empty between events and keep a little room, so that an event that causes one
/// or two frames allocates nothing.
#[derive(Default)]
struct Spare {
    deliveries: Vec<Delivery>,
    effects: Vec<Effect>,
    frames: Vec<Outgoing>,
}

/// What a session has once it is known who it is.
struct Place {
    caller: Caller,
    attached: Arc<Attached>,
    inlet: Inlet,
    /// Once the session is live.
    present: Option<Present>,
}

enum Event {
    Read(Result<Option<Incoming>, Broken>),
    Delivered(Vec<Delivery>),
    Done(Done),
    Due,
    Drain,
    Ended(CloseCode),
    Killed,
}

/// Why a session is over, for the metric.
type Reason = &'static str;

impl Actor {
    fn new(app: Arc<App>, socket: Socket) -> Self {
        let args = &app.args.socket;
        let config = Config {
            session: SessionId::generate(app.clock.now_ms()),
            edge: app.edge,
            shards: app.shards,
            ping_interval_ms: args.ping_interval_ms,
            hello_timeout_ms: args.hello_timeout_ms,
            sends_in_flight: args.sends_in_flight as usize,
            typing_interval_ms: args.typing_interval_ms,
        };
        let first_ping_ms = args.ping_interval_ms / 2 + work::jitter_ms(args.ping_interval_ms / 2);
        Self {
            machine: Machine::new(config, first_ping_ms),
            socket,
            started: Instant::now(),
            admitted: None,
            place: None,
            drafts: VecDeque::new(),
            lane: Arc::default(),
            handing_over: false,
            work: FuturesUnordered::new(),
            effects: vec![],
            spare: Spare::default(),
            app,
        }
    }

    async fn run(mut self) -> Reason {
        let shutdown = self.app.tasks.shutdown().clone();
        let app = Arc::clone(&self.app);
        let drain = app.drain.begun();
        let killed = shutdown.killed();
        tokio::pin!(drain, killed);
        let mut drains = false;
        let mut due = Box::pin(sleep_until(self.due_at()));
        loop {
            self.reset(&mut due);
            let reads = self.machine.reads();
            let event = tokio::select! {
                () = &mut killed => Event::Killed,
                () = &mut drain, if !drains => Event::Drain,
                Some(done) = self.work.next() => Event::Done(done),
                event = delivered(&mut self.place, &mut self.spare.deliveries) => event,
                read = self.socket.recv(), if reads => Event::Read(read),
                () = &mut due => Event::Due,
            };
            drains |= matches!(event, Event::Drain);
            let flow = match event {
                Event::Killed => return "killed",
                Event::Read(read) => self.read(read),
                event => {
                    self.take(event);
                    ControlFlow::Continue(())
                }
            };
            if let ControlFlow::Break(reason) = flow {
                self.socket.say_goodbye();
                return reason;
            }
            if let ControlFlow::Break(code) = self.carry_out().await {
                // Whoever hears the live tail goes on without this session, whatever the client does.
                self.place = None;
                self.work.clear();
                let limit = Duration::from_millis(self.app.args.socket.write_timeout_ms);
                let sent = tokio::select! {
                    sent = close(&mut self.socket, code, limit) => sent,
                    () = shutdown.killed() => return "killed",
                };
                // A connection that broke off reads like one that breaks the protocol.
                return match code {
                    CloseCode::BadRequest if !sent => "gone",
                    code => code.reason(),
                };
            }
        }
    }

    fn now(&self) -> Now {
        Now {
            session_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            unix_ms: self.app.clock.now_ms(),
        }
    }

    fn due_at(&self) -> Instant {
        let now = self.now();
        self.started + Duration::from_millis(now.session_ms + self.machine.due_in_ms(now).max(1))
    }

    /// Sets the timer anew if it has run out, or if something is due earlier.
    fn reset(&self, due: &mut Pin<Box<Sleep>>) {
        let due_at = self.due_at();
        if due.is_elapsed() || due_at < due.deadline() {
            due.as_mut().reset(due_at);
        }
    }

    fn read(&mut self, read: Result<Option<Incoming>, Broken>) -> ControlFlow<Reason> {
        let now = self.now();
        self.machine.heard(now);
        match read {
            Ok(None) => return ControlFlow::Break("gone"),
            Ok(Some(Incoming::Close)) => {
                self.socket.push(Outgoing::Close(CLOSE_NORMAL, ""));
                return ControlFlow::Break("gone");
            }
            Err(_) => self.machine.broken(&mut self.effects),
            Ok(Some(Incoming::Text(text))) => {
                let name = self.machine.text(&text, now, &mut self.effects);
                self.app.metrics.frames_in.count(name);
            }
            Ok(Some(Incoming::Binary)) => self.machine.binary(&mut self.effects),
            Ok(Some(Incoming::Ping(bytes))) => self.socket.push(Outgoing::Pong(bytes)),
            Ok(Some(Incoming::Pong)) => {}
        }
        ControlFlow::Continue(())
    }

    fn take(&mut self, event: Event) {
        let now = self.now();
        let (machine, effects) = (&mut self.machine, &mut self.effects);
        match event {
            Event::Delivered(mut deliveries) => {
                self.app.metrics.queue_depth.observe(deliveries.len() as f64);
                for delivery in deliveries.drain(..) {
                    machine.delivered(delivery, effects);
                }
                self.spare.deliveries = little(deliveries);
            }
            Event::Done(done) => self.finish(done),
            Event::Due => machine.tick(now, effects),
            Event::Drain => machine.drain(draining(&self.app), now, effects),
            Event::Ended(code) => machine.end(code, effects),
            Event::Read(_) | Event::Killed => {}
        }
    }

    fn finish(&mut self, done: Done) {
        let now = self.now();
        let (machine, effects) = (&mut self.machine, &mut self.effects);
        match done {
            Done::Authenticated(outcome) => {
                let identity = outcome.map(|(identity, admitted)| {
                    self.admitted = Some(admitted);
                    identity
                });
                machine.authenticated(identity, effects);
            }
            Done::Opened(outcome) => machine.opened(outcome, now, effects),
            Done::HandedOver(id, span, handed) => {
                self.handing_over = false;
                match handed {
                    Ok(pending) => self
                        .work
                        .push(work::outcome(Arc::clone(&self.app), id, span, pending)),
                    Err(error) => self.finish(Done::Stored(id, Err(error))),
                }
                self.hand_over();
            }
            Done::Stored(id, outcome) => {
                self.app.metrics.sent(&outcome);
                machine.stored(id, outcome, effects);
            }
            Done::Signalled(error) => machine.signalled(error, effects),
            Done::Page(id, outcome) => machine.page(id, outcome, effects),
            Done::List(id, outcome) => machine.list(id, outcome, effects),
            Done::Watched(id, outcome) => machine.watched(id, outcome, effects),
            Done::Renewed(id, outcome) => machine.renewed(id, outcome, effects),
            Done::Fetched(conversation, page) => machine.fetched(conversation, page, effects),
            Done::Paused(conversation) => machine.retry(conversation, effects),
            Done::HeadsCompared => {}
        }
    }

    /// Sends keep their order: the next is prepared when the one before was handed to NATS.
    fn hand_over(&mut self) {
        if !self.handing_over
            && let Some(place) = &self.place
            && let Some((draft, span)) = self.drafts.pop_front()
        {
            self.handing_over = true;
            let (app, lane) = (Arc::clone(&self.app), Arc::clone(&self.lane));
            self.work
                .push(work::hand_over(app, place.caller, draft, span, lane));
        }
    }

    /// Runs the machine's effects, writes what they say, and breaks with the reason to close.
    async fn carry_out(&mut self) -> ControlFlow<CloseCode> {
        let mut frames = std::mem::take(&mut self.spare.frames);
        let mut closes = None;
        // An effect may cause others, such as the refusal of a place.
        while !self.effects.is_empty() && closes.is_none() {
            let room = std::mem::take(&mut self.spare.effects);
            let mut effects = std::mem::replace(&mut self.effects, room);
            for effect in effects.drain(..) {
                match effect {
                    Effect::Write(frame) => frames.extend(self.encode(&frame)),
                    Effect::WriteText(text) => frames.push(Outgoing::Text(text)),
                    Effect::Ping => frames.push(Outgoing::Ping),
                    Effect::Close(code) => {
                        closes = Some(code);
                        break;
                    }
                    effect => self.begin(effect),
                }
            }
            self.spare.effects = little(effects);
        }
        // A slow client has more than enough to read.
        if !frames.is_empty() && closes != Some(CloseCode::Slow) {
            let count = frames.len() as u64;
            self.app.metrics.frames_out.count_by("written", count);
            for frame in frames.drain(..) {
                self.socket.push(frame);
            }
        }
        frames.clear();
        self.spare.frames = little(frames);
        if self.socket.waits()
            && closes != Some(CloseCode::Slow)
            && let Some(code) = self.write().await
        {
            return ControlFlow::Break(code);
        }
        closes.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }

    fn encode(&self, frame: &ServerFrame) -> Option<Outgoing> {
        if let ServerFrame::Error { error, .. } = frame {
            self.app.metrics.refused(error.code);
        }
        match serde_json::to_string(frame) {
            Ok(text) => Some(Outgoing::Text(text.into())),
            Err(error) => {
                tracing::error!(%error, "a frame does not encode");
                None
            }
        }
    }

    /// Writes all that waits; the reason to close if the client does not take it.
    async fn write(&mut self) -> Option<CloseCode> {
        let limit = Duration::from_millis(self.app.args.socket.write_timeout_ms);
        tokio::select! {
            // Nearly always at once: nothing else is looked at then.
            biased;
            written = timeout(limit, self.socket.flush()) => match written {
                // A connection that broke is noticed when it is read.
                Ok(Ok(()) | Err(_)) => None,
                Err(_) => Some(CloseCode::Slow),
            },
            code = ended(&mut self.place) => Some(code),
        }
    }
}

/// What a client is told when the edge drains: each has its own moment, and its own order of edges that
/// are about equal.
fn draining(app: &App) -> Draining {
    let place = &app.args.place;
    let edges = app.discovery.ranked(Some(&place.region), Some(app.edge));
    Draining {
        // Who is told of none has a list of its own, or asks again here.
        edges: edges
            .unwrap_or_default()
            .into_iter()
            .map(|edge| edge.url)
            .collect(),
        within_ms: place.drain_spread_ms,
        after_ms: work::jitter_ms(place.drain_spread_ms),
    }
}

/// Resolves when the session is ended from outside; pends while there is no place.
async fn ended(place: &mut Option<Place>) -> CloseCode {
    match place {
        Some(place) => place.inlet.ended().await,
        None => std::future::pending().await,
    }
}

/// The next deliveries, in the room that `spare` has, or the end; pends while there is no place.
async fn delivered(place: &mut Option<Place>, spare: &mut Vec<Delivery>) -> Event {
    let Some(place) = place else {
        return std::future::pending().await;
    };
    match place.inlet.recv_many(spare, BATCH_MAX).await {
        Ok(()) => Event::Delivered(std::mem::take(spare)),
        Err(code) => Event::Ended(code),
    }
}

/// An empty buffer for the next time, unless a burst has made it large.
fn little<T>(buffer: Vec<T>) -> Vec<T> {
    if buffer.capacity() <= KEPT { buffer } else { vec![] }
}

//! One connection from its begin to its end: what comes is heard, what is due is told.

use std::{collections::VecDeque, io, time::Duration};

use async_nats::ServerInfo;
use bytes::{Buf, BytesMut};
use natterjack_runtime::health::Health;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};

use super::{
    CHECK, Shared, Sink, Target,
    connect::{Connected, READ_BYTES},
    parse::{Frame, Message, ParseError, parse},
    random,
    servers::Servers,
    table::Op,
};

/// How often the server is asked whether it is there.
const PING: Duration = Duration::from_secs(10);
/// So many of these without a byte from it, and it is not.
const QUIET_MAX: u32 = 2;
/// What is told at a time.
const OUT_BYTES: usize = 64 << 10;
/// What may wait to be written; more of it would be answers to a server that only asks.
const OUT_BYTES_MAX: usize = 1 << 20;
/// Questions that may be open.
const EXPECTED_MAX: usize = 10_000;
/// Largest message, whatever the server says of itself; JetStream's own headers come on top of what
/// a publisher may send.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
const HEADERS_BYTES_MAX: usize = 64 << 10;
/// What the read buffer may keep when nothing is in it.
const KEPT_BYTES_MAX: usize = 4 * READ_BYTES;
/// Deliveries after which others get their turn: one huge group must not hold up everybody.
const DELIVERIES_MAX: usize = 1_024;
/// A server that is about to stop is left within this time.
const LAME_DUCK_MS: u64 = 2_000;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("it broke: {0}")]
    Io(#[from] io::Error),
    #[error("the server closed it")]
    Closed,
    #[error("the server sent {0}")]
    Parse(#[from] ParseError),
    #[error("the server is silent")]
    Silent,
    #[error("the server does not read")]
    Stuck,
    #[error("the server is about to stop, and there are others")]
    LameDuck,
}

/// The state of a connection besides its bytes.
struct Link<'a, S: Sink> {
    shared: &'a Shared<S::Target>,
    servers: &'a mut Servers,
    sink: &'a mut S,
    health: &'a Health,
    out: BytesMut,
    /// What the next PONGs answer, in order: tickets, or nothing but the question.
    expected: VecDeque<Option<u64>>,
    message_bytes_max: usize,
    quiet: u32,
    leave: Option<Instant>,
}

/// Hears until the connection is over.
pub(super) async fn hear<S: Sink>(
    connected: Connected,
    shared: &Shared<S::Target>,
    servers: &mut Servers,
    sink: &mut S,
    health: &Health,
) -> Lost {
    let Connected {
        server,
        socket,
        mut bytes,
        info,
    } = connected;
    let (mut from, mut to) = tokio::io::split(socket);
    let mut link = Link {
        shared,
        servers,
        sink,
        health,
        out: BytesMut::new(),
        expected: VecDeque::new(),
        message_bytes_max: message_bytes_max(&info),
        quiet: 0,
        leave: None,
    };
    let mut ticks = interval_at(Instant::now() + PING, PING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut flushed = true;
    loop {
        if let Err(lost) = link.take_in(&mut bytes, &server).await {
            return lost;
        }
        link.tell();
        if link.out.len() > OUT_BYTES_MAX
            || link.expected.len() > EXPECTED_MAX
            || link.shared.table().is_stuck()
        {
            return Lost::Stuck;
        }
        flushed &= link.out.is_empty();
        make_room(&mut bytes);
        let leave = link.leave;
        let step = tokio::select! {
            biased;
            written = write(&mut to, &mut link.out), if !flushed => {
                flushed = true;
                written.map_err(Lost::Io)
            }
            () = shared.told.notified(), if flushed => Ok(()),
            _ = ticks.tick() => link.tick(),
            () = async { sleep_until(leave.unwrap_or_else(Instant::now)).await }, if leave.is_some() => Err(Lost::LameDuck),
            read = from.read_buf(&mut bytes) => {
                link.quiet = 0;
                match read {
                    Ok(0) => Err(Lost::Closed),
                    Ok(_) => Ok(()),
                    Err(error) => Err(Lost::Io(error)),
                }
            }
        };
        if let Err(lost) = step {
            return lost;
        }
    }
}

/// Writes and flushes. It may be dropped and called again: what is not written stays in `out`.
async fn write(to: &mut (impl AsyncWriteExt + Unpin), out: &mut BytesMut) -> io::Result<()> {
    to.write_all_buf(out).await?;
    to.flush().await
}

fn message_bytes_max(info: &ServerInfo) -> usize {
    info.max_payload.min(MESSAGE_BYTES_MAX) + HEADERS_BYTES_MAX
}

/// Room for another read. The buffer grows with what has come, not with what was announced, and a
/// large message does not leave it large.
fn make_room(bytes: &mut BytesMut) {
    if bytes.is_empty() && bytes.capacity() > KEPT_BYTES_MAX {
        *bytes = BytesMut::new();
    }
    if bytes.capacity() - bytes.len() < READ_BYTES / 2 {
        bytes.reserve(READ_BYTES);
    }
}

impl<S: Sink> Link<'_, S> {
    /// Handles all whole frames, and keeps what is left.
    async fn take_in(&mut self, bytes: &mut BytesMut, server: &async_nats::ServerAddr) -> Result<(), Lost> {
        let (mut at, mut deliveries) = (0, 0);
        while let Some((frame, used)) = parse(&bytes[at..], self.message_bytes_max)? {
            match frame {
                Frame::Message(message) => deliveries += self.message(&message),
                Frame::Ping => self.out.extend_from_slice(b"PONG\r\n"),
                Frame::Pong => {
                    if let Some(Some(ticket)) = self.expected.pop_front() {
                        self.shared.passed.send_replace(ticket);
                    }
                }
                Frame::Info(json) => self.informed(json, server),
                Frame::Error(reason) => self.complain(reason),
                Frame::Ok => {}
            }
            at += used;
            if deliveries >= DELIVERIES_MAX {
                deliveries = 0;
                tokio::task::yield_now().await;
            }
        }
        bytes.advance(at);
        Ok(())
    }

    fn message(&mut self, message: &Message<'_>) -> usize {
        // The lock is let go before the message is handed on: who hears it may subscribe.
        let target = self.shared.table().target(message.sid).cloned();
        target.map_or(0, |target| self.sink.hear(&target, message))
    }

    fn informed(&mut self, json: &[u8], server: &async_nats::ServerAddr) {
        let Ok(info) = serde_json::from_slice::<ServerInfo>(json) else {
            tracing::warn!(nats.connection = "live", "an INFO that makes no sense; ignored");
            return;
        };
        self.servers.learn(&info.connect_urls);
        self.message_bytes_max = message_bytes_max(&info);
        if info.lame_duck_mode && self.leave.is_none() && self.servers.has_other(server) {
            let leave_in = Duration::from_millis(random(LAME_DUCK_MS));
            self.leave = Some(Instant::now() + leave_in);
        }
    }

    /// Most errors come before the end of the connection; a refused subscription does not.
    fn complain(&self, reason: &str) {
        tracing::error!(nats.connection = "live", reason, "NATS refuses something");
        let reason = format!("NATS refuses something: {reason}");
        self.health.set(CHECK, Err(reason));
    }

    /// Writes down what the server is still to be told, some of it at a time.
    fn tell(&mut self) {
        if !self.out.is_empty() {
            return;
        }
        let mut table = self.shared.table();
        let mut ask = None;
        while self.out.len() < OUT_BYTES
            && let Some((op, target)) = table.next_op()
        {
            match (op, target) {
                (Op::Sub(sid), Some(target)) => {
                    let line = format!("SUB {} {sid}\r\n", target.subject());
                    self.out.extend_from_slice(line.as_bytes());
                }
                (Op::Unsub(sid), _) => self.out.extend_from_slice(format!("UNSUB {sid}\r\n").as_bytes()),
                // One question stands for all before it.
                (Op::Ask(ticket), _) => ask = Some(ticket),
                (Op::Sub(_), None) => {}
            }
        }
        if ask.is_some() {
            self.ask(ask);
        }
    }

    fn ask(&mut self, ticket: Option<u64>) {
        self.out.extend_from_slice(b"PING\r\n");
        self.expected.push_back(ticket);
    }

    fn tick(&mut self) -> Result<(), Lost> {
        self.quiet += 1;
        if self.quiet > QUIET_MAX {
            return Err(Lost::Silent);
        }
        self.ask(None);
        Ok(())
    }
}

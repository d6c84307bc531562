//! `natterjack bench crowd`: a process full of clients that connect, listen, and come back as the
//! client library does. It is told what to do over HTTP; one process cannot open enough files for
//! all clients, and their memory and CPU are not to be mixed up with anything else's.

mod socket;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use natterjack_client::Backoff;
use natterjack_runtime::clock::Clock;
use rand::{SeedableRng as _, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use socket::{Refused, Socket};
use tokio::{net::TcpListener, sync::Semaphore, time::sleep};

/// As in the client library.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(200),
    max: Duration::from_secs(20),
};
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Options of a crowd.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// A line of JSON for each client
    #[arg(long, value_name = "FILE")]
    people: PathBuf,
    /// Where to listen for commands
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
}

/// One client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Person {
    /// Its number among the clients of all processes.
    pub number: usize,
    /// Where it connects to.
    pub address: SocketAddr,
    /// The path of the WebSocket.
    pub path: String,
    /// What it says first.
    pub hello: Option<String>,
}

/// How far a crowd is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Clients that are connected and ready.
    pub ready: usize,
    /// Connections that were tried since the last look at the arrivals.
    pub tries: u64,
    /// Those that failed, by reason.
    pub failures: BTreeMap<String, u64>,
}

/// A client got ready.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Arrival {
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// How long the connection took that succeeded.
    pub took_us: u64,
}

/// What happened since the last time it was asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// How far it is.
    pub counts: Counts,
    /// Who got ready meanwhile.
    pub arrivals: Vec<Arrival>,
}

#[derive(Debug)]
struct Crowd {
    people: Vec<Person>,
    report: Mutex<Report>,
}

/// Runs it until it is killed.
///
/// # Errors
/// The file cannot be read, or the address is taken.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.people).context("the clients' file")?;
    let people = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let crowd = Arc::new(Crowd {
        people,
        report: Mutex::default(),
    });
    let router = Router::new()
        .route("/readyz", get(|| async { "ready" }))
        .route("/connect/{at_once}", post(connect))
        .route("/counts", get(counts))
        .route("/report", post(report));
    let listener = TcpListener::bind(args.listen).await?;
    Ok(axum::serve(listener, router.with_state(crowd)).await?)
}

/// Lets all clients connect, so many at once.
async fn connect(State(crowd): State<Arc<Crowd>>, Path(at_once): Path<usize>) {
    let gate = Arc::new(Semaphore::new(at_once));
    for index in 0..crowd.people.len() {
        tokio::spawn(Arc::clone(&crowd).live(index, Arc::clone(&gate)));
    }
}

async fn counts(State(crowd): State<Arc<Crowd>>) -> Json<Counts> {
    Json(crowd.report().counts.clone())
}

/// Answers what happened, and begins to count anew.
async fn report(State(crowd): State<Arc<Crowd>>) -> Json<Report> {
    let mut report = crowd.report();
    let ready = report.counts.ready;
    let fresh = Report {
        counts: Counts {
            ready,
            ..Counts::default()
        },
        arrivals: Vec::new(),
    };
    Json(std::mem::replace(&mut report, fresh))
}

impl Crowd {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client's life: it connects when it is its turn, and afterwards whenever it has to.
    async fn live(self: Arc<Self>, index: usize, gate: Arc<Semaphore>) {
        let person = &self.people[index];
        let mut rng = SmallRng::seed_from_u64(person.number as u64);
        let mut failures = 0_u32;
        // Only the first time it waits for its turn.
        let mut turn = gate.acquire_owned().await.ok();
        loop {
            let (begun, mut asked) = (Instant::now(), Duration::ZERO);
            self.report().counts.tries += 1;
            let opened = Socket::open(
                person.address,
                person.number,
                &person.path,
                person.hello.as_deref(),
            )
            .await;
            match opened {
                Ok(socket) => {
                    self.arrived(begun);
                    drop(turn.take());
                    let since = Instant::now();
                    socket.hold().await;
                    self.report().counts.ready -= 1;
                    if since.elapsed() >= STABLE_AFTER {
                        failures = 0;
                    }
                }
                Err(Refused { reason, retry_after }) => {
                    *self.report().counts.failures.entry(reason).or_default() += 1;
                    asked = retry_after;
                }
            }
            let delay = BACKOFF.delay(failures, &mut rng);
            sleep(if asked.is_zero() {
                delay
            } else {
                asked + delay.min(BACKOFF.base)
            })
            .await;
            failures = failures.saturating_add(1);
        }
    }

    fn arrived(&self, begun: Instant) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut report = self.report();
        report.counts.ready += 1;
        report.arrivals.push(Arrival {
            at_ms: Clock::system().now_ms(),
            took_us: micros(begun.elapsed()),
        });
    }
}

//! The push service of the benchmark: takes everything at once, and notes when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    routing::post,
};
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{Duration, Instant, sleep},
};

/// How long the last of many pushes may be on its way.
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(2);

/// It answers until it is dropped.
#[derive(Debug)]
pub struct PushService {
    /// Where, `http://127.0.0.1:<port>`.
    pub url: String,
    taken: Arc<Mutex<Taken>>,
    task: JoinHandle<()>,
}

/// What came since it was last looked at.
#[derive(Debug, Default)]
pub struct Taken {
    /// By the number of the device: when its last push came.
    pub at: Vec<Option<Instant>>,
    /// How many devices got one.
    pub reached: usize,
    /// How many came, those that came twice too.
    pub count: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
}

impl PushService {
    /// Starts it, for so many devices.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(devices: usize) -> anyhow::Result<Self> {
        let taken = Arc::new(Mutex::new(Taken {
            at: vec![None; devices],
            ..Taken::default()
        }));
        let routes = Router::new()
            .route("/{device}", post(take))
            .with_state(Arc::clone(&taken));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "the push service of the benchmark ended");
            }
        });
        Ok(Self { url, taken, task })
    }

    /// Forgets what came.
    pub fn begin(&self) {
        let mut taken = lock(&self.taken);
        let devices = taken.at.len();
        *taken = Taken {
            at: vec![None; devices],
            ..Taken::default()
        };
    }

    /// What came since [`PushService::begin`].
    pub fn taken(&self) -> MutexGuard<'_, Taken> {
        lock(&self.taken)
    }

    /// Waits until so many devices have got one.
    ///
    /// # Errors
    /// They do not.
    pub async fn until(&self, devices: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reached = lock(&self.taken).reached;
            if reached >= devices {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{reached} of {devices} devices were pushed after {PATIENCE:?}"
            );
            sleep(POLL).await;
        }
    }
}

impl Drop for PushService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(taken): State<Arc<Mutex<Taken>>>, Path(device): Path<usize>, body: Bytes) -> StatusCode {
    let now = Instant::now();
    let mut taken = lock(&taken);
    let Some(at) = taken.at.get_mut(device) else {
        return StatusCode::NOT_FOUND;
    };
    let first = at.replace(now).is_none();
    taken.reached += usize::from(first);
    taken.count += 1;
    taken.bytes += body.len();
    StatusCode::CREATED
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

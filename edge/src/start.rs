//! Starting an edge: connections, parts, and the listener.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use async_nats::{Event, jetstream::context::ContextBuilder};
use axum::serve::ListenerExt;
use natterjack_nats::{EdgeId, cluster};
use natterjack_runtime::{clock::Clock, health::Health, lifecycle::Tasks, metrics::Metrics};
use tokio::{net::TcpListener, sync::Semaphore, time::sleep};

use crate::{
    app::{App, Connections},
    args::Args,
    auth::Auth,
    http::{self, RateLimits},
    live::{Doubt, Hub},
    metrics::EdgeMetrics,
    ops::send::{Peers, Window},
    receipts::Receipts,
};

/// How long one try to publish may wait for its ack.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(3);
/// How long requests that are under way may take when the edge drains.
const DRAIN: Duration = Duration::from_secs(3);
/// Acks that may be outstanding over all sessions: what a server stores in a few seconds.
const ACKS_IN_FLIGHT: usize = 50_000;

/// An edge that runs. Its tasks end with the [`Tasks`] that it was started under.
#[derive(Debug)]
pub struct Edge {
    /// Where it listens; of use when the port was 0.
    pub addr: SocketAddr,
    /// What it is made of.
    pub app: Arc<App>,
}

/// Starts an edge: it is bound and ready when this returns, and runs until `tasks` stops.
///
/// # Errors
/// NATS does not answer, is too old or is not provisioned, or the address is taken.
pub async fn run(args: &Args, tasks: &Tasks) -> anyhow::Result<Edge> {
    let clock = Clock::system();
    let edge = EdgeId::generate(clock.now_ms());
    let (health, registry) = (Health::new(), Metrics::new("edge"));
    let metrics = EdgeMetrics::register(&registry);
    let doubt = Doubt::new();
    let nats = connect(args, edge, &health, &doubt).await?;
    let shards = cluster::shards(&nats.context).await?;
    let window = Window::new(cluster::dedupe_window(&nats.context, shards).await?);
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: choose another address with --listen",
            args.listen
        )
    })?;
    let addr = listener.local_addr()?;

    let auth = Auth::start(&args.auth, &nats, clock.clone(), tasks).await?;
    let sessions_max = usize::try_from(args.socket.user_connections_max)?;
    let hub = Hub::start(nats.clone(), shards, sessions_max, metrics.clone(), doubt, tasks).await?;
    let receipts = Receipts::start(&args.socket, &nats, shards, metrics.clone(), tasks);
    let app = Arc::new(App {
        args: args.clone(),
        edge,
        shards,
        window,
        clock: clock.clone(),
        nats,
        auth,
        limits: RateLimits::new(&args.rates),
        sockets: Arc::new(Semaphore::new(args.socket.connections_max as usize)),
        hub,
        receipts,
        peers: Peers::default(),
        metrics,
        registry,
        health,
        tasks: tasks.clone(),
    });
    revocations(&app);
    serve(&app, listener);
    tracing::info!(edge.id = %edge, edge.address = %addr, "the edge is ready");
    Ok(Edge { addr, app })
}

async fn connect(args: &Args, edge: EdgeId, health: &Health, doubt: &Doubt) -> anyhow::Result<Connections> {
    let connect = async |part: &'static str, doubt: Option<Doubt>| {
        let health = health.clone();
        let on_event = move |event: Event| {
            let check = format!("nats.{part}");
            match &event {
                Event::Connected => health.set(check, Ok(())),
                Event::Disconnected => {
                    tracing::warn!(nats.connection = part, "disconnected from NATS; reconnecting");
                    health.set(check, Err("disconnected from NATS".into()));
                }
                other => {
                    tracing::warn!(nats.connection = part, nats.event = %other, "an event of the NATS connection")
                }
            }
            if let Some(doubt) = &doubt {
                doubt.hear(&event);
            }
        };
        cluster::connect(
            &args.nats_url,
            &format!("natterjack-edge-{edge} {part}"),
            on_event,
        )
        .await
    };
    let publish = connect("publish", None).await?;
    let context = ContextBuilder::new()
        .timeout(PUBLISH_TIMEOUT)
        .ack_timeout(PUBLISH_TIMEOUT)
        .max_ack_inflight(ACKS_IN_FLIGHT)
        .backpressure_on_inflight(true)
        .build(publish.clone());
    Ok(Connections {
        publish,
        context,
        live: connect("live", Some(doubt.clone())).await?,
        service: connect("service", None).await?,
    })
}

/// Closes the sockets of devices that are revoked.
fn revocations(app: &Arc<App>) {
    let (app, mut revoked) = (Arc::clone(app), app.auth.revocations());
    let shutdown = app.tasks.shutdown().clone();
    app.tasks.clone().spawn("revocations", async move {
        use tokio::sync::broadcast::error::RecvError;
        loop {
            let next = tokio::select! {
                next = revoked.recv() => next,
                () = shutdown.draining() => return Ok(()),
            };
            match next {
                Ok((user, device)) => app
                    .hub
                    .end_revoked(user, device, |token| app.auth.is_revoked(token)),
                // Which ones were missed is not known: everybody is looked at.
                Err(RecvError::Lagged(_)) => app.hub.end_all_revoked(|token| app.auth.is_revoked(token)),
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    });
}

fn serve(app: &Arc<App>, listener: TcpListener) {
    let router = http::router(Arc::clone(app));
    let shutdown = app.tasks.shutdown().clone();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    // Acks are small and must not wait for more to fill a segment.
    let listener = listener.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    app.tasks.spawn("http", async move {
        let draining = shutdown.clone();
        let served = axum::serve(listener, service)
            .with_graceful_shutdown(async move { draining.draining().await })
            .into_future();
        let patience = async {
            shutdown.draining().await;
            sleep(DRAIN).await;
        };
        tokio::select! {
            served = served => Ok(served?),
            // Half a request may never become a whole one.
            () = patience => Ok(()),
        }
    });
}

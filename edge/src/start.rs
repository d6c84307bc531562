//! Starting an edge: connections, parts, and the listener.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::Context as _;
use async_nats::jetstream;
use natterjack_nats::{EdgeId, access::User, cluster};
use natterjack_runtime::{
    clock::Clock,
    health::{self, Health},
    lifecycle::Tasks,
    metrics::Metrics,
    trace::Tracer,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::Semaphore,
    time::sleep,
};

use crate::{
    app::App,
    args::Args,
    auth::{Auth, Revocable},
    connections::{self, Connections},
    http::{self, RateLimits, Tls},
    live::Hub,
    metrics::EdgeMetrics,
    ops::{
        push::PushTargets,
        send::{Peers, Window},
    },
    page::Page,
    presence::{
        self, Discovery, Drain, Lease, Sessions, Standing,
        lease::{Facts, Parts},
        operator,
        sessions::Ways,
    },
    receipts::{Publisher, Receipts},
};

/// The check of what is not yet there when the edge starts.
const STARTING: &str = "starting";
/// Connections that the system may hold for us until we take them.
const BACKLOG: u32 = 1_024;
/// How often it is looked whether the last connection has ended.
const NOBODY: Duration = Duration::from_millis(20);

/// An edge that runs. Its tasks end with the [`Tasks`] that it was started under.
#[derive(Debug)]
pub struct Edge {
    /// Where it listens; of use when the port was 0.
    pub addr: SocketAddr,
    /// Where it serves probes and metrics, if that is elsewhere.
    pub admin: Option<SocketAddr>,
    /// What it is made of.
    pub app: Arc<App>,
}

/// Starts an edge: it is bound and ready when this returns, and runs until `tasks` stops.
///
/// # Errors
/// NATS does not answer, is too old or is not provisioned; the address is taken, or the id.
pub async fn run(args: &Args, tasks: &Tasks) -> anyhow::Result<Edge> {
    args.place.check()?;
    let clock = Clock::system();
    let edge = args
        .place
        .edge_id
        .unwrap_or_else(|| EdgeId::generate(clock.now_ms()));
    let (health, registry) = (Health::new(), Metrics::new("edge"));
    let metrics = EdgeMetrics::register(&registry);
    health.measure(&registry, tasks.shutdown());
    let tls = Tls::start(&args.tls, &registry, tasks)
        .await
        .context("--tls-cert and --tls-key")?;
    // The admin listener answers from here on, but whoever asks it wants the one for clients.
    health.set(STARTING, Err("no connections are taken yet".into()));
    let admin = match args.admin_listen {
        Some(address) => Some(
            health::serve(address, registry.clone(), health.clone(), tasks)
                .await
                .with_context(|| {
                    format!("cannot listen on {address}: choose another address with --admin-listen")
                })?,
        ),
        None => None,
    };
    let login = args.nats.login(User::Edge);
    let nats = Connections::connect(&login, edge, &health, tasks).await?;
    let context = jetstream::new(nats.service.clone());
    let shards = cluster::shards(&context).await?;
    let window = Window::new(cluster::dedupe_window(&context, shards).await?);
    let cannot_listen = || {
        format!(
            "cannot listen on {}: choose another address with --listen",
            args.listen
        )
    };
    let socket = bind(args.listen).with_context(cannot_listen)?;
    let addr = socket.local_addr()?;
    let (slots, url) = (
        Arc::new(Semaphore::new(args.socket.connections_max as usize)),
        args.place.url(addr, tls.is_some()),
    );
    let places = (Arc::clone(&slots), args.socket.connections_max);
    let facts = Facts::new(edge, &args.place, url, places, clock.clone());
    let lease = Lease::take(nats.service.clone(), facts).await?;
    let drain = Drain::default();
    let ways = Ways {
        client: &nats.service,
        reconnects: &nats.reconnects,
        epoch: lease.epochs(),
        drain: &drain,
        metrics: &metrics,
        tasks,
    };
    let sessions = Sessions::start(edge, clock.clone(), ways);
    let leave = lease.keep(Parts {
        sessions: sessions.clone(),
        drain: drain.clone(),
        reconnects: &nats.reconnects,
        health: &health,
        tasks,
    });

    let revocable = Revocable {
        reconnects: &nats.reconnects,
        until: emptied(tasks, &slots, args.socket.connections_max),
    };
    let auth = Auth::start(&args.auth, &nats.service, revocable, clock.clone(), tasks).await?;
    let discovery = Discovery::start(
        context,
        &nats.reconnects,
        emptied(tasks, &slots, args.socket.connections_max),
        tasks,
    )
    .await?;
    let sessions_max = usize::try_from(args.socket.user_connections_max)?;
    let own = (login.read()?, connections::name(edge, "live"));
    let hub = Hub::start(
        own,
        nats.clone(),
        shards,
        sessions_max,
        metrics.clone(),
        &health,
        tasks,
    )
    .await?;
    let receipts = Receipts::default();
    let publisher = Publisher::new(receipts.clone(), nats.clone(), shards, metrics.clone());
    let page = Page::new(args.web_dir.clone(), args.no_web);
    page.refresh().await;
    let app = Arc::new(App {
        args: args.clone(),
        edge,
        shards,
        window,
        clock: clock.clone(),
        nats,
        auth,
        limits: RateLimits::new(&args.rates),
        slots,
        admission: Arc::default(),
        hub,
        discovery,
        drain,
        sessions,
        leave,
        receipts,
        peers: Peers::default(),
        push_targets: PushTargets::new(args.push_anywhere),
        page,
        metrics,
        registry,
        tracer: Tracer::installed(),
        health,
        tasks: tasks.clone(),
    });
    operator::serve(&app).await?;
    revocations(&app);
    presence::watch::start(&app);
    publish(&app, publisher);
    // Only now does anybody get in, and the lease says so: whoever came before was refused at once.
    let listener = socket.listen(BACKLOG).with_context(cannot_listen)?;
    app.drain.ask(Standing::Serving);
    app.drain.settled().await;
    serve(&app, listener, tls);
    app.health.set(STARTING, Ok(()));
    tracing::info!(edge.id = %edge, edge.address = %addr, "the edge is ready");
    Ok(Edge { addr, admin, app })
}

/// The address is ours, but nobody is heard yet.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // As `TcpListener::bind` does: connections that an earlier process closed are no reason to wait.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Resolves once nobody is connected any more, and nobody will be.
fn emptied(
    tasks: &Tasks,
    slots: &Arc<Semaphore>,
    connections_max: u32,
) -> impl Future<Output = ()> + Send + 'static {
    let (shutdown, slots) = (tasks.shutdown().clone(), Arc::clone(slots));
    async move {
        shutdown.draining().await;
        tokio::select! {
            // Given back at once: others wait for the same.
            _ = slots.acquire_many(connections_max) => {}
            () = shutdown.killed() => {}
        }
    }
}

/// Closes the sockets of devices that are revoked.
fn revocations(app: &Arc<App>) {
    let (app, mut revoked) = (Arc::clone(app), app.auth.revocations());
    // Until the last socket is gone, however long a drain takes.
    let emptied = emptied(&app.tasks, &app.slots, app.args.socket.connections_max);
    app.tasks.clone().spawn("revocations", async move {
        use tokio::sync::broadcast::error::RecvError;
        let mut emptied = pin!(emptied);
        loop {
            let next = tokio::select! {
                next = revoked.recv() => next,
                () = &mut emptied => return Ok(()),
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

fn serve(app: &Arc<App>, listener: TcpListener, tls: Option<Tls>) {
    let (app, router) = (Arc::clone(app), http::router(Arc::clone(app)));
    app.tasks.clone().spawn("http", async move {
        http::serve(&app, listener, tls, router).await;
        Ok(())
    });
}

/// Publishes receipts, and ends as the last of all: once nobody is connected any more, what they
/// said last goes out, and then nothing here needs NATS.
fn publish(app: &Arc<App>, publisher: Publisher) {
    let app = Arc::clone(app);
    app.tasks.clone().spawn("nats", async move {
        let every = Duration::from_millis(app.args.socket.receipts_interval_ms);
        let shutdown = app.tasks.shutdown();
        let nobody = async {
            shutdown.draining().await;
            // Looked at, and not acquired: a queue for all of the slots would hold those that are
            // free, and the lease tells of them how far the drain has come.
            while app.connections() > 0 {
                sleep(NOBODY).await;
            }
        };
        let end = async {
            publisher.run(every, nobody).await;
            // Who went away is gone from the bucket before the lease ends: the end of a lease leaves
            // no grace to those who are still in it.
            app.sessions.emptied().await;
            app.leave.leave().await;
            app.sessions.end();
        };
        tokio::select! {
            () = end => {}
            () = shutdown.killed() => {}
        }
        app.hub.close();
        app.nats.close().await;
        Ok(())
    });
}

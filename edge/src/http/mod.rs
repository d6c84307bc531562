//! The HTTP interface: routes, and nothing but translation. What a route does stands in
//! [`crate::ops`], where the socket finds it too.
//!
//! Whatever goes wrong is answered in the one form of [`natterjack_nats::wire::WireError`].

mod accounts;
mod conversations;
mod edges;
mod error;
mod extract;
mod layers;
mod limits;
mod messages;
mod openapi;
mod patience;
mod push;
mod routes;
mod server;
#[cfg(test)]
mod tests;
mod tls;
mod transport;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    routing::{MethodRouter, get},
};
pub use error::ApiError;
pub use extract::DEVICE_HEADER;
use layers::Bounds;
pub(crate) use limits::SYNC_WAIT_MAX;
pub use limits::{RateArgs, RateLimits};
use natterjack_runtime::health;
pub use patience::Patient;
pub use server::Slot;
pub(crate) use server::serve;
pub(crate) use tls::Tls;
pub use tls::{TlsArgs, TlsError};
pub use transport::Transport;

use crate::{app::App, page};

/// Largest body of a request that carries no text of a message: room for the members of a group.
const SMALL_BODY_BYTES_MAX: usize = 256 * 1024;

const SYNC_ROUTE: &str = "/v1/sync";

/// All routes of an edge.
pub fn router(app: Arc<App>) -> Router {
    // What is counted is nobody's business where clients come in, if there is another place for it.
    let probes = match app.args.admin_listen {
        Some(_) => health::probes(app.health.clone(), &app.tasks),
        None => health::router(app.registry.clone(), app.health.clone(), &app.tasks),
    };
    let bounds = Bounds::new(&app.args.rates);
    let routes = routes::all().into_iter().fold(Router::new(), |router, route| {
        router.route(route.path, route.handler)
    });
    let routes = routes.layer(DefaultBodyLimit::max(SMALL_BODY_BYTES_MAX));
    // Probes are answered however much is under way, but in the same form.
    let probes = probes.layer(middleware::from_fn(error::one_form_of_probes));
    let page = get(page::serve).with_state(Arc::clone(&app));
    let (metrics, tracer) = (app.metrics.clone(), app.tracer.clone());
    layered(routes.with_state(app), page, &bounds)
        .layer(middleware::from_fn_with_state(
            (metrics, tracer),
            layers::measured,
        ))
        .merge(probes)
}

/// The routes, and what answers in place of one that is not there, with all that every request passes,
/// outermost last.
fn layered(routes: Router, otherwise: MethodRouter, bounds: &Bounds) -> Router {
    routes
        .fallback_service(otherwise.fallback(async || StatusCode::NOT_FOUND))
        .layer(middleware::from_fn_with_state(bounds.clone(), layers::bound))
        .layer(middleware::from_fn(error::one_form))
        .layer(middleware::from_fn(layers::careful))
        .layer(middleware::from_fn_with_state(bounds.clone(), layers::cors))
        .layer(middleware::from_fn(layers::span))
}

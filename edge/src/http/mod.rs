//! The HTTP interface: routes, and nothing but translation. What a route does stands in
//! [`crate::ops`], where the socket finds it too.
//!
//! Whatever goes wrong is answered in the one form of [`natterjack_nats::wire::WireError`].

mod accounts;
mod conversations;
mod error;
mod extract;
mod layers;
mod limits;
mod messages;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::header,
    middleware,
    response::IntoResponse,
    routing::{delete, get, patch, post},
};
pub use error::ApiError;
pub use extract::DEVICE_HEADER;
use layers::Bounds;
pub(crate) use limits::SYNC_WAIT_MAX;
pub use limits::{RateArgs, RateLimits};
use natterjack_nats::limits::FRAME_BYTES_MAX;
use natterjack_runtime::health;
pub use server::Slot;
pub(crate) use server::serve;

use crate::{app::App, socket};

/// Largest body of a request that carries no text of a message: room for the members of a group.
const SMALL_BODY_BYTES_MAX: usize = 256 * 1024;

const SYNC_ROUTE: &str = "/v1/sync";

/// All routes of an edge.
pub fn router(app: Arc<App>) -> Router {
    let probes = health::router(app.registry.clone(), app.health.clone(), &app.tasks);
    let bounds = Bounds::new(&app.args.rates);
    layered(routes().with_state(app), &bounds).merge(probes)
}

fn routes() -> Router<Arc<App>> {
    let texts = Router::new()
        .route(
            "/v1/conversations/{conversation}/messages",
            get(messages::history).post(messages::send),
        )
        .route(
            "/v1/conversations/{conversation}/messages/{seq}",
            patch(messages::edit).delete(messages::delete),
        )
        .layer(DefaultBodyLimit::max(FRAME_BYTES_MAX));
    Router::new()
        .route("/v1/signup", post(accounts::sign_up))
        .route("/v1/login", post(accounts::log_in))
        .route("/v1/refresh", post(accounts::refresh))
        .route("/v1/logout", post(accounts::log_out))
        .route("/v1/me", get(accounts::me).patch(accounts::set_me))
        .route("/v1/users", get(accounts::users))
        .route("/v1/users/{id}", get(accounts::user))
        .route("/v1/devices", get(accounts::devices))
        .route("/v1/devices/{id}", delete(accounts::revoke))
        .route("/v1/conversations", get(conversations::list))
        .route("/v1/conversations/{conversation}", get(conversations::one))
        .route(
            "/v1/conversations/{conversation}/members",
            get(conversations::members),
        )
        .route(
            "/v1/conversations/{conversation}/receipts",
            post(messages::receipt),
        )
        .route("/v1/conversations/{conversation}/typing", post(messages::typing))
        .route("/v1/groups", post(conversations::create))
        .route("/v1/groups/{group}", patch(conversations::rename))
        .route("/v1/groups/{group}/members", post(conversations::add))
        .route(
            "/v1/groups/{group}/members/{user}",
            delete(conversations::remove).patch(conversations::set_role),
        )
        .route(SYNC_ROUTE, get(messages::sync))
        .layer(DefaultBodyLimit::max(SMALL_BODY_BYTES_MAX))
        .merge(texts)
        .route("/v1/ws", get(socket::upgrade))
        .route("/", get(about))
}

/// The routes with all that every request passes, outermost last.
fn layered(routes: Router, bounds: &Bounds) -> Router {
    let not_found = async || axum::http::StatusCode::NOT_FOUND;
    routes
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(bounds.clone(), layers::bound))
        .layer(middleware::from_fn(error::one_form))
        .layer(middleware::from_fn(layers::careful))
        .layer(middleware::from_fn_with_state(bounds.clone(), layers::cors))
        .layer(middleware::from_fn(layers::span))
}

/// What answers here, for somebody who opens the address in a browser.
async fn about() -> impl IntoResponse {
    const TEXT: &str = concat!(
        "This is Natterjack ",
        env!("CARGO_PKG_VERSION"),
        ", a chat server. There is no page to look at here.\n\n",
        "Programs talk to it under /v1 (HTTP) and at /v1/ws (WebSocket);\n",
        "docs/protocol.md in its source says how. `natterjack chat --as <name>` is a client.\n",
    );
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], TEXT)
}

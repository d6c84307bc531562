//! Which path and method lead where. `docs/openapi.json` lists the same, and a test compares.

use std::sync::Arc;

use axum::{
    extract::DefaultBodyLimit,
    handler::Handler,
    routing::{MethodFilter, MethodRouter, on},
};
use natterjack_nats::limits::FRAME_BYTES_MAX;

use super::{accounts, conversations, edges, messages, openapi, push};
use crate::{app::App, page, socket};

const GET: MethodFilter = MethodFilter::GET;
const POST: MethodFilter = MethodFilter::POST;
const PUT: MethodFilter = MethodFilter::PUT;
const PATCH: MethodFilter = MethodFilter::PATCH;
const DELETE: MethodFilter = MethodFilter::DELETE;

/// Largest body of whoever has not shown a token: a password, a device's name.
const STRANGERS_BODY_BYTES_MAX: usize = 16 * 1024;

/// One method of one path.
pub(super) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with the document"))]
    pub method: MethodFilter,
    pub path: &'static str,
    pub handler: MethodRouter<Arc<App>>,
}

fn route<T: 'static>(method: MethodFilter, path: &'static str, handler: impl Handler<T, Arc<App>>) -> Route {
    let handler = on(method, handler);
    Route {
        method,
        path,
        handler,
    }
}

/// A route whose body holds the text of a message.
fn text<T: 'static>(method: MethodFilter, path: &'static str, handler: impl Handler<T, Arc<App>>) -> Route {
    let handler = on(method, handler).layer(DefaultBodyLimit::max(FRAME_BYTES_MAX));
    Route {
        method,
        path,
        handler,
    }
}

/// A route of whoever has not shown a token.
fn stranger<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<App>>) -> Route {
    let handler = on(POST, handler).layer(DefaultBodyLimit::max(STRANGERS_BODY_BYTES_MAX));
    Route {
        method: POST,
        path,
        handler,
    }
}

/// All of them but the probes.
pub(super) fn all() -> Vec<Route> {
    let messages = "/v1/conversations/{conversation}/messages";
    let message = "/v1/conversations/{conversation}/messages/{seq}";
    let members = "/v1/conversations/{conversation}/members";
    let receipts = "/v1/conversations/{conversation}/receipts";
    let typing = "/v1/conversations/{conversation}/typing";
    let mute = "/v1/conversations/{conversation}/mute";
    let registration = "/v1/devices/{id}/push";
    let member = "/v1/groups/{group}/members/{user}";
    vec![
        stranger("/v1/signup", accounts::sign_up),
        stranger("/v1/login", accounts::log_in),
        stranger("/v1/refresh", accounts::refresh),
        route(POST, "/v1/logout", accounts::log_out),
        route(GET, "/v1/me", accounts::me),
        route(PATCH, "/v1/me", accounts::set_me),
        route(GET, "/v1/presence", accounts::presence),
        route(GET, "/v1/users", accounts::users),
        route(GET, "/v1/users/{id}", accounts::user),
        route(GET, "/v1/devices", accounts::devices),
        route(DELETE, "/v1/devices", accounts::revoke_others),
        route(DELETE, "/v1/devices/{id}", accounts::revoke),
        route(GET, "/v1/push", push::channels),
        route(PUT, registration, push::register),
        route(DELETE, registration, push::unregister),
        route(GET, "/v1/conversations", conversations::list),
        route(GET, "/v1/conversations/{conversation}", conversations::one),
        route(GET, members, conversations::members),
        route(PUT, mute, push::mute),
        route(DELETE, mute, push::unmute),
        route(POST, "/v1/groups", conversations::create),
        route(PATCH, "/v1/groups/{group}", conversations::rename),
        route(POST, "/v1/groups/{group}/members", conversations::add),
        route(DELETE, member, conversations::remove),
        route(PATCH, member, conversations::set_role),
        route(GET, messages, messages::history),
        text(POST, messages, messages::send),
        text(PATCH, message, messages::edit),
        route(DELETE, message, messages::delete),
        route(POST, receipts, messages::receipt),
        route(POST, typing, messages::typing),
        route(GET, super::SYNC_ROUTE, messages::sync),
        route(GET, "/v1/edges", edges::list),
        route(GET, "/v1/ws", socket::upgrade),
        route(GET, "/v1/openapi.json", openapi::document),
        route(GET, "/", page::serve),
    ]
}

//! From an HTTP request to a session.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use natterjack_nats::{
    limits,
    wire::{Code, WireError},
};
use tokio::time::timeout;
use tungstenite::handshake::derive_accept_key;

use super::{actor, wire::Socket};
use crate::{
    app::App,
    http::{ApiError, Slot, Transport},
};

/// How long it may take from the answer to the upgrade until the connection is ours: the client
/// has to take the answer.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// `GET /v1/ws`.
pub async fn upgrade(State(app): State<Arc<App>>, mut request: Request) -> Response {
    let accept = match accept(request.method(), request.headers()) {
        Ok(accept) => accept,
        Err(reason) => return refused(reason),
    };
    if let Err(error) = app.drain.open() {
        return ApiError::from(error).into_response();
    }
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return refused("the connection cannot be upgraded");
    };
    let slot = request.extensions_mut().remove::<Slot>();
    let tasks = app.tasks.clone();
    tasks.spawn_finite("session", async move {
        if let Some(socket) = taken_over(upgrade).await {
            actor::run(app, socket).await;
        }
        // Only now is there room for another connection.
        drop(slot);
        Ok(())
    });
    let headers = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_ACCEPT, accept.as_str()),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

/// The connection, once the answer to the request is written.
async fn taken_over(upgrade: OnUpgrade) -> Option<Socket> {
    // Boxed, so that the session does not carry the room for it all its life.
    let upgraded: Upgraded = Box::pin(timeout(UPGRADE_TIMEOUT, upgrade)).await.ok()?.ok()?;
    let parts = upgraded.downcast::<TokioIo<Transport>>().ok()?;
    // Twice the limit, so that a frame a little too large is refused in good order.
    Some(Socket::new(
        parts.io.into_inner().without_limit(),
        parts.read_buf,
        2 * limits::FRAME_BYTES_MAX,
    ))
}

/// The server's half of the handshake (RFC 6455, 4.2), or what is wrong with the client's.
fn accept(method: &Method, headers: &HeaderMap) -> Result<String, &'static str> {
    if method != Method::GET {
        return Err("the method is not GET");
    }
    if !names(headers, &header::CONNECTION, "upgrade") {
        return Err("the header Connection does not say upgrade");
    }
    if !names(headers, &header::UPGRADE, "websocket") {
        return Err("the header Upgrade does not say websocket");
    }
    if !names(headers, &header::SEC_WEBSOCKET_VERSION, "13") {
        return Err("the header Sec-WebSocket-Version is not 13");
    }
    headers
        .get(header::SEC_WEBSOCKET_KEY)
        .map(|key| derive_accept_key(key.as_bytes()))
        .ok_or("the header Sec-WebSocket-Key is missing")
}

/// Whether a header has this word in its list.
fn names(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case(word))
}

fn refused(reason: &str) -> Response {
    let message = format!("this address is for WebSockets: {reason}");
    ApiError::from(WireError::new(Code::BadRequest, message)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn handshake() -> HeaderMap {
        let words = [
            (header::CONNECTION, "keep-alive, Upgrade"),
            (header::UPGRADE, "WebSocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        words
            .into_iter()
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_example_of_the_standard_is_answered_as_it_says() {
        let accepted = accept(&Method::GET, &handshake());
        assert_eq!(accepted.as_deref(), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn each_part_of_the_handshake_is_needed() {
        assert!(accept(&Method::POST, &handshake()).is_err());
        for name in handshake().keys() {
            let mut headers = handshake();
            headers.remove(name);
            assert!(accept(&Method::GET, &headers).is_err(), "{name}");
            headers.insert(name, HeaderValue::from_static("8"));
            let key = name == header::SEC_WEBSOCKET_KEY;
            assert_eq!(accept(&Method::GET, &headers).is_ok(), key, "{name}");
        }
    }
}

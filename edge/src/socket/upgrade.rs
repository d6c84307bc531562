//! From an HTTP request to a session.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    response::{IntoResponse, Response},
};
use natterjack_nats::{
    limits,
    wire::{Code, WireError},
};

use super::actor;
use crate::{
    app::App,
    http::{ApiError, Slot},
};

/// What a socket reads at a time. The default is 128 KiB for each of thousands of idle sockets.
const READ_BUFFER_BYTES: usize = 4_096;
/// What is collected before it is written: enough for a burst of small frames.
const WRITE_BUFFER_BYTES: usize = 16 << 10;
/// What may wait to be written: several of the largest frames.
const WRITE_BUFFER_BYTES_MAX: usize = 8 << 20;

/// `GET /v1/ws`.
pub async fn upgrade(
    State(app): State<Arc<App>>,
    slot: Option<Extension<Slot>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let message = format!("this address is for WebSockets: {}", rejection.body_text());
            return ApiError::from(WireError::new(Code::BadRequest, message)).into_response();
        }
    };
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        // Twice the limit, so that a frame a little too large is refused in good order.
        .max_message_size(2 * limits::FRAME_BYTES_MAX)
        .max_frame_size(2 * limits::FRAME_BYTES_MAX)
        .on_upgrade(move |socket| async move {
            let tasks = app.tasks.clone();
            tasks.spawn_finite("session", async move {
                actor::run(app, socket).await;
                // Only now is there room for another connection.
                drop(slot);
                Ok(())
            });
        })
}

//! Closing a socket so that the client learns why.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use natterjack_nats::wire::CloseCode;
use tokio::time::timeout;

/// How long the client may take to answer a close.
const ANSWER: Duration = Duration::from_secs(2);

/// Sends the close, after what is written already, and waits a little for the client's own: a
/// connection that is cut while the client still sends would throw away what it has not read yet.
/// Answers whether the close went out.
pub(super) async fn close(socket: &mut WebSocket, code: CloseCode, limit: Duration) -> bool {
    let frame = CloseFrame {
        code: code.code(),
        reason: Utf8Bytes::from_static(code.reason()),
    };
    let sent = timeout(limit, socket.send(Message::Close(Some(frame)))).await;
    let sent = matches!(sent, Ok(Ok(())));
    if sent {
        let _ = timeout(ANSWER, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }
    sent
}

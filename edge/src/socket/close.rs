//! Closing a socket so that the client learns why.

use std::time::Duration;

use natterjack_nats::wire::CloseCode;
use tokio::time::timeout;

use super::wire::{Outgoing, Socket};

/// How long the client may take to answer a close.
const ANSWER: Duration = Duration::from_secs(2);

/// Sends the close, after what is written already, and waits a little for the client's own: a
/// connection that is cut while the client still sends would throw away what it has not read yet.
/// Answers whether the close went out.
pub(super) async fn close(socket: &mut Socket, code: CloseCode, limit: Duration) -> bool {
    socket.push(Outgoing::Close(code.code(), code.reason()));
    let sent = matches!(timeout(limit, socket.flush()).await, Ok(Ok(())));
    if sent {
        let _ = timeout(ANSWER, socket.drain()).await;
    }
    sent
}

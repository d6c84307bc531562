//! Those who talk.

use std::time::Duration;

use natterjack::fleet::Socket;
use natterjack_client::{Account, ApiError, Credentials};
use natterjack_nats::{Conversation, MessageId, wire::HelloDevice};
use natterjack_runtime::clock::Clock;
use tokio::time::sleep;

use super::scene::SECRET;

/// How often something is said.
const BETWEEN: Duration = Duration::from_millis(300);

/// Somebody comes, says something to a group, and goes, again and again, and tries anew what is refused for now, as by
/// a stream that is full; ends only where that fails.
pub async fn talk(who: Account, group: Conversation, edge: String) -> anyhow::Error {
    loop {
        let round = async {
            let token = who.tokens().await.access_token.clone();
            let socket = Socket::open(&edge, &token, true).await?;
            say(&who, group, SECRET).await?;
            sleep(BETWEEN).await;
            socket.close().await;
            sleep(BETWEEN).await;
            anyhow::Ok(())
        };
        if let Err(error) = round.await {
            let refused = error.downcast_ref::<ApiError>();
            if !matches!(refused, Some(ApiError::Wire(error)) if error.retryable) {
                return error;
            }
            sleep(BETWEEN).await;
        }
    }
}

/// Says something, and where it stands.
pub async fn say(who: &Account, conversation: Conversation, text: &str) -> anyhow::Result<u64> {
    let id = MessageId::generate(Clock::system().now_ms());
    let sent = who.api().send_text(conversation, id, text, None).await?;
    Ok(sent.seq)
}

/// To sign up with.
pub fn credentials(handle: &str) -> Credentials {
    Credentials {
        handle: handle.to_owned(),
        password: "a-password-of-some-length".to_owned(),
        device: HelloDevice {
            id: None,
            name: "test".into(),
            platform: "test".into(),
        },
    }
}

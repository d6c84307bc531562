//! Proof that NATS has our subscriptions: a message to ourselves on the same connection.
//!
//! A server handles what one connection sends in order. So once a message that was published after
//! a SUB has come back, that SUB is known, and whatever is stored from then on is heard. (Other
//! servers of a cluster learn of it a moment later: that gap is closed by comparing heads.)

use std::time::Duration;

use async_nats::{Client, Subscriber};
use futures::StreamExt;
use natterjack_runtime::lifecycle::Tasks;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// How often an echo is asked for again: the first may be lost with a connection.
const AGAIN: Duration = Duration::from_secs(1);

/// Round trips on one connection.
#[derive(Debug)]
pub(super) struct Barrier {
    client: Client,
    inbox: String,
    asked: std::sync::atomic::AtomicU64,
    heard: watch::Receiver<u64>,
}

impl Barrier {
    pub(super) async fn start(client: Client, tasks: &Tasks) -> anyhow::Result<Self> {
        let inbox = client.new_inbox();
        let echoes = client.subscribe(inbox.clone()).await?;
        let (heard, receiver) = watch::channel(0);
        let shutdown = tasks.shutdown().clone();
        tasks.spawn("live.barrier", async move {
            tokio::select! {
                () = listen(echoes, &heard) => Ok(()),
                () = shutdown.draining() => Ok(()),
            }
        });
        Ok(Self {
            client,
            inbox,
            asked: 0.into(),
            heard: receiver,
        })
    }

    /// Resolves once the server has all that this connection sent before; whether it did in time.
    pub(super) async fn pass(&self, limit: Duration) -> bool {
        let number = self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        let mut heard = self.heard.clone();
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let payload = number.to_string().into();
            let wait = AGAIN.min(deadline - Instant::now());
            let round = async {
                let _ = self.client.publish(self.inbox.clone(), payload).await;
                if heard.wait_for(|heard| *heard >= number).await.is_err() {
                    // The edge drains: nobody listens for echoes any more.
                    std::future::pending::<()>().await;
                }
            };
            if timeout(wait, round).await.is_ok() {
                return true;
            }
        }
        false
    }
}

async fn listen(mut echoes: Subscriber, heard: &watch::Sender<u64>) {
    while let Some(echo) = echoes.next().await {
        let number = std::str::from_utf8(&echo.payload)
            .ok()
            .and_then(|text| text.parse().ok());
        heard.send_if_modified(|heard| match number {
            // A later echo proves all earlier ones.
            Some(number) if number > *heard => {
                *heard = number;
                true
            }
            _ => false,
        });
    }
}

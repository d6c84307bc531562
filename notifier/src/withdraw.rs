//! Withdraws what was read elsewhere: a push that was not sent yet never is, and one that is shown goes where
//! the platform can.

use std::{collections::HashMap, time::Duration};

use async_nats::Client;
use natterjack_nats::{Conversation, UserId, wire::ReceiptBatch};
use tokio::sync::mpsc;

use crate::{
    decide::DecideMetrics,
    source::{Delivered, FETCH_MAX},
    takeback::{Over, Takeback},
};

/// Most users and conversations that are looked up together.
const PAIRS_MAX: usize = 2_000;

/// So old is a receipt before it is looked at: the badge of a withdrawal is the persister's count, and it
/// reads the same receipts. What was not sent yet needs no withdrawal: who sends it asks first.
const COUNTED_MS: u64 = 1_000;

/// Takes batches of receipts, which came through this connection, until none come any more.
pub async fn run(
    client: Client,
    takeback: Takeback,
    metrics: DecideMetrics,
    mut messages: mpsc::Receiver<Delivered>,
) {
    let mut came = Vec::with_capacity(FETCH_MAX);
    while messages.recv_many(&mut came, FETCH_MAX).await > 0 {
        let newest_ms = came.iter().map(|message| message.stored_ms).max().unwrap_or(0);
        let rest_ms = (newest_ms + COUNTED_MS).saturating_sub(takeback.time.now_ms());
        tokio::time::sleep(Duration::from_millis(rest_ms.min(COUNTED_MS))).await;
        let mut over: HashMap<(UserId, Conversation), Over> = HashMap::new();
        let mut those = Vec::new();
        for message in came.drain(..) {
            note(&message, &mut over);
            those.push(message);
            if over.len() >= PAIRS_MAX {
                withdraw(
                    &takeback,
                    &metrics,
                    std::mem::take(&mut over),
                    std::mem::take(&mut those),
                )
                .await;
            }
        }
        withdraw(&takeback, &metrics, over, those).await;
    }
    // What was answered last must be out before the connection goes with its last user.
    if let Err(error) = client.flush().await {
        tracing::debug!(%error, "what was answered last comes again");
    }
}

fn note(message: &Delivered, over: &mut HashMap<(UserId, Conversation), Over>) {
    let batch: ReceiptBatch = match serde_json::from_slice(&message.message.payload) {
        Ok(batch) => batch,
        Err(error) => {
            tracing::error!(receipts.seq = message.seq, %error, "receipts do not decode; ignoring them");
            return;
        }
    };
    for receipt in batch.receipts.iter().filter(|receipt| receipt.cursor.read > 0) {
        let over = over.entry((receipt.user, receipt.conversation)).or_default();
        over.read = over.read.max(receipt.cursor.read);
    }
}

async fn withdraw(
    takeback: &Takeback,
    metrics: &DecideMetrics,
    over: HashMap<(UserId, Conversation), Over>,
    messages: Vec<Delivered>,
) {
    let result = if over.is_empty() {
        Ok(())
    } else {
        takeback.take_back(&over).await
    };
    if let Err(error) = &result {
        tracing::debug!(%error, messages = messages.len(), "receipts come again");
        metrics.failed("takeback", messages.len());
    }
    for message in messages {
        if result.is_ok() {
            message.done().await;
        } else {
            message.failed().await;
        }
    }
}

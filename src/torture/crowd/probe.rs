//! A user who writes notes to self all the time, so that it is known when sends were possible.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use natterjack_client::Account;
use natterjack_nats::{Conversation, MessageId};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use crate::check::{Recorded, Recorder};

/// Time between two notes.
const PACE: Duration = Duration::from_millis(200);

/// The user, at work once it was started.
pub struct Probe {
    start: watch::Sender<bool>,
    stop: Arc<AtomicBool>,
    recorder: Recorder,
    writing: JoinHandle<anyhow::Result<(Recorded, Vec<MessageId>)>>,
}

/// When notes were handed over and acknowledged.
#[derive(Debug, Default)]
pub struct Probes(Vec<(Duration, Duration)>);

impl Probe {
    /// Connects.
    ///
    /// # Errors
    /// An address that is none.
    pub fn connect(recorder: &Recorder, account: &Account) -> anyhow::Result<Self> {
        let mut config = account.config();
        // Faults hit chosen ways to chosen edges: none may be found that leads past them.
        config.discovery = false;
        config.backoff_max = Duration::from_millis(500);
        config.ack_timeout = Duration::from_secs(2);
        config.connect_timeout = Duration::from_secs(2);
        let client = recorder.connect("probe", account, config)?;
        let (start, mut started) = watch::channel(false);
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let writing = tokio::spawn(async move {
            // Without its owner it never starts.
            let begins = started.wait_for(|started| *started).await.is_ok();
            let me = Conversation::dm(client.user(), client.user());
            let mut notes = Vec::new();
            while begins && !stopped.load(Ordering::Relaxed) {
                if client.client().unacknowledged() < 16 {
                    notes.push(client.send(me, format!("note {}", notes.len()))?);
                }
                sleep(PACE).await;
            }
            Ok((client, notes))
        });
        Ok(Self {
            start,
            stop,
            recorder: recorder.clone(),
            writing,
        })
    }

    /// It writes from now on.
    pub fn start(&self) {
        self.start.send_replace(true);
    }

    /// It has written enough.
    ///
    /// # Errors
    /// It panicked, or its notes have no answer after that time.
    pub async fn stop(self, within: Duration) -> anyhow::Result<Probes> {
        self.stop.store(true, Ordering::Relaxed);
        self.start.send_replace(true);
        let (client, notes) = self.writing.await.context("the probe")??;
        client.close(within).await?;
        let times = self
            .recorder
            .with_journal(|journal| notes.iter().filter_map(|id| journal.times_of(id)).collect());
        Ok(Probes(times))
    }
}

impl Probes {
    /// How long after that moment the first note was acknowledged that was handed over behind it.
    #[must_use]
    pub fn recovery(&self, since: Duration) -> Option<Duration> {
        let later = self.0.iter().filter(|(handed_over, _)| *handed_over >= since);
        let acked = later.map(|(_, acked)| *acked).min()?;
        Some(acked - since)
    }
}

//! What is under way in a fan-out: a fixed number of messages, each of which is sent again once
//! all its receivers have it. So nobody is sent more than the slowest can take, and the rate is
//! that of the whole.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, watch};

use super::stage::Stage;

/// Digits at the start of a text that name its place in the ring.
const DIGITS: usize = 6;

/// Shared by senders and receivers; cheap to clone.
#[derive(Debug, Clone)]
pub struct Ring(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    epoch: Instant,
    places: Vec<Place>,
    filler: String,
    stage: Stage,
    under_way: AtomicUsize,
    finished: watch::Sender<bool>,
}

#[derive(Debug)]
struct Place {
    receivers: u32,
    /// Told when the message may be sent again.
    sender: mpsc::Sender<usize>,
    begun_us: AtomicU64,
    missing: AtomicU32,
}

impl Ring {
    /// A place for each pair of a number of receivers and the one who sends; all are told to send.
    ///
    /// Each sender's channel must hold as many as it has places.
    #[must_use]
    pub fn start(places: Vec<(u32, mpsc::Sender<usize>)>, filler: String, stage: &Stage) -> Self {
        let place = |(receivers, sender)| Place {
            receivers,
            sender,
            begun_us: AtomicU64::new(0),
            missing: AtomicU32::new(0),
        };
        let under_way = AtomicUsize::new(places.len());
        let shared = Shared {
            epoch: Instant::now(),
            places: places.into_iter().map(place).collect(),
            filler,
            stage: stage.clone(),
            under_way,
            finished: watch::Sender::new(false),
        };
        for (index, place) in shared.places.iter().enumerate() {
            let _ = place.sender.try_send(index);
        }
        Self(Arc::new(shared))
    }

    /// The text to send now; `None` if nothing is to be sent any more.
    #[must_use]
    pub fn begin(&self, place: usize) -> Option<String> {
        let Shared {
            epoch,
            places,
            filler,
            stage,
            ..
        } = &*self.0;
        if stage.is_over() {
            self.retire();
            return None;
        }
        let one = &places[place];
        one.missing.store(one.receivers, Ordering::Relaxed);
        one.begun_us.store(micros(epoch.elapsed()), Ordering::Release);
        Some(format!("{place:0DIGITS$} {filler}"))
    }

    /// A text arrived at one of its receivers; after which time. `None` for a text that is not of
    /// the ring.
    pub fn arrived(&self, text: &str) -> Option<Duration> {
        let Shared { epoch, places, .. } = &*self.0;
        let place: usize = text.get(..DIGITS)?.parse().ok()?;
        let one = places.get(place)?;
        let begun_us = one.begun_us.load(Ordering::Acquire);
        let latency = Duration::from_micros(micros(epoch.elapsed()).saturating_sub(begun_us));
        if one.missing.fetch_sub(1, Ordering::AcqRel) == 1 && one.sender.try_send(place).is_err() {
            self.retire();
        }
        Some(latency)
    }

    /// Waits until all that was sent has arrived everywhere, after the stage was over.
    pub fn finished(&self) -> impl Future<Output = ()> + use<> {
        let mut finished = self.0.finished.subscribe();
        async move {
            // The sender lives as long as the ring.
            let _ = finished.wait_for(|finished| *finished).await;
        }
    }

    fn retire(&self) {
        if self.0.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.finished.send_replace(true);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_goes_again_when_all_have_it() -> anyhow::Result<()> {
        let (sender, mut turns) = mpsc::channel(1);
        let stage = Stage::default();
        let ring = Ring::start(vec![(2, sender)], "filler".into(), &stage);
        assert_eq!(turns.recv().await, Some(0));
        let text = ring.begin(0).unwrap_or_default();
        assert!(ring.arrived(&text).is_some());
        assert!(turns.try_recv().is_err(), "one receiver is missing");
        assert!(ring.arrived(&text).is_some());
        assert_eq!(turns.recv().await, Some(0));
        assert!(ring.arrived("something else").is_none());
        stage.stop();
        assert!(ring.begin(0).is_none());
        ring.finished().await;
        Ok(())
    }
}

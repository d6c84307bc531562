//! How many sessions open at a time, and when those who do not fit are to come back.
//!
//! After an outage everybody comes at once. Opening a session costs a service call and
//! subscriptions, so that only some open at a time and some wait in turn. Whoever does not fit is
//! refused at once, before anything was done for them, and told a time of their own: they come
//! back as fast as sessions open, instead of all at once or not for long.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use natterjack_nats::wire::{Code, WireError};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// Sessions that open at a time: the service takes as many of one edge without queueing them.
const OPENING_MAX: u32 = 64;
/// Sessions that wait for their turn.
const WAITING_MAX: usize = 1_024;
/// How long one may wait; clients give up their hello a little later.
const WAIT: Duration = Duration::from_secs(5);
/// The earliest and the latest time at which somebody is told to come back.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long an opening takes until the first one was measured.
const OPENING: Duration = Duration::from_millis(100);

/// The door of one edge.
#[derive(Debug)]
pub struct Admission {
    opening: Arc<Semaphore>,
    waiting: Semaphore,
    wait: Duration,
    pace: Mutex<Pace>,
}

/// How fast sessions open, and until when those who were sent away are spread.
#[derive(Debug)]
struct Pace {
    /// A moving average.
    opening: Duration,
    next: Instant,
}

/// A session is opening as long as this lives.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            opening: Arc::new(Semaphore::new(OPENING_MAX as usize)),
            waiting: Semaphore::new(WAITING_MAX),
            wait: WAIT,
            pace: Mutex::new(Pace {
                opening: OPENING,
                next: Instant::now(),
            }),
        }
    }
}

impl Admission {
    /// Waits for a turn, if there is hope.
    ///
    /// # Errors
    /// `overloaded`, with the time at which to come back.
    pub async fn enter(self: &Arc<Self>) -> Result<Admitted, WireError> {
        let opening = Arc::clone(&self.opening);
        let permit = match Arc::clone(&opening).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _place = self.waiting.try_acquire().map_err(|_| self.refusal())?;
                let turn = timeout(self.wait, opening.acquire_owned()).await;
                // It is never closed.
                turn.map_err(|_| self.refusal())?.map_err(|_| self.refusal())?
            }
        };
        Ok(Admitted {
            admission: Arc::clone(self),
            since: Instant::now(),
            _permit: permit,
        })
    }

    fn refusal(&self) -> WireError {
        let retry_after = self.pace().turn(Instant::now());
        let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        WireError::new(
            Code::Overloaded,
            "very many connect at this moment; come back when you are told to",
        )
        .retry_after_ms(retry_after_ms)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    fn took(&mut self, opening: Duration) {
        self.opening = (self.opening * 15 + opening) / 16;
    }

    /// After what time the next one is to come back.
    fn turn(&mut self, now: Instant) -> Duration {
        let (earliest, latest) = (now + RETRY.0, now + RETRY.1);
        // Beyond the latest time there is no order any more, but nobody is forgotten either.
        let next = if self.next > latest { earliest } else { self.next };
        let turn = next.max(earliest);
        self.next = turn + self.opening / OPENING_MAX;
        turn - now
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.pace().took(self.since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn full(admission: &Arc<Admission>) -> Vec<Admitted> {
        let mut inside = Vec::new();
        for _ in 0..OPENING_MAX {
            inside.push(admission.enter().await.expect("there is room"));
        }
        inside
    }

    #[tokio::test]
    async fn some_wait_in_turn_and_the_others_are_refused_at_once() {
        let admission = Arc::new(Admission {
            wait: Duration::from_secs(60),
            ..Admission::default()
        });
        let inside = full(&admission).await;
        let coming: Vec<_> = (0..WAITING_MAX + 100)
            .map(|_| {
                let admission = Arc::clone(&admission);
                tokio::spawn(async move { admission.enter().await.map(drop) })
            })
            .collect();
        // Each of them comes as far as it can before anybody leaves.
        while coming.iter().filter(|one| one.is_finished()).count() < 100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.waiting.available_permits(), 0);
        drop(inside);
        let mut refused = 0;
        for one in coming {
            if let Err(error) = one.await.expect("no panic") {
                assert_eq!(error.code, Code::Overloaded);
                assert!(
                    error
                        .retry_after_ms
                        .is_some_and(|ms| (900..=60_000).contains(&ms))
                );
                refused += 1;
            }
        }
        assert_eq!(refused, 100);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let admission = Arc::new(Admission {
            wait: Duration::from_millis(20),
            ..Admission::default()
        });
        let inside = full(&admission).await;
        assert!(admission.enter().await.is_err());
        drop(inside);
        assert!(admission.enter().await.is_ok());
    }

    #[test]
    fn they_come_back_as_fast_as_sessions_open() {
        let now = Instant::now();
        let mut pace = Pace {
            opening: OPENING,
            next: now,
        };
        for _ in 0..1_000 {
            pace.took(Duration::from_millis(640));
        }
        let turns: Vec<_> = (0..101).map(|_| pace.turn(now)).collect();
        assert!(turns.is_sorted());
        // A hundred at 64 in 640 ms.
        let spread = turns[100] - turns[0];
        assert!(
            spread.abs_diff(Duration::from_secs(1)) < Duration::from_millis(20),
            "{spread:?}"
        );
        for _ in 0..100_000 {
            assert!(pace.turn(now) <= RETRY.1);
        }
    }
}

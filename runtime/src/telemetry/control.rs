//! Changing what is logged while the process runs, for a while: what the process was started with comes back
//! by itself, so that nobody has to remember.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::Context, reload};

/// The filter of this process's log. It is part of the tracing subscriber, the one thing that is global;
/// cheap to clone.
#[derive(Debug, Clone)]
pub struct LogControl(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    handle: reload::Handle<EnvFilter, Registry>,
    configured: String,
    other: Mutex<Option<Other>>,
}

/// A filter in the place of the configured one.
#[derive(Debug)]
struct Other {
    filter: String,
    until: Instant,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogNow {
    /// The filter that holds.
    pub filter: String,
    /// What the process was started with.
    pub configured: String,
    /// How long until that holds again; `None` while it does.
    pub remaining: Option<Duration>,
}

/// Why another filter was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A directive is neither a level nor `target=level`.
    #[error(
        "{0:?} is neither a level (error, warn, info, debug, trace, off) nor target=level, as in natterjack_edge=debug"
    )]
    Directive(String),
    /// The filter as a whole was refused.
    #[error("the filter does not parse: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Nothing logs any more.
    #[error("the log of this process is gone: {0}")]
    Gone(#[from] reload::Error),
}

impl LogControl {
    pub(super) fn new(handle: reload::Handle<EnvFilter, Registry>, configured: &str) -> Self {
        Self(Arc::new(Inner {
            handle,
            configured: configured.to_owned(),
            other: Mutex::default(),
        }))
    }

    /// That of this process; `None` where [`super::init`] did not install its subscriber, as in tests.
    #[must_use]
    pub fn installed() -> Option<Self> {
        tracing::dispatcher::get_default(|dispatch| dispatch.downcast_ref::<Self>().cloned())
    }

    /// What is logged.
    #[must_use]
    pub fn now(&self) -> LogNow {
        self.tell(self.lock().as_ref())
    }

    /// Logs by another filter for so long. One that came before does not come back.
    ///
    /// # Errors
    /// [`LogError`]; then nothing has changed.
    pub fn set(&self, filter: &str, hold: Duration) -> Result<LogNow, LogError> {
        check(filter)?;
        let parsed = EnvFilter::try_new(filter)?;
        let mut other = self.lock();
        self.0.handle.reload(parsed)?;
        *other = Some(Other {
            filter: filter.to_owned(),
            until: Instant::now() + hold,
        });
        Ok(self.tell(other.as_ref()))
    }

    /// Logs what the process was started with.
    ///
    /// # Errors
    /// [`LogError`]; then nothing has changed.
    pub fn reset(&self) -> Result<LogNow, LogError> {
        let mut other = self.lock();
        self.0.handle.reload(EnvFilter::try_new(&self.0.configured)?)?;
        *other = None;
        Ok(self.tell(None))
    }

    /// Logs what the process was started with if the time of another filter is over; whether it was.
    ///
    /// # Errors
    /// [`LogError`]; then nothing has changed.
    pub fn expire(&self) -> Result<bool, LogError> {
        let over = self
            .lock()
            .as_ref()
            .is_some_and(|other| other.until <= Instant::now());
        if over {
            self.reset()?;
        }
        Ok(over)
    }

    fn tell(&self, other: Option<&Other>) -> LogNow {
        let configured = self.0.configured.clone();
        match other {
            None => LogNow {
                filter: configured.clone(),
                configured,
                remaining: None,
            },
            Some(other) => LogNow {
                filter: other.filter.clone(),
                configured,
                remaining: Some(other.until.saturating_duration_since(Instant::now())),
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Other>> {
        self.0.other.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for LogControl {
    // It is only kept here, and has no say in what is logged: that is the filter's.
    fn event_enabled(&self, _: &tracing::Event<'_>, _: Context<'_, S>) -> bool {
        true
    }
}

/// `EnvFilter` takes a misspelt level for the name of a module of which everything is to be logged.
fn check(filter: &str) -> Result<(), LogError> {
    let is_level =
        |word: &str| word.parse::<tracing::level_filters::LevelFilter>().is_ok() && !word.is_empty();
    let is_target = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-'))
    };
    for directive in filter.split(',').map(str::trim) {
        let fine = match directive.split_once('=') {
            None => is_level(directive),
            Some((target, level)) => is_target(target) && is_level(level),
        };
        if !fine {
            return Err(LogError::Directive(directive.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control() -> (reload::Layer<EnvFilter, Registry>, LogControl) {
        let (layer, handle) = reload::Layer::new(EnvFilter::new("info"));
        (layer, LogControl::new(handle, "info"))
    }

    #[test]
    fn another_filter_holds_for_a_while() {
        let (_layer, control) = control();
        let now = control
            .set("warn,natterjack_edge=debug", Duration::from_secs(60))
            .expect("a filter");
        assert_eq!(now.filter, "warn,natterjack_edge=debug");
        assert!(now.remaining.is_some_and(|left| left > Duration::from_secs(50)));
        assert!(!control.expire().expect("the log is there"));
        control.set("debug", Duration::ZERO).expect("a filter");
        assert!(control.expire().expect("the log is there"));
        let back = control.now();
        assert_eq!((back.filter.as_str(), back.remaining), ("info", None));
    }

    #[test]
    fn a_misspelt_filter_changes_nothing() {
        let (_layer, control) = control();
        let hold = Duration::from_secs(60);
        for wrong in [
            "",
            "debgu",
            "info,,debug",
            "natterjack_edge=loud",
            "[{user=x}]=trace",
            "=debug",
            "a b=debug",
        ] {
            let error = control.set(wrong, hold).expect_err(wrong).to_string();
            assert!(error.contains("level"), "{error}");
        }
        assert_eq!(control.now().filter, "info");
    }

    #[test]
    fn it_is_found_in_the_subscriber() {
        use tracing_subscriber::layer::SubscriberExt as _;
        let (layer, control) = control();
        let subscriber = tracing_subscriber::registry().with(layer).with(control);
        tracing::subscriber::with_default(subscriber, || {
            let found = LogControl::installed().expect("it is part of the subscriber");
            assert!(!tracing::enabled!(target: "natterjack", tracing::Level::DEBUG));
            found.set("debug", Duration::from_secs(60)).expect("a filter");
            assert!(tracing::enabled!(target: "natterjack", tracing::Level::DEBUG));
        });
    }
}

//! Pushes over all real parts: from a user's message through edge, stores and notifier to what a device
//! behind a push service is told, or is not.

mod absent;
mod choices;
mod failures;
mod present;
mod scene;

use std::time::Duration;

/// Where nobody confirms anything: short, since it is waited for.
const SHORT: Duration = Duration::from_millis(500);
/// Where somebody confirms in time, also on a busy machine.
const LONG: Duration = Duration::from_secs(5);

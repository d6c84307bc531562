//! The time of day on this device, for message ids and for the expiry of tokens. The machine itself
//! has no clock: it is told.

use std::time::UNIX_EPOCH;

/// Now, in Unix milliseconds; 0 on a device whose clock stands before 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the client asks what time it is"
)]
pub fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}

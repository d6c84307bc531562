//! Limits that both sides of the wire know.
//!
//! Clients read them from the `ready` frame and never hard-code them.

/// Longest message text, in Unicode scalar values.
pub const TEXT_CHARS_MAX: usize = 100_000;

/// Largest WebSocket frame and HTTP body from a client, in bytes.
///
/// 100,000 four-byte characters escaped as surrogate pairs (`\ud83d\ude00`, 12 bytes each) are
/// 1,200,000 bytes; the rest is room for the envelope.
pub const FRAME_BYTES_MAX: usize = 1_310_720;

/// Most messages in one page of history.
pub const PAGE_MESSAGES_MAX: usize = 200;

/// Most bytes of messages in one page of history; a page holds at least one message whatever its
/// size. It fits the NATS server's default `max_payload` of 1 MiB with one more of the largest
/// messages left out.
pub const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Most conversations in one page of the list and in the `ready` frame.
pub const PAGE_CONVERSATIONS_MAX: usize = 100;

/// Most messages that a resume replays in one conversation before it says `truncated`.
pub const RESUME_MESSAGES_MAX: usize = 1_000;

/// Longest name of a user, a group or a device, in Unicode scalar values.
pub const NAME_CHARS_MAX: usize = 100;

/// Most people whose presence one session watches, or one request asks for.
pub const WATCH_USERS_MAX: usize = 1_000;

/// How long an edge's lease lasts without being rewritten, in milliseconds. With the second that the
/// server may take to notice, and the time to sweep, its users are offline within 10 s.
pub const LEASE_TTL_MS: u64 = 6_000;

/// How often an edge rewrites its lease, in milliseconds: two may be late or lost.
pub const LEASE_INTERVAL_MS: u64 = 2_000;

/// Most edges that one answer of service discovery names.
pub const EDGES_NAMED_MAX: usize = 16;

/// Unread counts stop here: a client shows "999+".
pub const UNREAD_MAX: u32 = 1_000;

/// Largest whole number on the wire: JavaScript counts no further (ECMA-262,
/// `Number.MAX_SAFE_INTEGER`). Sequences and what is asked for in numbers stay below 2^53.
pub const WHOLE_MAX: u64 = (1 << 53) - 1;

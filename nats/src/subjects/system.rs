//! What nats-server answers itself, and what every micro service answers (ADR-32): `$SYS.REQ.SERVER.PING.VARZ`,
//! `$JS.API.STREAM.INFO.<stream>`, `$SRV.INFO`. They are asked by who looks after a cluster, never by a role.

/// Asks every server of the cluster for what its monitoring page `/varz` says; for users of the system
/// account only.
pub const SERVERS: &str = "$SYS.REQ.SERVER.PING.VARZ";

/// Asks every micro service for its name, version and verbs.
pub const SERVICES: &str = "$SRV.INFO";

/// Every stored message: for the users who may read none to be refused.
pub const MESSAGES: &str = "chat.>";

/// Everything that answers come to whose subjects begin so.
#[must_use]
pub fn inboxes(prefix: &str) -> String {
    format!("{prefix}.>")
}

/// Deletes a stream.
#[must_use]
pub fn delete_stream(stream: &str) -> String {
    format!("$JS.API.STREAM.DELETE.{stream}")
}

/// Asks for the state of a stream; the answer says when, by the clock of the stream's leader.
#[must_use]
pub fn stream_info(stream: &str) -> String {
    format!("$JS.API.STREAM.INFO.{stream}")
}

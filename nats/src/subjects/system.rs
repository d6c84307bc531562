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

/// Whether a subject is a place for answers: an inbox of NATS or of a user, or the one by which a server brings
/// an answer to another account.
///
/// The asker names the place. Where it is anything else, such as a key of a bucket or JetStream's API, the answer
/// would do what the asker may not.
#[must_use]
pub fn is_inbox(reply: &str) -> bool {
    ["_INBOX.", "_INBOX_", "_R_."]
        .iter()
        .any(|prefix| reply.starts_with(prefix))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::User;

    #[test]
    fn answers_go_to_inboxes() {
        for user in User::ALL {
            assert!(is_inbox(&format!("{}.x.1", user.inbox_prefix())), "{user}");
        }
        assert!(is_inbox("_INBOX.x.1") && is_inbox("_R_.AbCdEf.GhIjKl"));
        for other in [
            delete_stream("CHAT_0").as_str(),
            "$KV.push_keys.vapid",
            "chat.0.user.u",
            "live.user.u",
            "svc.accounts.log_in",
            "_INBOX",
            "x._INBOX.y",
            "",
        ] {
            assert!(!is_inbox(other), "{other}");
        }
    }
}

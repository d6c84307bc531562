//! The users that a secured cluster has.

use std::fmt;

use super::{ACCOUNT, EDGE_ACCOUNT, SYSTEM_ACCOUNT};

/// Who logs in to NATS. Each has a key of its own and may do just what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum User {
    /// An edge.
    Edge,
    /// A persister.
    Persister,
    /// A presence process.
    Presence,
    /// A notifier.
    Notifier,
    /// `natterjack provision`: makes streams, buckets and consumers, and reads no message.
    Provision,
    /// A person who looks: reads what is no message and no secret.
    Operator,
    /// A person who repairs: may do everything in the account of Natterjack.
    Admin,
    /// A person who looks after the servers themselves: the system account.
    System,
}

impl User {
    /// All users, in the order in which files list them.
    pub const ALL: [Self; 8] = [
        Self::Edge,
        Self::Persister,
        Self::Presence,
        Self::Notifier,
        Self::Provision,
        Self::Operator,
        Self::Admin,
        Self::System,
    ];

    /// The user's name, in the names of files and of inboxes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Persister => "persister",
            Self::Presence => "presence",
            Self::Notifier => "notifier",
            Self::Provision => "provision",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::System => "system",
        }
    }

    /// The account of nats-server that the user is in.
    #[must_use]
    pub const fn account(self) -> &'static str {
        match self {
            Self::Edge => EDGE_ACCOUNT,
            Self::Persister
            | Self::Presence
            | Self::Notifier
            | Self::Provision
            | Self::Operator
            | Self::Admin => ACCOUNT,
            Self::System => SYSTEM_ACCOUNT,
        }
    }

    /// What the inboxes of this user begin with: answers come there, and nobody else may listen.
    #[must_use]
    pub fn inbox_prefix(self) -> String {
        format!("_INBOX_{self}")
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

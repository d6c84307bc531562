//! What one user may see of another. The one place that decides it, for sockets and HTTP alike.

use natterjack_nats::{
    UserId,
    wire::{PresenceRecord, PresenceState, Privacy, ShownState, UserPresence},
};

/// Who looks at somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewer {
    /// Who.
    pub user: UserId,
    /// What they let others see; `None` while it is not known.
    pub privacy: Option<Privacy>,
}

impl Viewer {
    /// Whether this viewer may see a user with that setting, who shares a conversation with them or,
    /// as far as is known, does not. What is not known counts against it.
    #[must_use]
    pub fn sees(&self, user: UserId, privacy: Privacy, related: bool) -> bool {
        if self.user == user {
            return true;
        }
        // Who hides from everybody sees nobody.
        if self.privacy.is_none_or(|own| own == Privacy::Nobody) {
            return false;
        }
        match privacy {
            Privacy::Everyone => true,
            Privacy::Contacts => related,
            Privacy::Nobody => false,
        }
    }
}

/// The part of a record that others may see, and what it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When the app was last in the foreground, Unix milliseconds.
    pub last_seen: Option<u64>,
    /// Whether the user is there.
    pub state: PresenceState,
    /// Who may see it.
    pub privacy: Privacy,
}

impl From<PresenceRecord> for Seen {
    fn from(record: PresenceRecord) -> Self {
        Self {
            last_seen: record.last_seen,
            state: record.state,
            privacy: record.privacy,
        }
    }
}

/// What a viewer sees of a user; of `None`, nothing.
#[must_use]
pub fn shown(user: UserId, seen: Option<&Seen>) -> UserPresence {
    UserPresence {
        user,
        state: seen.map_or(ShownState::Hidden, |seen| seen.state.into()),
        last_seen: seen.and_then(|seen| seen.last_seen),
    }
}

#[cfg(test)]
mod tests {
    use Privacy::{Contacts, Everyone, Nobody};

    use super::*;

    #[test]
    fn the_table_of_who_sees_whom() {
        let (me, other) = (UserId::from_parts(1, 1), UserId::from_parts(2, 2));
        // (what I let others see, what the other lets others see) → a stranger sees, a contact sees.
        let table = [
            (Some(Everyone), Everyone, true, true),
            (Some(Everyone), Contacts, false, true),
            (Some(Everyone), Nobody, false, false),
            (Some(Contacts), Everyone, true, true),
            (Some(Contacts), Contacts, false, true),
            (Some(Contacts), Nobody, false, false),
            (Some(Nobody), Everyone, false, false),
            (Some(Nobody), Contacts, false, false),
            (Some(Nobody), Nobody, false, false),
            (None, Everyone, false, false),
            (None, Contacts, false, false),
            (None, Nobody, false, false),
        ];
        for (own, theirs, stranger, contact) in table {
            let viewer = Viewer {
                user: me,
                privacy: own,
            };
            assert_eq!(viewer.sees(other, theirs, false), stranger, "{own:?} {theirs:?}");
            assert_eq!(viewer.sees(other, theirs, true), contact, "{own:?} {theirs:?}");
            assert!(viewer.sees(me, theirs, false), "oneself one always sees");
        }
    }

    #[test]
    fn what_is_hidden_has_no_time_either() {
        let user = UserId::from_parts(1, 1);
        let seen = Seen {
            last_seen: Some(5),
            state: PresenceState::Offline,
            privacy: Everyone,
        };
        assert_eq!(shown(user, Some(&seen)).last_seen, Some(5));
        let hidden = UserPresence {
            user,
            state: ShownState::Hidden,
            last_seen: None,
        };
        assert_eq!(shown(user, None), hidden);
    }
}

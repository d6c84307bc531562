//! Who is there: whom the session watches, and what it says of them.

use std::collections::{BTreeSet, HashMap};

use natterjack_nats::{
    Conversation, UserId,
    limits::WATCH_USERS_MAX,
    wire::{ConversationSummary, ShownState, UserPresence},
};

use super::session::Session;

/// The people whom a session shows, and what is known of them.
#[derive(Debug, Default)]
pub(super) struct People {
    /// Of the chat that is open.
    here: BTreeSet<UserId>,
    /// Of the chats in the list.
    listed: BTreeSet<UserId>,
    known: HashMap<UserId, ShownState>,
}

impl People {
    /// Those to watch: of the open chat first, if they are too many.
    fn watched(&self) -> Vec<UserId> {
        let others = self.listed.difference(&self.here);
        self.here
            .iter()
            .chain(others)
            .take(WATCH_USERS_MAX)
            .copied()
            .collect()
    }

    /// Takes note; what there is to say of it, if the user is in the open chat.
    fn learn(&mut self, presence: &UserPresence) -> Option<&'static str> {
        let before = self.known.insert(presence.user, presence.state)?;
        if !self.here.contains(&presence.user) {
            return None;
        }
        let is_there = |state| matches!(state, ShownState::Online | ShownState::Away);
        match (before, presence.state) {
            // Whoever hides or shows themselves has neither come nor gone.
            (ShownState::Hidden, _) | (_, ShownState::Hidden) => None,
            (before, now) if !is_there(before) && is_there(now) => Some("is here"),
            (before, now) if is_there(before) && !is_there(now) => Some("has gone"),
            _ => None,
        }
    }

    /// Behind a name in a list; empty where it is offline or not known.
    pub(super) fn mark(&self, user: UserId) -> &'static str {
        match self.known.get(&user) {
            Some(ShownState::Online) => " · online",
            Some(ShownState::Away) => " · away",
            Some(ShownState::Offline | ShownState::Hidden) | None => "",
        }
    }
}

impl Session {
    /// The chats of the list have these people.
    pub(super) fn list_people(&mut self, summaries: &[ConversationSummary]) {
        let peers = summaries.iter().filter_map(|summary| summary.peer.as_ref());
        let people = peers.map(|peer| peer.id).filter(|user| *user != self.me.id);
        self.people.listed.extend(people);
        self.watch_people();
    }

    /// Something was said in a chat: it is in the list from now on.
    pub(super) fn hear_people(&mut self, conversation: Conversation) {
        if let Conversation::Dm(dm) = conversation
            && let Some(peer) = dm.peer_of(self.me.id).filter(|peer| *peer != self.me.id)
            && self.people.listed.insert(peer)
        {
            self.watch_people();
        }
    }

    /// Another chat was opened.
    pub(super) async fn meet_people(&mut self, conversation: Conversation) {
        let here: BTreeSet<UserId> = match conversation {
            Conversation::Dm(dm) => dm.peer_of(self.me.id).into_iter().collect(),
            Conversation::Group(_) => match self.api.members(conversation).await {
                Ok(members) => members.into_iter().map(|member| member.user.id).collect(),
                // Only a courtesy: the chat works without it.
                Err(_) => BTreeSet::new(),
            },
            Conversation::User(_) => BTreeSet::new(),
        };
        self.people.here = here;
        self.people.here.remove(&self.me.id);
        self.watch_people();
    }

    /// A full queue is rare, and the next chat that is opened says it again.
    fn watch_people(&mut self) {
        let watched = self.people.watched();
        let set: BTreeSet<_> = watched.iter().copied().collect();
        self.people.known.retain(|user, _| set.contains(user));
        let _ = self.client.watch(watched);
    }

    pub(super) async fn presence(&mut self, users: &[UserPresence]) {
        for presence in users {
            if let Some(what) = self.people.learn(presence) {
                let name = self.names.user(presence.user).await;
                self.screen.note(&format!("{name} {what}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u128) -> UserId {
        UserId::from_parts(1, number)
    }

    fn says(people: &mut People, number: u128, state: ShownState) -> Option<&'static str> {
        people.learn(&UserPresence {
            user: user(number),
            state,
            last_seen: None,
        })
    }

    #[test]
    fn only_who_comes_or_goes_in_the_open_chat_is_spoken_of() {
        use ShownState::{Away, Hidden, Offline, Online};
        let mut people = People {
            here: BTreeSet::from([user(1)]),
            listed: BTreeSet::from([user(1), user(2)]),
            ..People::default()
        };
        assert_eq!(
            says(&mut people, 1, Online),
            None,
            "who is there already is no news"
        );
        assert_eq!(says(&mut people, 1, Away), None);
        assert_eq!(people.mark(user(1)), " · away");
        assert_eq!(says(&mut people, 1, Offline), Some("has gone"));
        assert_eq!(says(&mut people, 1, Online), Some("is here"));
        assert_eq!(says(&mut people, 1, Hidden), None);
        assert_eq!(says(&mut people, 1, Offline), None);
        for state in [Online, Offline, Online] {
            assert_eq!(says(&mut people, 2, state), None, "not in this chat");
        }
        assert_eq!(people.mark(user(2)), " · online");
    }

    #[test]
    fn no_more_are_watched_than_a_server_takes_and_those_here_first() {
        let people = People {
            here: BTreeSet::from([user(5_000)]),
            listed: (0..2_000).map(user).collect(),
            ..People::default()
        };
        let watched = people.watched();
        assert_eq!((watched.len(), watched[0]), (WATCH_USERS_MAX, user(5_000)));
    }
}

//! What users and conversations are called.

use std::collections::HashMap;

use natterjack_client::Api;
use natterjack_nats::{
    Conversation, GroupId, UserId,
    wire::{ConversationSummary, Profile},
};

use super::text::clean_line;

/// Beyond so many, names are asked again.
const NAMES_MAX: usize = 10_000;

pub(super) struct Names {
    api: Api,
    me: UserId,
    users: HashMap<UserId, String>,
    groups: HashMap<GroupId, String>,
}

impl Names {
    pub(super) fn new(api: Api, me: &Profile) -> Self {
        let mut names = Self {
            api,
            me: me.id,
            users: HashMap::new(),
            groups: HashMap::new(),
        };
        names.learn(me);
        names
    }

    pub(super) fn learn(&mut self, profile: &Profile) -> String {
        if self.users.len() >= NAMES_MAX {
            self.users.clear();
        }
        // Handles are unique; names are not, and anybody may choose anybody's.
        let name = clean_line(profile.handle.as_ref().unwrap_or(&profile.name));
        self.users.insert(profile.id, name.clone());
        name
    }

    pub(super) fn learn_title(&mut self, group: GroupId, title: &str) {
        if self.groups.len() >= NAMES_MAX {
            self.groups.clear();
        }
        self.groups.insert(group, clean_line(title));
    }

    /// What a summary tells; answers with the conversation's name.
    pub(super) fn learn_summary(&mut self, summary: &ConversationSummary) -> String {
        if let Some(peer) = &summary.peer {
            self.learn(peer);
        }
        if let (Conversation::Group(group), Some(title)) = (summary.conversation, &summary.title) {
            self.learn_title(group, title);
        }
        let unknown = || summary.conversation.to_string();
        self.known(&summary.conversation).unwrap_or_else(unknown)
    }

    pub(super) async fn user(&mut self, user: UserId) -> String {
        if let Some(name) = self.users.get(&user) {
            return name.clone();
        }
        match self.api.user(user).await {
            Ok(profile) => self.learn(&profile),
            Err(_) => "somebody".to_owned(),
        }
    }

    pub(super) async fn conversation(&mut self, conversation: &Conversation) -> String {
        if let Some(name) = self.known(conversation) {
            return name;
        }
        match self.api.conversation(*conversation).await {
            Ok(summary) => self.learn_summary(&summary),
            Err(_) => "a chat".to_owned(),
        }
    }

    fn known(&self, conversation: &Conversation) -> Option<String> {
        match conversation {
            Conversation::Dm(dm) => match dm.peer_of(self.me)? {
                peer if peer == self.me => Some("notes to self".to_owned()),
                peer => self.users.get(&peer).cloned(),
            },
            Conversation::Group(group) => self.groups.get(group).cloned(),
            Conversation::User(_) => None,
        }
    }
}

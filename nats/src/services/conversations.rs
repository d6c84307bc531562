//! `svc.conversations.<verb>`: the list, groups and their members.

use std::{collections::BTreeMap, time::Duration};

use async_nats::Client;
use serde::{Deserialize, Serialize};

use super::{call, names, verbs};
use crate::{
    conversation::Conversation,
    ids::{GroupId, RequestId, UserId},
    wire::{Code, ConversationSummary, Member, Mute, Profile, PushPreview, Role, WireError},
};

/// All that an edge needs when a user connects, in one call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenSession {
    /// Who connects.
    pub user: UserId,
    /// The client's cursors, if it was here before.
    pub resume: Option<BTreeMap<Conversation, u64>>,
}

/// The answer to [`OpenSession`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// The user.
    pub user: Profile,
    /// Every group that the user is in.
    pub groups: Vec<GroupId>,
    /// Most members of a group.
    pub group_members_max: u32,
    /// Per shard: the sequence up to which Postgres was complete *before* the rest was read. A
    /// message beyond it in a conversation that is not named here has not been told to anybody.
    pub watermarks: Vec<u64>,
    /// The last message of the user's own log beyond its shard's watermark, 0 if there is none:
    /// `groups` tells what it says already.
    pub log_head: u64,
    /// The first page of the list.
    pub conversations: Vec<ConversationSummary>,
    /// Asks for the next page.
    pub next: Option<String>,
    /// With `resume`: the conversations whose head is beyond the client's cursor, most recent
    /// first, at most 1,000.
    pub behind: Vec<Behind>,
    /// Whether `behind` names them all.
    pub behind_complete: bool,
}

/// A conversation in which a returning client misses something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Which.
    pub conversation: Conversation,
    /// The client's cursor; 0 where it gave none.
    pub cursor: u64,
    /// The last message's sequence.
    pub head: u64,
}

/// Where a user's conversations stand: an edge compares it with what it heard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heads {
    /// Whose.
    pub user: UserId,
    /// The groups that the edge knows the user to be in.
    pub groups: Vec<GroupId>,
    /// Per shard: only what lies beyond this sequence is asked for.
    pub after: Vec<u64>,
}

/// The answer to [`Heads`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stand {
    /// Each conversation that has a message beyond `after`, with the sequence of its last one.
    pub heads: Vec<(Conversation, u64)>,
    /// Per shard: up to here the heads are all that there are, at least up to `after`.
    pub told: Vec<u64>,
}

/// A page of the conversation list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct List {
    /// Whose.
    pub user: UserId,
    /// The `next` of the page before.
    pub page: Option<String>,
    /// At most [`crate::limits::PAGE_CONVERSATIONS_MAX`].
    pub limit: usize,
}

/// The answer to [`List`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListPage {
    /// Most recent first.
    pub conversations: Vec<ConversationSummary>,
    /// Asks for the next page; absent on the last.
    pub next: Option<String>,
}

/// One conversation as in the list; a 1:1 chat without messages too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct One {
    /// Whose view.
    pub user: UserId,
    /// Which.
    pub conversation: Conversation,
}

/// The members of a group, or the two of a 1:1 chat, with their cursors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Members {
    /// Who asks.
    pub user: UserId,
    /// Of which conversation.
    pub conversation: Conversation,
}

/// A new group; the user becomes its owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreateGroup {
    /// Who makes it.
    pub user: UserId,
    /// What the client names this request by, so that the same again makes no second group; the group's id is derived
    /// from it and the user ([`crate::conversation::group_of_request`]), or random without it.
    #[serde(default)]
    pub request_id: Option<RequestId>,
    /// Its title.
    pub title: String,
    /// Further members from the start.
    pub members: Vec<UserId>,
}

/// A new title; owners and admins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rename {
    /// Who does it.
    pub user: UserId,
    /// Of which group.
    pub group: GroupId,
    /// The new title.
    pub title: String,
}

/// New members; owners and admins. Those who are in already are left as they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddMembers {
    /// Who does it.
    pub user: UserId,
    /// To which group.
    pub group: GroupId,
    /// Whom; all or, where the size limit or an unknown user forbids it, none.
    pub members: Vec<UserId>,
}

/// One member less: oneself (leave), or somebody of a lower role (owners and admins).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveMember {
    /// Who does it.
    pub user: UserId,
    /// From which group.
    pub group: GroupId,
    /// Whom.
    pub member: UserId,
}

/// Another role; owners only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetRole {
    /// Who does it.
    pub user: UserId,
    /// In which group.
    pub group: GroupId,
    /// Whose.
    pub member: UserId,
    /// The new role.
    pub role: Role,
}

/// Which of these users share a conversation with a user: a 1:1 chat with a message in it, or a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Related {
    /// Who.
    pub user: UserId,
    /// With whom, perhaps; at most [`crate::limits::WATCH_USERS_MAX`].
    pub others: Vec<UserId>,
}

/// Mutes a conversation for a user, or takes it back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetMute {
    /// For whom.
    pub user: UserId,
    /// Which.
    pub conversation: Conversation,
    /// How; absent: not any more.
    #[serde(default)]
    pub mute: Option<Mute>,
}

/// Most conversations that [`Audiences`] asks for.
pub const AUDIENCE_CONVERSATIONS_MAX: usize = 100;

/// Most users that [`Badges`] asks for.
pub const BADGE_USERS_MAX: usize = 1_000;

/// Who may have to be pushed for a message in these conversations.
///
/// **The answer may be shorter:** it has an entry for each of them, in this order, as many as fit into a
/// message of NATS and at least one. Ask again for the rest, or use [`audiences`]. One that does not exist
/// has nobody in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Audiences {
    /// At most [`AUDIENCE_CONVERSATIONS_MAX`].
    pub conversations: Vec<Conversation>,
}

/// Those who are in a conversation: an entry of the answer to [`Audiences`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    /// Which.
    pub conversation: Conversation,
    /// A group's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Everybody, in any order.
    pub members: Vec<Listener>,
}

/// One of an [`Audience`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Who.
    pub user: UserId,
    /// By which name others mention them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// The name to show.
    pub name: String,
    /// Since when, Unix milliseconds; 0 in a 1:1 chat.
    pub joined_at: u64,
    /// How far they have read, as Postgres knows it.
    pub read: u64,
    /// They have muted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute: Option<Mute>,
    /// How much pushes to them say at most.
    pub push_preview: PushPreview,
}

/// How much users have not read: what a badge on an app's icon shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Badges {
    /// At most [`BADGE_USERS_MAX`].
    pub users: Vec<UserId>,
}

/// An entry of the answer to [`Badges`]: one for each of the users, in their order. Messages that Postgres
/// does not have yet are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Badge {
    /// Who.
    pub user: UserId,
    /// Texts of others beyond the read cursor, over all conversations that are not muted; at most
    /// [`crate::limits::UNREAD_MAX`].
    pub unread: u32,
}

/// The audiences of all these conversations, in their order, however many and however large they are:
/// asks [`Audiences`] as often as it takes.
///
/// # Errors
/// As [`call`].
pub async fn audiences(
    client: &Client,
    conversations: &[Conversation],
    timeout: Duration,
) -> Result<Vec<Audience>, WireError> {
    let mut found: Vec<Audience> = Vec::with_capacity(conversations.len());
    while let Some(rest) = conversations.get(found.len()..).filter(|rest| !rest.is_empty()) {
        let some = rest.iter().take(AUDIENCE_CONVERSATIONS_MAX).copied();
        let request = Audiences {
            conversations: some.collect(),
        };
        let answer = call(client, &request, timeout).await?;
        let told = answer.iter().map(|audience| &audience.conversation);
        if answer.is_empty() || !told.eq(rest.iter().take(answer.len())) {
            let message = "the conversations service answered about others than it was asked for";
            return Err(WireError::new(Code::Internal, message));
        }
        found.extend(answer);
    }
    Ok(found)
}

verbs! { names::CONVERSATIONS =>
    OpenSession as "open_session" -> Session;
    Heads as "heads" -> Stand;
    List as "list" -> ListPage;
    One as "one" -> ConversationSummary;
    Members as "members" -> Vec<Member>;
    CreateGroup as "create_group" -> ConversationSummary;
    Rename as "rename" -> ConversationSummary;
    AddMembers as "add_members" -> ConversationSummary;
    RemoveMember as "remove_member" -> super::Done;
    SetRole as "set_role" -> super::Done;
    Related as "related" -> Vec<UserId>;
    SetMute as "set_mute" -> ConversationSummary;
    Audiences as "audiences" -> Vec<Audience>;
    Badges as "badges" -> Vec<Badge>;
}

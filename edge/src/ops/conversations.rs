//! The conversation list, groups and their members.

use natterjack_nats::{
    Conversation, GroupId, RequestId, UserId,
    limits::PAGE_CONVERSATIONS_MAX,
    services::conversations::{
        AddMembers, CreateGroup, List, ListPage, Members, One, RemoveMember, Rename, SetRole,
    },
    wire::{Code, ConversationSummary, Member, Role, WireError},
};

use super::Caller;
use crate::app::App;

/// Longest page token; longer ones are not ours.
const PAGE_TOKEN_BYTES_MAX: usize = 200;

impl App {
    /// A page of the caller's conversations, most recent first.
    ///
    /// # Errors
    /// `bad_request` for a page token that is none, or the service is away.
    pub async fn conversations(
        &self,
        caller: &Caller,
        page: Option<String>,
        limit: usize,
    ) -> Result<ListPage, WireError> {
        if page
            .as_ref()
            .is_some_and(|page| page.len() > PAGE_TOKEN_BYTES_MAX)
        {
            return Err(WireError::new(
                Code::BadRequest,
                "`page` takes the `next` of the page before",
            ));
        }
        self.ask(&List {
            user: caller.user,
            page,
            limit: limit.clamp(1, PAGE_CONVERSATIONS_MAX),
        })
        .await
    }

    /// One conversation as in the list.
    ///
    /// # Errors
    /// `not_member`, `not_found`, or the service is away.
    pub async fn conversation(
        &self,
        caller: &Caller,
        conversation: Conversation,
    ) -> Result<ConversationSummary, WireError> {
        admitted(caller, &conversation)?;
        let user = caller.user;
        self.ask(&One { user, conversation }).await
    }

    /// Who is in a conversation, and how far they have got.
    ///
    /// # Errors
    /// `not_member`, or the service is away.
    pub async fn members(
        &self,
        caller: &Caller,
        conversation: Conversation,
    ) -> Result<Vec<Member>, WireError> {
        admitted(caller, &conversation)?;
        let user = caller.user;
        self.ask(&Members { user, conversation }).await
    }

    /// Makes a group; the caller owns it. With a `request_id` of the client's, the same again makes no second one.
    ///
    /// # Errors
    /// `bad_request`, `group_full`, `not_found` for an unknown user, `not_member` if the same request made a group that the
    /// caller has left, or the service is away.
    pub async fn create_group(
        &self,
        caller: &Caller,
        request_id: Option<RequestId>,
        title: String,
        members: Vec<UserId>,
    ) -> Result<ConversationSummary, WireError> {
        self.ask(&CreateGroup {
            user: caller.user,
            request_id,
            title,
            members,
        })
        .await
    }

    /// Gives a group a new title.
    ///
    /// # Errors
    /// `bad_request`, `not_member`, `forbidden`, or the service is away.
    pub async fn rename_group(
        &self,
        caller: &Caller,
        group: GroupId,
        title: String,
    ) -> Result<ConversationSummary, WireError> {
        let user = caller.user;
        self.ask(&Rename { user, group, title }).await
    }

    /// Adds members to a group: all or none.
    ///
    /// # Errors
    /// `not_member`, `forbidden`, `group_full`, `not_found`, or the service is away.
    pub async fn add_members(
        &self,
        caller: &Caller,
        group: GroupId,
        members: Vec<UserId>,
    ) -> Result<ConversationSummary, WireError> {
        let user = caller.user;
        self.ask(&AddMembers { user, group, members }).await
    }

    /// Takes a member out of a group; oneself is to leave.
    ///
    /// # Errors
    /// `not_member`, `forbidden`, `last_owner`, or the service is away.
    pub async fn remove_member(
        &self,
        caller: &Caller,
        group: GroupId,
        member: UserId,
    ) -> Result<(), WireError> {
        let user = caller.user;
        self.ask(&RemoveMember { user, group, member }).await?;
        Ok(())
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// `not_member`, `forbidden`, `last_owner`, or the service is away.
    pub async fn set_role(
        &self,
        caller: &Caller,
        group: GroupId,
        member: UserId,
        role: Role,
    ) -> Result<(), WireError> {
        self.ask(&SetRole {
            user: caller.user,
            group,
            member,
            role,
        })
        .await?;
        Ok(())
    }
}

/// Refuses a conversation whose very name does not admit the caller, without asking anybody.
pub(super) fn admitted(caller: &Caller, conversation: &Conversation) -> Result<(), WireError> {
    if conversation.admits(caller.user) == Some(false) {
        return Err(WireError::new(
            Code::NotMember,
            "you are not in this conversation",
        ));
    }
    Ok(())
}

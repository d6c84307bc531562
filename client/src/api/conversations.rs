//! The conversation list, groups and their members.

use natterjack_nats::{
    Conversation, GroupId, UserId,
    services::conversations::ListPage,
    wire::{ConversationSummary, Member, Role},
};
use reqwest::Method;
use serde_json::json;

use super::{Api, Call};
use crate::error::ApiError;

impl Api {
    /// A page of one's conversations, most recent first.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn conversations(
        &self,
        page: Option<&str>,
        limit: Option<usize>,
    ) -> Result<ListPage, ApiError> {
        let call = Call::get("/v1/conversations").query("page", page);
        self.call(call.query("limit", limit)).await
    }

    /// One conversation as in the list; a 1:1 chat without messages too.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn conversation(&self, conversation: Conversation) -> Result<ConversationSummary, ApiError> {
        self.call(Call::get(format!("/v1/conversations/{conversation}")))
            .await
    }

    /// A new group, whose owner one becomes.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn create_group(
        &self,
        title: &str,
        members: &[UserId],
    ) -> Result<ConversationSummary, ApiError> {
        let body = json!({ "title": title, "members": members });
        self.call(Call::new(Method::POST, "/v1/groups").body(body)).await
    }

    /// Another title.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn rename_group(&self, group: GroupId, title: &str) -> Result<ConversationSummary, ApiError> {
        let call = Call::new(Method::PATCH, format!("/v1/groups/{group}"));
        self.call(call.body(json!({ "title": title }))).await
    }

    /// The members of a group, or the two of a 1:1 chat, with their cursors.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn members(&self, conversation: Conversation) -> Result<Vec<Member>, ApiError> {
        self.call(Call::get(format!("/v1/conversations/{conversation}/members")))
            .await
    }

    /// New members, all or none.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn add_members(
        &self,
        group: GroupId,
        users: &[UserId],
    ) -> Result<ConversationSummary, ApiError> {
        let call = Call::new(Method::POST, format!("/v1/groups/{group}/members"));
        self.call(call.body(json!({ "users": users }))).await
    }

    /// One member less; oneself: leave.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn remove_member(&self, group: GroupId, user: UserId) -> Result<(), ApiError> {
        self.done(Call::new(
            Method::DELETE,
            format!("/v1/groups/{group}/members/{user}"),
        ))
        .await
    }

    /// Another role for a member.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn set_role(&self, group: GroupId, user: UserId, role: Role) -> Result<(), ApiError> {
        let call = Call::new(Method::PATCH, format!("/v1/groups/{group}/members/{user}"));
        self.done(call.body(json!({ "role": role }))).await
    }
}

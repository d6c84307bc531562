//! What the persister knows of people: who is in a conversation, their names and badges.

use std::{collections::HashMap, time::Duration};

use async_nats::Client;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use natterjack_nats::{
    Conversation, UserId,
    services::{
        self, Verb,
        accounts::Profiles,
        conversations::{self, AUDIENCE_CONVERSATIONS_MAX, Audience, BADGE_USERS_MAX, Badges, One},
    },
    wire::WireError,
};

/// How long the persister may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most users that it names in one answer.
const PROFILES_MAX: usize = 100;
/// Questions at once.
const AT_ONCE: usize = 4;

/// Asks the persister; cheap to clone.
#[derive(Debug, Clone)]
pub struct People {
    client: Client,
}

impl People {
    /// Through this connection.
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    /// Who is in these conversations; nobody is in what does not exist.
    ///
    /// # Errors
    /// The persister is away.
    pub async fn audiences(
        &self,
        conversations: &[Conversation],
    ) -> Result<HashMap<Conversation, Audience>, WireError> {
        let parts = conversations.chunks(AUDIENCE_CONVERSATIONS_MAX);
        let questions: Vec<_> = parts
            .map(|part| conversations::audiences(&self.client, part, TIMEOUT))
            .collect();
        let answers = stream::iter(questions).buffer_unordered(AT_ONCE);
        let answers: Vec<Vec<Audience>> = answers.try_collect().await?;
        let named = answers.into_iter().flatten();
        Ok(named.map(|audience| (audience.conversation, audience)).collect())
    }

    /// How much these users have not read.
    ///
    /// # Errors
    /// The persister is away.
    pub async fn badges(&self, users: &[UserId]) -> Result<HashMap<UserId, u32>, WireError> {
        let parts = users
            .chunks(BADGE_USERS_MAX)
            .map(|part| Badges { users: part.to_vec() });
        let badges = self.ask(parts.collect()).await?;
        let badges = badges.into_iter().flatten();
        Ok(badges.map(|badge| (badge.user, badge.unread)).collect())
    }

    /// Whether there is something in a conversation that the user has not read; not if they are no longer in it.
    ///
    /// # Errors
    /// The persister is away.
    pub async fn has_unread(&self, user: UserId, conversation: Conversation) -> Result<bool, WireError> {
        match services::call(&self.client, &One { user, conversation }, TIMEOUT).await {
            Ok(summary) => Ok(summary.unread > 0),
            Err(error) if !error.retryable => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The names of these users; who does not exist is left out.
    ///
    /// # Errors
    /// The persister is away.
    pub async fn names(&self, users: &[UserId]) -> Result<HashMap<UserId, String>, WireError> {
        let parts = users
            .chunks(PROFILES_MAX)
            .map(|part| Profiles { users: part.to_vec() });
        let profiles = self.ask(parts.collect()).await?;
        let profiles = profiles.into_iter().flatten();
        Ok(profiles.map(|profile| (profile.id, profile.name)).collect())
    }

    async fn ask<V: Verb + Sync>(&self, parts: Vec<V>) -> Result<Vec<V::Reply>, WireError> {
        let questions = parts
            .iter()
            .map(|part| services::call(&self.client, part, TIMEOUT));
        let questions: Vec<_> = questions.collect();
        stream::iter(questions)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}

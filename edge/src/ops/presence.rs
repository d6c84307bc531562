//! Who is there, asked once, and who may see it of oneself.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use natterjack_nats::{
    UserId,
    limits::WATCH_USERS_MAX,
    services::{
        accounts::Settings,
        call,
        conversations::Related,
        presence::{Known, Query, SetPrivacy},
    },
    wire::{Code, Me, Privacy, PushPreview, UserPresence, WireError},
};

use super::Caller;
use crate::{
    app::{App, SERVICE_TIMEOUT},
    presence::{
        privacy::{Viewer, shown},
        watch::count_users,
    },
};

/// How long one's own profile waits for presence, without which it is nearly whole.
const ME_TIMEOUT: Duration = Duration::from_secs(1);

impl App {
    /// What the caller may see of these users, each once and in this order.
    ///
    /// # Errors
    /// `bad_request` for too many; `rate_limited`; presence is away.
    pub async fn presence_of(
        &self,
        caller: &Caller,
        mut users: Vec<UserId>,
    ) -> Result<Vec<UserPresence>, WireError> {
        count_users(users.len())?;
        self.limits.presence(caller.user)?;
        let mut told = HashSet::new();
        users.retain(|user| told.insert(*user));
        if users.is_empty() {
            return Ok(vec![]);
        }
        let mut asked = users.clone();
        if !told.contains(&caller.user) {
            asked.push(caller.user);
        }
        let mut known = HashMap::new();
        // One more than fits, if the caller is not among them.
        for some in asked.chunks(WATCH_USERS_MAX) {
            let answer = self.known(some.to_vec(), SERVICE_TIMEOUT).await?;
            known.extend(
                answer
                    .into_iter()
                    .map(|Known { user, record, .. }| (user, record)),
            );
        }
        let record = |user: UserId| known.get(&user).copied();
        let viewer = Viewer {
            user: caller.user,
            privacy: record(caller.user).map(|own| own.privacy),
        };
        let others = users.iter().copied().filter(|user| {
            *user != caller.user && record(*user).is_some_and(|one| one.privacy == Privacy::Contacts)
        });
        let related = self.related(viewer, others.collect()).await;
        let tell = |user: &UserId| {
            let seen = record(*user)
                .filter(|one| viewer.sees(*user, one.privacy, related.contains(user)))
                .map(Into::into);
            shown(*user, seen.as_ref())
        };
        Ok(users.iter().map(tell).collect())
    }

    /// What is stored of these users, at most [`WATCH_USERS_MAX`] of them.
    ///
    /// # Errors
    /// `unavailable` if presence is away or does not answer in time: nothing is in doubt by that.
    pub(crate) async fn known(&self, users: Vec<UserId>, limit: Duration) -> Result<Vec<Known>, WireError> {
        let answer = call(&self.nats.service, &Query { users }, limit).await;
        answer.map_err(|error| match error.code {
            Code::Timeout => {
                let message = "presence does not answer in time; try again soon";
                WireError::new(Code::Unavailable, message).retry_after_ms(1_000)
            }
            _ => error,
        })
    }

    /// Who of these shares a conversation with the viewer; nobody, as long as that cannot be asked.
    async fn related(&self, viewer: Viewer, others: Vec<UserId>) -> HashSet<UserId> {
        if others.is_empty() || viewer.privacy == Some(Privacy::Nobody) {
            return HashSet::new();
        }
        let user = viewer.user;
        match self.ask(&Related { user, others }).await {
            Ok(related) => related.into_iter().collect(),
            Err(error) => {
                tracing::debug!(%user, %error, "who shares conversations could not be asked");
                HashSet::new()
            }
        }
    }

    /// The caller's own profile, with what others do not see. While presence is away, who may see it is
    /// left out: the rest works without.
    ///
    /// # Errors
    /// `not_found`, or the accounts are away.
    pub async fn me(&self, caller: &Caller) -> Result<Me, WireError> {
        let known = self.known(vec![caller.user], ME_TIMEOUT);
        let settings = Settings { user: caller.user };
        let (profile, chosen, known) = tokio::join!(self.user(caller.user), self.ask(&settings), known);
        let own = known.ok().and_then(|known| known.first().copied());
        Ok(Me {
            profile: profile?,
            presence: own.map(|own| own.record.privacy),
            push_preview: chosen?.push_preview,
        })
    }

    /// Changes the caller's name, who may see their presence, how much pushes say, or several of them.
    ///
    /// # Errors
    /// `bad_request`, `rate_limited`, or a part that is needed is away; some of it may be changed already
    /// then, and the same request may be repeated.
    pub async fn change_me(
        &self,
        caller: &Caller,
        name: Option<String>,
        presence: Option<Privacy>,
        push_preview: Option<PushPreview>,
    ) -> Result<Me, WireError> {
        if let Some(name) = name {
            self.set_profile(caller, name).await?;
        }
        if let Some(privacy) = presence {
            let user = caller.user;
            self.ask(&SetPrivacy { user, privacy }).await?;
        }
        if let Some(preview) = push_preview {
            self.set_push_preview(caller, preview).await?;
        }
        let me = self.me(caller).await?;
        // What was just stored may not have reached whoever answers.
        Ok(Me {
            presence: presence.or(me.presence),
            ..me
        })
    }
}

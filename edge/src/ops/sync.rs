//! Sync: everything after a cursor in all of a user's conversations, at once or as soon as there
//! is something (long polling). The same as a resumed socket hears, for networks that break
//! sockets.

mod cursor;

use std::time::Duration;

use cursor::SyncCursor;
use natterjack_nats::{
    DeviceId, UserId,
    limits::{PAGE_CONVERSATIONS_MAX, PAGE_MESSAGES_MAX},
    services::history::Sync,
    wire::{SyncPage, WireError},
};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep, timeout_at},
};

use super::Caller;
use crate::{
    app::App,
    auth::{Identity, revoked},
};

/// Shortest time between two looks of one poll: whatever wakes it may be nothing to tell.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

impl App {
    /// What follows a cursor; waits up to `wait` if that is nothing, and as long as it does the device
    /// counts as connected, with the app in the foreground if `active`. Without a cursor: a cursor at
    /// the present and the first page of conversations.
    ///
    /// # Errors
    /// `bad_request` for a cursor that is none, `rate_limited` for too many polls at once,
    /// `revoked` while waiting, `unavailable` for a wait on an edge that drains, or a service is away.
    pub async fn sync(
        &self,
        identity: &Identity,
        cursor: Option<&str>,
        wait: Duration,
        active: bool,
    ) -> Result<SyncPage, WireError> {
        let caller = identity.caller();
        let Some(cursor) = cursor else {
            return self.sync_from_now(&caller).await;
        };
        let cursor = SyncCursor::parse(cursor, self.shards)?;
        if !wait.is_zero() {
            self.drain.open()?;
        }
        let until = Instant::now() + wait;
        let (cursor, page) = self.synced(&caller, cursor).await?;
        if wait.is_zero() || has_news(&page) {
            return Ok(page);
        }
        self.sync_when_heard(identity, cursor, until, active).await
    }

    /// The cursor is taken before the list is read: what comes in between is told twice rather
    /// than never.
    async fn sync_from_now(&self, caller: &Caller) -> Result<SyncPage, WireError> {
        let request = Sync {
            user: caller.user,
            cursor: None,
            limit: PAGE_MESSAGES_MAX,
        };
        let synced = self.ask(&request).await?;
        let list = self.conversations(caller, None, PAGE_CONVERSATIONS_MAX).await?;
        Ok(SyncPage {
            cursor: SyncCursor(synced.cursor).to_string(),
            messages: Vec::new(),
            more: synced.more,
            conversations: Some(list.conversations),
            next: list.next,
        })
    }

    async fn synced(&self, caller: &Caller, cursor: SyncCursor) -> Result<(SyncCursor, SyncPage), WireError> {
        let request = Sync {
            user: caller.user,
            cursor: Some(cursor.0),
            limit: PAGE_MESSAGES_MAX,
        };
        let synced = self.ask(&request).await?;
        let cursor = SyncCursor(synced.cursor);
        let page = SyncPage {
            cursor: cursor.to_string(),
            messages: synced.messages,
            more: synced.more,
            conversations: None,
            next: None,
        };
        Ok((cursor, page))
    }

    /// Listens first and looks then, so that nothing falls between the two.
    async fn sync_when_heard(
        &self,
        identity: &Identity,
        mut cursor: SyncCursor,
        until: Instant,
        active: bool,
    ) -> Result<SyncPage, WireError> {
        let mut revocations = self.auth.revocations();
        let mut ear = self.hub.listen(identity.user).await?;
        let _present = self.sessions.enter(identity.user, identity.device, active);
        let mut looks = 0_u32;
        loop {
            let (next, page) = self.synced(&identity.caller(), cursor).await?;
            if has_news(&page) || Instant::now() >= until {
                return Ok(page);
            }
            cursor = next;
            // A look that was worth nothing: the next one is not taken at once.
            looks += 1;
            if looks > 1 {
                sleep(LOOK_INTERVAL).await;
            }
            tokio::select! {
                heard = timeout_at(until, ear.next()) => if heard.is_err() {
                    return Ok(page);
                },
                () = self.revocation(identity, &mut revocations) => return Err(revoked()),
                // An edge that drains lets its long polls go: the client asks another one.
                () = self.drain.begun() => return Ok(page),
            }
        }
    }

    /// Resolves once the device is revoked.
    async fn revocation(&self, identity: &Identity, heard: &mut Receiver<(UserId, DeviceId)>) {
        loop {
            // Of another device, or too many to tell which: what counts is the set.
            let closed = heard.recv().await == Err(RecvError::Closed);
            if self.auth.is_revoked(identity) {
                return;
            }
            if closed {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Whether a poll should be answered now.
const fn has_news(page: &SyncPage) -> bool {
    !page.messages.is_empty() || page.more
}

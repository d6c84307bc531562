//! Sync: everything after a cursor in all of a user's conversations, at once or as soon as there
//! is something (long polling). The same as a resumed socket hears, for networks that break
//! sockets.

mod cursor;

use std::time::Duration;

use cursor::SyncCursor;
use natterjack_nats::{
    limits::{PAGE_CONVERSATIONS_MAX, PAGE_MESSAGES_MAX},
    services::{conversations::OpenSession, history::Sync},
    wire::{Code, SyncPage, WireError},
};
use tokio::{sync::broadcast::error::RecvError, time::Instant};

use super::Caller;
use crate::app::App;

impl App {
    /// What follows a cursor; waits up to `wait` if that is nothing. Without a cursor: a cursor at
    /// the present and the first page of conversations.
    ///
    /// # Errors
    /// `bad_request` for a cursor that is none, `revoked` while waiting, or a service is away.
    pub async fn sync(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
        wait: Duration,
    ) -> Result<SyncPage, WireError> {
        let Some(cursor) = cursor else {
            return self.sync_from_now(caller).await;
        };
        let cursor = SyncCursor::parse(cursor, self.shards)?;
        let until = Instant::now() + wait;
        let page = self.synced(caller, cursor).await?;
        if wait.is_zero() || !page.1.messages.is_empty() || page.1.more {
            return Ok(page.1);
        }
        self.wait_and_sync(caller, page.0, until).await
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
    async fn wait_and_sync(
        &self,
        caller: &Caller,
        mut cursor: SyncCursor,
        until: Instant,
    ) -> Result<SyncPage, WireError> {
        let mut revocations = self.auth.revocations();
        let groups = self
            .ask(&OpenSession {
                user: caller.user,
                resume: None,
            })
            .await?
            .groups;
        let mut heard = self.hub.listen(caller.user, &groups).await?;
        loop {
            let (next, page) = self.synced(caller, cursor).await?;
            if !page.messages.is_empty() || page.more {
                return Ok(page);
            }
            cursor = next;
            let stopped = async {
                loop {
                    match revocations.recv().await {
                        Ok(revoked) if revoked == (caller.user, caller.device) => return,
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
            };
            tokio::select! {
                () = heard.next() => {}
                () = stopped => {
                    return Err(WireError::new(Code::Revoked, "this device was logged out: log in again"));
                }
                // An edge that drains lets its long polls go: the client asks another one.
                () = self.tasks.shutdown().draining() => return Ok(page),
                () = tokio::time::sleep_until(until) => return Ok(page),
            }
        }
    }
}

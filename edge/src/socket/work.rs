//! What a session has under way: each piece of work is a future that ends in a [`Done`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use natterjack_nats::{
    Conversation, MessageId, UserId,
    limits::{PAGE_CONVERSATIONS_MAX, PAGE_MESSAGES_MAX},
    services::conversations::{ListPage, Session},
    wire::{HelloDevice, HistoryQuery, Page, WireError},
};
use natterjack_runtime::trace::Span;
use tokio::time::{Instant, sleep};

use super::admission::Admitted;
use crate::{
    app::App,
    auth::Identity,
    live::Attached,
    metrics::{Count, EdgeMetrics, GONE, What},
    ops::{
        Caller,
        send::{Draft, Lane, Pending},
    },
};

/// When heads are compared after a session went live: by then every server of a cluster has heard
/// of its subscriptions.
const HEADS_AFTER_MS: u64 = 1_500;
/// First and longest pause before that is tried again.
const HEADS_AGAIN_MS: (u64, u64) = (1_000, 30_000);

/// A piece of work that ended.
#[derive(Debug)]
pub(super) enum Done {
    Authenticated(Result<(Identity, Admitted), WireError>),
    Opened(Result<Session, WireError>),
    HandedOver(MessageId, Span, Result<Pending, WireError>),
    Stored(MessageId, Result<u64, WireError>),
    Signalled(Option<WireError>),
    Page(String, Result<Page, WireError>),
    List(String, Result<ListPage, WireError>),
    Watched(String, Result<(), WireError>),
    Renewed(String, Result<Identity, WireError>),
    Fetched(Conversation, Result<Page, WireError>),
    Paused(Conversation),
    HeadsCompared,
}

/// A piece of work.
pub(super) type Work = BoxFuture<'static, Done>;

pub(super) fn authenticate(app: Arc<App>, token: String, device: Option<HelloDevice>) -> Work {
    Box::pin(async move {
        let entered = async {
            let identity = app.auth.verify(&token, device.as_ref()).await?;
            Ok((identity, app.admission.enter().await?))
        };
        Done::Authenticated(asked(&app, "hello", entered).await)
    })
}

pub(super) fn open(
    app: Arc<App>,
    attached: Arc<Attached>,
    admitted: Option<Admitted>,
    resume: Option<BTreeMap<Conversation, u64>>,
) -> Work {
    Box::pin(async move {
        let opened = asked(&app, "open", attached.open(resume)).await;
        drop(admitted);
        Done::Opened(opened)
    })
}

/// Everything up to the hand-over, of which a session has one under way at a time.
pub(super) fn hand_over(app: Arc<App>, caller: Caller, draft: Draft, span: Span, lane: Arc<Lane>) -> Work {
    Box::pin(async move {
        let id = draft.id;
        let handed = async {
            let prepared = app.prepare(&caller, draft).await?;
            app.publish(prepared, &lane).await
        };
        let handed = span.run(handed).await;
        if let Err(error) = &handed {
            span.failed(error.code.as_str());
        }
        Done::HandedOver(id, span, handed)
    })
}

pub(super) fn outcome(app: Arc<App>, id: MessageId, span: Span, pending: Pending) -> Work {
    Box::pin(async move {
        let outcome = span.run(app.outcome(pending)).await;
        if let Err(error) = &outcome {
            span.failed(error.code.as_str());
        }
        Done::Stored(id, outcome)
    })
}

/// Something that a client waits for: timed, and traced if it is among those that are.
async fn asked<T>(
    app: &App,
    what: &'static str,
    work: impl Future<Output = Result<T, WireError>>,
) -> Result<T, WireError> {
    let mut asked = Asked {
        metrics: &app.metrics,
        what,
        span: app.tracer.root(what),
        started: Instant::now(),
        failed: Some(GONE),
    };
    let outcome = asked.span.run(work).await;
    asked.failed = outcome.as_ref().err().map(|error| error.code.as_str());
    outcome
}

/// It is timed when this ends, also if the session is gone before the answer: those who give up are those for
/// whom it took too long.
struct Asked<'a> {
    metrics: &'a EdgeMetrics,
    what: &'static str,
    span: Span,
    started: Instant,
    failed: Option<&'static str>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(code) = self.failed {
            self.span.failed(code);
        }
        self.metrics
            .asked_seconds
            .get_or_create(&What { what: self.what })
            .observe(self.started.elapsed().as_secs_f64());
    }
}

pub(super) fn receipt(
    app: Arc<App>,
    caller: Caller,
    conversation: Conversation,
    delivered: Option<u64>,
    read: Option<u64>,
    foreground: bool,
) -> Work {
    Box::pin(async move {
        let receipt = app.receipt(&caller, conversation, delivered, read, foreground);
        Done::Signalled(receipt.await.err())
    })
}

pub(super) fn typing(app: Arc<App>, caller: Caller, conversation: Conversation, active: bool) -> Work {
    Box::pin(async move {
        // Never answered: nobody waits for it.
        let _ = app.typing(&caller, conversation, active).await;
        Done::Signalled(None)
    })
}

pub(super) fn page(app: Arc<App>, caller: Caller, member: bool, id: String, query: HistoryQuery) -> Work {
    Box::pin(async move {
        let page = app.history(&caller, member, query);
        Done::Page(id, asked(&app, "history", page).await)
    })
}

pub(super) fn list(app: Arc<App>, caller: Caller, id: String, page: Option<String>) -> Work {
    Box::pin(async move {
        let list = app.conversations(&caller, page, PAGE_CONVERSATIONS_MAX);
        Done::List(id, asked(&app, "conversations", list).await)
    })
}

pub(super) fn watch(app: Arc<App>, attached: Arc<Attached>, id: String, users: Vec<UserId>) -> Work {
    Box::pin(async move {
        let outcome = asked(&app, "watch", app.watch(&attached, &id, users)).await;
        Done::Watched(id, outcome)
    })
}

pub(super) fn renew(app: Arc<App>, device: HelloDevice, id: String, token: String) -> Work {
    Box::pin(async move {
        let verified = app.auth.verify(&token, Some(&device));
        Done::Renewed(id, asked(&app, "token", verified).await)
    })
}

pub(super) fn fetch(
    app: Arc<App>,
    caller: Caller,
    member: bool,
    conversation: Conversation,
    after: u64,
) -> Work {
    Box::pin(async move {
        let query = HistoryQuery {
            conversation,
            before: None,
            after: Some(after),
            around: None,
            at: None,
            limit: Some(PAGE_MESSAGES_MAX),
        };
        let page = asked(&app, "repair", app.history(&caller, member, query)).await;
        app.metrics
            .repairs
            .count(if page.is_ok() { "page" } else { "failed" });
        Done::Fetched(conversation, page)
    })
}

pub(super) fn pause(conversation: Conversation, ms: u64) -> Work {
    // Full jitter over the upper half: many sessions wait for the same service.
    let pause = Duration::from_millis(ms / 2 + jitter_ms(ms / 2));
    Box::pin(async move {
        sleep(pause).await;
        Done::Paused(conversation)
    })
}

pub(super) fn compare_heads(app: Arc<App>, caller: Caller) -> Work {
    Box::pin(async move {
        sleep(Duration::from_millis(
            HEADS_AFTER_MS + jitter_ms(HEADS_AFTER_MS / 2),
        ))
        .await;
        // Nothing else announces a message that was lost as the last one: it is tried until it
        // succeeds or the session ends.
        let mut pause_ms = HEADS_AGAIN_MS.0;
        while let Err(error) = app.hub.compare_heads(caller.user).await {
            tracing::debug!(user = %caller.user, %error, "heads could not be compared yet");
            sleep(Duration::from_millis(pause_ms / 2 + jitter_ms(pause_ms / 2))).await;
            pause_ms = (pause_ms * 2).min(HEADS_AGAIN_MS.1);
        }
        Done::HeadsCompared
    })
}

/// A random time below `below_ms`.
pub(super) fn jitter_ms(below_ms: u64) -> u64 {
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    random % below_ms.max(1)
}

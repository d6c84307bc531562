//! From a subscription to the sessions that hear it. Everything here runs on the reader's task, in
//! the order in which NATS sent it, and nothing waits.

use std::sync::Arc;

use natterjack_nats::{Conversation, subjects, wire::Event};
use prometheus_client::metrics::counter::Counter;

use super::{
    doubt::Doubt,
    feed::{GroupFeed, UserFeed},
    frame::{self, Heard},
    hub::Hub,
    outlet::Delivery,
    reader::{self, Message, Sink},
};
use crate::metrics::What;

/// Who hears a subscription.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A user, by one of the patterns of [`subjects::live::of_user`].
    User(Arc<UserFeed>, Pattern),
    /// The local members of a group.
    Group(Arc<GroupFeed>),
    /// Sessions that watch users of this bucket.
    Presence(u16),
}

/// One of a user's patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// 1:1 chats in which the user stands first.
    First,
    /// Those in which the user stands second.
    Second,
    /// The user's own log.
    Log,
}

impl Target {
    /// Subscriptions of a user.
    pub(super) const OF_USER: u64 = 3;

    /// All of a user.
    pub(super) fn of_user(feed: &Arc<UserFeed>) -> [Self; Self::OF_USER as usize] {
        [Pattern::First, Pattern::Second, Pattern::Log].map(|pattern| Self::User(Arc::clone(feed), pattern))
    }
}

impl reader::Target for Target {
    fn subject(&self) -> String {
        match self {
            Self::User(feed, pattern) => {
                let [first, second, log] = subjects::live::of_user(feed.user);
                match pattern {
                    Pattern::First => first,
                    Pattern::Second => second,
                    Pattern::Log => log,
                }
            }
            Self::Group(feed) => subjects::live::subject(&Conversation::Group(feed.group)),
            Self::Presence(bucket) => subjects::presence::wildcard(*bucket),
        }
    }
}

/// Hands messages to whom they are for.
pub(super) struct Router {
    hub: Hub,
    doubt: Doubt,
    of_users: Counter,
    of_groups: Counter,
    last: Last,
}

/// The message that came last for a user. One that goes to two users of this edge comes twice, one
/// right after the other, and is made ready once.
#[derive(Default)]
struct Last {
    subject: String,
    header_bytes: usize,
    body: Vec<u8>,
    heard: Option<Heard>,
}

impl Last {
    fn read(&mut self, message: &Message<'_>) -> Option<Heard> {
        let (headers, payload) = (message.headers, message.payload);
        let bytes = headers.len() + payload.len();
        let same = self.subject == message.subject
            && (self.header_bytes, self.body.len()) == (headers.len(), bytes)
            && self.body.starts_with(headers)
            && self.body.ends_with(payload);
        if same && self.heard.is_some() {
            return self.heard.clone();
        }
        self.heard = None;
        let heard = frame::read(message)?;
        // A large one is not kept: it would cost more than it saves.
        if bytes <= Self::BYTES_MAX {
            self.subject.clear();
            self.subject.push_str(message.subject);
            self.header_bytes = headers.len();
            self.body.clear();
            self.body.extend_from_slice(headers);
            self.body.extend_from_slice(payload);
            self.heard = Some(heard.clone());
        }
        Some(heard)
    }

    /// Largest body that is remembered.
    const BYTES_MAX: usize = 16 << 10;
}

impl Router {
    pub(super) fn new(hub: Hub, doubt: Doubt) -> Self {
        let counter = |what| {
            let counter = hub.inner.metrics.live.get_or_create(&What { what });
            Counter::clone(&counter)
        };
        Self {
            of_users: counter("user"),
            of_groups: counter("group"),
            last: Last::default(),
            doubt,
            hub,
        }
    }

    fn for_user(&mut self, user: &Arc<UserFeed>, pattern: Pattern, message: &Message<'_>) -> usize {
        let Some(heard) = self.last.read(message) else {
            complain(message);
            return 0;
        };
        // Notes to self match both patterns of 1:1 chats.
        if pattern == Pattern::Second && heard.conversation == Conversation::dm(user.user, user.user) {
            return 0;
        }
        self.of_users.inc();
        let count = user.deliver(&heard.delivery);
        // The stream has none before it: the first of the chat, or the first for a long time.
        if let (Conversation::Dm(dm), Delivery::Message(message)) = (heard.conversation, &heard.delivery)
            && message.position.prev == 0
            && let Some(peer) = dm.peer_of(user.user)
        {
            self.hub.watches().met(user.user, peer);
        }
        if pattern == Pattern::Log
            && let Some(happened) = heard.happened(message)
        {
            match happened.event {
                Event::Joined { group } => self.hub.joined(user, group, happened.order),
                Event::Left { group } => self.hub.left(user, group, happened.order),
                _ => return count,
            }
            self.hub.watches().moved(user.user);
        }
        count
    }

    fn for_group(&self, feed: &GroupFeed, message: &Message<'_>) -> usize {
        let Some(heard) = frame::read(message) else {
            complain(message);
            return 0;
        };
        self.of_groups.inc();
        let count = feed.deliver(&heard.delivery);
        // The event itself was delivered: the cut is exact in the order of the stream.
        if let Some(happened) = heard.happened(message) {
            let (hub, group, order) = (&self.hub, feed.group, happened.order);
            match happened.event {
                Event::MemberRemoved { user } => {
                    hub.local(user, |user| hub.left(user, group, order));
                    hub.watches().moved(user);
                }
                Event::MemberAdded { user, .. } => {
                    hub.local(user, |user| hub.joined(user, group, order));
                    hub.watches().moved(user);
                }
                _ => {}
            }
        }
        count
    }
}

impl Sink for Router {
    type Target = Target;

    fn hear(&mut self, target: &Target, message: &Message<'_>) -> usize {
        match target {
            Target::User(user, pattern) => self.for_user(user, *pattern, message),
            Target::Group(feed) => self.for_group(feed, message),
            Target::Presence(_) => {
                let watches = self.hub.watches();
                watches.heard(message.subject, message.headers, message.payload)
            }
        }
    }

    fn reconnected(&mut self) {
        self.doubt.raise();
        self.hub.watches().doubt();
    }
}

fn complain(message: &Message<'_>) {
    tracing::warn!(
        nats.subject = message.subject,
        bytes = message.payload.len(),
        "a live message that is none; ignored"
    );
}

//! What the notifier asks the persister, answered from a table: roles do not know each other, and their
//! tests do not either.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use natterjack_nats::{
    Conversation, GroupId, UserId, cluster,
    services::{
        accounts::Profiles,
        conversations::{
            AUDIENCE_CONVERSATIONS_MAX, Audience, Audiences, BADGE_USERS_MAX, Badge, Badges, Listener, One,
        },
        names,
    },
    wire::{Code, ConversationSummary, Cursor, Profile, PushPreview, WireError},
};
use natterjack_runtime::{lifecycle::Tasks, metrics::Metrics};
use natterjack_service::Host;

/// Who is in which group, and who has said what of it.
#[derive(Debug, Default)]
pub struct Table {
    pub groups: HashMap<GroupId, (String, Vec<Listener>)>,
    /// Those who differ from the default, in their 1:1 chats.
    pub listeners: BTreeMap<(Conversation, UserId), Listener>,
    pub badges: HashMap<UserId, u32>,
    /// In one conversation; nothing, if it is not here.
    pub unread: HashMap<(UserId, Conversation), u32>,
}

/// Somebody of whom nothing is special; named by the last letters of the id.
pub fn listener(user: UserId) -> Listener {
    Listener {
        user,
        handle: Some(handle(user)),
        name: name(user),
        joined_at: 0,
        read: 0,
        mute: None,
        push_preview: PushPreview::Full,
    }
}

pub fn name(user: UserId) -> String {
    let id = user.to_string();
    format!("Name {}", &id[id.len() - 4..])
}

pub fn handle(user: UserId) -> String {
    let id = user.to_string();
    format!("h{}", &id[id.len() - 4..])
}

impl Table {
    fn audience(&self, conversation: Conversation) -> Audience {
        let (title, members) = match conversation {
            Conversation::Dm(dm) => {
                let of = |user| {
                    let known = self.listeners.get(&(conversation, user)).cloned();
                    known.unwrap_or_else(|| listener(user))
                };
                (None, vec![of(dm.low()), of(dm.high())])
            }
            // One that does not exist has nobody in it.
            Conversation::Group(group) => match self.groups.get(&group) {
                Some((title, members)) => (Some(title.clone()), members.clone()),
                None => (None, Vec::new()),
            },
            Conversation::User(_) => (None, Vec::new()),
        };
        Audience {
            conversation,
            title,
            members,
        }
    }
}

/// The services, until they are stopped.
pub struct Persister {
    tasks: Tasks,
}

impl Persister {
    pub async fn start(url: &str, table: &Arc<Mutex<Table>>) -> anyhow::Result<Self> {
        let client = cluster::connect(url, "test-persister", |_| {}).await?;
        let (tasks, metrics) = (Tasks::new(), Metrics::new("test"));
        let host = Host::new(client.clone(), &tasks, &metrics);
        let conversations = host.service(names::CONVERSATIONS, "of a test").await?;
        conversations.verb(table, audiences).await?;
        conversations.verb(table, badges).await?;
        conversations.verb(table, one).await?;
        let accounts = host.service(names::ACCOUNTS, "of a test").await?;
        accounts.verb(table, profiles).await?;
        client.flush().await?;
        Ok(Self { tasks })
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.tasks.stop(Duration::from_secs(10)).await
    }
}

fn too_many() -> WireError {
    WireError::new(Code::BadRequest, "asked for more than the persister answers")
}

/// As many as are said to fit into one answer.
const FIT: usize = 64;

async fn audiences(table: Arc<Mutex<Table>>, request: Audiences) -> Result<Vec<Audience>, WireError> {
    if request.conversations.len() > AUDIENCE_CONVERSATIONS_MAX {
        return Err(too_many());
    }
    let table = table.lock().unwrap();
    let fit = request.conversations.into_iter().take(FIT);
    Ok(fit.map(|conversation| table.audience(conversation)).collect())
}

async fn badges(table: Arc<Mutex<Table>>, request: Badges) -> Result<Vec<Badge>, WireError> {
    if request.users.len() > BADGE_USERS_MAX {
        return Err(too_many());
    }
    let table = table.lock().unwrap();
    let badge = |user| Badge {
        user,
        unread: table.badges.get(&user).copied().unwrap_or(1),
    };
    Ok(request.users.into_iter().map(badge).collect())
}

async fn one(table: Arc<Mutex<Table>>, request: One) -> Result<ConversationSummary, WireError> {
    let key = (request.user, request.conversation);
    let unread = table.lock().unwrap().unread.get(&key).copied().unwrap_or(0);
    Ok(ConversationSummary {
        conversation: request.conversation,
        head: 0,
        last_message: None,
        unread,
        cursor: Cursor::default(),
        mute: None,
        title: None,
        role: None,
        member_count: None,
        peer: None,
        peer_cursor: None,
    })
}

async fn profiles(_: Arc<Mutex<Table>>, request: Profiles) -> Result<Vec<Profile>, WireError> {
    if request.users.len() > 100 {
        return Err(too_many());
    }
    let profile = |user| Profile {
        id: user,
        handle: None,
        name: name(user),
    };
    Ok(request.users.into_iter().map(profile).collect())
}

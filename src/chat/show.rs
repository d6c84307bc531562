//! What happened, in words.

use natterjack_client::{Event, SendFailure};
use natterjack_nats::{
    Conversation, UserId,
    wire::{self, Cursor, Kind, Message, Ready, Role, UserCursor},
};

use super::{
    session::{Goes, Link, Session},
    text::{clean, clean_line, time_of_day},
};

/// Own messages of one conversation whose fate is watched.
const WATCHED_MAX: usize = 100;

impl Session {
    pub(super) async fn event(&mut self, event: Event) -> Goes {
        match event {
            Event::Ready(ready) => self.ready(&ready),
            Event::Disconnected { reason, .. } => {
                if self.link != Link::Down {
                    self.link = Link::Down;
                    let reason = clean_line(&reason);
                    self.screen.note(&format!(
                        "no connection ({reason}); trying again, nothing is lost"
                    ));
                }
            }
            Event::Moving { to } => {
                let to = clean_line(&to);
                self.screen.note(&format!(
                    "this edge is going away; moving to {to}, nothing is lost"
                ));
                self.moving = Some(to);
            }
            Event::Presence { users } => self.presence(&users).await,
            Event::Acked {
                id,
                conversation,
                seq,
                ..
            } => {
                if let Some((draft, printed)) = self.sent.remove(&id)
                    && !printed
                {
                    let message = self.own_message(&draft, id, conversation, seq);
                    self.sent.insert(id, (draft, true));
                    self.message(&message, "✓").await;
                }
            }
            Event::SendFailed { id, error, .. } => {
                self.sent.remove(&id);
                let reason = match error {
                    SendFailure::Refused(error) => clean_line(&error.message),
                    SendFailure::Stopped => "the session ended before it was acknowledged".to_owned(),
                };
                self.screen.note(&format!("not sent: {reason}"));
            }
            Event::Message(message) => self.live(&message).await,
            Event::Receipts {
                conversation,
                cursors,
            } => self.receipts(conversation, &cursors).await,
            Event::Typing {
                conversation,
                user,
                active,
            } => {
                if active && user != self.me.id && self.is_open(&conversation) {
                    let name = self.names.user(user).await;
                    self.screen.note(&format!("{name} is writing …"));
                }
            }
            Event::Truncated { conversation, .. } => {
                let name = self.names.conversation(&conversation).await;
                self.screen.note(&format!(
                    "there was much news in {name}: /to {name} shows the end of it"
                ));
            }
            Event::Error(error) => self
                .screen
                .note(&format!("the server says: {}", clean_line(&error.message))),
            Event::Stopped(reason) => self.stopped = Some(reason),
            // The client confirms by itself.
            Event::Resumed { .. } | Event::Nudged { .. } => {}
        }
        Goes::On
    }

    fn ready(&mut self, ready: &Ready) {
        let before = std::mem::replace(&mut self.link, Link::Up);
        self.edge = Some(ready.edge);
        let moved = self.moving.take();
        self.list_people(&ready.conversations);
        let names: Vec<_> = ready
            .conversations
            .iter()
            .map(|summary| (self.names.learn_summary(summary), summary.unread))
            .filter(|(_, unread)| *unread > 0)
            .map(|(name, unread)| format!("{name} ({unread})"))
            .collect();
        match before {
            Link::New => {
                let me = clean_line(self.me.handle.as_ref().unwrap_or(&self.me.name));
                self.screen.note(&format!(
                    "you are {me}; /to <handle> opens a chat, /help shows more"
                ));
                if !names.is_empty() {
                    self.screen.note(&format!("unread: {}", names.join(", ")));
                }
            }
            Link::Down => self.screen.note("connected again"),
            Link::Up => {
                if let Some(to) = moved {
                    self.screen.note(&format!("on {to} now"));
                }
            }
        }
    }

    async fn live(&mut self, message: &Message) {
        self.hear_people(message.conversation);
        if let Some((draft, printed)) = self.sent.remove(&message.id) {
            if !printed {
                self.sent.insert(message.id, (draft, true));
                self.message(message, "✓").await;
            }
            return;
        }
        if self
            .printed
            .get(&message.conversation)
            .is_some_and(|head| message.seq <= *head)
        {
            return;
        }
        let mark = if message.sender == self.me.id { "✓" } else { "" };
        self.message(message, mark).await;
        if self.is_open(&message.conversation) {
            // A full queue is rare, and the next message says the same.
            let _ = self.client.read(message.conversation, message.seq);
        }
    }

    /// Prints a message; `mark` tells how far one's own has got.
    pub(super) async fn message(&mut self, message: &Message, mark: &str) {
        let conversation = message.conversation;
        let time = time_of_day(message.sent_at);
        let sender = self.names.user(message.sender).await;
        let place = match conversation {
            Conversation::User(_) => String::new(),
            _ if self.is_open(&conversation) => String::new(),
            _ => format!("[{}] ", self.names.conversation(&conversation).await),
        };
        let text = clean(message.text.as_deref().unwrap_or("(deleted)"));
        match message.kind {
            Kind::Text => {
                let number = self.board.number((conversation, message.seq));
                let reply = message
                    .reply_to
                    .map(|seq| match self.board.known((conversation, seq)) {
                        Some(number) => format!(" (to #{number})"),
                        None => " (to an earlier message)".to_owned(),
                    });
                let reply = reply.unwrap_or_default();
                let edited = if message.edited.is_some() { " (edited)" } else { "" };
                // Of a deleted message there is nothing left that could have been read.
                let mark = if mark.is_empty() || message.text.is_none() {
                    String::new()
                } else {
                    format!(" {mark}")
                };
                self.screen.line(&format!(
                    "{place}#{number} {time} {sender}{reply}: {text}{edited}{mark}"
                ));
                if message.sender == self.me.id {
                    let own = self.own.entry(conversation).or_default();
                    own.insert(message.seq);
                    if own.len() > WATCHED_MAX {
                        own.pop_first();
                    }
                }
            }
            Kind::Edit | Kind::Delete => {
                let target = (conversation, message.target.unwrap_or_default());
                let target = self.board.known(target).map(|number| format!("#{number}"));
                let target = target.unwrap_or_else(|| "an earlier message".to_owned());
                let what = match message.kind {
                    Kind::Edit => format!("gave {target} another text: {text}"),
                    _ => format!("deleted {target}"),
                };
                self.screen.note(&format!("{place}{time} {sender} {what}"));
            }
            Kind::Event => {
                if let Some(event) = &message.event
                    && let Some(words) = self
                        .event_in_words(conversation, &sender, message.sender, event)
                        .await
                {
                    self.screen.note(&format!("{place}{time} {words}"));
                }
            }
            Kind::Duplicate => {}
        }
    }

    async fn event_in_words(
        &mut self,
        conversation: Conversation,
        sender: &str,
        sender_id: UserId,
        event: &wire::Event,
    ) -> Option<String> {
        Some(match event {
            wire::Event::Created { title } => {
                let title = self.titled(conversation, title);
                format!("{sender} made the group “{title}”")
            }
            wire::Event::Renamed { title } => {
                let title = self.titled(conversation, title);
                format!("{sender} gave the group the title “{title}”")
            }
            // The creation has said so.
            wire::Event::MemberAdded { user, .. } if *user == sender_id => return None,
            wire::Event::MemberAdded { user, .. } => {
                format!("{sender} added {}", self.names.user(*user).await)
            }
            wire::Event::MemberRemoved { user } if *user == sender_id => format!("{sender} left"),
            wire::Event::MemberRemoved { user } => {
                format!("{sender} removed {}", self.names.user(*user).await)
            }
            wire::Event::RoleChanged { user, role } => {
                format!(
                    "{sender} made {} {}",
                    self.names.user(*user).await,
                    role_name(*role)
                )
            }
            wire::Event::Joined { group } => {
                let name = self.names.conversation(&Conversation::Group(*group)).await;
                format!("you are in the group {name} now: /to {name} opens it")
            }
            wire::Event::Left { group } => {
                let group = Conversation::Group(*group);
                let name = self.names.conversation(&group).await;
                if self.is_open(&group) {
                    self.current = None;
                }
                format!("you are no longer in the group {name}")
            }
        })
    }

    fn titled(&mut self, conversation: Conversation, title: &str) -> String {
        let clean = clean_line(title);
        if let Conversation::Group(group) = conversation {
            self.names.learn_title(group, title);
        }
        if let Some((open, name)) = &mut self.current
            && *open == conversation
        {
            name.clone_from(&clean);
        }
        clean
    }

    /// Others have got further: said once for the last of one's own messages that they reached.
    async fn receipts(&mut self, conversation: Conversation, cursors: &[UserCursor]) {
        if !self.is_open(&conversation) {
            return;
        }
        for UserCursor { user, cursor } in cursors {
            if *user == self.me.id {
                continue;
            }
            let reached = |seq: u64| self.own.get(&conversation)?.range(..=seq).next_back().copied();
            let told = self.told.get(&(conversation, *user)).copied().unwrap_or_default();
            let (read, delivered) = (reached(cursor.read), reached(cursor.delivered));
            let news = match (read, delivered) {
                (Some(seq), _) if seq > told.read => Some((seq, "has read")),
                (_, Some(seq)) if seq > told.delivered => Some((seq, "has received")),
                _ => None,
            };
            if let Some((seq, what)) = news
                && let Some(number) = self.board.known((conversation, seq))
            {
                let name = self.names.user(*user).await;
                self.screen.note(&format!("✓✓ {name} {what} #{number}"));
            }
            self.told.insert((conversation, *user), told.advanced_to(*cursor));
        }
    }

    /// How far one's own message has got with the other user of a 1:1 chat.
    pub(super) const fn mark(peer: Option<Cursor>, seq: u64) -> &'static str {
        match peer {
            Some(cursor) if seq <= cursor.read => "✓✓ read",
            Some(cursor) if seq <= cursor.delivered => "✓✓",
            _ => "✓",
        }
    }

    pub(super) fn is_open(&self, conversation: &Conversation) -> bool {
        self.current
            .as_ref()
            .is_some_and(|(open, _)| open == conversation)
    }
}

pub(super) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "a member",
        Role::Admin => "an admin",
        Role::Owner => "an owner",
    }
}

//! The server of the model: it stores, acks, replays and answers history, and repairs nothing.

use std::collections::BTreeMap;

use natterjack_nats::{
    Conversation, DeviceId, EdgeId, MessageId, SessionId, UserId,
    wire::{
        ClientFrame, Code, ConversationSummary, Cursor, HistoryQuery, Kind, Limits, Message, Page, Profile,
        Ready, ServerFrame, ShownState, UserPresence, WireError,
    },
};

use super::world::{Fate, Mood, TEXT_CHARS_MAX, World, conversation, me};

const RESUME_MAX: usize = 5;
const PAGE_MAX: usize = 3;

impl World {
    pub fn store(&mut self, index: usize, fate: Fate) {
        let sender = UserId::from_parts(2, 2);
        let id = MessageId::generate(0);
        self.append(conversation(index), sender, id, fate);
    }

    fn append(&mut self, conversation: Conversation, sender: UserId, id: MessageId, fate: Fate) -> u64 {
        self.seq += 1;
        let log = self.logs.entry(conversation).or_default();
        let prev = log.last().map_or(0, |message| message.seq);
        let message = Message {
            conversation,
            seq: self.seq,
            prev,
            id,
            sender,
            sent_at: 0,
            kind: Kind::Text,
            text: Some("text".to_owned()),
            reply_to: None,
            target: None,
            event: None,
            edited: None,
            deleted: None,
        };
        log.push(message.clone());
        let mut live = Box::new(message);
        // A server answers itself for the first message of a conversation.
        let copies = match fate {
            Fate::Dropped if prev > 0 => 0,
            Fate::Twice => 2,
            _ => 1,
        };
        if fate == Fate::Forgot {
            live.prev = 0;
        }
        if self.connected {
            for _ in 0..copies {
                self.to_client.push_back(ServerFrame::Message(live.clone()));
            }
        }
        self.seq
    }

    /// The server asks whether the last message of a conversation arrived.
    pub fn nudge(&mut self, index: usize) {
        let conversation = conversation(index);
        let last = self.logs.get(&conversation).and_then(|log| log.last());
        if let Some(head) = last.map(|last| last.seq)
            && self.connected
        {
            self.to_client
                .push_back(ServerFrame::Nudge { conversation, head });
        }
    }

    pub fn serve(&mut self, count: usize, mood: Mood) {
        for _ in 0..count {
            let Some(frame) = self.to_server.pop_front() else {
                break;
            };
            match frame {
                ClientFrame::Hello(hello) => self.hello(hello.resume),
                ClientFrame::Send { id, conversation, .. } => self.take(id, conversation, mood),
                ClientFrame::History { id, query } => {
                    let page = self.page(&query);
                    self.to_client.push_back(ServerFrame::History { id, page });
                }
                ClientFrame::Watch { id, users } => {
                    let shown = |user: &UserId| UserPresence {
                        user: *user,
                        state: ShownState::Online,
                        last_seen: None,
                    };
                    let (id, answer) = (Some(id), users.iter().map(shown).collect());
                    self.to_client
                        .push_back(ServerFrame::Presence { id, users: answer });
                    self.watched = Some(users);
                }
                ClientFrame::Token { id, .. } => {
                    self.tokens_taken_in_band += 1;
                    self.to_client.push_back(ServerFrame::Ok { id });
                }
                _ => {}
            }
        }
    }

    fn take(&mut self, id: MessageId, conversation: Conversation, mood: Mood) {
        let log = self.logs.get(&conversation);
        let stored = log.and_then(|log| log.iter().find(|message| message.id == id));
        let seq = match stored.map(|message| message.seq) {
            Some(seq) => seq,
            None if mood == Mood::Overloaded => {
                let error = WireError::new(Code::Overloaded, "full").retry_after_ms(300);
                let id = Some(id.to_string());
                return self.to_client.push_back(ServerFrame::Error { id, error });
            }
            None => self.append(conversation, me(), id, Fate::Delivered),
        };
        if mood != Mood::AckLost {
            self.to_client.push_back(ServerFrame::Ack { id, seq });
        }
    }

    fn page(&self, query: &HistoryQuery) -> Page {
        let after = query.after.unwrap_or_default();
        let log = self.logs.get(&query.conversation).cloned().unwrap_or_default();
        let head = log.last().map_or(0, |message| message.seq);
        let following = log.into_iter().filter(|message| message.seq > after);
        let messages: Vec<_> = following.take(PAGE_MAX).collect();
        let more_after = messages.last().is_some_and(|message| message.seq < head);
        Page {
            conversation: query.conversation,
            messages,
            head,
            more_before: after > 0,
            more_after,
        }
    }

    fn hello(&mut self, resume: Option<BTreeMap<Conversation, u64>>) {
        let summary = |(conversation, log): (&Conversation, &Vec<Message>)| ConversationSummary {
            conversation: *conversation,
            head: log.last().map_or(0, |message| message.seq),
            last_message: None,
            unread: 0,
            cursor: Cursor::default(),
            mute: None,
            title: None,
            role: None,
            member_count: None,
            peer: None,
            peer_cursor: None,
        };
        // Live frames from before are part of the heads, or are replayed.
        self.to_client.clear();
        self.to_client.push_back(ServerFrame::Ready(Box::new(Ready {
            user: Profile {
                id: me(),
                handle: None,
                name: "me".to_owned(),
            },
            session: SessionId::from_parts(0, 0),
            device: DeviceId::from_parts(0, 0),
            edge: EdgeId::from_parts(0, 0),
            server: "model".to_owned(),
            limits: Limits {
                text_chars_max: TEXT_CHARS_MAX,
                ..Limits::new(100, 4)
            },
            ping_interval_ms: 25_000,
            token_expires_at: self.server_ms() + 900_000,
            now: self.server_ms(),
            conversations: self.logs.iter().map(summary).collect(),
            next: None,
        })));
        let Some(resume) = resume else { return };
        for (conversation, log) in &self.logs {
            let cursor = resume.get(conversation).copied().unwrap_or_default();
            let missed: Vec<_> = log.iter().filter(|message| message.seq > cursor).collect();
            if let Some(last) = missed.last().filter(|_| missed.len() > RESUME_MAX) {
                self.to_client.push_back(ServerFrame::Truncated {
                    conversation: *conversation,
                    cursor,
                    head: last.seq,
                });
            } else {
                let frames = missed
                    .into_iter()
                    .map(|message| ServerFrame::Message(Box::new(message.clone())));
                self.to_client.extend(frames);
            }
        }
        self.to_client.push_back(ServerFrame::Resumed { complete: true });
    }
}

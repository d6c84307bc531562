//! What commands do.

use anyhow::{Context as _, anyhow, bail};
use natterjack_client::{ApiError, Draft};
use natterjack_nats::{
    Conversation, GroupId, MessageId, UserId,
    headers::Position,
    wire::{Content, ConversationSummary, Cursor, HistoryQuery, Message, Profile, Stored},
};

use super::{
    command::{self, Command},
    quiet,
    session::{Goes, Link, Session},
    show::role_name,
    text::{clean, clean_line},
};

/// Messages printed when a chat is opened.
const OPENING: usize = 20;

/// Most messages that `/history` asks for.
const HISTORY_MAX: usize = 200;

/// Conversations that `/list` prints.
const LISTED: usize = 50;

/// Lines that wait for their live copy; far more than can be written meanwhile.
const SENT_MAX: usize = 10_000;

impl Session {
    pub(super) async fn line(&mut self, line: &str) -> Goes {
        match command::parse(line) {
            Ok(Command::Quit) => return Goes::Away,
            Ok(command) => {
                if let Err(error) = self.act(command).await {
                    self.screen.note(&clean(&format!("{error:#}")));
                }
            }
            Err(usage) => self.screen.note(&clean_line(&usage)),
        }
        Goes::On
    }

    async fn act(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Nothing | Command::Quit => {}
            Command::Say(text) => self.send(Draft::text(self.open_chat()?, text))?,
            Command::To(name) => {
                let conversation = self.find(&name).await?;
                self.open(conversation).await?;
            }
            Command::List => self.list().await?,
            Command::History(count) => {
                let summary = self.api.conversation(self.open_chat()?).await?;
                self.history(summary.conversation, count, summary.peer_cursor)
                    .await?;
            }
            Command::Members => self.members().await?,
            Command::Reply(number, text) => {
                let (conversation, seq) = self.numbered(number)?;
                self.send(Draft::reply(conversation, seq, text))?;
            }
            Command::Edit(number, text) => {
                let (conversation, seq) = self.numbered(number)?;
                self.send(Draft::edit(conversation, seq, text))?;
            }
            Command::Delete(number) => {
                let (conversation, seq) = self.numbered(number)?;
                self.send(Draft::delete(conversation, seq))?;
            }
            Command::Who => self.who(),
            Command::Devices => self.devices().await?,
            Command::LogOut(ending) => self.end_devices(ending).await?,
            Command::Privacy(privacy) => self.privacy(privacy).await?,
            Command::Mute(span) => self.mute(span).await?,
            Command::Unmute => self.unmute().await?,
            Command::Previews(preview) => self.previews(preview).await?,
            Command::Name(name) => {
                let profile = self.api.set_name(&name).await?;
                self.screen
                    .note(&format!("others see you as {} now", clean_line(&profile.name)));
            }
            Command::Help => command::HELP.lines().for_each(|line| self.screen.line(line)),
            command => self.group(command).await?,
        }
        Ok(())
    }

    async fn group(&mut self, command: Command) -> anyhow::Result<()> {
        if let Command::NewGroup { title, handles } = &command {
            let members = self.users(handles).await?;
            let summary = self.api.create_group(title, &members).await?;
            self.names.learn_summary(&summary);
            return self.open(summary.conversation).await;
        }
        let group = self.open_group()?;
        match command {
            Command::Add(handles) => {
                let users = self.users(&handles).await?;
                self.api.add_members(group, &users).await?;
            }
            Command::Remove(handle) => {
                let user = self.user(&handle).await?;
                self.api.remove_member(group, user.id).await?;
            }
            Command::Leave => {
                self.api.remove_member(group, self.me.id).await?;
                self.current = None;
            }
            Command::Rename(title) => {
                self.api.rename_group(group, &title).await?;
            }
            Command::Role(handle, role) => {
                let user = self.user(&handle).await?;
                self.api.set_role(group, user.id, role).await?;
            }
            // All others were dealt with before.
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, draft: Draft) -> anyhow::Result<()> {
        let id = MessageId::generate(self.clock.now_ms());
        let draft = draft.with_id(id);
        if self.sent.len() >= SENT_MAX {
            self.sent.retain(|_, (_, printed)| !*printed);
        }
        self.client.send_with(draft.clone())?;
        self.sent.insert(id, (draft, false));
        Ok(())
    }

    /// A message of one's own as others get it.
    pub(super) fn own_message(
        &self,
        draft: &Draft,
        id: MessageId,
        conversation: Conversation,
        seq: u64,
    ) -> Message {
        let content: Content = draft.content.clone();
        let stored = Stored::new(conversation, id, self.me.id, self.clock.now_ms(), content);
        stored.at(Position { seq, prev: 0 })
    }

    async fn open(&mut self, conversation: Conversation) -> anyhow::Result<()> {
        let summary = self.api.conversation(conversation).await?;
        let name = self.names.learn_summary(&summary);
        self.screen.line(&format!("— {name} —"));
        self.current = Some((conversation, name));
        self.meet_people(conversation).await;
        if summary.head > 0 {
            self.history(conversation, OPENING, summary.peer_cursor).await?;
        }
        Ok(())
    }

    async fn history(
        &mut self,
        conversation: Conversation,
        count: usize,
        peer: Option<Cursor>,
    ) -> anyhow::Result<()> {
        let query = HistoryQuery {
            conversation,
            before: None,
            after: None,
            around: None,
            at: None,
            limit: Some(count.clamp(1, HISTORY_MAX)),
        };
        // Over HTTP: this loop takes the socket's events, and must not wait for one itself.
        let page = self.api.history(&query).await?;
        if page.more_before {
            self.screen.note("earlier messages: /history <how many>");
        }
        for message in &page.messages {
            // The text that they changed is printed as it is now.
            let change = message.target.is_some();
            if !change {
                let own = message.sender == self.me.id;
                let mark = if own { Self::mark(peer, message.seq) } else { "" };
                self.message(message, mark).await;
            }
        }
        self.printed.insert(conversation, page.head);
        if page.head > 0 {
            self.client.read(conversation, page.head)?;
        }
        Ok(())
    }

    async fn list(&mut self) -> anyhow::Result<()> {
        let page = self.api.conversations(None, Some(LISTED)).await?;
        if page.conversations.is_empty() {
            self.screen.note("no chats yet: /to <handle> opens one");
        }
        self.list_people(&page.conversations);
        for summary in &page.conversations {
            let name = self.names.learn_summary(summary);
            let there = summary.peer.as_ref().map_or("", |peer| self.people.mark(peer.id));
            let muted = quiet::mark(summary.mute);
            let unread = match summary.unread {
                0 => String::new(),
                unread => format!(" ({unread} unread)"),
            };
            let last = summary
                .last_message
                .as_ref()
                .and_then(|preview| preview.text.as_deref());
            let last = last
                .map(|text| format!(": {}", clean_line(text)))
                .unwrap_or_default();
            self.screen.line(&format!("  {name}{there}{muted}{unread}{last}"));
        }
        if page.next.is_some() {
            self.screen.note("and older ones");
        }
        Ok(())
    }

    async fn members(&mut self) -> anyhow::Result<()> {
        let members = self.api.members(self.open_chat()?).await?;
        for member in members {
            let name = self.names.learn(&member.user);
            let full = clean_line(&member.user.name);
            let full = if full == name {
                String::new()
            } else {
                format!(" ({full})")
            };
            let there = self.people.mark(member.user.id);
            self.screen
                .line(&format!("  {name}{full}, {}{there}", role_name(member.role)));
        }
        Ok(())
    }

    fn who(&mut self) {
        let me = clean_line(self.me.handle.as_ref().unwrap_or(&self.me.name));
        let link = if self.link == Link::Up {
            "connected"
        } else {
            "not connected"
        };
        let place = self
            .current
            .as_ref()
            .map(|(_, name)| format!(", in the chat {name}"));
        let waiting = match self.client.unacknowledged() {
            0 => String::new(),
            waiting => format!(", {waiting} not yet acknowledged"),
        };
        let edge = self
            .edge
            .map(|edge| format!(" through edge {edge}"))
            .unwrap_or_default();
        let (server, place) = (self.api.servers().join(", "), place.unwrap_or_default());
        self.screen
            .note(&format!("you are {me} on {server}, {link}{edge}{place}{waiting}"));
    }

    pub(super) fn open_chat(&self) -> anyhow::Result<Conversation> {
        let open = self.current.as_ref().map(|(conversation, _)| *conversation);
        open.context("no chat is open: /to <handle> opens one")
    }

    fn open_group(&self) -> anyhow::Result<GroupId> {
        match self.open_chat()? {
            Conversation::Group(group) => Ok(group),
            _ => bail!("this chat is not a group: /to <group> opens one, /group new <title> makes one"),
        }
    }

    fn numbered(&self, number: u32) -> anyhow::Result<(Conversation, u64)> {
        self.board
            .place(number)
            .with_context(|| format!("there is no message #{number} on the screen"))
    }

    /// A person by handle, or else a group by title.
    async fn find(&mut self, name: &str) -> anyhow::Result<Conversation> {
        if let Some(profile) = self.profile(name).await? {
            self.names.learn(&profile);
            return Ok(Conversation::dm(self.me.id, profile.id));
        }
        let mut page = None;
        loop {
            let list = self.api.conversations(page.as_deref(), None).await?;
            let is_it = |summary: &&ConversationSummary| {
                summary
                    .title
                    .as_ref()
                    .is_some_and(|title| title.to_lowercase() == name.to_lowercase())
            };
            if let Some(summary) = list.conversations.iter().find(is_it) {
                return Ok(summary.conversation);
            }
            page = list.next;
            if page.is_none() {
                bail!("there is nobody called {name}, and no group of yours");
            }
        }
    }

    async fn users(&mut self, handles: &[String]) -> anyhow::Result<Vec<UserId>> {
        let mut users = Vec::new();
        for handle in handles {
            users.push(self.user(handle).await?.id);
        }
        Ok(users)
    }

    async fn user(&mut self, handle: &str) -> anyhow::Result<Profile> {
        let profile = self.profile(handle).await?;
        let profile = profile.ok_or_else(|| anyhow!("there is nobody called {handle}"))?;
        self.names.learn(&profile);
        Ok(profile)
    }

    async fn profile(&self, handle: &str) -> Result<Option<Profile>, ApiError> {
        let handle = handle.to_lowercase();
        // Shorter than any handle: the look-up would be refused.
        if handle.chars().count() < 3 {
            return Ok(None);
        }
        self.api.user_by_handle(&handle).await
    }
}

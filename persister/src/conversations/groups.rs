//! Changes of groups. Each is one transaction under a lock on the group's row, which also writes
//! the events that it owes into the outbox; they are published before the caller is answered.

use std::collections::BTreeSet;

use natterjack_nats::{
    Conversation, GroupId, MessageId, UserId,
    conversation::group_of_request,
    services::{
        Done,
        conversations::{AddMembers, CreateGroup, One, RemoveMember, Rename, SetRole},
    },
    wire::{Content, ConversationSummary, Event, Role, Stored},
};

use super::{
    Conversations, group_rows,
    rights::{self, Refusal},
};
use crate::{accounts::names, db::Tx, failure::Failure, outbox};

/// Events of one change, all by the same user at the same time.
struct Events {
    actor: UserId,
    group: GroupId,
    now_ms: u64,
    events: Vec<Stored>,
}

impl Events {
    const fn by(actor: UserId, group: GroupId, now_ms: u64) -> Self {
        Self {
            actor,
            group,
            now_ms,
            events: Vec::new(),
        }
    }

    fn push(&mut self, conversation: Conversation, event: Event) {
        let (id, content) = (MessageId::generate(self.now_ms), Content::Event(event));
        let event = Stored::new(conversation, id, self.actor, self.now_ms, content);
        self.events.push(event);
    }

    fn in_group(&mut self, event: Event) {
        self.push(Conversation::Group(self.group), event);
    }

    /// Into the user's own log.
    fn joined(&mut self, user: UserId) {
        self.push(Conversation::User(user), Event::Joined { group: self.group });
    }

    /// Into the user's own log.
    fn left(&mut self, user: UserId) {
        self.push(Conversation::User(user), Event::Left { group: self.group });
    }
}

impl Conversations {
    /// A new group; who makes it becomes its owner. The same request of the same user again makes no second one: it is
    /// answered with the group that is there, as long as the user is in it.
    pub async fn create(&self, request: CreateGroup) -> Result<ConversationSummary, Failure> {
        let owner = request.user;
        let title = &names::shown("title", &request.title)?;
        let others: &BTreeSet<UserId> = &request
            .members
            .into_iter()
            .filter(|user| *user != owner)
            .collect();
        rights::fits(1, others.len(), self.group_members_max)?;
        let now_ms = self.clock.now_ms();
        let group = match request.request_id {
            Some(id) => group_of_request(owner, id),
            None => GroupId::generate(now_ms),
        };
        let work = |tx: Tx| async move {
            let everybody: Vec<UserId> = std::iter::once(owner).chain(others.iter().copied()).collect();
            group_rows::all_exist(&tx, &everybody).await?;
            if !group_rows::insert(&tx, group, title, millis(now_ms)).await? {
                return Ok(());
            }
            let role = |user| if user == owner { Role::Owner } else { Role::Member };
            let members: Vec<_> = everybody.iter().map(|user| (*user, role(*user))).collect();
            group_rows::add(&tx, group.as_uuid(), &members, millis(now_ms)).await?;
            let mut events = Events::by(owner, group, now_ms);
            // First the users' own logs, so that their edges listen to the group by the time its
            // first event comes.
            everybody.iter().for_each(|user| events.joined(*user));
            events.in_group(Event::Created { title: title.clone() });
            for user in others {
                let (user, role) = (*user, Role::Member);
                events.in_group(Event::MemberAdded { user, role });
            }
            Ok::<_, Failure>(outbox::write(&tx, &events.events).await?)
        };
        self.db.tx("groups.create", work).await?;
        self.answer(owner, group).await
    }

    /// A new title.
    pub async fn rename(&self, request: Rename) -> Result<ConversationSummary, Failure> {
        let (user, group) = (request.user, request.group);
        let title = &names::shown("title", &request.title)?;
        let now_ms = self.clock.now_ms();
        let work = |tx: Tx| async move {
            let locked = group_rows::lock(&tx, group, &[user]).await?;
            rights::may_manage(locked.role_of(user).ok_or(Refusal::NotMember)?)?;
            if group_rows::is_titled(&tx, locked.key, title).await? {
                return Ok::<_, Failure>(());
            }
            group_rows::rename(&tx, locked.key, title).await?;
            let mut events = Events::by(user, group, now_ms);
            events.in_group(Event::Renamed { title: title.clone() });
            Ok(outbox::write(&tx, &events.events).await?)
        };
        self.db.tx("groups.rename", work).await?;
        self.answer(user, group).await
    }

    /// New members, all of them or none.
    pub async fn add(&self, request: AddMembers) -> Result<ConversationSummary, Failure> {
        let (user, group, max) = (request.user, request.group, self.group_members_max);
        let wanted: BTreeSet<UserId> = request.members.into_iter().collect();
        // More than a group can hold: nothing that is worth a lock.
        rights::fits(0, wanted.len(), max)?;
        let wanted = &wanted;
        let now_ms = self.clock.now_ms();
        let work = |tx: Tx| async move {
            let about: Vec<UserId> = wanted.iter().copied().chain([user]).collect();
            let locked = group_rows::lock(&tx, group, &about).await?;
            rights::may_manage(locked.role_of(user).ok_or(Refusal::NotMember)?)?;
            let new: Vec<UserId> = wanted
                .iter()
                .copied()
                .filter(|user| locked.role_of(*user).is_none())
                .collect();
            group_rows::all_exist(&tx, &new).await?;
            rights::fits(locked.member_count, new.len(), max)?;
            if new.is_empty() {
                return Ok::<_, Failure>(());
            }
            let role = Role::Member;
            let members: Vec<_> = new.iter().map(|user| (*user, role)).collect();
            group_rows::add(&tx, locked.key, &members, millis(now_ms)).await?;
            let mut events = Events::by(user, group, now_ms);
            new.iter().for_each(|user| events.joined(*user));
            for user in new {
                events.in_group(Event::MemberAdded { user, role });
            }
            Ok(outbox::write(&tx, &events.events).await?)
        };
        self.db.tx("groups.add", work).await?;
        self.answer(user, group).await
    }

    /// One member less: oneself, or somebody of a lower role.
    pub async fn remove(&self, request: RemoveMember) -> Result<Done, Failure> {
        let (user, group, member) = (request.user, request.group, request.member);
        let now_ms = self.clock.now_ms();
        let work = |tx: Tx| async move {
            let locked = group_rows::lock(&tx, group, &[user, member]).await?;
            let actor = locked.role_of(user).ok_or(Refusal::NotMember)?;
            if user == member {
                rights::may_leave(actor, locked.owners(), locked.member_count)?;
            } else {
                let target = locked.role_of(member);
                // In this order: who may remove nobody does not learn who is in.
                rights::may_manage(actor)?;
                rights::may_remove(actor, target.ok_or(Refusal::NoSuchMember)?)?;
            }
            group_rows::remove(&tx, locked.key, member).await?;
            let mut events = Events::by(user, group, now_ms);
            // First in the group: it is the last that the one who goes hears from it.
            events.in_group(Event::MemberRemoved { user: member });
            events.left(member);
            Ok::<_, Failure>(outbox::write(&tx, &events.events).await?)
        };
        self.db.tx("groups.remove", work).await?;
        self.outbox.flush().await;
        Ok(Done {})
    }

    /// Another role for a member.
    pub async fn set_role(&self, request: SetRole) -> Result<Done, Failure> {
        let (user, group, member, role) = (request.user, request.group, request.member, request.role);
        let now_ms = self.clock.now_ms();
        let work = |tx: Tx| async move {
            let locked = group_rows::lock(&tx, group, &[user, member]).await?;
            let actor = locked.role_of(user).ok_or(Refusal::NotMember)?;
            let target = locked.role_of(member);
            let before = target.unwrap_or(Role::Member);
            rights::may_set_role(actor, before, role, locked.owners())?;
            if target.ok_or(Refusal::NoSuchMember)? == role {
                return Ok::<_, Failure>(());
            }
            group_rows::set_role(&tx, locked.key, member, role).await?;
            let mut events = Events::by(user, group, now_ms);
            events.in_group(Event::RoleChanged { user: member, role });
            Ok(outbox::write(&tx, &events.events).await?)
        };
        self.db.tx("groups.set_role", work).await?;
        self.outbox.flush().await;
        Ok(Done {})
    }

    /// Publishes what the change owes, and answers with the group as it is now.
    async fn answer(&self, user: UserId, group: GroupId) -> Result<ConversationSummary, Failure> {
        self.outbox.flush().await;
        let conversation = Conversation::Group(group);
        self.one(One { user, conversation }).await
    }
}

fn millis(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}

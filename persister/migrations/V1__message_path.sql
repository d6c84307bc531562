-- The message path: accounts, conversations, members, cursors, messages.
--
-- Every table of a conversation carries its 16-byte key first, so that the tables can be
-- distributed by it. Times are Unix milliseconds. Sequences are JetStream's.

create table users (
    id            uuid primary key,
    -- Lower case; null where an outside identity provider gave none.
    handle        text unique,
    name          text not null,
    -- argon2id in PHC form; null for users of an outside identity provider.
    password_hash text,
    issuer        text,
    subject       text,
    created_at    bigint not null,
    unique (issuer, subject)
);
create index users_handle_prefix on users (handle text_pattern_ops);
create index users_name_prefix on users (lower(name) text_pattern_ops);

-- Ed25519 keys of access tokens: the newest signs, all of them verify.
create table signing_keys (
    kid         text primary key,
    private_key bytea not null,
    public_key  bytea not null,
    created_at  bigint not null
);

create table conversations (
    key          uuid primary key,
    -- 0 = 1:1 (low and high are its users), 1 = group (key is its id), 2 = user log (key is the user).
    kind         smallint not null,
    low          uuid,
    high         uuid,
    title        text,
    member_count integer,
    -- The last message of any kind that is in `messages`.
    head         bigint not null default 0,
    head_at      bigint not null default 0,
    -- The last text or event: what a list shows.
    shown        bigint not null default 0
);

-- Members of groups, and the two of a 1:1 chat once it has a message.
create table members (
    conversation uuid not null,
    user_id      uuid not null,
    -- 0 = member, 1 = admin, 2 = owner.
    role         smallint not null,
    joined_at    bigint not null,
    muted        boolean not null default false,
    primary key (conversation, user_id)
);
create index members_user on members (user_id) include (conversation);

create table cursors (
    conversation uuid not null,
    user_id      uuid not null,
    delivered    bigint not null,
    read         bigint not null,
    primary key (conversation, user_id)
);

create table messages (
    conversation uuid not null,
    seq          bigint not null,
    sender       uuid not null,
    client_id    uuid not null,
    sent_at      bigint not null,
    -- 0 = text, 1 = edit, 2 = delete, 3 = event, 4 = duplicate.
    kind         smallint not null,
    reply_to     bigint,
    target       bigint,
    -- Sequence of the last edit that `text` includes, and of the deletion that took it.
    edited       bigint,
    deleted      bigint,
    text         text,
    event        jsonb,
    -- Of the content as it was sent, kept once the text was edited or deleted.
    fingerprint  bytea,
    primary key (conversation, seq)
);
-- One message per sender and client id, for ever.
create unique index messages_client_id on messages (conversation, sender, client_id) where kind <> 4;
-- The edits and deletions of a message.
create index messages_target on messages (conversation, target) where target is not null;

-- Events that a committed change owes to the streams.
create table outbox (
    id      bigint generated always as identity primary key,
    -- The stored message, ready to publish.
    payload bytea not null
);

-- What could not be written, kept for an operator to look at and replay.
create table dead_letters (
    stream  text not null,
    seq     bigint not null,
    subject text not null,
    payload bytea not null,
    error   text not null,
    at      bigint not null,
    primary key (stream, seq)
);

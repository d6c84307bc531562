-- What users choose about pushes.

-- Conversations that a user has muted. In a table of its own: a 1:1 chat may be muted before it has a
-- message, when nobody is a member of it yet, and hardly any are. One that is over counts as none.
create table mutes (
    conversation uuid not null,
    user_id      uuid not null,
    -- Unix milliseconds; null: until it is taken back.
    until        bigint,
    -- Whether a message that mentions the user is pushed all the same.
    mentions     boolean not null,
    primary key (conversation, user_id)
);

-- It was never read.
alter table members drop column muted;

-- How much pushes to a user say at most: 0 = nothing, 1 = the sender, 2 = the text. Null: not chosen.
alter table users add column push_preview smallint;

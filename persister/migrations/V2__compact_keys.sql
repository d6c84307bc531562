-- A smaller index of client ids, in the order of time.
--
-- One message per sender and client id, for ever: that took 48 bytes of keys in every entry, and
-- every entry of a new message went to another page of the index. Client ids are UUIDv7, so an index
-- that begins with them grows at its end and its pages get full; and two senders of one conversation
-- have the same id only if one of them copied it, so that the sender is left out. A message whose id
-- another sender of the conversation had before is a twin: it stands in an index of its own, which
-- is next to always empty.

alter table messages add column twin boolean;

update messages m set twin = true
from (
    select conversation, seq, row_number() over (partition by conversation, client_id order by seq) as nth
    from messages where kind <> 4
) as same
where same.nth > 1 and m.conversation = same.conversation and m.seq = same.seq;

drop index messages_client_id;
create unique index messages_client_id on messages (client_id, conversation) where kind <> 4 and twin is null;
create unique index messages_twin on messages (client_id, conversation, sender) where kind <> 4 and twin;

-- Distributes the history over the nodes of a Citus cluster, by conversation.
--
-- Run it once, on the coordinator, in a database with `create extension citus` whose schema is up to date, and
-- with the persisters stopped if it holds messages: each table is copied into its shards under a lock.
-- docs/decisions/distributed-history.md says how, what was run, and what was not.
--
-- What belongs to one conversation stands on one node, because all five tables are spread by the same key
-- into shards that stay together. What is not of a conversation stays on the coordinator.

select create_distributed_table('conversations', 'key');
select create_distributed_table('members', 'conversation', colocate_with => 'conversations');
select create_distributed_table('cursors', 'conversation', colocate_with => 'conversations');
select create_distributed_table('mutes', 'conversation', colocate_with => 'conversations');
select create_distributed_table('messages', 'conversation', colocate_with => 'conversations');
-- Names of members are joined to their rows, wherever those are.
select create_reference_table('users');

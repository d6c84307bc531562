-- What hash partitions by conversation cost on one Postgres: the same table without and with 16 of them,
-- asked in turns as the persister asks. Run it in an empty database of a machine that is quiet:
--
--   createdb compared && psql -d compared -f persister/distributed/partitions-compared.sql
--
-- It prints milliseconds per statement, least and median of the rounds. docs/decisions/distributed-history.md
-- says what follows.
\set ON_ERROR_STOP on
set client_min_messages = warning;
set synchronous_commit = off;
set enable_bitmapscan = off;

create table plain (
    conversation uuid not null, seq bigint not null, sender uuid not null, client_id uuid not null,
    sent_at bigint not null, kind smallint not null, target bigint, text text, twin boolean,
    primary key (conversation, seq)
);
create table parts (like plain) partition by hash (conversation);
alter table parts add primary key (conversation, seq);
select format('create table parts_%s partition of parts for values with (modulus 16, remainder %s)', n, n)
from generate_series(0, 15) n \gexec
select format(sql, t, t) from (values ('plain'), ('parts')) tables (t), (values
    ('create unique index %s_client_id on %s (client_id, conversation) where kind <> 4 and twin is null'),
    ('create unique index %s_twin on %s (client_id, conversation, sender) where kind <> 4 and twin'),
    ('create index %s_target on %s (conversation, target) where target is not null')) indexes (sql) \gexec

create table took (what text, t text, ms float8);
create table chats (n int primary key, key uuid);
insert into chats select n, gen_random_uuid() from generate_series(0, 4999) n;

-- Batches of 500 texts over 100 conversations, both tables in turns; a statement is planned for each batch.
create procedure write(rounds int, counts boolean) language plpgsql as $$
declare
    t text; began timestamptz; keys uuid[]; seqs bigint[]; senders uuid[]; ids uuid[]; texts text[];
    first bigint;
begin
    for round in 1 .. rounds loop
        first := (select coalesce(max(seq), 0) from plain);
        select array_agg(key), array_agg(first + given.n), array_agg(gen_random_uuid()), array_agg(uuidv7()),
               array_agg(repeat('text ', 20))
        into keys, seqs, senders, ids, texts
        from generate_series(1, 500) given (n) join chats on chats.n = (round * 37 + given.n % 100) % 5000;
        foreach t in array (case when round % 2 = 0 then array['plain', 'parts'] else array['parts', 'plain'] end) loop
            began := clock_timestamp();
            execute format('insert into %I (conversation, seq, sender, client_id, sent_at, kind, text, twin)
                select given.*, null::boolean from unnest($1, $2, $3, $4, array_fill(1::bigint, array[500]),
                    array_fill(0::smallint, array[500]), $5) given on conflict do nothing', t)
            using keys, seqs, senders, ids, texts;
            if counts then
                insert into took values ('write 500', t, extract(epoch from clock_timestamp() - began) * 1000);
            end if;
        end loop;
        commit;
    end loop;
end $$;

-- A page of one conversation, planned each time, and the news of 100 conversations, planned once.
create procedure read(rounds int) language plpgsql as $$
declare
    t text; began timestamptz; key uuid; keys uuid[]; got bigint;
begin
    set local plan_cache_mode = force_generic_plan;
    set local enable_seqscan = off;
    for round in 1 .. rounds loop
        foreach t in array (case when round % 2 = 0 then array['plain', 'parts'] else array['parts', 'plain'] end) loop
            key := (select c.key from chats c where n = round * 97 % 5000);
            began := clock_timestamp();
            execute format('select count(*) from (select * from %I where conversation = $1 and seq < $2
                order by seq desc limit 50) page', t) using key, 9223372036854775807 into got;
            insert into took values ('page', t, extract(epoch from clock_timestamp() - began) * 1000);
            keys := array(select c.key from chats c where (n + round) % 50 = 0);
            began := clock_timestamp();
            if t = 'plain' then
                perform count(*) from unnest(keys) k cross join lateral (
                    select seq from plain m where m.conversation = k and m.seq > 0 order by seq limit 20) news;
            else
                perform count(*) from unnest(keys) k cross join lateral (
                    select seq from parts m where m.conversation = k and m.seq > 0 order by seq limit 20) news;
            end if;
            insert into took values ('news of 100', t, extract(epoch from clock_timestamp() - began) * 1000);
        end loop;
    end loop;
end $$;

call write(600, false);
vacuum analyze plain, parts;
call write(400, true);
vacuum analyze plain, parts;
call read(400);

select what, t as table, round(min(ms)::numeric, 3) as least_ms,
       round((percentile_cont(0.5) within group (order by ms))::numeric, 3) as median_ms
from took group by what, t order by what, t desc;
-- One conversation leads to one partition, also when it is only known while the statement runs: all others
-- say "never executed".
set plan_cache_mode = force_generic_plan;
set enable_seqscan = off;
explain (analyze, costs off, timing off, summary off, buffers off)
select count(*) from (select key from chats limit 1) k cross join lateral (
    select seq from parts m where m.conversation = k.key and m.seq > 0 order by seq limit 20) news;

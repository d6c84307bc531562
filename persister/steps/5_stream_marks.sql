-- How far this database has come in each stream, kept beside what it says so about: a backup that is put
-- back, or a stream that was lost, is told by comparing the two.
create table if not exists stream_marks (
    name  text primary key,
    -- The highest sequence of which a row was written; sequences from here on are free.
    head  bigint not null,
    -- Everything that the stream stored up to here is in this database.
    floor bigint not null
);

-- Over how many streams the conversations of this database are spread: a cluster that is made anew with another
-- number would look for them in streams that do not have them.
create table if not exists shards (
    -- There is one row.
    single boolean primary key default true check (single),
    count  integer not null
);

-- Messages are only ever added at the end, so that by the share of Postgres's own settings the table is
-- looked at the more rarely the larger it is: a fifth of a billion rows wait for the first visibility map and
-- the freeze that follow. Takes a lock that neither readers nor writers
-- notice, and that a vacuum or an analysis of the table has as long as it runs.
alter table {leaf} set (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

//! The persister: the only owner of Postgres.

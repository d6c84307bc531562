//! What a history takes, and what a question reads.

use super::Sample;

/// A table or one of its indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its name; a table's overflow of long values is `… (toast)`.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// Pages of 8 KiB that Postgres looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Blocks {
    /// In its own memory.
    pub hit: u64,
    /// From the operating system, which may have had them in its memory.
    pub read: u64,
}

const SPACE: &str = "\
    select c.relname, pg_table_size(c.oid) - coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0) \
    from pg_class c where c.oid = 'messages'::regclass \
    union all \
    select 'messages (toast)', pg_total_relation_size(reltoastrelid) from pg_class where oid = 'messages'::regclass and reltoastrelid <> 0 \
    union all \
    select i.relname, pg_relation_size(i.oid) from pg_index x join pg_class i on i.oid = x.indexrelid \
    where x.indrelid = 'messages'::regclass \
    order by 1";
const BLOCKS: &str = "\
    select blks_hit, blks_read from pg_stat_database where datname = current_database()";

impl Sample {
    /// The table of messages and its indexes, by name, as they stand on disk.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn space(&self) -> anyhow::Result<Vec<Relation>> {
        let rows = self.client.query(SPACE, &[]).await?;
        let relations = rows.iter().map(|row| Relation {
            name: row.get(0),
            bytes: row.get::<_, i64>(1).cast_unsigned(),
        });
        Ok(relations.collect())
    }

    /// How many messages there are.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn messages(&self) -> anyhow::Result<u64> {
        let row = self
            .client
            .query_one("select count(*) from messages", &[])
            .await?;
        Ok(row.get::<_, i64>(0).cast_unsigned())
    }

    /// What was looked at since the database was made; sessions tell of it with a delay of up to a
    /// second while they are idle.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn blocks(&self) -> anyhow::Result<Blocks> {
        let row = self.client.query_one(BLOCKS, &[]).await?;
        Ok(Blocks {
            hit: row.get::<_, i64>(0).cast_unsigned(),
            read: row.get::<_, i64>(1).cast_unsigned(),
        })
    }
}

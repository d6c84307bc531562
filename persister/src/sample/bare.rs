//! The baseline: what a client of Postgres without a chat around it would do for the same rows.

use natterjack_nats::{Conversation, UserId, wire::Stored};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::{Sample, connect};

const BEFORE: &str = "\
    select seq, sender, client_id, sent_at, kind, reply_to, target, edited, deleted, text, event \
    from messages where conversation = $1 and seq < $2 order by seq desc limit $3";
const AFTER: &str = "\
    select seq, sender, client_id, sent_at, kind, reply_to, target, edited, deleted, text, event \
    from messages where conversation = $1 and seq > $2 order by seq limit $3";
/// The list with its previews, without unread counts.
const LIST: &str = "\
    select c.key, c.kind, c.low, c.high, c.title, c.member_count, c.head, m.role, s.sender, s.sent_at, s.text \
    from members m join conversations c on c.key = m.conversation \
    left join messages s on s.conversation = c.key and s.seq = c.shown \
    where m.user_id = $1 order by c.head_at desc, c.key desc limit $2";
const INSERT: &str = "\
    insert into messages (conversation, seq, sender, client_id, sent_at, kind, text) \
    select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::smallint[], $7::text[])";

/// One connection with prepared statements.
#[derive(Debug)]
pub struct Bare {
    client: Client,
    before: Statement,
    after: Statement,
    list: Statement,
}

impl Bare {
    /// Connects and prepares.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let client = connect(url).await?;
        Ok(Self {
            before: client.prepare(BEFORE).await?,
            after: client.prepare(AFTER).await?,
            list: client.prepare(LIST).await?,
            client,
        })
    }

    /// How many rows stand before a sequence, at most `limit`; all of them are fetched.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn before(&self, conversation: &Conversation, seq: u64, limit: i64) -> anyhow::Result<usize> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let key = conversation.key();
        let rows = self.client.query(&self.before, &[&key, &seq, &limit]).await?;
        Ok(rows.len())
    }

    /// The same after a sequence.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn after(&self, conversation: &Conversation, seq: u64, limit: i64) -> anyhow::Result<usize> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let key = conversation.key();
        let rows = self.client.query(&self.after, &[&key, &seq, &limit]).await?;
        Ok(rows.len())
    }

    /// The first page of a user's conversations with their previews.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn list(&self, user: UserId, limit: i64) -> anyhow::Result<usize> {
        Ok(self
            .client
            .query(&self.list, &[&user.as_uuid(), &limit])
            .await?
            .len())
    }
}

/// One connection that writes messages and nothing else.
#[derive(Debug)]
pub struct BareInsert {
    client: Client,
    insert: Statement,
}

impl BareInsert {
    /// Connects and prepares.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let client = connect(url).await?;
        let insert = client.prepare(INSERT).await?;
        Ok(Self { client, insert })
    }

    /// Writes texts in one transaction, with sequences from `from` on.
    ///
    /// # Errors
    /// Postgres refuses.
    pub async fn write(&self, messages: &[Stored], from: u64) -> anyhow::Result<()> {
        let keys: Vec<Uuid> = messages
            .iter()
            .map(|message| message.conversation.key())
            .collect();
        let seqs: Vec<i64> = (from..).zip(messages).map(|(seq, _)| seq.cast_signed()).collect();
        let senders: Vec<Uuid> = messages.iter().map(|message| message.sender.as_uuid()).collect();
        let ids: Vec<Uuid> = messages.iter().map(|message| message.id.as_uuid()).collect();
        let sent_at: Vec<i64> = messages
            .iter()
            .map(|message| message.sent_at.cast_signed())
            .collect();
        let kinds = vec![0_i16; messages.len()];
        let texts: Vec<Option<&str>> = messages.iter().map(|message| message.text.as_deref()).collect();
        let written = self
            .client
            .execute(
                &self.insert,
                &[&keys, &seqs, &senders, &ids, &sent_at, &kinds, &texts],
            )
            .await?;
        anyhow::ensure!(written == messages.len() as u64, "not all rows were written");
        Ok(())
    }
}

/// A conversation of a reader, as it stands in the sample.
#[derive(Debug, Clone)]
pub struct Own {
    /// Which.
    pub conversation: Conversation,
    /// How many messages it has.
    pub messages: u64,
    /// The sequence of the one in the middle.
    pub middle: u64,
}

const OWN: &str = "\
    select c.kind, c.key, c.low, c.high, n.count, \
      (select seq from messages where conversation = c.key order by seq offset n.count / 2 limit 1) \
    from members m join conversations c on c.key = m.conversation \
    cross join lateral (select count(*) as count from messages where conversation = c.key) n \
    where m.user_id = $1 order by n.count desc, c.key";

const SOME: &str = "select kind, key, low, high from conversations where kind < 2 order by key limit $1";

impl Sample {
    /// The conversations of a user, the one with the most messages first.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn conversations_of(&self, user: UserId) -> anyhow::Result<Vec<Own>> {
        let rows = self.client.query(OWN, &[&user.as_uuid()]).await?;
        let own = rows.iter().map(|row| {
            Ok(Own {
                conversation: crate::conversations::of_row(row)?,
                messages: row.get::<_, i64>(4).cast_unsigned(),
                middle: row.get::<_, i64>(5).cast_unsigned(),
            })
        });
        own.collect()
    }

    /// Some conversations of all sizes.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn some_conversations(&self, count: i64) -> anyhow::Result<Vec<Conversation>> {
        let rows = self.client.query(SOME, &[&count]).await?;
        let some = rows.iter().map(|row| Ok(crate::conversations::of_row(row)?));
        some.collect()
    }
}

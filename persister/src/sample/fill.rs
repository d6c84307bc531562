//! Makes the rows of a sample.

use natterjack_nats::{Conversation, UserId};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    Sample,
    shape::{Chat, START_MS, STEP_MS, Shape, World},
};

/// Messages in one statement, so that progress can be told.
const CHUNK: u64 = 200_000;
/// Entries in one statement of those that are uploaded.
const UPLOAD: usize = 20_000;

/// Who writes where: dropped afterwards.
const STAGE: &str = "\
    create unlogged table sample_chats (n bigint primary key, key uuid not null, kind smallint not null, \
      low uuid, high uuid, members uuid[]); \
    create unlogged table sample_members (n bigint not null, user_id uuid not null); \
    create index on sample_members (n)";
const UNSTAGE: &str = "drop table sample_chats, sample_members";
const CHATS: &str = "\
    insert into sample_chats (n, key, kind, low, high) \
    select * from unnest($1::bigint[], $2::uuid[], $3::smallint[], $4::uuid[], $5::uuid[])";
const CHAT_MEMBERS: &str = "insert into sample_members select * from unnest($1::bigint[], $2::uuid[])";
const GATHER: &str = "\
    update sample_chats c set members = m.members \
    from (select n, array_agg(user_id) as members from sample_members group by n) m where m.n = c.n";
const USERS: &str = "\
    insert into users (id, handle, name, created_at) \
    select id, 'sample-' || n, 'Sample ' || n, $2 from unnest($1::uuid[]) with ordinality as u (id, n) \
    on conflict do nothing";

/// Which conversation gets a message is drawn with a weight that falls with its place, as the power
/// of -2/3: many are small and a few are huge. The order is that of time, as in a real history. The
/// client's id is a UUIDv7 of that time.
const MESSAGES: &str = "\
    insert into messages (conversation, seq, sender, client_id, sent_at, kind, text) \
    select c.key, m.i, c.members[1 + floor(m.whose * cardinality(c.members))::int], \
      (lpad(to_hex(m.at), 12, '0') || '7' || substr(m.noise, 1, 3) || '8' || substr(m.noise, 4, 15))::uuid, \
      m.at, 0, substr(repeat('The quick brown fox jumps over the lazy dog. ', $3::int / 45 + 2), 1 + (m.i % 45)::int, $3) \
    from (select i, $4 + i * $5 as at, random() as which, random() as where_, random() as whose, \
      md5(random()::text) as noise from generate_series($1::bigint, $2::bigint) as i) as m \
    join sample_chats c on c.n = case when m.which < 0.7 then floor($6::float8 * m.where_ ^ 3) \
      else $6::float8 + floor($7::float8 * m.where_ ^ 3) end::bigint \
    order by m.i";

/// What the ingest keeps besides: a conversation's last message, who is in it, how far they got.
const CONVERSATIONS: &str = "\
    insert into conversations (key, kind, low, high, title, member_count, head, head_at, shown) \
    select c.key, c.kind, c.low, c.high, case c.kind when 1 then 'Sample ' || c.n end, \
      case c.kind when 1 then cardinality(c.members) end, m.head, m.head_at, m.head \
    from sample_chats c \
    join (select conversation, max(seq) as head, max(sent_at) as head_at from messages group by 1) m \
      on m.conversation = c.key \
    on conflict do nothing";
const MEMBERS: &str = "\
    insert into members (conversation, user_id, role, joined_at) \
    select distinct c.key, m.user_id, 0, $1::bigint from sample_chats c join sample_members m using (n) \
    on conflict do nothing";
/// A reader has left up to `$2` messages unread in each conversation, and never looked at one in fifty.
const CURSORS: &str = "\
    insert into cursors (conversation, user_id, delivered, read) \
    select m.conversation, m.user_id, coalesce(r.seq, 0), coalesce(r.seq, 0) \
    from members m cross join lateral ( \
      select seq from messages where conversation = m.conversation order by seq desc \
      offset floor(random() * ($2 + 1))::int limit 1) r \
    where m.user_id = any($1) and random() >= 0.02 \
    on conflict do nothing";
/// Unread messages of a reader in one conversation, at most.
const UNREAD: i32 = 30;

impl Sample {
    /// Fills the database, and tells `told` how many messages there are as it goes on. Afterwards
    /// the tables are vacuumed and their statistics known, as after a quiet hour.
    ///
    /// # Errors
    /// Postgres refuses: the database may have a sample already.
    pub async fn fill(&self, shape: &Shape, told: &(dyn Fn(u64) + Sync)) -> anyhow::Result<()> {
        let world = shape.world();
        // The same sample every time.
        self.client.batch_execute("select setseed(0.5)").await?;
        self.client.batch_execute(STAGE).await?;
        self.upload(&world).await?;
        let (dms, groups) = (float(world.dms), float(world.chats.len() - world.dms));
        let text_bytes = i32::try_from(shape.text_bytes)?;
        let (start, step) = (i64::try_from(START_MS)?, i64::try_from(STEP_MS)?);
        let mut made = 0;
        while made < shape.rows {
            let upto = (made + CHUNK).min(shape.rows);
            let (from, to) = (i64::try_from(made + 1)?, i64::try_from(upto)?);
            self.run(MESSAGES, &[&from, &to, &text_bytes, &start, &step, &dms, &groups])
                .await?;
            made = upto;
            told(made);
        }
        self.run(CONVERSATIONS, &[]).await?;
        self.run(MEMBERS, &[&start]).await?;
        let readers: Vec<Uuid> = shape.readers.iter().map(|reader| reader.user.as_uuid()).collect();
        self.run(CURSORS, &[&readers, &UNREAD]).await?;
        self.client.batch_execute(UNSTAGE).await?;
        self.tidy().await
    }

    /// Vacuums and analyzes everything.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn tidy(&self) -> anyhow::Result<()> {
        self.client.batch_execute("vacuum (analyze)").await?;
        self.client.batch_execute("checkpoint").await?;
        Ok(())
    }

    async fn upload(&self, world: &World) -> anyhow::Result<()> {
        let at = i64::try_from(START_MS)?;
        for users in world.users.chunks(UPLOAD) {
            let ids: Vec<Uuid> = users.iter().copied().map(UserId::as_uuid).collect();
            self.run(USERS, &[&ids, &at]).await?;
        }
        let numbered: Vec<(i64, &Chat)> = (0..).zip(&world.chats).collect();
        for chats in numbered.chunks(UPLOAD) {
            let numbers: Vec<i64> = chats.iter().map(|(n, _)| *n).collect();
            let keys: Vec<Uuid> = chats.iter().map(|(_, chat)| chat.conversation.key()).collect();
            let dm = |chat: &Chat| match chat.conversation {
                Conversation::Dm(dm) => Some(dm),
                _ => None,
            };
            let kinds: Vec<i16> = chats
                .iter()
                .map(|(_, chat)| i16::from(dm(chat).is_none()))
                .collect();
            let low: Vec<Option<Uuid>> = chats
                .iter()
                .map(|(_, chat)| dm(chat).map(|dm| dm.low().as_uuid()))
                .collect();
            let high: Vec<Option<Uuid>> = chats
                .iter()
                .map(|(_, chat)| dm(chat).map(|dm| dm.high().as_uuid()))
                .collect();
            self.run(CHATS, &[&numbers, &keys, &kinds, &low, &high]).await?;
            let members = chats
                .iter()
                .flat_map(|(n, chat)| chat.members.iter().map(|user| (*n, user.as_uuid())));
            let (numbers, users): (Vec<i64>, Vec<Uuid>) = members.unzip();
            self.run(CHAT_MEMBERS, &[&numbers, &users]).await?;
        }
        self.run(GATHER, &[]).await?;
        self.client
            .batch_execute("vacuum (analyze) sample_chats, sample_members")
            .await?;
        Ok(())
    }

    async fn run(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> anyhow::Result<u64> {
        Ok(self.client.execute(sql, params).await?)
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
const fn float(count: usize) -> f64 {
    count as f64
}

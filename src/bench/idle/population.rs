//! The users of the benchmark, with partners, groups and a message in each conversation, written
//! as the persister would have: twenty thousand sign-ups and half a million memberships one by one
//! are not what is measured.

use anyhow::Context;
use async_nats::jetstream;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use natterjack_nats::{
    Conversation, DeviceId, GroupId, MessageId, Shards, UserId, cluster, topology,
    wire::{AccessClaims, TOKEN_AUDIENCE, TOKEN_ISSUER},
};
use natterjack_persister::db::{Db, DbError, Tx};
use natterjack_runtime::{clock::Clock, metrics::Metrics};
use rand::{SeedableRng as _, rngs::SmallRng, seq::SliceRandom as _};
use uuid::Uuid;

use super::super::cluster::Cluster;

/// Rows that are written with one statement.
const ROWS: usize = 20_000;
/// Longer than any run.
const TOKEN_S: u64 = 24 * 3_600;

/// How many, and who knows whom.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Users.
    pub users: usize,
    /// 1:1 chats of each; even.
    pub partners: usize,
    /// Groups of each.
    pub groups: usize,
    /// Members of a group.
    pub members: usize,
}

/// A user who can connect.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who.
    pub user: UserId,
    /// An access token.
    pub token: String,
    /// What a client of this user has: the head of each conversation.
    pub cursors: Vec<(Conversation, u64)>,
}

/// One conversation of the population.
struct Known {
    conversation: Conversation,
    members: Vec<usize>,
    seq: u64,
}

/// Makes the users, in a cluster that was started for this run.
///
/// # Errors
/// The cluster is not ours, or its database or its streams refuse.
pub async fn populate(cluster: &Cluster, shape: Shape) -> anyhow::Result<Vec<Person>> {
    let own = "this benchmark needs a cluster of its own: leave --nats-url out";
    let db = Db::open(cluster.database_url().context(own)?, 2, &Metrics::new("bench")).await?;
    let now_ms = Clock::system().now_ms();
    let users: Vec<UserId> = (0..shape.users).map(|_| UserId::generate(now_ms)).collect();
    let mut next = first_sequences(cluster).await?;
    let conversations = conversations(&users, shape, now_ms, cluster.shards, &mut next);
    write_users(&db, &users, now_ms).await?;
    write_conversations(&db, &users, &conversations, now_ms).await?;
    // What was written comes before whatever will be sent.
    go_on_from(cluster, &next).await?;
    let mut people = tokens(&db, &users, now_ms).await?;
    for known in &conversations {
        for member in &known.members {
            people[*member].cursors.push((known.conversation, known.seq));
        }
    }
    Ok(people)
}

fn conversations(
    users: &[UserId],
    shape: Shape,
    now_ms: u64,
    shards: Shards,
    next: &mut [u64],
) -> Vec<Known> {
    let mut place = |conversation: &Conversation| {
        let next = &mut next[shards.of(conversation).index()];
        *next += 1;
        *next - 1
    };
    let mut all = Vec::new();
    // Each with those who follow in a ring, so that each has as many before as behind.
    for step in 1..=shape.partners / 2 {
        for one in 0..users.len() {
            let other = (one + step) % users.len();
            let conversation = Conversation::dm(users[one], users[other]);
            all.push(Known {
                conversation,
                members: vec![one, other],
                seq: place(&conversation),
            });
        }
    }
    let mut rng = SmallRng::seed_from_u64(1);
    let mut order: Vec<usize> = (0..users.len()).collect();
    for _ in 0..shape.groups {
        order.shuffle(&mut rng);
        for members in order.chunks(shape.members) {
            let conversation = Conversation::Group(GroupId::generate(now_ms));
            all.push(Known {
                conversation,
                members: members.to_vec(),
                seq: place(&conversation),
            });
        }
    }
    all
}

async fn write_users(db: &Db, users: &[UserId], now_ms: u64) -> anyhow::Result<()> {
    let at = i64::try_from(now_ms)?;
    for some in users.chunks(ROWS) {
        let ids: Vec<Uuid> = some.iter().map(|user| user.as_uuid()).collect();
        let ids = &ids;
        let write = |tx: Tx| async move {
            tx.execute(
                "insert into users (id, handle, name, created_at)
                 select id, 'idle-' || id, 'Idle ' || n, $2
                 from unnest($1::uuid[]) with ordinality as u(id, n)",
                &[ids, &at],
            )
            .await
        };
        db.tx::<_, DbError, _, _>("bench.users", write).await?;
    }
    Ok(())
}

async fn write_conversations(
    db: &Db,
    users: &[UserId],
    conversations: &[Known],
    now_ms: u64,
) -> anyhow::Result<()> {
    for some in conversations.chunks(ROWS / 2) {
        let rows = Rows::of(users, some, now_ms)?;
        let rows = &rows;
        let write = |tx: Tx| async move {
            tx.execute(
                "insert into conversations (key, kind, low, high, title, member_count, head, head_at, shown)
                 select key, kind, low, high, case kind when 1 then 'Group' end, count, seq, $7, seq
                 from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::uuid[], $5::integer[], $6::bigint[])
                 as c(key, kind, low, high, count, seq)",
                &[
                    &rows.keys,
                    &rows.kinds,
                    &rows.lows,
                    &rows.highs,
                    &rows.counts,
                    &rows.seqs,
                    &rows.at,
                ],
            )
            .await?;
            tx.execute(
                "insert into messages (conversation, seq, sender, client_id, sent_at, kind, text)
                 select key, seq, sender, client_id, $5, 0, 'Shall we meet at the pond at eight?'
                 from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[]) as m(key, seq, sender, client_id)",
                &[&rows.keys, &rows.seqs, &rows.senders, &rows.client_ids, &rows.at],
            )
            .await?;
            tx.execute(
                "with m as (select * from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::bigint[])
                            as m(key, member, role, seq)),
                 c as (insert into cursors (conversation, user_id, delivered, read)
                       select key, member, seq, seq from m)
                 insert into members (conversation, user_id, role, joined_at) select key, member, role, $5 from m",
                &[
                    &rows.member_keys,
                    &rows.members,
                    &rows.roles,
                    &rows.member_seqs,
                    &rows.at,
                ],
            )
            .await
        };
        db.tx::<_, DbError, _, _>("bench.conversations", write).await?;
    }
    let analyze = |tx: Tx| async move {
        for table in [
            "analyze users",
            "analyze conversations",
            "analyze members",
            "analyze cursors",
            "analyze messages",
        ] {
            tx.execute(table, &[]).await?;
        }
        Ok(())
    };
    Ok(db.tx::<_, DbError, _, _>("bench.analyze", analyze).await?)
}

/// Conversations and their members by column.
#[derive(Default)]
struct Rows {
    at: i64,
    keys: Vec<Uuid>,
    kinds: Vec<i16>,
    lows: Vec<Option<Uuid>>,
    highs: Vec<Option<Uuid>>,
    counts: Vec<Option<i32>>,
    seqs: Vec<i64>,
    senders: Vec<Uuid>,
    client_ids: Vec<Uuid>,
    member_keys: Vec<Uuid>,
    members: Vec<Uuid>,
    roles: Vec<i16>,
    member_seqs: Vec<i64>,
}

impl Rows {
    fn of(users: &[UserId], conversations: &[Known], now_ms: u64) -> anyhow::Result<Self> {
        let mut rows = Self {
            at: i64::try_from(now_ms)?,
            ..Self::default()
        };
        for known in conversations {
            let (key, seq) = (known.conversation.key(), i64::try_from(known.seq)?);
            let is_group = matches!(known.conversation, Conversation::Group(_));
            let mut two = known.members.iter().map(|member| users[*member].as_uuid());
            let (one, other) = (two.next(), two.next());
            rows.keys.push(key);
            rows.kinds.push(i16::from(is_group));
            rows.lows.push(one.min(other).filter(|_| !is_group));
            rows.highs.push(one.max(other).filter(|_| !is_group));
            let count = i32::try_from(known.members.len())?;
            rows.counts.push(is_group.then_some(count));
            rows.seqs.push(seq);
            rows.senders.push(users[known.members[0]].as_uuid());
            rows.client_ids.push(MessageId::generate(now_ms).as_uuid());
            for (index, member) in known.members.iter().enumerate() {
                rows.member_keys.push(key);
                rows.members.push(users[*member].as_uuid());
                rows.roles.push(if is_group && index == 0 { 2 } else { 0 });
                rows.member_seqs.push(seq);
            }
        }
        Ok(rows)
    }
}

/// The next sequence of each shard's stream, all of which is persisted.
async fn first_sequences(cluster: &Cluster) -> anyhow::Result<Vec<u64>> {
    cluster.settle().await?;
    let context = context(cluster).await?;
    let mut next = Vec::new();
    for shard in cluster.shards.all() {
        let stream = context.get_stream(topology::chat_stream(shard)).await?;
        next.push(stream.cached_info().state.last_sequence + 1);
    }
    Ok(next)
}

/// Moves the streams, with the watermarks of the persister, to these sequences.
async fn go_on_from(cluster: &Cluster, next: &[u64]) -> anyhow::Result<()> {
    let context = context(cluster).await?;
    for (shard, sequence) in cluster.shards.all().zip(next) {
        let stream = context.get_stream(topology::chat_stream(shard)).await?;
        stream.purge().sequence(*sequence).await?;
    }
    cluster.settle().await
}

async fn context(cluster: &Cluster) -> anyhow::Result<jetstream::Context> {
    let client = cluster::connect(&cluster.nats_url, "natterjack bench", |_| {}).await?;
    Ok(jetstream::new(client))
}

/// Signs tokens with the key that the persister made.
async fn tokens(db: &Db, users: &[UserId], now_ms: u64) -> anyhow::Result<Vec<Person>> {
    let read = |tx: Tx| async move {
        let row = tx
            .query_one(
                "select kid, private_key from signing_keys order by created_at desc, kid limit 1",
                &[],
            )
            .await?;
        Ok::<(String, Vec<u8>), DbError>((row.try_get(0)?, row.try_get(1)?))
    };
    let (kid, private_key) = db.read("bench.key", read).await?;
    let key = EncodingKey::from_ed_der(&private_key);
    let header = Header {
        kid: Some(kid),
        ..Header::new(Algorithm::EdDSA)
    };
    let person = |user: &UserId| {
        let iat = now_ms / 1_000;
        let claims = AccessClaims {
            iss: TOKEN_ISSUER.into(),
            aud: TOKEN_AUDIENCE.into(),
            sub: *user,
            did: DeviceId::generate(now_ms),
            iat,
            exp: iat + TOKEN_S,
            jti: Uuid::new_v4().simple().to_string(),
        };
        Ok(Person {
            user: *user,
            token: jsonwebtoken::encode(&header, &claims, &key)?,
            cursors: Vec::new(),
        })
    };
    users.iter().map(person).collect()
}

//! History by time, against a scan of all that was stored, with real servers: both halves, equal times, and
//! clocks that differ.

mod common;

use anyhow::{Context as _, ensure};
use common::{PATIENCE, World, text_content, user};
use natterjack_nats::{
    Conversation, MessageId,
    services::history::ReadPage,
    topology,
    wire::{HistoryQuery, Page, Stored},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::timeout;

/// A message: sequence and time.
type Place = (u64, u64);

async fn at(world: &World, conversation: Conversation, ms: u64, limit: usize) -> anyhow::Result<Page> {
    let query = HistoryQuery {
        conversation,
        before: None,
        after: None,
        around: None,
        at: Some(ms),
        limit: Some(limit),
    };
    let (user, member) = (user(1), true);
    Ok(world.call(&ReadPage { user, member, query }).await?)
}

async fn say(world: &World, conversation: Conversation, ms: u64) -> anyhow::Result<Place> {
    let id = MessageId::generate(world.clock.now_ms());
    let stored = Stored::new(conversation, id, user(2), ms, text_content("at a time"));
    Ok((world.store(&stored).await?, ms))
}

/// What a page at a time must be, given everything.
fn check(all: &[Place], ms: u64, limit: usize, page: &Page) -> anyhow::Result<()> {
    let got: Vec<Place> = page.messages.iter().map(|one| (one.seq, one.sent_at)).collect();
    ensure!(got.len() == limit.min(all.len()), "{} of {limit}", got.len());
    let start = all
        .iter()
        .position(|one| got.first() == Some(one))
        .context("a first one")?;
    ensure!(got[..] == all[start..start + got.len()], "a part of the whole");
    ensure!(page.more_before == (start > 0) && page.more_after == (start + got.len() < all.len()));
    // Where the time is passed, as it is once and only once if the times rise.
    let passes =
        |index: usize| all[index].1 >= ms && index.checked_sub(1).is_none_or(|before| all[before].1 < ms);
    let passed: Vec<usize> = (0..all.len()).filter(|&index| passes(index)).collect();
    // A page around one of these places has it in its middle, or ends where the conversation does.
    let centred = |&index: &usize| {
        let inside = (start..start + got.len()).contains(&index);
        let (before, after) = (index.wrapping_sub(start), (start + got.len()).wrapping_sub(index));
        let ends = start == 0 || start + got.len() == all.len();
        inside && (ends || before.abs_diff(after) <= 1)
    };
    match passed.is_empty() {
        true => ensure!(start + got.len() == all.len(), "nothing is that late: the newest"),
        false => ensure!(
            passed.iter().any(centred),
            "{ms}: {got:?} is not around one of {passed:?}"
        ),
    }
    Ok(())
}

#[tokio::test]
async fn a_page_at_a_time_is_around_the_first_message_from_then_on() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (dm, noise) = (
        Conversation::dm(user(1), user(2)),
        Conversation::dm(user(2), user(3)),
    );
    let mut random = StdRng::seed_from_u64(11);
    ensure!(
        at(&world, dm, 5, 10).await?.messages.is_empty(),
        "nothing was said yet"
    );

    let (mut all, mut now) = (Vec::new(), 1_000);
    let mut store = async |count: usize, all: &mut Vec<Place>| -> anyhow::Result<u64> {
        for _ in 0..count {
            // Many at the same time, and now and then a long silence.
            now += [0, 0, 1, 7, 5_000][random.random_range(0..5)];
            if random.random_range(0..3) == 0 {
                say(&world, noise, now).await?;
            }
            all.push(say(&world, dm, now).await?);
        }
        Ok(now)
    };
    store(70, &mut all).await?;
    world.settled().await?;
    // From here on it stays in the stream.
    let (held, connection) = tokio_postgres::connect(&world.args.database_url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    held.batch_execute("begin; lock table conversations in share mode")
        .await?;
    let end = store(30, &mut all).await?;
    ensure!(
        world.count("select count(*) from messages").await? < 100,
        "nothing is in the tail only"
    );

    let mut random = StdRng::seed_from_u64(12);
    for _ in 0..120 {
        let (ms, limit) = (random.random_range(990..end + 10), random.random_range(1..40));
        check(&all, ms, limit, &at(&world, dm, ms, limit).await?).with_context(|| format!("at {ms}"))?;
    }
    for (_, ms) in &all {
        check(&all, *ms, 9, &at(&world, dm, *ms, 9).await?).with_context(|| format!("at {ms}"))?;
    }
    check(&all, 0, 9, &at(&world, dm, 0, 9).await?)?;
    check(&all, 1 << 53, 9, &at(&world, dm, (1 << 53) - 1, 9).await?)?;
    held.batch_execute("rollback").await?;
    world.settled().await?;
    check(&all, end, 9, &at(&world, dm, end, 9).await?)?;
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn clocks_that_differ_lead_to_a_place_where_the_time_is_passed() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let dm = Conversation::dm(user(1), user(2));
    let mut random = StdRng::seed_from_u64(13);
    let mut all = Vec::new();
    for step in 0..80_u64 {
        all.push(say(&world, dm, 1_000 + step * 10 + random.random_range(0..60)).await?);
    }
    world.settled().await?;
    for _ in 0..100 {
        let (ms, limit) = (random.random_range(990..1_900), random.random_range(1..30));
        check(&all, ms, limit, &at(&world, dm, ms, limit).await?).with_context(|| format!("at {ms}"))?;
    }
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn a_place_in_a_large_conversation_takes_a_few_look_ups() -> anyhow::Result<()> {
    const MESSAGES: u64 = 200_000;
    let world = World::start().await?;
    let persister = world.persister().await?;
    let dm = Conversation::dm(user(1), user(2));
    // The stream goes on far behind what is then written in front of it.
    let stream = topology::chat_stream(world.shards.of(&dm));
    let stream = world.jetstream.get_stream(stream).await?;
    stream.purge().sequence(MESSAGES * 3 + 1).await?;
    let (known, _) = say(&world, dm, 10_000_000_000).await?;
    ensure!(known > MESSAGES * 3);
    world.settled().await?;
    world
        .sql(
            "insert into messages (conversation, seq, sender, client_id, sent_at, kind, text) \
             select key, n * 3, $1, uuidv7(), 1000000 + n * 5, 0, 'long ago' \
             from conversations, generate_series(1, $2::bigint) as n",
            &[&user(2).as_uuid(), &i64::try_from(MESSAGES)?],
        )
        .await?;
    let mut random = StdRng::seed_from_u64(14);
    let (mut asked, before) = (0, reads(&world).await?);
    let mut ask = async || {
        let ms = 1_000_000 + random.random_range(100..MESSAGES - 100) * 5 - 2;
        let page = at(&world, dm, ms, 20).await?;
        let found = page.messages.iter().find(|one| one.sent_at >= ms);
        let wanted = (ms + 2 - 1_000_000) / 5 * 3;
        ensure!(
            found.is_some_and(|found| found.seq == wanted),
            "{wanted}: {found:?}"
        );
        reads(&world).await
    };
    // Postgres tells what was read a while later.
    let after = timeout(PATIENCE, async {
        loop {
            asked += 1;
            let now = ask().await?;
            if now.0 > before.0 {
                return anyhow::Ok(now);
            }
        }
    })
    .await
    .context("waited for the reads")??;
    let each = (after.1 - before.1) / asked.max(1);
    ensure!(each < 200, "{each} rows were read for a page of 20");
    persister.stop(PATIENCE).await
}

/// Look-ups in the primary key of the messages, and rows that were read for them.
async fn reads(world: &World) -> anyhow::Result<(i64, i64)> {
    let sql =
        "select idx_scan, idx_tup_fetch + seq_tup_read from pg_stat_user_tables where relname = 'messages'";
    let rows = world.sql(sql, &[]).await?;
    let row = rows.first().context("no row")?;
    Ok((row.get(0), row.get(1)))
}

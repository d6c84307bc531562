//! Pages, look-up and inspection with real servers: both halves, no seam.

mod common;

use anyhow::{Context as _, ensure};
use common::{PATIENCE, World, text_content, until, user};
use natterjack_nats::{
    Conversation, GroupId, MessageId, UserId, provision,
    services::history::{Inspect, LookUp, ReadPage},
    topology,
    wire::{Code, Content, HistoryQuery, Kind, Page, Stored, WireError},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

fn query(conversation: Conversation) -> HistoryQuery {
    HistoryQuery {
        conversation,
        before: None,
        after: None,
        around: None,
        at: None,
        limit: None,
    }
}

async fn page(world: &World, user: UserId, query: HistoryQuery) -> Result<Page, WireError> {
    let member = true;
    world.call(&ReadPage { user, member, query }).await
}

fn seqs(page: &Page) -> Vec<u64> {
    page.messages.iter().map(|message| message.seq).collect()
}

/// Keeps the persister from writing: what is stored from now on stays in the tail.
async fn hold_ingest(world: &World) -> anyhow::Result<tokio_postgres::Client> {
    let (client, connection) =
        tokio_postgres::connect(&world.args.database_url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute("begin; lock table conversations in share mode")
        .await?;
    Ok(client)
}

#[tokio::test]
async fn pages_agree_with_a_model_whatever_half_the_messages_are_in() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let noise = Conversation::dm(a, user(3));
    let mut random = StdRng::seed_from_u64(7);
    let mut all = Vec::new();
    let mut store = async |count: usize, all: &mut Vec<u64>| -> anyhow::Result<()> {
        for _ in 0..count {
            if random.random_range(0..3) == 0 {
                world.text(noise, a, "noise").await?;
            }
            all.push(world.text(dm, b, "text").await?);
        }
        Ok(())
    };
    store(60, &mut all).await?;
    world.settled().await?;
    let held = hold_ingest(&world).await?;
    store(25, &mut all).await?;
    ensure!(
        world.count("select count(*) from messages").await? < 85,
        "nothing is in the tail only"
    );

    let mut random = StdRng::seed_from_u64(8);
    let last = *all.last().context("some")?;
    for _ in 0..150 {
        let at = random.random_range(0..last + 3);
        let limit = random.random_range(1..40);
        let mut asked = query(dm);
        asked.limit = Some(limit);
        let fitting: Vec<u64> = match random.random_range(0..4) {
            0 => {
                asked.after = Some(at);
                all.iter().copied().filter(|&seq| seq > at).take(limit).collect()
            }
            1 => {
                asked.before = Some(at);
                let below: Vec<u64> = all.iter().copied().filter(|&seq| seq < at).collect();
                below[below.len().saturating_sub(limit)..].to_vec()
            }
            2 => {
                asked.around = Some(at);
                Vec::new()
            }
            _ => all[all.len().saturating_sub(limit)..].to_vec(),
        };
        let around = asked.around;
        let got = page(&world, a, asked.clone()).await?;
        let found = seqs(&got);
        if around.is_some() {
            ensure!(found.len() == limit.min(all.len()), "{asked:?}: {found:?}");
        } else {
            ensure!(found == fitting, "{asked:?}: {found:?}");
        }
        ensure!(got.head == last);
        for message in &got.messages {
            let prev = all.iter().rev().copied().find(|&seq| seq < message.seq);
            ensure!(
                message.prev == prev.unwrap_or_default(),
                "{asked:?}: prev of {message:?}"
            );
        }
        if let (Some(first), Some(end)) = (found.first(), found.last()) {
            ensure!(got.more_before == (*first > all[0]), "{asked:?}");
            ensure!(got.more_after == (*end < last), "{asked:?}");
        }
    }
    drop(held);
    world.settled().await?;
    ensure!(
        world
            .count("select count(*) from messages where sender <> client_id")
            .await?
            >= 85
    );
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn edits_and_deletions_show_wherever_they_are() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let edited = world.text(dm, a, "one").await?;
    let deleted = world.text(dm, a, "two").await?;
    let old_edit = Content::Edit {
        target: deleted,
        text: "two, edited".into(),
    };
    let old_edit = world.say(dm, a, old_edit).await?;
    world.settled().await?;
    let held = hold_ingest(&world).await?;
    let edit = Content::Edit {
        target: edited,
        text: "new".into(),
    };
    let edit = world.say(dm, a, edit).await?;
    let forged = Content::Edit {
        target: edited,
        text: "forged".into(),
    };
    world.say(dm, b, forged).await?;
    let deletion = world.say(dm, a, Content::Delete { target: deleted }).await?;

    let check = async || -> anyhow::Result<()> {
        let page = page(&world, b, query(dm)).await?;
        let of = |seq| {
            page.messages
                .iter()
                .find(|message| message.seq == seq)
                .context("missing")
        };
        ensure!(of(edited)?.text.as_deref() == Some("new") && of(edited)?.edited == Some(edit));
        ensure!(of(deleted)?.text.is_none() && of(deleted)?.deleted == Some(deletion));
        ensure!(
            of(old_edit)?.text.is_none(),
            "the text of a deleted message's edit"
        );
        let inspect = |target| Inspect {
            user: b,
            conversation: dm,
            target,
        };
        ensure!(world.call(&inspect(edited)).await?.standing_text);
        ensure!(!world.call(&inspect(deleted)).await?.standing_text);
        ensure!(!world.call(&inspect(edit)).await?.standing_text);
        let error = world.call(&inspect(9_999)).await.expect_err("not there");
        ensure!(error.code == Code::NotFound);
        Ok(())
    };
    check().await.context("in the tail")?;
    drop(held);
    world.settled().await?;
    check().await.context("in Postgres")?;
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn strangers_read_nothing() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b, stranger) = (user(1), user(2), user(3));
    let group = Conversation::Group(GroupId::from_parts(1, 1));
    let sql = "insert into members (conversation, user_id, role, joined_at) values ($1, $2, 1, 0)";
    world.sql(sql, &[&group.key(), &a.as_uuid()]).await?;
    let said = world.text(group, a, "hi").await?;
    for conversation in [group, Conversation::dm(a, b), Conversation::User(a)] {
        let error = page(&world, stranger, query(conversation))
            .await
            .expect_err("a stranger");
        ensure!(error.code == Code::NotMember, "{error}");
    }
    ensure!(seqs(&page(&world, a, query(group)).await?) == [said]);
    let inspected = world
        .call(&Inspect {
            user: a,
            conversation: group,
            target: said,
        })
        .await?;
    ensure!(inspected.moderator && inspected.sender == a);
    let mut bad = query(group);
    (bad.before, bad.after) = (Some(1), Some(2));
    ensure!(page(&world, a, bad).await.expect_err("both").code == Code::BadRequest);
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn large_texts_make_short_pages() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let mut all = Vec::new();
    for number in 0..6 {
        // Of one byte each in Postgres, and six in JSON.
        let text = if number == 3 {
            "\u{1}".repeat(100_000)
        } else {
            "🦎".repeat(50_000)
        };
        all.push(world.text(dm, a, &text).await?);
    }
    let walk = async || -> anyhow::Result<()> {
        let (mut forward, mut after) = (Vec::new(), 0);
        loop {
            let mut asked = query(dm);
            asked.after = Some(after);
            let page = page(&world, b, asked).await?;
            forward.extend(seqs(&page));
            after = *forward.last().context("some")?;
            if !page.more_after {
                break;
            }
        }
        ensure!(forward == all, "{forward:?}");
        let newest = page(&world, b, query(dm)).await?;
        ensure!(seqs(&newest) == all[5..] && newest.more_before);
        Ok(())
    };
    walk().await?;
    world.settled().await?;
    walk().await?;
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn a_message_is_found_by_its_id_for_ever() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let conversation = Conversation::dm(a, b);
    let look_up = |id| LookUp {
        conversation,
        sender: a,
        id,
    };
    let stored = |text| Stored::new(conversation, MessageId::generate(77), a, 77, text_content(text));
    let (old, new) = (stored("old"), stored("new"));
    let old_seq = world.store(&old).await?;
    world.settled().await?;
    ensure!(world.call(&look_up(MessageId::generate(1))).await?.is_none());
    let held = hold_ingest(&world).await?;
    let new_seq = world.store(&new).await?;
    let edit = Content::Edit {
        target: old_seq,
        text: "edited".into(),
    };
    world.say(conversation, a, edit).await?;
    for _ in 0..2 {
        for (stored, seq) in [(&old, old_seq), (&new, new_seq)] {
            let found = world.call(&look_up(stored.id)).await?.context("not found")?;
            ensure!(found.seq == seq && found.fingerprint == stored.fingerprint());
        }
        held.batch_execute("rollback").await?;
        world.settled().await?;
    }
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn the_tail_is_read_while_postgres_is_away() -> anyhow::Result<()> {
    let world = World::alone().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let first = world.text(dm, a, "before").await?;
    world.settled().await?;
    world.postgres().kill().await;
    let mut later = Vec::new();
    for number in 0..5 {
        later.push(world.text(dm, b, &format!("during {number}")).await?);
    }
    let mut asked = query(dm);
    asked.after = Some(first);
    let got = page(&world, a, asked.clone()).await?;
    ensure!(seqs(&got) == later && got.messages[0].prev == first && got.head == later[4]);
    ensure!(!got.more_after);
    // Refused where the answer would be a guess.
    let error = page(&world, a, query(dm)).await.expect_err("Postgres is away");
    ensure!(error.code == Code::Unavailable && error.retryable, "{error}");
    let look_up = LookUp {
        conversation: dm,
        sender: a,
        id: MessageId::generate(5),
    };
    ensure!(world.call(&look_up).await.expect_err("away").code == Code::Unavailable);
    let error = page(&world, user(3), asked).await.expect_err("a stranger");
    ensure!(error.code == Code::NotMember, "{error}");

    world.postgres().restart().await?;
    until("the newest page is back", async || {
        Ok(page(&world, a, query(dm))
            .await
            .is_ok_and(|page| page.messages.len() == 6))
    })
    .await?;
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn a_copy_beyond_the_window_is_a_duplicate_in_both_halves() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let stored = Stored::new(dm, MessageId::generate(1), a, 1, text_content("once"));
    let first = world.store(&stored).await?;
    world.settled().await?;
    let held = hold_ingest(&world).await?;
    world.store(&stored).await?;
    for _ in 0..2 {
        let page = page(&world, b, query(dm)).await?;
        let kinds: Vec<Kind> = page.messages.iter().map(|message| message.kind).collect();
        ensure!(kinds == [Kind::Text, Kind::Duplicate], "{kinds:?}");
        ensure!(page.messages[1].target == Some(first) && page.messages[1].text.is_none());
        held.batch_execute("rollback").await?;
        world.settled().await?;
    }
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn a_stream_that_was_made_anew_needs_no_persister_to_be_read() -> anyhow::Result<()> {
    // The consumer's ack floor is 0 as long as nothing was acked: all of the stream is tail.
    let world = World::start().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let one = world.text(dm, a, "one").await?;
    let persister = world.persister().await?;
    until("the page has it", async || {
        Ok(seqs(&page(&world, b, query(dm)).await?) == [one])
    })
    .await?;
    let drift = provision::provision(
        &world.jetstream,
        &topology::Settings {
            chat_bytes_max: 1 << 26,
            dedupe_window: std::time::Duration::from_millis(100),
            ..Default::default()
        },
        false,
    )
    .await?;
    ensure!(drift.drift.is_empty(), "{:?}", drift.drift);
    persister.stop(PATIENCE).await
}

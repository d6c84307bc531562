//! People talk: 1:1, in groups, on several devices, in every script.

use anyhow::ensure;
use natterjack_nats::wire::Kind;
use serde_json::json;

use crate::support::{
    raw::chained,
    stage::{self, Play},
    user::{User, new_id},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_to_one_reaches_every_device_of_both_in_one_order() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let laptop = User::log_in(house, "alice").await?;
        ensure!(laptop.id == alice.id && laptop.device != alice.device);
        let dm = alice.dm(&bob);
        let mut sockets = [
            alice.online(0).await?,
            laptop.online(1).await?,
            bob.online(1).await?,
        ];
        let mut seqs = Vec::new();
        for (index, text) in ["Hello Bob!", "from my laptop", "Hi Alice!", "How are you?"]
            .iter()
            .enumerate()
        {
            seqs.push(sockets[index % 3].say(dm, text).await?);
        }
        ensure!(seqs.is_sorted());
        for socket in &mut sockets {
            let messages = socket.messages(4).await?;
            chained(&messages, 0)?;
            ensure!(messages.iter().map(|message| message.seq).collect::<Vec<_>>() == seqs);
            ensure!(messages[0].text.as_deref() == Some("Hello Bob!") && messages[0].sender == alice.id);
            ensure!(messages[2].sender == bob.id);
        }
        ensure!(bob.history(dm).await? == alice.history(dm).await?);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_to_self_reach_the_other_device_once() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let alice = User::sign_up(house, "alice").await?;
        let other = User::log_in(house, "alice").await?;
        let notes = alice.dm(&alice);
        let (mut phone, mut laptop) = (alice.online(0).await?, other.online(1).await?);
        phone.say(notes, "buy milk").await?;
        phone.say(notes, "and bread").await?;
        for socket in [&mut phone, &mut laptop] {
            chained(&socket.messages(2).await?, 0)?;
            // Both live subjects of a user match this conversation: nothing comes twice.
            let more = socket.so_far().await?;
            ensure!(!more.iter().any(is_message), "{more:?}");
        }
        Ok(())
    })
    .await
}

fn is_message(frame: &natterjack_nats::wire::ServerFrame) -> bool {
    matches!(frame, natterjack_nats::wire::ServerFrame::Message(_))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_edits_and_deletions_agree_live_in_history_and_on_return() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let (mut a, mut b) = (alice.online(0).await?, bob.online(1).await?);
        let first = a.say(dm, "teh first").await?;
        let second = a.say(dm, "a secret").await?;
        // From here on bob is away.
        let cursor = b.messages(2).await?[1].seq;
        b.vanish();
        let reply = bob.say(dm, "not by socket").await?;
        let text = json!({"type": "send", "conversation": dm, "text": "replying", "reply_to": first});
        let replied = a.post(text).await??;
        let edit = a
            .post(json!({"type": "edit", "conversation": dm, "target": first, "text": "the first"}))
            .await??;
        let delete = a
            .post(json!({"type": "delete", "conversation": dm, "target": second}))
            .await??;
        let live = a.messages(6).await?;
        chained(&live, 0)?;
        ensure!(live[3].reply_to == Some(first) && live[3].seq == replied);
        ensure!(live[4].kind == Kind::Edit && live[4].target == Some(first) && live[4].seq == edit);
        ensure!(live[5].kind == Kind::Delete && live[5].target == Some(second) && live[5].text.is_none());
        // Who comes back is given what happened meanwhile, and nothing of what was before.
        let missed = bob.resume(1, &[(dm, cursor)]).await?.messages(4).await?;
        chained(&missed, cursor)?;
        ensure!(missed.iter().map(|m| m.seq).collect::<Vec<_>>() == [reply, replied, edit, delete]);
        // History, whoever answers it, has the current state.
        for page in [alice.history(dm).await?, bob.history(dm).await?] {
            chained(&page, 0)?;
            ensure!(
                page[0].text.as_deref() == Some("the first") && page[0].edited == Some(edit),
                "{:?}",
                page[0]
            );
            ensure!(
                page[1].text.is_none() && page[1].deleted == Some(delete),
                "{:?}",
                page[1]
            );
            ensure!(page.len() == 6);
        }
        // And still once it is in Postgres.
        house.ground().persisted().await?;
        let page = bob.history(dm).await?;
        ensure!(
            page[0].text.as_deref() == Some("the first") && page[1].text.is_none(),
            "{page:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_script_arrives_as_it_was_written() -> anyhow::Result<()> {
    const TEXTS: &[&str] = &[
        "שלום עולם! مرحبا بالعالم",
        "\u{202e}right to left override\u{202c}",
        "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
        "e\u{301} versus é, Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
        "𝕏 𠜎 \u{10ffff} \u{fdd0} \u{feff}bom",
        "line\nbreak\ttab \u{1} \u{7f} \u{85} \u{2028} \\ \" / </script>",
        " ",
    ];
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let (mut a, mut b) = (alice.online(0).await?, bob.online(1).await?);
        for text in TEXTS {
            a.say(dm, text).await?;
            ensure!(b.message().await?.text.as_deref() == Some(*text), "{text:?}");
        }
        house.ground().persisted().await?;
        let history = bob.history(dm).await?;
        ensure!(
            history
                .iter()
                .map(|message| message.text.as_deref().unwrap())
                .eq(TEXTS.iter().copied())
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_emoji_escaped_as_surrogate_pairs_fit() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let (mut a, mut b) = (alice.online(0).await?, bob.online(1).await?);
        let emoji = "😀".repeat(100_000);
        let id = new_id();
        let escaped = "\\ud83d\\ude00".repeat(100_000);
        let frame = format!(r#"{{"type":"send","id":"{id}","conversation":"{dm}","text":"{escaped}"}}"#);
        ensure!(frame.len() > 1_200_000);
        a.text(frame).await?;
        let seq = a.acked(id).await??;
        ensure!(b.message().await?.text.as_ref() == Some(&emoji));
        // One more of these is a page of its own, in whatever place it is kept.
        let second = a.say(dm, &emoji).await?;
        for _ in 0..2 {
            let page = b.history(json!({"conversation": dm, "after": 0})).await??;
            ensure!(page.messages.len() == 1 && page.more_after && page.messages[0].seq == seq);
            ensure!(page.messages[0].text.as_ref() == Some(&emoji));
            let page = b.history(json!({"conversation": dm, "after": seq})).await??;
            ensure!(page.messages.len() == 1 && !page.more_after && page.messages[0].prev == seq);
            ensure!(bob.resume(0, &[(dm, seq)]).await?.message().await?.seq == second);
            house.ground().persisted().await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_paged_both_ways_and_around() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let mut a = alice.online(0).await?;
        let mut seqs = Vec::new();
        for n in 0..30 {
            seqs.push(a.say(dm, &format!("message {n}")).await?);
            if n == 15 {
                // One half in Postgres, the other perhaps still in the stream.
                house.ground().persisted().await?;
            }
        }
        let mut b = bob.online(1).await?;
        let mut page = async |query: serde_json::Value| -> anyhow::Result<(Vec<u64>, bool, bool)> {
            let mut query = query;
            query["conversation"] = json!(dm);
            let page = b.history(query).await??;
            ensure!(page.head == *seqs.last().unwrap());
            for message in &page.messages {
                let index = seqs.binary_search(&message.seq).unwrap();
                ensure!(
                    message.prev == if index == 0 { 0 } else { seqs[index - 1] },
                    "{message:?}"
                );
            }
            Ok((
                page.messages.iter().map(|message| message.seq).collect(),
                page.more_before,
                page.more_after,
            ))
        };
        ensure!(page(json!({"limit": 5})).await? == (seqs[25..].to_vec(), true, false));
        ensure!(page(json!({"before": seqs[10], "limit": 4})).await? == (seqs[6..10].to_vec(), true, true));
        ensure!(page(json!({"before": seqs[3], "limit": 10})).await? == (seqs[..3].to_vec(), false, true));
        ensure!(page(json!({"after": seqs[13], "limit": 6})).await? == (seqs[14..20].to_vec(), true, true));
        ensure!(page(json!({"after": seqs[29]})).await? == (vec![], true, false));
        ensure!(page(json!({"after": 0})).await? == (seqs.clone(), false, false));
        let (around, before, after) = page(json!({"around": seqs[15], "limit": 7})).await?;
        ensure!(
            around.contains(&seqs[15]) && around.len() <= 7 && before && after,
            "{around:?}"
        );
        Ok(())
    })
    .await
}

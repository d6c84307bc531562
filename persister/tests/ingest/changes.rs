//! Edits and deletions: whose count, and that their order of arrival does not matter.

use anyhow::ensure;
use natterjack_nats::{
    Conversation, GroupId,
    wire::{Content, Fingerprint, Kind},
};

use crate::{
    common::{self, World, user},
    forget_acks, state,
};

pub fn edit(target: u64, text: &str) -> Content {
    Content::Edit {
        target,
        text: text.into(),
    }
}

#[tokio::test]
async fn edits_and_deletions_count_from_the_sender_only() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let target = world.text(dm, a, "first").await?;
    world.settled().await?;
    world.say(dm, b, edit(target, "forged")).await?;
    world.say(dm, b, Content::Delete { target }).await?;
    world.settled().await?;
    ensure!(state(&world, target).await? == (Some("first".into()), None, None));

    let second = world.say(dm, a, edit(target, "second")).await?;
    let third = world.say(dm, a, edit(target, "third")).await?;
    world.settled().await?;
    ensure!(state(&world, target).await? == (Some("third".into()), Some(third.cast_signed()), None));
    let kept = world
        .sql(
            "select fingerprint from messages where seq = $1",
            &[&target.cast_signed()],
        )
        .await?;
    let original = Fingerprint::of(Kind::Text, Some("first"), None, None);
    ensure!(kept[0].get::<_, &[u8]>(0) == original.as_bytes());

    let deletion = world.say(dm, a, Content::Delete { target }).await?;
    let late = world.say(dm, a, edit(target, "too late")).await?;
    world.settled().await?;
    ensure!(state(&world, target).await? == (None, None, Some(deletion.cast_signed())));
    for gone in [second, third, late] {
        ensure!(
            state(&world, gone).await?.0.is_none(),
            "the text of edit {gone} is left"
        );
    }
    let kept = world
        .sql(
            "select fingerprint from messages where seq = $1",
            &[&second.cast_signed()],
        )
        .await?;
    let original = Fingerprint::of(Kind::Edit, Some("second"), None, Some(target));
    ensure!(kept[0].get::<_, &[u8]>(0) == original.as_bytes());
    ensure!(world.count("select shown from conversations").await? == target.cast_signed());
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn an_admin_deletes_what_others_wrote() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (admin, member) = (user(1), user(2));
    let group = Conversation::Group(GroupId::from_parts(1, 1));
    for (who, role) in [(admin, 1_i16), (member, 0)] {
        let sql = "insert into members (conversation, user_id, role, joined_at) values ($1, $2, $3, 0)";
        world.sql(sql, &[&group.key(), &who.as_uuid(), &role]).await?;
    }
    let (of_member, of_admin) = (
        world.text(group, member, "m").await?,
        world.text(group, admin, "a").await?,
    );
    persister.stop(common::PATIENCE).await?;
    let deletion = world
        .say(group, admin, Content::Delete { target: of_member })
        .await?;
    // Who deletes was let by an edge that had asked, and those who listened saw it: what has become
    // of the role until it is written does not matter.
    let sql = "update members set role = 0 where user_id = $1";
    world.sql(sql, &[&admin.as_uuid()]).await?;
    let persister = world.persister().await?;
    world.settled().await?;
    ensure!(state(&world, of_member).await? == (None, None, Some(deletion.cast_signed())));
    world.say(group, admin, edit(of_member, "forged")).await?;
    world.say(group, member, edit(of_admin, "forged")).await?;
    world.settled().await?;
    ensure!(state(&world, of_member).await?.0.is_none());
    ensure!(state(&world, of_admin).await? == (Some("a".into()), None, None));
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn a_target_that_comes_after_its_changes_is_changed_all_the_same() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let edited = world.text(dm, a, "one").await?;
    let deleted = world.text(dm, a, "two").await?;
    let edit_seq = world.say(dm, a, edit(edited, "new")).await?;
    let lost_edit = world.say(dm, a, edit(deleted, "new")).await?;
    let deletion = world.say(dm, a, Content::Delete { target: deleted }).await?;
    let persister = world.persister().await?;
    world.settled().await?;
    // As if another persister had taken the targets and was slow.
    persister.stop(common::PATIENCE).await?;
    for target in [edited, deleted] {
        let sql = "delete from messages where seq = $1";
        world.sql(sql, &[&target.cast_signed()]).await?;
    }
    forget_acks(&world).await?;
    let persister = world.persister().await?;
    world.settled().await?;
    ensure!(state(&world, edited).await? == (Some("new".into()), Some(edit_seq.cast_signed()), None));
    ensure!(state(&world, deleted).await? == (None, None, Some(deletion.cast_signed())));
    ensure!(state(&world, lost_edit).await?.0.is_none());
    persister.stop(common::PATIENCE).await
}

//! Devices: how many a user has, and how they end.

use std::collections::BTreeSet;

use anyhow::ensure;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use natterjack_nats::{
    DeviceId,
    services::accounts::{RevokeDevice, RevokeOthers},
    subjects::kv,
    topology::Bucket,
    wire::Code,
};

use crate::{
    PASSWORD, Refused,
    common::{self, World},
    devices_of, log_in, refresh, sign_up,
};

#[tokio::test]
async fn all_other_devices_end_at_once_and_again_is_the_same() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let first = world.call(&sign_up("alice")).await?;
    let bystander = world.call(&sign_up("bob")).await?;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(world.call(&log_in("alice", PASSWORD, None)).await?);
    }
    let (user, except) = (first.user.id, first.device);
    world.call(&RevokeOthers { user, except }).await?;
    world.call(&RevokeOthers { user, except }).await?;
    ensure!(devices_of(&world, user).await? == BTreeSet::from([except]));
    let revocations = world.jetstream.get_key_value(Bucket::Revocations.name()).await?;
    for other in &others {
        let revoked = revocations.get(kv::device(user, other.device)).await?;
        ensure!(revoked.is_some(), "edges hear of each");
        let dead = world.call(&refresh(&other.refresh_token)).await;
        ensure!(dead.map(drop).refusal()? == Code::Revoked);
    }
    ensure!(revocations.get(kv::device(user, except)).await?.is_none());
    world.call(&refresh(&first.refresh_token)).await?;
    world.call(&refresh(&bystander.refresh_token)).await?;
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn the_device_that_was_away_longest_makes_room() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let first = world.call(&sign_up("alice")).await?;
    for _ in 0..50 {
        world.call(&log_in("alice", PASSWORD, None)).await?;
    }
    let devices = devices_of(&world, first.user.id).await?;
    ensure!(
        devices.len() == 50 && !devices.contains(&first.device),
        "{}",
        devices.len()
    );
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn more_devices_a_day_than_the_server_answers_for_at_once_shut_nobody_out() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let first = world.call(&sign_up("alice")).await?;
    let user = first.user.id;
    // As revoked ones leave them.
    let bucket = world.jetstream.get_key_value(Bucket::Devices.name()).await?;
    let marks: Vec<_> = (0..1_100)
        .map(|_| bucket.put(kv::device(user, DeviceId::generate(7)), Bytes::new()))
        .collect();
    let marked = stream::iter(marks).buffer_unordered(64);
    marked.try_for_each(|_| std::future::ready(Ok(()))).await?;
    let second = world.call(&log_in("alice", PASSWORD, None)).await?;
    ensure!(devices_of(&world, user).await? == BTreeSet::from([first.device, second.device]));
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn a_device_whose_revocation_is_not_written_is_still_there() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let tokens = world.call(&sign_up("alice")).await?;
    let (user, device) = (tokens.user.id, tokens.device);
    world
        .jetstream
        .delete_key_value(Bucket::Revocations.name())
        .await?;
    world
        .call(&RevokeDevice { user, device })
        .await
        .expect_err("no bucket");
    ensure!(devices_of(&world, user).await?.contains(&device));
    natterjack_nats::provision::provision(&world.jetstream, &world.settings, false).await?;
    world.call(&RevokeDevice { user, device }).await?;
    ensure!(devices_of(&world, user).await?.is_empty());
    let bucket = world.jetstream.get_key_value(Bucket::Revocations.name()).await?;
    ensure!(bucket.entry(kv::device(user, device)).await?.is_some());
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn what_was_never_a_device_leaves_no_revocation() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let user = world.call(&sign_up("alice")).await?.user.id;
    let device = DeviceId::generate(7);
    world.call(&RevokeDevice { user, device }).await?;
    for bucket in [Bucket::Devices, Bucket::Revocations] {
        let bucket = world.jetstream.get_key_value(bucket.name()).await?;
        ensure!(bucket.entry(kv::device(user, device)).await?.is_none());
    }
    persister.stop(common::PATIENCE).await
}

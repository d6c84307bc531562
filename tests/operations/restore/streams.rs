//! NATS's disk is lost under all roles and under clients that are connected. Streams count on above what Postgres
//! has, and of the buckets there is what was backed up.

use anyhow::{Context, ensure};
use async_nats::jetstream;
use natterjack_client::Account;
use natterjack_nats::{cluster, wire::HelloDevice};

use super::{
    page,
    scene::{PHONE, Scene, credentials},
};

/// Messages that are said in between.
const SOME: usize = 40;
/// Far more than a stream stores: a sequence that is so much higher is from another era.
const FAR: u64 = 1 << 39;

/// The buckets that the page backs up come back.
pub async fn with_the_buckets(scene: &mut Scene) -> anyhow::Result<()> {
    let key = public_key(scene).await?;
    scene.run(page::BACK_UP_BUCKETS).await?;
    // Since the backup he has another refresh token.
    scene.bob.refresh().await?;
    let last = everything_is_in_postgres(scene).await?;

    scene.lose_jetstream().await?;
    // What is said now waits with those who say it.
    scene.talk();
    scene.run(page::PUT_BUCKETS).await?;
    scene.run(page::PROVISION).await?;
    scene.restart_all().await?;
    let next = counts_on(scene, last).await?;
    scene.phones.told_of(PHONE, scene.dm, next).await?;
    ensure!(
        public_key(scene).await? == key,
        "browsers would have to subscribe again"
    );

    scene.alice.refresh().await.context("who did not refresh since")?;
    refused(&scene.bob).await?;
    scene.bob = log_in_again(scene, &scene.bob, "bob").await?;
    scene.acknowledged(SOME).await?;
    scene.crowd.check().await?;
    Ok(())
}

/// A chat stream comes back from a snapshot while people talk, and takes nothing of that before it counts on.
pub async fn with_a_snapshot_of_a_chat_stream(scene: &mut Scene) -> anyhow::Result<()> {
    scene.talk();
    scene.acknowledged(SOME).await?;
    scene.run(page::BACK_UP_CHAT).await?;
    let last = everything_is_in_postgres(scene).await?;

    let lines = page::block(page::PUT_CHAT)?;
    let gone = lines.iter().position(|line| line.contains(" stream rm "));
    let (before, after) = lines.split_at(gone.context("it is removed")? + 1);
    scene.run_lines(before).await?;
    scene.talk();
    scene.run_lines(after).await?;
    counts_on(scene, last).await?;
    scene.acknowledged(SOME).await?;
    scene.crowd.check().await?;
    Ok(())
}

/// There is nothing to put back.
pub async fn with_no_backup(scene: &mut Scene) -> anyhow::Result<()> {
    let key = public_key(scene).await?;
    let last = everything_is_in_postgres(scene).await?;
    scene.lose_jetstream().await?;
    scene.talk();
    scene.run(page::PROVISION).await?;
    scene.restart_all().await?;
    counts_on(scene, last).await?;
    ensure!(public_key(scene).await? != key, "a key of before is back");
    for (account, handle) in [(&scene.alice, "alice"), (&scene.bob, "bob")] {
        refused(account).await?;
        log_in_again(scene, account, handle).await?;
    }
    scene.acknowledged(SOME).await?;
    scene.crowd.check().await?;
    Ok(())
}

/// People fall silent until Postgres has all; the last sequence of alice and bob.
async fn everything_is_in_postgres(scene: &mut Scene) -> anyhow::Result<u64> {
    scene.talk();
    scene.acknowledged(SOME).await?;
    scene.crowd.check().await?;
    let last = scene.say("before").await?;
    scene.fleet.ground().persisted().await?;
    Ok(last)
}

/// The stream of alice and bob takes messages, far above what it gave before.
async fn counts_on(scene: &Scene, last: u64) -> anyhow::Result<u64> {
    scene.opens().await?;
    let next = scene.say("after").await?;
    ensure!(next > last + FAR, "{next} after {last}");
    Ok(next)
}

/// The key that browsers subscribe with.
async fn public_key(scene: &Scene) -> anyhow::Result<String> {
    let client = scene.fleet.ground().client().await?;
    Ok(cluster::vapid(&jetstream::new(client)).await?.public_key)
}

/// The refresh token is no good any more, and the app is told to log in.
async fn refused(account: &Account) -> anyhow::Result<()> {
    let refused = account.refresh().await.err().context("it was taken")?;
    let told = refused.wire().context("no answer")?;
    ensure!(
        !told.retryable && told.message.contains("log in again"),
        "{told:?}"
    );
    Ok(())
}

/// With the password, on the same device.
async fn log_in_again(scene: &Scene, account: &Account, handle: &str) -> anyhow::Result<Account> {
    let mut credentials = credentials(handle);
    credentials.device = HelloDevice {
        id: Some(account.device()),
        ..credentials.device
    };
    let again = Account::log_in(&scene.api, credentials).await?;
    ensure!(again.user().id == account.user().id, "somebody else");
    Ok(again)
}

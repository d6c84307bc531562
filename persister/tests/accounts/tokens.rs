//! Refresh tokens and the keys that sign access tokens: rotation, reuse, and answers that were lost.

use std::time::Duration;

use anyhow::ensure;
use futures::future::join_all;
use natterjack_nats::{services::accounts::Tokens, wire::Code};
use natterjack_runtime::{clock::Clock, lifecycle::Tasks, metrics::Metrics};

use crate::{
    Refused,
    common::{self, World},
    devices_of, jwks, refresh, sign_up, verify,
};

#[tokio::test]
async fn refresh_tokens_are_good_once_and_reuse_revokes() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let first = world.call(&sign_up("alice")).await?;
    let second = world.call(&refresh(&first.refresh_token)).await?;
    ensure!(second.device == first.device && second.refresh_token != first.refresh_token);
    let third = world.call(&refresh(&second.refresh_token)).await?;

    // A secret that never was valid is refused and logs nobody out.
    let (user, device) = (first.user.id, first.device);
    let guess = format!("{user}.{device}.{}", "A".repeat(43));
    for wrong in [guess.as_str(), "garbage", ""] {
        let code = world.call(&refresh(wrong)).await.map(drop).refusal()?;
        ensure!(code == Code::Unauthorized, "{wrong}");
    }
    let fourth = world.call(&refresh(&third.refresh_token)).await?;

    // One that was used is somebody else's: the device is gone, with the newest token.
    let code = world
        .call(&refresh(&first.refresh_token))
        .await
        .map(drop)
        .refusal()?;
    ensure!(code == Code::Revoked);
    let code = world
        .call(&refresh(&fourth.refresh_token))
        .await
        .map(drop)
        .refusal()?;
    ensure!(code == Code::Revoked);
    ensure!(devices_of(&world, user).await?.is_empty());
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn of_what_concurrent_refreshes_gave_one_is_good() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (one, two) = (world.persister().await?, world.persister().await?);
    let tokens = world.call(&sign_up("alice")).await?;
    let request = refresh(&tokens.refresh_token);
    let outcomes = join_all((0..4).map(|_| world.call(&request))).await;
    let given: Vec<Tokens> = outcomes.into_iter().collect::<Result<_, _>>()?;
    // Whoever holds another one has it from somebody who asked at the same time.
    let mut good = 0;
    let mut revoked = false;
    for tokens in &given {
        match world.call(&refresh(&tokens.refresh_token)).await.map(drop) {
            Ok(()) => good += 1,
            Err(error) => revoked |= error.code == Code::Revoked,
        }
    }
    ensure!(good <= 1 && revoked, "{good} of {} are good", given.len());
    ensure!(devices_of(&world, tokens.user.id).await?.is_empty());
    one.stop(common::PATIENCE).await?;
    two.stop(common::PATIENCE).await
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_may_be_said_again() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let first = world.call(&sign_up("alice")).await?;
    let lost = world.call(&refresh(&first.refresh_token)).await?;
    let heard = world.call(&refresh(&first.refresh_token)).await?;
    ensure!(heard.device == first.device && heard.refresh_token != lost.refresh_token);
    let next = world.call(&refresh(&heard.refresh_token)).await?;
    // The one that was on its way is in somebody else's hands.
    let code = world
        .call(&refresh(&lost.refresh_token))
        .await
        .map(drop)
        .refusal()?;
    ensure!(code == Code::Revoked);
    let code = world
        .call(&refresh(&next.refresh_token))
        .await
        .map(drop)
        .refusal()?;
    ensure!(code == Code::Revoked);
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn keys_rotate_and_old_tokens_verify_until_they_are_over() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (clock, hand) = Clock::manual(1_800_000_000_000);
    let start = async || {
        let tasks = Tasks::new();
        natterjack_persister::run_with(&world.args, &tasks, clock.clone(), Metrics::new("persister")).await?;
        anyhow::Ok(tasks)
    };
    let one = start().await?;
    let tokens = world.call(&sign_up("alice")).await?;
    one.stop(common::PATIENCE).await?;
    hand.advance(Duration::from_hours(29 * 24));
    start().await?.stop(common::PATIENCE).await?;
    ensure!(jwks(&world).await?.keys.len() == 1, "the key is young enough");

    hand.advance(Duration::from_hours(2 * 24));
    let two = start().await?;
    let set = jwks(&world).await?;
    ensure!(set.keys.len() == 2);
    verify(&set, &tokens.access_token)?;
    let newer = world.call(&refresh(&tokens.refresh_token)).await?;
    verify(&set, &newer.access_token)?;
    let kid = |token: &str| jsonwebtoken::decode_header(token).map(|header| header.kid);
    ensure!(kid(&tokens.access_token)? != kid(&newer.access_token)?);
    two.stop(common::PATIENCE).await?;

    hand.advance(Duration::from_hours(25));
    start().await?.stop(common::PATIENCE).await?;
    let set = jwks(&world).await?;
    ensure!(verify(&set, &tokens.access_token).is_err(), "its key is gone");
    verify(&set, &newer.access_token)?;
    ensure!(world.count("select count(*) from signing_keys").await? == 1);
    Ok(())
}

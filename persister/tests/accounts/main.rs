//! Accounts against real servers: sessions, rotation and reuse, outside users, keys, people.

mod common;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, ensure};
use common::World;
use futures::future::join_all;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use natterjack_nats::{
    DeviceId, UserId,
    services::accounts::{
        Devices, External, FindUsers, LogIn, Profiles, Refresh, RevokeDevice, RevokeOthers, SetProfile,
        SignUp, Tokens,
    },
    subjects::kv,
    topology::Bucket,
    wire::{AccessClaims, Code, HelloDevice, Revocation, TOKEN_AUDIENCE, TOKEN_ISSUER},
};
use natterjack_runtime::{clock::Clock, lifecycle::Tasks, metrics::Metrics};

const PASSWORD: &str = "correct horse";

fn device(id: Option<DeviceId>) -> HelloDevice {
    HelloDevice {
        id,
        name: "phone".into(),
        platform: "test".into(),
    }
}

fn sign_up(handle: &str) -> SignUp {
    SignUp {
        handle: handle.into(),
        password: PASSWORD.into(),
        name: None,
        device: device(None),
    }
}

fn log_in(handle: &str, password: &str, id: Option<DeviceId>) -> LogIn {
    LogIn {
        handle: handle.into(),
        password: password.into(),
        device: device(id),
    }
}

fn refresh(token: &str) -> Refresh {
    Refresh {
        refresh_token: token.into(),
    }
}

async fn jwks(world: &World) -> anyhow::Result<JwkSet> {
    let bucket = world.jetstream.get_key_value(Bucket::Cluster.name()).await?;
    let set = bucket.get(kv::cluster::JWKS).await?.context("no key set")?;
    Ok(serde_json::from_slice(&set)?)
}

/// As an edge does it.
fn verify(set: &JwkSet, token: &str) -> anyhow::Result<AccessClaims> {
    let kid = jsonwebtoken::decode_header(token)?.kid.context("no kid")?;
    let key = DecodingKey::from_jwk(set.find(&kid).context("unknown kid")?)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[TOKEN_ISSUER]);
    validation.set_audience(&[TOKEN_AUDIENCE]);
    validation.validate_exp = false;
    Ok(jsonwebtoken::decode(token, &key, &validation)?.claims)
}

async fn devices_of(world: &World, user: UserId) -> anyhow::Result<BTreeSet<DeviceId>> {
    let devices = world.call(&Devices { user }).await?;
    Ok(devices.into_iter().map(|device| device.id).collect())
}

#[tokio::test]
async fn an_account_lives() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;

    let first = world.call(&sign_up("Alice")).await?;
    ensure!(first.user.handle.as_deref() == Some("alice") && first.user.name == "alice");
    let claims = verify(&jwks(&world).await?, &first.access_token)?;
    ensure!((claims.sub, claims.did) == (first.user.id, first.device));
    ensure!(claims.exp * 1_000 == first.expires_at && claims.exp == claims.iat + 900);

    let taken = world.call(&sign_up("ALICE")).await.map(drop).refusal()?;
    ensure!(taken == Code::HandleTaken);
    let wrong = world.call(&log_in("alice", "wrong password", None)).await;
    let nobody = world.call(&log_in("nobody", PASSWORD, None)).await;
    let (wrong, nobody) = (wrong.err().context("wrong")?, nobody.err().context("nobody")?);
    ensure!(
        wrong == nobody && wrong.code == Code::Unauthorized,
        "{wrong} {nobody}"
    );

    // A known device keeps its id, an unknown one gets a new one.
    let again = world.call(&log_in("alice", PASSWORD, Some(first.device))).await?;
    ensure!(again.device == first.device);
    let strange = DeviceId::from_parts(1, 1);
    let other = world.call(&log_in("Alice", PASSWORD, Some(strange))).await?;
    ensure!(other.device != strange && other.device != first.device);
    let both = BTreeSet::from([first.device, other.device]);
    ensure!(devices_of(&world, first.user.id).await? == both);

    let (user, device) = (other.user.id, other.device);
    world.call(&RevokeDevice { user, device }).await?;
    world.call(&RevokeDevice { user, device }).await?;
    ensure!(devices_of(&world, user).await? == BTreeSet::from([first.device]));
    let revocations = world.jetstream.get_key_value(Bucket::Revocations.name()).await?;
    let revoked = revocations
        .get(kv::device(user, device))
        .await?
        .context("no revocation")?;
    let revoked: Revocation = serde_json::from_slice(&revoked)?;
    ensure!(revoked.at >= verify(&jwks(&world).await?, &other.access_token)?.iat * 1_000);
    let dead = world
        .call(&refresh(&other.refresh_token))
        .await
        .map(drop)
        .refusal()?;
    ensure!(dead == Code::Unauthorized);
    // The id of a revoked device does not come back.
    let back = world.call(&log_in("alice", PASSWORD, Some(device))).await?;
    ensure!(back.device != device);
    persister.stop(common::PATIENCE).await
}

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
    ensure!(code == Code::Unauthorized);
    ensure!(devices_of(&world, user).await?.is_empty());
    persister.stop(common::PATIENCE).await
}

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
        ensure!(dead.map(drop).refusal()? == Code::Unauthorized);
    }
    ensure!(revocations.get(kv::device(user, except)).await?.is_none());
    world.call(&refresh(&first.refresh_token)).await?;
    world.call(&refresh(&bystander.refresh_token)).await?;
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
    ensure!(code == Code::Unauthorized);
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn an_outside_user_is_made_once() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (one, two) = (world.persister().await?, world.persister().await?);
    world.call(&sign_up("taken")).await?;
    let id = DeviceId::from_parts(7, 7);
    let external = |subject: &str, handle: &str| External {
        issuer: "https://id.example".into(),
        subject: subject.into(),
        handle: Some(handle.into()),
        name: Some("Ada".into()),
        device: Some((id, device(None))),
    };
    let request = external("s1", "Ada");
    let profiles = join_all((0..20).map(|_| world.call(&request))).await;
    let profiles: Vec<_> = profiles.into_iter().collect::<Result<_, _>>()?;
    let first = profiles.first().context("none")?;
    ensure!(profiles.iter().all(|profile| profile == first));
    ensure!(first.handle.as_deref() == Some("ada") && first.name == "Ada");
    ensure!(
        world
            .count("select count(*) from users where issuer is not null")
            .await?
            == 1
    );
    ensure!(devices_of(&world, first.id).await? == BTreeSet::from([id]));

    // A handle that is taken, or is none, is left out.
    for (subject, handle) in [("s2", "taken"), ("s3", "not a handle")] {
        let profile = world.call(&external(subject, handle)).await?;
        ensure!(profile.handle.is_none() && profile.id != first.id);
    }
    // Nobody logs in with a password as an outside user.
    let code = world
        .call(&log_in("ada", PASSWORD, None))
        .await
        .map(drop)
        .refusal()?;
    ensure!(code == Code::Unauthorized);
    one.stop(common::PATIENCE).await?;
    two.stop(common::PATIENCE).await
}

#[tokio::test]
async fn people_are_found_and_renamed() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b) = (
        world.call(&sign_up("al_ice")).await?.user,
        world.call(&sign_up("alfred")).await?.user,
    );
    let find = async |prefix: &str, limit| {
        let prefix = prefix.into();
        world.call(&FindUsers { prefix, limit }).await
    };
    ensure!(find("AL", 50).await? == [a.clone(), b.clone()]);
    ensure!(find("al", 1).await?.len() == 1);
    // No wildcard gets through.
    ensure!(find("al_", 50).await? == std::slice::from_ref(&a));
    ensure!(find("%%", 50).await?.is_empty());
    let changed = SetProfile {
        user: b.id,
        name: " Zoë  Q ".into(),
    };
    let b = world.call(&changed).await?;
    ensure!(b.name == "Zoë  Q");
    ensure!(find("ZOË", 50).await? == std::slice::from_ref(&b));
    let users = vec![b.id, UserId::from_parts(1, 1), a.id];
    ensure!(world.call(&Profiles { users }).await?.len() == 2);
    for refused in [find("a", 5).await.map(drop), find("a\0b", 5).await.map(drop)] {
        ensure!(refused.refusal()? == Code::BadRequest);
    }
    let users = vec![a.id; 101];
    ensure!(world.call(&Profiles { users }).await.map(drop).refusal()? == Code::BadRequest);
    let bad = SignUp {
        password: "short".into(),
        ..sign_up("bob")
    };
    ensure!(world.call(&bad).await.map(drop).refusal()? == Code::BadRequest);
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

/// The code of an error that has to be one.
trait Refused {
    fn refusal(self) -> anyhow::Result<Code>;
}

impl Refused for Result<(), natterjack_nats::wire::WireError> {
    fn refusal(self) -> anyhow::Result<Code> {
        Ok(self.err().context("it should have been refused")?.code)
    }
}

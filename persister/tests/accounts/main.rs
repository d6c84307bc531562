//! Accounts against real servers: signing up and in, outside users, people; and in parts tokens and devices.

#[path = "../common/mod.rs"]
mod common;
mod devices;
mod tokens;

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use common::World;
use futures::future::join_all;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use natterjack_nats::{
    DeviceId, UserId,
    services::accounts::{
        Devices, External, FindUsers, LogIn, Profiles, Refresh, RevokeDevice, SetProfile, SignUp,
    },
    subjects::kv,
    topology::Bucket,
    wire::{AccessClaims, Code, HelloDevice, Revocation, TOKEN_AUDIENCE, TOKEN_ISSUER},
};

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

    // The answer was lost, and the same is asked again, both ways: with the id that the client made.
    let mut bea = sign_up("bea");
    bea.device.id = Some(DeviceId::from_parts(7, 7));
    let made = world.call(&bea).await?;
    ensure!(Some(made.device) == bea.device.id);
    let again = world.call(&bea).await?;
    ensure!((again.user.id, again.device) == (made.user.id, made.device));
    ensure!(world.call(&refresh(&again.refresh_token)).await?.device == made.device);
    ensure!(devices_of(&world, made.user.id).await?.len() == 1);
    let guessed = SignUp {
        password: "another password".into(),
        ..bea.clone()
    };
    ensure!(world.call(&guessed).await.map(drop).refusal()? == Code::HandleTaken);

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
    ensure!(dead == Code::Revoked);
    // The id of a revoked device does not come back.
    let back = world.call(&log_in("alice", PASSWORD, Some(device))).await?;
    ensure!(back.device != device);
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

/// The code of an error that has to be one.
trait Refused {
    fn refusal(self) -> anyhow::Result<Code>;
}

impl Refused for Result<(), natterjack_nats::wire::WireError> {
    fn refusal(self) -> anyhow::Result<Code> {
        Ok(self.err().context("it should have been refused")?.code)
    }
}

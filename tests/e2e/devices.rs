//! One's own devices: which there are, and that a revoked one is out at once, on every edge.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use natterjack::fleet::House;
use natterjack_nats::wire::{Device, ServerFrame};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{
    raw::Raw,
    stage::{self, Play, Stage},
    until,
    user::User,
};

/// How long the sockets of a revoked device may stay open.
const PROMISED: Duration = Duration::from_secs(1);

/// Two sockets of a device, one on each edge.
async fn online(user: &User) -> anyhow::Result<Vec<Raw>> {
    Ok(vec![user.online(0).await?, user.online(1).await?])
}

/// Waits until all are closed as revoked.
async fn all_closed(sockets: &mut [Raw]) -> anyhow::Result<()> {
    let codes = try_join_all(sockets.iter_mut().map(Raw::closed)).await?;
    ensure!(codes.iter().all(|code| *code == Some(3503)), "{codes:?}");
    Ok(())
}

async fn dead(user: &User) -> anyhow::Result<()> {
    let refresh = json!({"refresh_token": user.refresh_token});
    for edge in [0, 1] {
        let answer = user
            .request(edge, reqwest::Method::POST, "/v1/refresh", Some(refresh.clone()))
            .await?;
        answer.refused(401, "revoked")?;
    }
    Ok(())
}

async fn log_in(house: &House, count: usize) -> anyhow::Result<Vec<User>> {
    let mut devices = Vec::with_capacity(count);
    for _ in 0..count {
        devices.push(User::log_in(house, "alice").await?);
    }
    Ok(devices)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_device_is_out_within_a_second_on_every_edge() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let alice = User::sign_up(house, "alice").await?;
        let bob = User::sign_up(house, "bob").await?;
        let others = log_in(house, 4).await?;
        let (mut own, mut foreign) = (online(&alice).await?, online(&bob).await?);
        let mut sockets = Vec::new();
        for other in &others {
            sockets.push(online(other).await?);
        }
        // One of them, then all others.
        let (one, rest) = others.split_first().context("devices")?;
        let begun = Instant::now();
        alice.delete(&format!("/v1/devices/{}", one.device)).await?.ok()?;
        all_closed(&mut sockets[0]).await?;
        ensure!(begun.elapsed() < PROMISED, "{:?}", begun.elapsed());
        dead(one).await?;
        for socket in sockets[1..].iter_mut().flatten() {
            socket.so_far().await?;
        }
        let begun = Instant::now();
        alice.delete("/v1/devices").await?.ok()?;
        let mut left: Vec<_> = sockets.into_iter().skip(1).flatten().collect();
        all_closed(&mut left).await?;
        ensure!(begun.elapsed() < PROMISED, "{:?}", begun.elapsed());
        for other in rest {
            dead(other).await?;
        }
        // Nobody else noticed.
        for socket in own.iter_mut().chain(&mut foreign) {
            socket.so_far().await?;
        }
        let devices: Vec<Device> = alice.fetch("/v1/devices").await?;
        ensure!(devices.len() == 1 && devices[0].current, "{devices:?}");
        Ok(())
    })
    .await
}

async fn listed(asks: &User, edge: usize) -> anyhow::Result<Vec<Device>> {
    let answer = asks
        .request(edge, reqwest::Method::GET, "/v1/devices", None)
        .await?;
    Ok(serde_json::from_value(answer.ok()?)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_tells_which_device_asks_which_are_connected_and_when_they_were() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let alice = User::sign_up(house, "alice").await?;
        let phone = User::log_in(house, "alice").await?;
        for (asks, edge) in [(&alice, 0), (&phone, 1)] {
            let devices = listed(asks, edge).await?;
            let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
            ensure!(
                ids == [phone.device, alice.device],
                "the last login first: {ids:?}"
            );
            for device in &devices {
                ensure!(device.current == (device.id == asks.device), "{device:?}");
                ensure!(
                    !device.online && device.last_seen >= device.created_at,
                    "{device:?}"
                );
            }
        }
        let of = |devices: Vec<Device>| devices.into_iter().find(|device| device.id == alice.device);
        let socket = alice.online(1).await?;
        let online = until("it is connected", async || {
            let device = of(listed(&phone, 0).await?).context("listed")?;
            Ok(device.online.then_some(device))
        })
        .await?;
        drop(socket);
        // When it was here last is kept with the device, beyond its connection.
        until("it was here", async || {
            let device = of(listed(&phone, 0).await?).context("listed")?;
            Ok((!device.online && device.last_seen >= online.last_seen).then_some(()))
        })
        .await?;
        let first = listed(&phone, 0).await?.first().map(|device| device.id);
        ensure!(first == Some(alice.device), "the one that was here last first");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_presence_the_list_is_answered_and_devices_end_all_the_same() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let alice = User::sign_up(house, "alice").await?;
        let phone = User::log_in(house, "alice").await?;
        house.stop_presence().await?;
        let mut socket = phone.online(1).await?;
        let devices = listed(&alice, 0).await?;
        ensure!(devices.len() == 2, "{devices:?}");
        ensure!(devices.iter().all(|device| !device.online), "{devices:?}");
        alice.delete("/v1/devices").await?.ok()?;
        ensure!(socket.closed().await? == Some(3503));
        house.start_presence().await
    })
    .await
}

/// The edge cannot hear of the revocation when it happens: it must as soon as it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_was_cut_off_closes_the_sockets_once_it_is_back() -> anyhow::Result<()> {
    /// Long enough that a client which pauses longer after each try is in a long pause.
    const AWAY: Duration = Duration::from_secs(12);
    /// Reconnecting takes up to 2 s, reading the bucket next to nothing.
    const SOON: Duration = Duration::from_secs(5);
    Stage::new()
        .first_edge_via_proxy()
        .run(async |Play { house, proxy, .. }| {
            let proxy = proxy.as_ref().context("a proxy")?;
            let alice = User::sign_up(house, "alice").await?;
            let stolen = User::log_in(house, "alice").await?;
            let (mut here, mut there) = (stolen.online(0).await?, stolen.online(1).await?);
            proxy.close(true);
            ensure!(
                proxy.cut("service") == 1,
                "the connection that hears of revocations"
            );
            let begun = Instant::now();
            alice
                .request(
                    1,
                    reqwest::Method::DELETE,
                    &format!("/v1/devices/{}", stolen.device),
                    None,
                )
                .await?
                .ok()?;
            ensure!(there.closed().await? == Some(3503));
            sleep(AWAY.saturating_sub(begun.elapsed())).await;
            here.so_far().await.context("it cannot have heard of it")?;
            proxy.close(false);
            let back = Instant::now();
            ensure!(here.closed().await? == Some(3503));
            ensure!(back.elapsed() < SOON, "{:?}", back.elapsed());
            Ok(())
        })
        .await
}

/// Closing the sockets of an edge that stops is spread over seconds, or minutes; a revoked
/// device is out at once all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_drains_still_closes_the_sockets_of_a_revoked_device() -> anyhow::Result<()> {
    const SOCKETS: usize = 12;
    Stage::new()
        .edge(|args| args.place.drain_spread_ms = 4_000)
        .run(async |Play { house, .. }| {
            let alice = User::sign_up(house, "alice").await?;
            let stolen = User::log_in(house, "alice").await?;
            let mut sockets = Vec::new();
            for _ in 0..SOCKETS {
                sockets.push(stolen.online(0).await?);
            }
            let path = format!("/v1/devices/{}", stolen.device);
            let revoking = async {
                sockets[0]
                    .until("the drain", |frame| {
                        matches!(frame, ServerFrame::Draining { .. }).then_some(())
                    })
                    .await?;
                let begun = Instant::now();
                alice
                    .request(1, reqwest::Method::DELETE, &path, None)
                    .await?
                    .ok()?;
                let codes = try_join_all(sockets.iter_mut().map(Raw::closed)).await?;
                ensure!(begun.elapsed() < PROMISED, "{:?}", begun.elapsed());
                // Some may have been drained in between.
                ensure!(codes.contains(&Some(3503)), "{codes:?}");
                Ok(())
            };
            let (stopped, revoked) = tokio::join!(house.stop_edge(0), revoking);
            revoked?;
            stopped
        })
        .await
}

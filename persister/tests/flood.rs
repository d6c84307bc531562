//! A flood of logins against real servers: alone in its program, because it takes all cores.

mod common;

use std::time::Duration;

use anyhow::Context as _;
use common::World;
use natterjack_nats::{
    services::accounts::{LogIn, Profiles},
    wire::HelloDevice,
};

#[tokio::test]
async fn a_flood_of_logins_holds_up_nothing_else() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    (world.args.argon2_memory_kib, world.args.argon2_passes) = (64 * 1_024, 8);
    let persister = world.persister().await?;
    let device = HelloDevice {
        id: None,
        name: "phone".into(),
        platform: "test".into(),
    };
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..400 {
        let (client, device) = (world.client.clone(), device.clone());
        flood.spawn(async move {
            let request = LogIn {
                handle: "nobody".into(),
                password: "correct horse".into(),
                device,
            };
            natterjack_nats::services::call(&client, &request, common::PATIENCE).await
        });
    }
    // One is answered: the others are there and wait.
    let _ = flood.join_next().await;
    let profiles = Profiles { users: Vec::new() };
    tokio::time::timeout(Duration::from_secs(4), world.call(&profiles))
        .await
        .context("waited behind the logins")??;
    flood.shutdown().await;
    persister.stop(common::PATIENCE).await
}

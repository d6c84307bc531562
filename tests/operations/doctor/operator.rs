//! Whoever looks needs no more than the operator's key, and the system's for the servers.

use std::{collections::BTreeSet, path::Path};

use natterjack::fleet::{Fleet, FleetConfig, Ground, GroundConfig};

use super::patient::{BINARY, doctor};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_may_look_at_everything_but_keys() -> anyhow::Result<()> {
    let ground = Ground::start(GroundConfig::default()).await?;
    let config = FleetConfig {
        notifiers: 1,
        ..FleetConfig::new(Path::new(BINARY))
    };
    let fleet = Fleet::start(ground, &config).await?;
    let ground = fleet.ground();
    let key = |name: &str| ground.path().join("nkeys").join(name).display().to_string();
    let (operator, system) = (key("operator.nk"), key("system.nk"));
    let seen = doctor(&[
        "--nats-url",
        ground.nats_url(),
        "--nats-nkey",
        &operator,
        "--nats-system-nkey",
        &system,
        "--database-url",
        ground.database_url(),
    ])
    .await?;
    let none = BTreeSet::new();
    assert_eq!(
        (seen.checks("failure"), seen.checks("warning")),
        (none.clone(), none),
        "{:#}",
        seen.report
    );
    let unseen = BTreeSet::from(["permissions", "certificates", "push.web"]);
    assert_eq!(seen.checks("not_checked"), unseen, "{:#}", seen.report);
    // It ends with an error if NATS refused anything.
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_user_of_the_written_accounts_may_too_much() -> anyhow::Result<()> {
    let ground = Ground::start(GroundConfig::default()).await?;
    let folder = ground.path().display().to_string();
    let seen = doctor(&["--nats-url", ground.nats_url(), "--config", &folder]).await?;
    let tried = seen.checks("ok");
    for check in ["nats.servers", "permissions", "push.web"] {
        assert_eq!(seen.words(check), "", "{:#}", seen.report);
        assert!(tried.contains(check), "{:#}", seen.report);
    }
    // What it tried was refused, and stands in the log: so the ground does not end as after a good run.
    assert!(!ground.refusals()?.is_empty());
    ground.nats().stop().await;
    Ok(())
}

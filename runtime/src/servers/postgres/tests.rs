//! Running as `nobody`, which only happens by itself where root may not make a user
//! namespace, and so is forced here.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use anyhow::Context as _;

use super::super::{SilentProgress, testing_tools_dir};
use super::*;

#[tokio::test]
async fn root_can_run_it_as_nobody_where_nobody_gets_to() -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        // Only root has a choice to make.
        return Ok(());
    }
    let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress).await?;
    let nobody = Wrapper::nobody().context("there is no user `nobody`")?;
    if !nobody.can_reach(&tools.postgres()).await {
        eprintln!("not tested: `nobody` cannot reach {}", tools.postgres().display());
        return Ok(());
    }
    let temp = tempfile::tempdir()?;
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o700))?;
    let config = PostgresConfig::new(temp.path().join("pg"));
    let error = Postgres::start_as(&tools, config.clone(), nobody.clone())
        .await
        .expect_err("nobody cannot get through a private directory");
    assert!(matches!(error, ServerError::Unreachable { .. }), "{error}");

    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o711))?;
    let server = Postgres::start_as(&tools, config.clone(), nobody.clone()).await?;
    assert_eq!(
        Some(fs::metadata(config.dir.join("data"))?.uid()),
        nobody.owner.map(|owner| owner.0)
    );
    assert!(
        !format!("{server:?}").contains(&server.inner.password),
        "a password for the logs"
    );
    server.kill().await;
    server.restart().await?;
    server.stop().await;
    Ok(())
}

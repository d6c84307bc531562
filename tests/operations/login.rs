//! Logging in to a nats-server that knows keys: the right one gets in, and any other is told what to do.

use std::{fs, path::PathBuf};

use natterjack_nats::{
    access::User,
    cluster::{self, JoinError, NatsArgs, NatsAuth},
};
use natterjack_runtime::servers::{NatsConfig, NatsServer, SilentProgress, Tools, testing_tools_dir};
use nkeys::KeyPair;

fn seed_file(dir: &tempfile::TempDir, pair: &KeyPair) -> anyhow::Result<PathBuf> {
    let path = dir.path().join("user.nk");
    fs::write(&path, pair.seed()?)?;
    Ok(path)
}

#[tokio::test]
async fn the_key_that_the_server_knows_gets_in_and_others_are_told_what_to_do() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress).await?;
    let known = KeyPair::new_user();
    let mut config = NatsConfig::new(dir.path().join("nats"));
    config.extra = format!(
        "authorization {{ users: [ {{ nkey: {} }} ] }}",
        known.public_key()
    );
    let server = NatsServer::start(&tools, config).await?;
    let join = async |auth: Option<&KeyPair>| {
        let mut nats = NatsArgs::new(server.url());
        nats.nkey = auth.map(|pair| seed_file(&dir, pair)).transpose()?;
        let login = nats.login(User::Operator);
        anyhow::Ok(cluster::connect(login, "login test", |_| {}).await)
    };
    let client = join(Some(&known)).await??;
    assert!(client.new_inbox().starts_with("_INBOX_operator."));
    client.flush().await?;
    let Err(JoinError::Refused { who, hint, .. }) = join(Some(&KeyPair::new_user())).await? else {
        anyhow::bail!("a key that the server does not know got in");
    };
    assert!(
        !who.contains(&known.public_key()) && hint.contains("accounts.conf"),
        "{who} {hint}"
    );
    let Err(error) = join(None).await? else {
        anyhow::bail!("whoever has no key got in");
    };
    assert!(error.to_string().contains("NATS_NKEY"), "{error}");
    assert_eq!(
        cluster::Login::from(server.url()).read()?.auth(),
        &NatsAuth::Nothing
    );
    server.stop().await;
    Ok(())
}

//! The contexts of the `nats` command line that `natterjack provision --write-config` ships, for servers without TLS.

use std::{fs, process::Stdio};

use anyhow::{Context, ensure};
use natterjack::fleet::Ground;
use natterjack_nats::access::User;
use tokio::process::Command;

/// Writes them below the directory of the ground, in `cli`.
///
/// # Errors
/// What `natterjack provision` said, or a context that is not as expected.
pub async fn write(ground: &Ground) -> anyhow::Result<()> {
    let written = Command::new(env!("CARGO_BIN_EXE_natterjack"))
        .args(["provision", "--write-config"])
        .arg(ground.path())
        .stdin(Stdio::null())
        .output()
        .await?;
    let said = String::from_utf8_lossy(&written.stderr);
    ensure!(written.status.success(), "{said}");
    for user in [User::Operator, User::Admin, User::System] {
        let path = ground
            .path()
            .join(format!("cli/nats/context/natterjack-{user}.json"));
        let mut context: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
        let fields = context.as_object_mut().context("an object")?;
        fields.insert("url".to_owned(), ground.nats_url().into());
        fields.remove("ca").context("a CA")?;
        fs::write(&path, context.to_string())?;
    }
    Ok(())
}

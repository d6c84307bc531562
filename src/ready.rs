//! `natterjack ready`: whether a role says that it can do its work, as an exit code: the health check of images that
//! have no shell.

use std::time::Duration;

use anyhow::{Context, ensure};

/// Most of an answer that is shown.
const SHOWN_BYTES_MAX: usize = 1_000;

/// Whom to ask, and for how long to wait.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to ask, such as http://127.0.0.1:9090/readyz
    #[arg(value_name = "URL")]
    url: String,
    /// How long the answer may take
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=600_000), value_name = "MS")]
    timeout_ms: u64,
}

/// Asks once.
///
/// # Errors
/// There is no answer, or it is another than success: the message has what was said.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let mut client = reqwest::Client::builder().timeout(Duration::from_millis(args.timeout_ms));
    if args.url.starts_with("http:") {
        // Nobody's certificate is looked at, so that no roots are asked of the machine.
        client = client.tls_certs_only([]);
    }
    let client = client.build()?;
    let answer = client.get(&args.url).send().await.context("no answer")?;
    let status = answer.status();
    let said: String = answer.text().await?.chars().take(SHOWN_BYTES_MAX).collect();
    ensure!(status.is_success(), "{status}: {}", said.trim());
    println!("{}", said.trim());
    Ok(())
}

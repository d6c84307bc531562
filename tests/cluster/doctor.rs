//! `docker compose run --rm doctor`: what it says of this cluster.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::stage::Stage;

/// How long a server may be away until the others say so, on a busy machine.
const NOTICED_WITHIN: Duration = Duration::from_secs(60);

/// It can look at all there is, and nothing is broken.
pub async fn finds_nothing(stage: &mut Stage) -> anyhow::Result<()> {
    let (well, said) = stage.cluster.of("doctor")?.run().await?;
    ensure!(well, "{said}");
    ensure!(
        said.contains(" 0 not checked, ") && said.contains(" 0 failures"),
        "{said}"
    );
    Ok(())
}

/// A server is away: it says which, and what to do.
pub async fn misses(stage: &mut Stage, server: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let (well, said) = stage.cluster.of("doctor")?.run().await?;
        let named = said.contains(&format!("{server}: holds copies of streams and does not answer"));
        let copies = said.contains(&format!("its copy on {server} is away"));
        if !well && named && copies && said.contains("start that server again") {
            println!("the doctor misses {server} after {:?}", begun.elapsed());
            return Ok(());
        }
        ensure!(begun.elapsed() < NOTICED_WITHIN, "{said}");
    }
}

//! The plain run and the page that it builds: nobody waits for npm who wants the API.

use std::path::Path;

use anyhow::ensure;
use natterjack::{fleet::Scratch, web::Npm};
use natterjack_runtime::{
    servers::testing_tools_dir,
    skipped::{By, skip_test},
};

use crate::plain_run::Running;

/// A web client whose build waits until the file `go` is there, or nobody is who would want it.
fn slow_page(web: &Path) -> anyhow::Result<()> {
    const BUILD: &str = "import fs from 'node:fs'; \
        const parent = process.ppid, end = Date.now() + 120_000; \
        while (!fs.existsSync('go')) { \
          if (process.ppid !== parent || Date.now() > end) process.exit(1); \
          await new Promise((later) => setTimeout(later, 20)); \
        } \
        const out = process.argv.at(-1); fs.mkdirSync(out, { recursive: true }); \
        fs.writeFileSync(out + '/index.html', '<p>a pond</p>');";
    let files = [
        (
            "package.json",
            r#"{"name": "web", "private": true, "workspaces": ["client"]}"#,
        ),
        (
            "package-lock.json",
            r#"{"name": "web", "lockfileVersion": 3, "requires": true, "packages": {
            "": {"name": "web", "workspaces": ["client"]}, "client": {"version": "0.1.0"},
            "node_modules/client": {"resolved": "client", "link": true}}}"#,
        ),
        (
            "client/package.json",
            r#"{"name": "client", "version": "0.1.0", "private": true, "scripts": {"build": "node build.mjs"}}"#,
        ),
        ("client/build.mjs", BUILD),
    ];
    std::fs::create_dir_all(web.join("client"))?;
    for (name, text) in files {
        std::fs::write(web.join(name), text)?;
    }
    Ok(())
}

#[tokio::test]
async fn the_api_is_there_while_the_page_is_still_built() -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let (data, web) = (scratch.path().join("data"), scratch.path().join("web"));
    if let Err(missing) = Npm::find(scratch.path()).await {
        skip_test(
            By::Npm,
            &format!("the plain run's page: {missing}, and run this test again"),
        )?;
        return scratch.remove();
    }
    slow_page(&web)?;
    let (at, tools) = (data.display().to_string(), testing_tools_dir());
    let tools = tools.display().to_string();
    let arguments = [
        "--data-dir",
        &at,
        "--tools-dir",
        &tools,
        "--listen",
        "127.0.0.1:0",
    ];
    let source = web.display().to_string();
    let mut plain = Running::start_with(&arguments, ("NATTERJACK_WEB_SOURCE", source.as_str()))?;
    // Nothing but this test ends the build.
    let url = plain.url().await?;
    ensure!(!plain.heard.iter().any(|line| line.contains("in a browser")));
    let get = async |path: &str| reqwest::get(format!("{url}{path}")).await;
    ensure!(get("/readyz").await?.status() == 200);
    let page = get("/").await?.text().await?;
    ensure!(page.contains("being built"), "{page}");
    std::fs::write(web.join("client/go"), "")?;
    let line = plain.line("in a browser").await?;
    ensure!(line.contains(&url), "{line}");
    let page = get("/").await?.text().await?;
    ensure!(page.contains("a pond"), "{page}");
    plain.interrupt(&data).await?;
    scratch.remove()
}

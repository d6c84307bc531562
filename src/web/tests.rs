use std::sync::Mutex;

use natterjack_runtime::skipped::{By, skip_test};

use super::*;

struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn say(&self, line: &str) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(line.to_owned());
    }
}

/// A package whose build copies one file, or fails if that says so.
fn source(dir: &Path) -> anyhow::Result<Source> {
    const BUILD: &str = "import fs from 'node:fs'; const text = fs.readFileSync('src.txt', 'utf8'); \
        if (text === 'bad') { console.error('src.txt is bad'); process.exit(1); } \
        const out = process.argv.at(-1); fs.mkdirSync(out, { recursive: true }); \
        fs.writeFileSync(out + '/index.html', text);";
    fs::create_dir_all(dir.join("client"))?;
    let manifest = r#"{"name": "web", "private": true, "workspaces": ["client"]}"#;
    fs::write(dir.join("package.json"), manifest)?;
    let client =
        r#"{"name": "client", "version": "0.1.0", "private": true, "scripts": {"build": "node build.mjs"}}"#;
    fs::write(dir.join("client/package.json"), client)?;
    fs::write(dir.join("client/build.mjs"), BUILD)?;
    fs::write(dir.join("client/src.txt"), "one")?;
    let lock = r#"{"name": "web", "lockfileVersion": 3, "requires": true, "packages": {
        "": {"name": "web", "workspaces": ["client"]}, "client": {"version": "0.1.0"},
        "node_modules/client": {"resolved": "client", "link": true}}}"#;
    fs::write(dir.join("package-lock.json"), lock)?;
    Source::at(dir.to_owned()).context("the sources are there")
}

#[tokio::test]
async fn a_page_is_built_when_its_sources_changed_and_a_failure_leaves_the_old_one() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let source = source(dir.path())?;
    let heard = Heard(Mutex::default());
    let page = || fs::read_to_string(source.page().join("index.html"));
    // Two at once: one builds, and both have it.
    let (one, other) = tokio::join!(source.build(&heard), source.build(&heard));
    let (one, other) = (one?, other?);
    if let Built::NoNode(missing) = &one {
        skip_test(By::Npm, &format!("how the page is built: {missing}"))?;
        return Ok(());
    }
    assert_ne!(one, other, "one of both built it");
    assert_eq!(page()?, "one");
    assert_eq!(source.build(&heard).await?, Built::Fresh(false));
    fs::write(dir.path().join("client/src.test.txt"), "a test")?;
    fs::write(dir.path().join("README.md"), "words")?;
    assert_eq!(
        source.build(&heard).await?,
        Built::Fresh(false),
        "nothing that it is built from"
    );
    fs::write(dir.path().join("client/src.txt"), "bad")?;
    let failed = source.build(&heard).await.expect_err("it is bad").to_string();
    assert!(failed.contains("src.txt is bad"), "{failed}");
    assert_eq!(page()?, "one", "the page of before");
    fs::write(dir.path().join("client/src.txt"), "two")?;
    assert_eq!(source.build(&heard).await?, Built::Fresh(true));
    assert_eq!(page()?, "two");
    let heard = heard
        .0
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .join("\n");
    assert_eq!(heard.matches("npm ci").count(), 1, "{heard}");
    assert_eq!(heard.matches("was built in").count(), 2, "{heard}");
    Ok(())
}

#[tokio::test]
async fn without_a_way_to_the_registry_it_says_what_to_do() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let source = source(dir.path())?;
    // A package from where nobody answers.
    let lock = r#"{"name": "web", "lockfileVersion": 3, "requires": true, "packages": {
        "": {"name": "web", "workspaces": ["client"], "dependencies": {"absent": "1.0.0"}},
        "client": {"version": "0.1.0"}, "node_modules/client": {"resolved": "client", "link": true},
        "node_modules/absent": {"version": "1.0.0", "resolved": "http://127.0.0.1:1/absent-1.0.0.tgz"}}}"#;
    fs::write(dir.path().join("package-lock.json"), lock)?;
    let manifest =
        r#"{"name": "web", "private": true, "workspaces": ["client"], "dependencies": {"absent": "1.0.0"}}"#;
    fs::write(dir.path().join("package.json"), manifest)?;
    fs::write(dir.path().join(".npmrc"), "fetch-retries=0\n")?;
    let built = source.build(&Heard(Mutex::default())).await;
    if let Ok(Built::NoNode(missing)) = &built {
        skip_test(
            By::Npm,
            &format!("what is said without npm's registry: {missing}"),
        )?;
        return Ok(());
    }
    let told = format!("{:#}", built.expect_err("nobody answers"));
    for word in [
        "npm ci",
        &dir.path().display().to_string(),
        "--no-web",
        "ECONNREFUSED",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    Ok(())
}

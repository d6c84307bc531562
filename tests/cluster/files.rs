//! What can be said of the files without starting anything.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use natterjack_runtime::skipped::{By, skip_test};

use super::compose::{Compose, Volume};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_container_is_shut_in() -> anyhow::Result<()> {
    let compose = Compose::read(&repository().join("compose.yaml"), &[])?;
    for (name, service) in &compose.services {
        ensure!(service.read_only, "{name}: its root can be written");
        ensure!(service.cap_drop == ["ALL"], "{name}: capabilities");
        ensure!(
            service.security_opt == ["no-new-privileges:true"],
            "{name}: privileges"
        );
        let once = matches!(service.restart.as_str(), "no" | "on-failure:5");
        ensure!(
            once || service.restart == "unless-stopped",
            "{name}: {}",
            service.restart
        );
        ensure!(once || service.healthcheck.is_some(), "{name}: no health check");
        ensure!(once || service.mem_limit.is_some(), "{name}: no limit of memory");
        ensure!(
            service.user != "0:0" || service.cap_add == ["CHOWN"],
            "{name}: it is root"
        );
        let tag = service
            .image
            .split_once(':')
            .context("an image without a version")?
            .1;
        ensure!(
            tag != "latest" || service.image.starts_with("natterjack:"),
            "{name}: {tag}"
        );
        if let Some(grace_ms) = service.environment.get("EDGE_DRAIN_GRACE_MS") {
            let grace_ms: u128 = grace_ms.parse()?;
            ensure!(
                service.grace()?.as_millis() > grace_ms,
                "{name}: it is killed while it drains"
            );
        }
        for secret in &service.secrets {
            ensure!(
                compose.secrets.contains_key(&secret.source),
                "{name}: {}",
                secret.source
            );
        }
    }
    for network in ["nats", "database"] {
        let network = compose.networks[network].as_ref();
        ensure!(
            network.is_some_and(|network| network.internal),
            "servers are reached from outside"
        );
    }
    Ok(())
}

/// Permissions name every shard's stream.
#[test]
fn permissions_and_streams_are_for_as_many_shards() -> anyhow::Result<()> {
    let set = [("NATTERJACK_SHARDS", "8")];
    let compose = Compose::read(&repository().join("compose.yaml"), &set)?;
    for name in ["config", "provision"] {
        let shards = compose.services[name].environment.get("NATTERJACK_SHARDS");
        ensure!(shards.is_some_and(|shards| shards == "8"), "{name}: {shards:?}");
    }
    Ok(())
}

/// The command line can write to `backup/…` and read it, and where the pages send people there is something.
#[test]
fn the_nats_command_line_can_do_what_the_pages_say() -> anyhow::Result<()> {
    let compose = Compose::read(&repository().join("compose.yaml"), &[])?;
    let page = fs::read_to_string(repository().join("docs/restore.md"))?;
    let named = services_in(&page);
    for name in ["nats-cli", "provision", "postgres", "nats-1"] {
        ensure!(
            named.contains(name),
            "the page does not say what to do with {name}"
        );
    }
    for name in named {
        ensure!(
            compose.services.contains_key(name),
            "compose.yaml has no service {name}"
        );
    }

    let service = &compose.services["nats-cli"];
    ensure!(
        service.entrypoint.as_deref() == Some(&["nats".to_owned()][..]),
        "it is not `nats`"
    );
    let place = Path::new(service.working_dir.as_deref().context("relative to what?")?).join("backup");
    let backups = service.volumes.iter().find_map(|volume| match volume {
        Volume::Long(bind) if Path::new(&bind.target) == place => Some(bind),
        _ => None,
    });
    let backups = backups.with_context(|| format!("nothing is mounted at {}", place.display()))?;
    ensure!(backups.source == "./backup", "{}", backups.source);
    ensure!(!backups.read_only, "a backup cannot be written");
    ensure!(!backups.bind.create_host_path, "it would be root's");
    let ignored = fs::read_to_string(repository().join(".gitignore"))?;
    ensure!(
        ignored.lines().any(|line| line == "/backup"),
        "keys could be committed"
    );
    Ok(())
}

/// What the image has is what the tests run and the least that the pages ask for.
#[test]
fn the_nats_command_line_has_one_version() -> anyhow::Result<()> {
    let compose = Compose::read(&repository().join("compose.yaml"), &[])?;
    let image = &compose.services["nats-cli"].image;
    let version = image.split_once(':').context("an image without a version")?.1;
    for (file, says) in [
        (
            "deploy/nats-cli.Dockerfile",
            format!("/natscli/nats@v{version}\n"),
        ),
        (
            "tests/operations/nats_cli.rs",
            format!("= ({});", version.replace('.', ", ")),
        ),
        ("docs/restore.md", format!("version {version} or newer")),
        ("nats/README.md", format!("version {version} or newer")),
    ] {
        let text = fs::read_to_string(repository().join(file))?;
        ensure!(text.contains(&says), "{file} does not say {says:?}");
    }
    Ok(())
}

/// The services that a page's `docker compose …` name.
fn services_in(page: &str) -> BTreeSet<&str> {
    let commands = page
        .split('`')
        .filter_map(|span| span.strip_prefix("docker compose "));
    let mut named = BTreeSet::new();
    for command in commands {
        let mut words = command.split_whitespace();
        let verb = words.next();
        let mut services = Vec::new();
        while let Some(word) = words.next() {
            match word {
                "-e" => drop(words.next()),
                option if option.starts_with('-') => {}
                service => services.push(service),
            }
        }
        // After the one of these stands what is run in it.
        if matches!(verb, Some("run" | "exec")) {
            services.truncate(1);
        }
        named.extend(services);
    }
    named
}

/// What the image is built from is all that cargo asks for.
#[test]
fn the_image_gets_the_whole_workspace() -> anyhow::Result<()> {
    let dockerfile = fs::read_to_string(repository().join("deploy/Dockerfile"))?;
    let program = dockerfile
        .split("AS program")
        .nth(1)
        .context("a stage for the program")?;
    let copies = program
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--"));
    let copied: BTreeSet<&str> = copies
        .flat_map(|line| line.split_whitespace().rev().skip(1))
        .map(|path| path.trim_end_matches('/'))
        .collect();
    let ignored = fs::read_to_string(repository().join(".dockerignore"))?;
    let context = tempfile::tempdir()?;
    for path in &copied {
        ensure!(
            ignored.lines().any(|line| line == format!("!{path}")),
            ".dockerignore leaves {path} out"
        );
        std::os::unix::fs::symlink(repository().join(path), context.path().join(path))?;
    }
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--locked",
            "--offline",
            "--no-deps",
            "--format-version=1",
            "--manifest-path",
        ])
        .arg(context.path().join("Cargo.toml"))
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The reference implementation of the file's format reads it, where Go is there to build that.
#[test]
fn compose_itself_understands_the_file() -> anyhow::Result<()> {
    const PACKAGE: &str = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2";
    let skipped = |reason: &str| {
        skip_test(
            By::Go,
            &format!("compose.yaml is not read by compose-go: {reason}"),
        )
    };
    let bin: PathBuf = natterjack_runtime::servers::testing_tools_dir().join("compose-go-2.16.2");
    let program = bin.join("cmd");
    if !program.exists() {
        fs::create_dir_all(&bin)?;
        let installed = Command::new("go")
            .args(["install", PACKAGE])
            .env("GOBIN", &bin)
            .output();
        match installed {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                skipped(&String::from_utf8_lossy(&output.stderr))?;
                return Ok(());
            }
            Err(error) => {
                skipped(&format!("go: {error}; install Go, and run this test again"))?;
                return Ok(());
            }
        }
    }
    let output = Command::new(program)
        .arg(repository().join("compose.yaml"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

//! Keys that do not let in, users who may too much, and certificates that end or name others.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use natterjack_runtime::servers::{NatsConfig, NatsServer, SilentProgress, Tools, testing_tools_dir};
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer};
use serde_json::json;

use super::patient::doctor;

const DAY: Duration = Duration::from_hours(24);

/// A key whose seed is in the folder of the configuration.
fn key(config: &Path, user: &str) -> anyhow::Result<String> {
    let pair = KeyPair::new_user();
    fs::create_dir_all(config.join("nkeys"))?;
    fs::write(config.join(format!("nkeys/{user}.nk")), pair.seed()?)?;
    Ok(pair.public_key())
}

#[tokio::test]
async fn users_who_may_too_much_or_do_not_get_in_are_found() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("config");
    let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress).await?;
    let refused = r#"permissions: { publish: { deny: "$JS.API.STREAM.DELETE.>" }, subscribe: { deny: ["_INBOX_admin.>", "chat.>"] } }"#;
    let mut config = NatsConfig::new(dir.path().join("nats"));
    config.extra = format!(
        "authorization {{ users: [ {{ nkey: {}, {refused} }}, {{ nkey: {}, {refused} }}, {{ nkey: {} }} ] }}",
        key(&folder, "operator")?,
        key(&folder, "edge")?,
        key(&folder, "notifier")?,
    );
    let server = NatsServer::start(&tools, config).await?;
    key(&folder, "presence")?;
    let folder = folder.to_str().expect("UTF-8");
    let seen = doctor(&["--nats-url", &server.url(), "--config", folder]).await?;
    let words = seen.words("permissions");
    let lines: Vec<&str> = words.lines().collect();
    let [presence, notifier] = lines.as_slice() else {
        anyhow::bail!("not two of four users: {words}");
    };
    assert!(
        presence.starts_with("presence: its key does not let it in"),
        "{words}"
    );
    assert!(
        notifier.starts_with("notifier: may use _INBOX_admin.>, $JS.API.STREAM.DELETE."),
        "{words}"
    );
    assert!(!seen.report.to_string().contains("SU"), "a seed is shown");
    server.stop().await;
    Ok(())
}

/// An authority, and a certificate of it for these names that ends when it is said.
struct Authority {
    issuer: Issuer<'static, rcgen::KeyPair>,
    pem: PathBuf,
}

impl Authority {
    fn new(dir: &Path) -> anyhow::Result<Self> {
        let key = rcgen::KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = dir.join("ca.pem");
        fs::write(&pem, params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        Ok(Self { issuer, pem })
    }

    fn nats(&self, dir: &Path, name: &str, ends: SystemTime) -> anyhow::Result<NatsConfig> {
        fs::create_dir_all(dir)?;
        let key = rcgen::KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.not_before = (ends - 90 * DAY).into();
        params.not_after = ends.into();
        let (cert_file, key_file) = (dir.join("nats.pem"), dir.join("nats-key.pem"));
        fs::write(&cert_file, params.signed_by(&key, &self.issuer)?.pem())?;
        fs::write(&key_file, key.serialize_pem())?;
        let mut config = NatsConfig::new(dir);
        config.extra = format!(
            "tls {{ cert_file: {}, key_file: {} }}",
            json!(cert_file),
            json!(key_file)
        );
        Ok(config)
    }
}

#[tokio::test]
async fn certificates_that_end_soon_or_have_ended_or_name_another_host_are_found() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress).await?;
    let authority = Authority::new(dir.path())?;
    #[expect(
        clippy::disallowed_methods,
        reason = "certificates end by the clock of the machine"
    )]
    let now = SystemTime::now();
    for (name, ends, words, state) in [
        ("127.0.0.1", now + 60 * DAY, "", ""),
        (
            "127.0.0.1",
            now + 5 * DAY,
            "its certificate ends in 4 days",
            "warning",
        ),
        ("127.0.0.1", now - DAY, "expired", "failure"),
        ("other.example", now + 60 * DAY, "not valid for", "failure"),
    ] {
        let own = dir.path().join(format!("{name}{words}"));
        let server = NatsServer::start(&tools, authority.nats(&own, name, ends)?).await?;
        let url = server.url();
        let ca = authority.pem.to_str().expect("UTF-8");
        let seen = doctor(&["--nats-url", &url, "--nats-ca", ca]).await?;
        let found = seen.words("certificates");
        assert!(found.contains(words), "{words}: {found}");
        assert_eq!(
            seen.checks(state).contains("certificates"),
            !words.is_empty(),
            "{found}"
        );
        assert_eq!(found.is_empty(), words.is_empty(), "{found}");
        // Who cannot be trusted is not talked to either.
        assert_eq!(
            seen.checks("failure").contains("nats.reached"),
            state == "failure"
        );
        server.stop().await;
        // What is away shows none, which says nothing of it.
        let seen = doctor(&["--nats-url", &url, "--nats-ca", ca]).await?;
        let found = seen.words("certificates");
        assert!(found.contains("could not be seen"), "{found}");
        assert!(!seen.checks("failure").contains("certificates"), "{found}");
    }
    Ok(())
}

//! Postgres over TLS, on a real server that speaks it: who is trusted, and what is said when one is not.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use natterjack_persister::db::{Address, Db, DbError, Tx, look};
use natterjack_runtime::{
    metrics::Metrics,
    servers::{Postgres, PostgresConfig, StderrProgress, install_postgres_with_tls, testing_tools_dir},
    skipped::{By, skip_test},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_postgres::NoTls;

/// A Postgres whose certificate names `localhost` alone.
struct Server {
    postgres: Postgres,
    dir: tempfile::TempDir,
}

impl Server {
    /// `None`, and a loud word, where no Postgres with TLS can be had.
    async fn start() -> anyhow::Result<Option<Self>> {
        let bin = match install_postgres_with_tls(&testing_tools_dir(), &StderrProgress).await {
            Ok(bin) => bin,
            Err(error) => {
                skip_test(By::Npm, &format!("TLS to Postgres is not tested: {error}"))?;
                return Ok(None);
            }
        };
        let tools = common::tools().await?.with_postgres_bin(bin);
        let dir = tempfile::tempdir()?;
        let config = PostgresConfig::new(dir.path().join("postgres"));
        let postgres = Postgres::start(&tools, config).await?;
        let server = Self { postgres, dir };
        server.certify()?;
        let (client, connection) = tokio_postgres::connect(&server.postgres.url(), NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("alter system set ssl = on").await?;
        drop(client);
        server.postgres.stop().await;
        server.postgres.restart().await?;
        Ok(Some(server))
    }

    /// Writes a CA, another CA, and the server's key and certificate where Postgres looks for them.
    fn certify(&self) -> anyhow::Result<()> {
        let ca = authority()?;
        fs::write(self.file("ca.pem"), ca.0.pem())?;
        fs::write(self.file("other-ca.pem"), authority()?.0.pem())?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &ca.1)?;
        let data = self.dir.path().join("postgres/data");
        // Postgres gave up root's rights, and takes no key that others may read.
        let owner = fs::metadata(&data)?;
        for (name, text) in [
            ("server.crt", certificate.pem()),
            ("server.key", key.serialize_pem()),
        ] {
            let path = data.join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }
        Ok(())
    }

    /// Gives the server a certificate that signs itself, as the shortest way to make one does.
    async fn certify_by_itself(&self) -> anyhow::Result<()> {
        let mut params = CertificateParams::new(["localhost".to_owned()])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        fs::write(self.file("itself.pem"), &certificate)?;
        let data = self.dir.path().join("postgres/data");
        // Owner and mode stay as they are.
        fs::write(data.join("server.crt"), &certificate)?;
        fs::write(data.join("server.key"), key.serialize_pem())?;
        self.postgres.stop().await;
        self.postgres.restart().await?;
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The URL with another host and what stands behind it.
    fn url(&self, host: &str, query: &str) -> String {
        let url = self.postgres.url();
        format!("{}{query}", url.replace("@127.0.0.1:", &format!("@{host}:")))
    }

    fn address(&self, host: &str, query: &str, ca: Option<&str>) -> Address {
        Address {
            url: self.url(host, query),
            password_file: None,
            ca: ca.map(|name| self.file(name)),
        }
    }
}

/// A certificate and what signs with it.
fn authority() -> anyhow::Result<(rcgen::Certificate, Issuer<'static, KeyPair>)> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate, Issuer::new(params, key)))
}

/// Whether the connection that answers is encrypted.
async fn encrypted(db: &Db) -> Result<bool, DbError> {
    let work = |tx: Tx| async move {
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        Ok::<_, DbError>(tx.query_one(sql, &[]).await?.get(0))
    };
    db.read("encrypted", work).await
}

async fn open(address: Address) -> anyhow::Result<Db> {
    Ok(Db::open(address, 2, &Metrics::new("test")).await?)
}

#[tokio::test]
async fn a_mode_asks_for_what_it_says() -> anyhow::Result<()> {
    let Some(server) = Server::start().await? else {
        return Ok(());
    };
    // Host, mode, CA, and whether it is encrypted.
    let good = [
        ("127.0.0.1", "?sslmode=disable", None, false),
        ("127.0.0.1", "", None, true),
        ("127.0.0.1", "?sslmode=require", None, true),
        (
            "127.0.0.1",
            "?sslmode=require&channel_binding=require",
            None,
            true,
        ),
        ("127.0.0.1", "?sslmode=verify-ca", Some("ca.pem"), true),
        ("localhost", "?sslmode=verify-full", Some("ca.pem"), true),
        ("localhost", "?sslmode=require", Some("ca.pem"), true),
        ("localhost", "", Some("ca.pem"), true),
    ];
    for (host, mode, ca, expected) in good {
        let db = open(server.address(host, mode, ca))
            .await
            .with_context(|| format!("{host}{mode} {ca:?}"))?;
        ensure!(encrypted(&db).await? == expected, "{host}{mode} {ca:?}");
    }
    let bad = [
        (
            "127.0.0.1",
            "?sslmode=verify-full",
            Some("ca.pem"),
            "sslmode=verify-ca",
        ),
        (
            "127.0.0.1",
            "?sslmode=require",
            Some("ca.pem"),
            "sslmode=verify-ca",
        ),
        (
            "localhost",
            "?sslmode=verify-full",
            Some("other-ca.pem"),
            "--database-ca",
        ),
        (
            "localhost",
            "?sslmode=verify-ca",
            Some("other-ca.pem"),
            "--database-ca",
        ),
        ("localhost", "?sslmode=verify-full", None, "--database-ca"),
        ("localhost", "?sslmode=disable", Some("ca.pem"), "contradict"),
        ("localhost", "", Some("no-such-ca.pem"), "no-such-ca.pem"),
    ];
    for (host, mode, ca, hint) in bad {
        let opened = open(server.address(host, mode, ca)).await;
        let error = opened
            .err()
            .with_context(|| format!("{host}{mode} {ca:?} was let in"))?;
        ensure!(error.to_string().contains(hint), "{host}{mode} {ca:?}: {error}");
        let looked = look::look(server.address(host, mode, ca)).await;
        let looked = looked.err().context("who looks was let in")?.to_string();
        ensure!(looked == error.to_string(), "{looked}");
    }
    // An address, and no name to look for in the certificate.
    let config: tokio_postgres::Config = server.postgres.url().parse()?;
    let pairs = format!(
        "hostaddr=127.0.0.1 port={} user=postgres dbname=postgres password=x",
        config.get_ports().first().context("a port")?
    );
    let error = open(pairs.into())
        .await
        .err()
        .context("it was let in")?
        .to_string();
    ensure!(error.contains("host=") && error.contains("127.0.0.1/"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_signs_itself_is_explained() -> anyhow::Result<()> {
    let Some(server) = Server::start().await? else {
        return Ok(());
    };
    server.certify_by_itself().await?;
    for mode in ["", "?sslmode=verify-ca", "?sslmode=verify-full"] {
        let opened = open(server.address("localhost", mode, Some("itself.pem"))).await;
        let error = opened.err().context("it was let in")?.to_string();
        ensure!(error.contains("is itself a CA"), "{mode}: {error}");
    }
    let db = open(server.address("localhost", "?sslmode=require", None)).await?;
    ensure!(encrypted(&db).await?);
    Ok(())
}

#[tokio::test]
async fn a_server_without_tls_is_refused_at_once_if_tls_was_asked_for() -> anyhow::Result<()> {
    let world = common::World::start().await?;
    let url = format!("{}?sslmode=require", world.args.database_url);
    let error = open(url.into()).await.err().context("it was let in")?.to_string();
    ensure!(error.contains("does not speak TLS"), "{error}");
    open((&world.args.database_url).into()).await?;
    Ok(())
}

#[tokio::test]
async fn a_pool_over_tls_outlives_its_server() -> anyhow::Result<()> {
    let Some(server) = Server::start().await? else {
        return Ok(());
    };
    let address = with_password_file(&server, &server.file("password"))?;
    let db = open(address).await?;
    ensure!(encrypted(&db).await?);
    server.postgres.stop().await;
    let away = encrypted(&db).await.err().context("nobody is there")?;
    ensure!(matches!(away, DbError::Away(_)), "{away}");
    server.postgres.restart().await?;
    ensure!(encrypted(&db).await?);
    // A password that is not the right one, once the server has it no more.
    let wrong = server.file("wrong");
    fs::write(&wrong, "not this one\n")?;
    let address = Address {
        password_file: Some(wrong),
        ..with_password_file(&server, &server.file("password"))?
    };
    let error = open(address).await.err().context("it was let in")?.to_string();
    ensure!(
        error.contains("password authentication failed") && error.contains("DATABASE_PASSWORD_FILE"),
        "{error}"
    );
    ensure!(!error.contains("not this one"), "{error}");
    Ok(())
}

/// Verified in full, with the password in a file and none in the URL.
fn with_password_file(server: &Server, path: &Path) -> anyhow::Result<Address> {
    let url = server.url("localhost", "?sslmode=verify-full");
    let (start, rest) = url.split_once("postgres:").context("the URL")?;
    let (rest, (password, end)) = match rest.strip_prefix("//postgres:") {
        Some(rest) => ("//postgres", rest.split_once('@').context("the URL")?),
        None => anyhow::bail!("the URL has another user"),
    };
    fs::write(path, format!("{password}\n"))?;
    Ok(Address {
        url: format!("{start}postgres:{rest}@{end}"),
        password_file: Some(path.to_owned()),
        ca: Some(server.file("ca.pem")),
    })
}

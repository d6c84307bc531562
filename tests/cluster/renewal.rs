//! Certificates are renewed while people talk: each server shows its new one to who comes, and those who are there stay.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use async_nats::rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

use super::stand::{Cluster, PUBLIC_NAME};

/// Edges look every ten seconds whether their files changed; the others do it when they are told.
const RENEWED_WITHIN: Duration = Duration::from_secs(30);
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(200);
/// What Postgres answers with whether it encrypts.
const POSTGRES_TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What a server waits for, or says, before TLS begins.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    /// A line.
    Nats,
    /// A question and a byte.
    Postgres,
}

/// Who shows which certificate, and what makes it look at its files again: the commands of docs/operations.md.
const SERVERS: [(&str, &str, u16, Before, &str, Option<Signal>); 7] = [
    (
        "nats-1",
        "nats-1",
        4_222,
        Before::Nats,
        "nats",
        Some(Signal::SIGHUP),
    ),
    (
        "nats-2",
        "nats-2",
        4_222,
        Before::Nats,
        "nats",
        Some(Signal::SIGHUP),
    ),
    (
        "nats-3",
        "nats-3",
        4_222,
        Before::Nats,
        "nats",
        Some(Signal::SIGHUP),
    ),
    (
        "postgres",
        "postgres",
        5_432,
        Before::Postgres,
        "postgres",
        Some(Signal::SIGHUP),
    ),
    (
        "lb",
        PUBLIC_NAME,
        443,
        Before::Nothing,
        "edge",
        Some(Signal::SIGUSR2),
    ),
    ("edge-1", "edge-1", 8_080, Before::Nothing, "edge", None),
    ("edge-2", "edge-2", 8_080, Before::Nothing, "edge", None),
];

/// Renews all certificates of the folder `config`, as when they are about to end, and waits until all show theirs.
pub async fn of_all(cluster: &mut Cluster, config: &Path) -> anyhow::Result<()> {
    let tls = config.join("tls");
    for kind in ["nats", "postgres", "edge"] {
        ensure_shown(&tls, kind, true).await?;
        fs::remove_file(tls.join(format!("{kind}.pem")))?;
    }
    cluster.write_config().await?;
    for kind in ["nats", "postgres", "edge"] {
        ensure_shown(&tls, kind, false).await?;
    }
    for (service, .., signal) in SERVERS {
        if let Some(signal) = signal {
            cluster.of(service)?.signal(signal)?;
        }
    }
    let begun = Instant::now();
    for (service, host, port, before, kind, _) in SERVERS {
        while !shows(&tls, host, port, before, kind).await.unwrap_or(false) {
            ensure!(
                begun.elapsed() < RENEWED_WITHIN,
                "{service} does not show its new certificate"
            );
            sleep(POLL).await;
        }
    }
    println!("all show their new certificates after {:?}", begun.elapsed());
    Ok(())
}

/// Whether all of a kind show the certificate in the folder, or all another one.
async fn ensure_shown(tls: &Path, of: &str, expected: bool) -> anyhow::Result<()> {
    for (service, host, port, before, kind, _) in SERVERS {
        let same = kind != of || shows(tls, host, port, before, kind).await? == expected;
        ensure!(
            same,
            "{service}: shows the certificate in the folder: {}",
            !expected
        );
    }
    Ok(())
}

/// Whether a server shows the certificate of this kind that is in the folder now. An error, if what it shows is not
/// to be trusted.
async fn shows(tls: &Path, host: &str, port: u16, before: Before, kind: &str) -> anyhow::Result<bool> {
    let shown = timeout(ANSWERED_WITHIN, shown(tls, host, port, before)).await??;
    Ok(shown == CertificateDer::from_pem_file(tls.join(format!("{kind}.pem")))?)
}

async fn shown(tls: &Path, host: &str, port: u16, before: Before) -> anyhow::Result<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(tls.join("ca.pem"))?)?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = TcpStream::connect((host, port)).await?;
    match before {
        Before::Nothing => {}
        Before::Nats => while tcp.read_u8().await? != b'\n' {},
        Before::Postgres => {
            tcp.write_all(&POSTGRES_TLS).await?;
            ensure!(tcp.read_u8().await? == b'S', "it does not encrypt");
        }
    }
    let name = ServerName::try_from(host.to_owned())?;
    let session = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let certificates = session.get_ref().1.peer_certificates();
    let own = certificates.and_then(<[_]>::first).context("it showed none")?;
    Ok(own.clone().into_owned())
}

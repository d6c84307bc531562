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

/// A service, and the certificate that it shows.
struct Server {
    service: &'static str,
    host: &'static str,
    port: u16,
    before: Before,
    certificate: &'static str,
    /// What makes it look at its files again, as in docs/operations.md; an edge looks by itself.
    told_by: Option<Signal>,
}

const fn nats(service: &'static str) -> Server {
    Server {
        service,
        host: service,
        port: 4_222,
        before: Before::Nats,
        certificate: "nats",
        told_by: Some(Signal::SIGHUP),
    }
}

const fn edge(service: &'static str) -> Server {
    Server {
        service,
        host: service,
        port: 8_080,
        before: Before::Nothing,
        certificate: "edge",
        told_by: None,
    }
}

const SERVERS: [Server; 7] = [
    nats("nats-1"),
    nats("nats-2"),
    nats("nats-3"),
    edge("edge-1"),
    edge("edge-2"),
    Server {
        service: "postgres",
        host: "postgres",
        port: 5_432,
        before: Before::Postgres,
        certificate: "postgres",
        told_by: Some(Signal::SIGHUP),
    },
    Server {
        service: "lb",
        host: PUBLIC_NAME,
        port: 443,
        before: Before::Nothing,
        certificate: "edge",
        told_by: Some(Signal::SIGUSR2),
    },
];

/// Renews all certificates of the folder `config`, as when they are about to end, and waits until all show theirs.
pub async fn of_all(cluster: &mut Cluster, config: &Path) -> anyhow::Result<()> {
    let tls = config.join("tls");
    all_show(&tls).await?;
    for certificate in ["nats", "postgres", "edge"] {
        fs::remove_file(tls.join(format!("{certificate}.pem")))?;
    }
    cluster.write_config().await?;
    for server in &SERVERS {
        if let Some(signal) = server.told_by {
            cluster.of(server.service)?.signal(signal)?;
        }
    }
    let begun = Instant::now();
    for server in &SERVERS {
        // One that is just being replaced may not answer.
        while !server.shows(&tls).await.unwrap_or(false) {
            let in_time = begun.elapsed() < RENEWED_WITHIN;
            ensure!(in_time, "{} does not show its new certificate", server.service);
            sleep(POLL).await;
        }
    }
    println!("all show their new certificates after {:?}", begun.elapsed());
    all_show(&tls).await
}

async fn all_show(tls: &Path) -> anyhow::Result<()> {
    for server in &SERVERS {
        ensure!(
            server.shows(tls).await?,
            "{} shows another certificate",
            server.service
        );
    }
    Ok(())
}

impl Server {
    /// Whether it shows the certificate that is in the folder now. An error, if what it shows is not to be trusted.
    async fn shows(&self, tls: &Path) -> anyhow::Result<bool> {
        let shown = timeout(ANSWERED_WITHIN, self.shown(tls)).await??;
        let path = tls.join(format!("{}.pem", self.certificate));
        Ok(shown == CertificateDer::from_pem_file(path)?)
    }

    async fn shown(&self, tls: &Path) -> anyhow::Result<CertificateDer<'static>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(tls.join("ca.pem"))?)?;
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = TcpStream::connect((self.host, self.port)).await?;
        match self.before {
            Before::Nothing => {}
            Before::Nats => while tcp.read_u8().await? != b'\n' {},
            Before::Postgres => {
                tcp.write_all(&POSTGRES_TLS).await?;
                ensure!(tcp.read_u8().await? == b'S', "it does not encrypt");
            }
        }
        let session = TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(self.host)?, tcp)
            .await?;
        let certificates = session.get_ref().1.peer_certificates();
        let own = certificates.and_then(<[_]>::first).context("it showed none")?;
        Ok(own.clone().into_owned())
    }
}

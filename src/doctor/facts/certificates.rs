//! Certificates: those in the folder, and those that servers show.

use std::{path::Path, sync::Arc, time::Duration};

use reqwest::Url;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};
use x509_cert::{Certificate, der::Decode as _};

use super::{Edge, Missing, Seen};
use crate::doctor::args::Args;

const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// What nats-server says first is a line of less than this.
const INFO_BYTES_MAX: usize = 32 * 1_024;
/// The request for TLS in Postgres's protocol: eight bytes, and one in answer.
const POSTGRES_TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// The files in the folder.
const FILES: &[&str] = &["tls/ca.pem", "tls/nats.pem", "tls/postgres.pem", "tls/edge.pem"];

/// A certificate, and how it stands.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Where it was seen: a file, or an address.
    pub at: String,
    /// When it ends, in Unix seconds.
    pub ends_s: Result<u64, Unseen>,
}

/// Why it is not known when a certificate ends.
#[derive(Debug, Clone)]
pub enum Unseen {
    /// Nobody answers there.
    Away(String),
    /// It is not trusted, or was not shown.
    Untrusted(String),
}

/// How TLS begins with a server.
#[derive(Debug, Clone, Copy)]
enum Opening {
    /// At once.
    Tls,
    /// After its first line.
    Nats,
    /// After a request.
    Postgres,
}

/// Looks at all of them; where nothing is encrypted there are none.
pub async fn look(args: &Args, edges: &Seen<Vec<Edge>>) -> Seen<Vec<Shown>> {
    let files = FILES.iter().filter_map(|name| {
        let path = args.file(name)?;
        let ends_s = ends_of_file(&path);
        let at = path.display().to_string();
        Some(Shown { at, ends_s })
    });
    let mut all: Vec<Shown> = files.collect();
    let trust = args
        .trust()
        .map_err(|why| Missing::away(why, "look at the file"))?;
    // It reads the machine's certificates from disk.
    let config = tokio::task::spawn_blocking(move || trust.client_config()).await;
    let config = config.map_err(|error| Missing::away(error.to_string(), "try again"))?;
    let connector = TlsConnector::from(Arc::<ClientConfig>::new(config));
    let shown = targets(args, edges).into_iter().map(|(url, opening)| {
        let connector = connector.clone();
        async move {
            let at = address(&url, opening);
            let shown = timeout(SHOWN_WITHIN, show(&connector, &at, opening)).await;
            let ends_s = shown.unwrap_or_else(|_| Err(Unseen::Away("it does not answer in 5 s".to_owned())));
            let at = format!("{}:{}", at.0, at.1);
            Shown { at, ends_s }
        }
    });
    all.extend(futures::future::join_all(shown).await);
    Ok(all)
}

/// The servers that should show one.
fn targets(args: &Args, edges: &Seen<Vec<Edge>>) -> Vec<(Url, Opening)> {
    let mut all = Vec::new();
    for url in args.nats_servers() {
        all.push((url, Opening::Nats));
    }
    let addresses = edges
        .iter()
        .flatten()
        .filter_map(|edge| edge.url.parse::<Url>().ok());
    let mut seen: Vec<Url> = addresses.filter(|url| url.scheme() == "https").collect();
    seen.sort();
    seen.dedup();
    all.extend(seen.into_iter().map(|url| (url, Opening::Tls)));
    if let Some(database) = args.encrypted_database() {
        all.push((database, Opening::Postgres));
    }
    all
}

fn address(url: &Url, opening: Opening) -> (String, u16) {
    let port = match opening {
        Opening::Tls => 443,
        Opening::Nats => 4_222,
        Opening::Postgres => 5_432,
    };
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host.to_owned(), url.port_or_known_default().unwrap_or(port))
}

/// Opens TLS as a client would, which says whether chain, name and dates are right; answers when it ends.
async fn show(
    connector: &TlsConnector,
    (host, port): &(String, u16),
    opening: Opening,
) -> Result<u64, Unseen> {
    let away = |error: std::io::Error| Unseen::Away(error.to_string());
    let mut tcp = TcpStream::connect((host.as_str(), *port)).await.map_err(away)?;
    match opening {
        Opening::Tls => {}
        Opening::Nats => {
            let mut byte = [0];
            for _ in 0..INFO_BYTES_MAX {
                tcp.read_exact(&mut byte).await.map_err(away)?;
                if byte == *b"\n" {
                    break;
                }
            }
        }
        Opening::Postgres => {
            tcp.write_all(&POSTGRES_TLS).await.map_err(away)?;
            let mut byte = [0];
            tcp.read_exact(&mut byte).await.map_err(away)?;
            if byte != *b"S" {
                return Err(Unseen::Untrusted("it does not encrypt".to_owned()));
            }
        }
    }
    let name = ServerName::try_from(host.clone()).map_err(|error| Unseen::Untrusted(error.to_string()))?;
    let tls = connector.connect(name, tcp).await;
    let tls = tls.map_err(|error| Unseen::Untrusted(error.to_string()))?;
    let (_, session) = tls.get_ref();
    let own = session.peer_certificates().and_then(<[_]>::first);
    ends(own.ok_or_else(|| Unseen::Untrusted("it showed none".to_owned()))?)
}

fn ends_of_file(path: &Path) -> Result<u64, Unseen> {
    let first = CertificateDer::from_pem_file(path);
    let first = first.map_err(|error| Unseen::Untrusted(error.to_string()))?;
    ends(&first)
}

fn ends(certificate: &CertificateDer<'_>) -> Result<u64, Unseen> {
    let read = Certificate::from_der(certificate)
        .map_err(|error| Unseen::Untrusted(format!("it cannot be read: {error}")))?;
    Ok(read
        .tbs_certificate
        .validity
        .not_after
        .to_unix_duration()
        .as_secs())
}

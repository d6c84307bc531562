//! TLS that ends at the edge: what is served, what happens when the files change, and what is said when they
//! are wrong; and the listener for probes and metrics beside it.

mod common;

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use clap::Parser;
use common::{PATIENCE, Stage};
use natterjack_edge::Args;
use natterjack_runtime::lifecycle::Tasks;
use reqwest::{Certificate, Client, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// A certificate of its own authority and its key, as files.
struct Identity {
    cert: String,
    key: String,
}

impl Identity {
    fn new() -> Self {
        Self::until(2040)
    }

    /// One that ends when a year begins.
    fn until(year: i32) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut of = rcgen::CertificateParams::new(names).expect("names");
        of.not_after = rcgen::date_time_ymd(year, 1, 1);
        Self {
            cert: of.self_signed(&key).expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }

    fn write(&self, dir: &Path) {
        std::fs::write(dir.join("edge.pem"), &self.cert).expect("written");
        std::fs::write(dir.join("edge-key.pem"), &self.key).expect("written");
    }

    /// A client that trusts this one alone.
    fn client(&self) -> Client {
        let cert = Certificate::from_pem(self.cert.as_bytes()).expect("a certificate");
        Client::builder()
            .tls_certs_only([cert])
            .build()
            .expect("a client")
    }

    /// A connection whose own end buffers next to nothing.
    async fn narrow(&self, to: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let cert = CertificateDer::from_pem_slice(self.cert.as_bytes()).expect("a certificate");
        roots.add(cert).expect("a root");
        let config = ClientConfig::builder().with_root_certificates(roots);
        let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(2_304).expect("a small buffer");
        let tcp = socket.connect(to).await.expect("connected");
        let name = ServerName::try_from("localhost").expect("a name");
        connector.connect(name, tcp).await
    }
}

fn options(dir: &Path) -> Vec<String> {
    vec![
        format!("--tls-cert={}", dir.join("edge.pem").display()),
        format!("--tls-key={}", dir.join("edge-key.pem").display()),
        "--tls-reload-ms=20".into(),
    ]
}

async fn stage(dir: &Path, more: &[&str]) -> Stage {
    let options = options(dir);
    let mut all: Vec<&str> = options.iter().map(String::as_str).collect();
    all.extend(more);
    Stage::new(&all).await
}

async fn status(client: &Client, url: &str) -> Result<StatusCode, reqwest::Error> {
    Ok(client.get(url).send().await?.status())
}

#[tokio::test]
async fn a_changed_certificate_is_served_and_open_connections_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, second) = (Identity::new(), Identity::new());
    first.write(dir.path());
    let stage = stage(dir.path(), &[]).await;
    let url = format!("https://{}/readyz", stage.edge.addr);
    let old = first.client();
    assert_eq!(status(&old, &url).await.expect("an answer"), StatusCode::OK);
    assert!(status(&second.client(), &url).await.is_err(), "it trusts another");

    // Half of a change is none: what fits together stays.
    std::fs::write(dir.path().join("edge.pem"), &second.cert).expect("written");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(
        status(&first.client(), &url).await.expect("an answer"),
        StatusCode::OK
    );

    second.write(dir.path());
    timeout(PATIENCE, async {
        while status(&second.client(), &url).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the new certificate is served");
    assert!(
        status(&first.client(), &url).await.is_err(),
        "the old one is served no more"
    );
    // The connection that it keeps was made before the change.
    assert_eq!(status(&old, &url).await.expect("an answer"), StatusCode::OK);
    stage.end().await;
}

#[tokio::test]
async fn who_does_not_shake_hands_gives_the_place_back() {
    let dir = tempfile::tempdir().expect("a directory");
    Identity::new().write(dir.path());
    let stage = stage(dir.path(), &["--header-timeout-ms=200"]).await;
    let mut silent = TcpStream::connect(stage.edge.addr).await.expect("connected");
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, silent.read_to_end(&mut bytes)).await;
    assert!(matches!(read.expect("it is ended"), Ok(0) | Err(_)), "{bytes:?}");
    stage.end().await;
}

/// The answer is larger than what TLS takes into its own buffer, and that larger than what the kernel does: it
/// stalls in each of the places where it can, and the only place of this edge is free again.
#[tokio::test]
async fn who_does_not_read_the_answer_gives_the_place_back() {
    let (dir, page) = (
        tempfile::tempdir().expect("a directory"),
        tempfile::tempdir().expect("a directory"),
    );
    let identity = Identity::new();
    identity.write(dir.path());
    std::fs::write(page.path().join("index.html"), "<!doctype html>").expect("written");
    std::fs::write(page.path().join("large.txt"), vec![b'x'; 6 << 20]).expect("written");
    let page = format!("--web-dir={}", page.path().display());
    let stage = stage(
        dir.path(),
        &[&page, "--connections-max=1", "--write-timeout-ms=500"],
    )
    .await;
    let url = format!("https://{}/readyz", stage.edge.addr);
    for connection in ["keep-alive", "close"] {
        // Whoever was heard last holds the place until the edge has seen that they are gone.
        let mut deaf = timeout(PATIENCE, async {
            loop {
                match identity.narrow(stage.edge.addr).await {
                    Ok(stream) => break stream,
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await
        .expect("a place");
        let request =
            format!("GET /large.txt HTTP/1.1\r\nhost: localhost\r\nconnection: {connection}\r\n\r\n");
        deaf.write_all(request.as_bytes()).await.expect("asked");
        deaf.flush().await.expect("asked");
        let mut first = [0; 12];
        deaf.read_exact(&mut first).await.expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200");
        assert!(
            status(&identity.client(), &url).await.is_err(),
            "there is one place"
        );
        timeout(PATIENCE, async {
            // Each with a connection of its own, which it gives back.
            while status(&identity.client(), &url).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{connection}: the place is held for ever"));
    }
    stage.end().await;
}

#[tokio::test]
async fn metrics_are_served_to_operators_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let identity = Identity::new();
    identity.write(dir.path());
    let stage = stage(dir.path(), &["--admin-listen=127.0.0.1:0"]).await;
    let (public, client) = (stage.edge.addr, identity.client());
    let admin = stage.edge.admin.expect("a second listener");
    for (url, expected) in [
        (format!("https://{public}/readyz"), StatusCode::OK),
        (format!("https://{public}/healthz"), StatusCode::OK),
        (format!("https://{public}/metrics"), StatusCode::NOT_FOUND),
        (format!("http://{admin}/metrics"), StatusCode::OK),
        (format!("http://{admin}/readyz"), StatusCode::OK),
        (format!("http://{admin}/v1/edges"), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(status(&client, &url).await.expect("an answer"), expected, "{url}");
    }
    stage.end().await;
}

/// Seconds to the beginnings of the years 2035 and 2036.
const ENDS: [(i32, &str); 2] = [(2035, "2051222400"), (2036, "2082758400")];

#[tokio::test]
async fn it_is_told_when_the_certificate_ends_that_is_served() {
    let dir = tempfile::tempdir().expect("a directory");
    Identity::until(ENDS[0].0).write(dir.path());
    let stage = stage(dir.path(), &["--admin-listen=127.0.0.1:0"]).await;
    let url = format!("http://{}/metrics", stage.edge.admin.expect("a second listener"));
    for (year, end) in ENDS {
        Identity::until(year).write(dir.path());
        let line = format!("natterjack_certificate_end_seconds{{role=\"edge\"}} {end}");
        timeout(PATIENCE, async {
            loop {
                let text = reqwest::get(&url).await.expect("it answers").text().await;
                if text.expect("a text").lines().any(|found| found == line) {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{line} is not told"));
    }
    stage.end().await;
}

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

/// What an edge says that cannot start; NATS is not asked before the files are read.
async fn refused(dir: &Path) -> String {
    let mut words = vec!["edge".to_owned(), "--nats-url=nats://127.0.0.1:1".to_owned()];
    words.extend(options(dir));
    let error = natterjack_edge::run(&Command::parse_from(words).args, &Tasks::new()).await;
    format!("{:#}", error.expect_err("it cannot start"))
}

#[tokio::test]
async fn files_that_are_wrong_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let (one, other) = (Identity::new(), Identity::new());
    assert!(refused(dir.path()).await.contains("edge.pem cannot be read"));
    one.write(dir.path());
    let (cert, key) = (dir.path().join("edge.pem"), dir.path().join("edge-key.pem"));
    std::fs::write(&key, &other.key).expect("written");
    let said = refused(dir.path()).await;
    assert!(said.contains("is not the key of"), "{said}");
    std::fs::write(&key, &one.cert).expect("written");
    let said = refused(dir.path()).await;
    assert!(said.contains("edge-key.pem holds no private key"), "{said}");
    std::fs::write(&cert, &one.key).expect("written");
    let said = refused(dir.path()).await;
    assert!(said.contains("edge.pem holds no certificate"), "{said}");
    assert!(
        Command::try_parse_from(["edge", "--tls-cert=a.pem"]).is_err(),
        "one without the other"
    );
}

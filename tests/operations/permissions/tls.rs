//! Who is not let in at all: another key, no TLS, another authority, another host.

use std::{fs, time::Duration};

use natterjack::role;
use natterjack_nats::{
    access::User,
    cluster::{self, JoinError, NatsArgs},
};
use natterjack_runtime::lifecycle::Tasks;
use nkeys::KeyPair;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use super::secured::{self, Secured};

const PATIENCE: Duration = Duration::from_secs(20);

async fn join(args: NatsArgs) -> Result<async_nats::Client, JoinError> {
    cluster::connect(args.login(User::Edge), "tls test", |_| {}).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_who_they_should_be_is_not_let_in() -> anyhow::Result<()> {
    let secured = Secured::start().await?;
    let right = secured.nats_args(User::Edge);
    join(right.clone()).await?;
    let other = tempfile::tempdir()?;
    secured::write(other.path())?;

    let key = other.path().join("other.nk");
    fs::write(&key, KeyPair::new_user().seed()?)?;
    let wrong_key = NatsArgs {
        nkey: Some(key),
        ..right.clone()
    };
    assert!(matches!(join(wrong_key).await, Err(JoinError::Refused { .. })));
    let no_key = NatsArgs {
        nkey: None,
        ..right.clone()
    };
    assert!(matches!(join(no_key).await, Err(JoinError::Refused { .. })));
    let other_authority = NatsArgs {
        ca: Some(other.path().join("tls/ca.pem")),
        ..right.clone()
    };
    assert!(matches!(join(other_authority).await, Err(JoinError::Tls { .. })));
    let no_authority = NatsArgs {
        ca: None,
        ..right.clone()
    };
    assert!(matches!(join(no_authority).await, Err(JoinError::Tls { .. })));
    // The same server under an address that its certificate does not name.
    let other_host = NatsArgs {
        url: format!("tls://127.0.0.2:{}", secured.port),
        ..right.clone()
    };
    assert!(matches!(join(other_host).await, Err(JoinError::Tls { .. })));
    // With an authority, TLS is not for the server to choose.
    let plain = NatsArgs {
        url: format!("nats://localhost:{}", secured.port),
        ..right
    };
    join(plain).await?;
    secured.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tls_nobody_gets_an_answer() -> anyhow::Result<()> {
    let secured = Secured::start().await?;
    let mut socket = BufReader::new(TcpStream::connect(("127.0.0.1", secured.port)).await?);
    let mut info = String::new();
    timeout(PATIENCE, socket.read_line(&mut info)).await??;
    assert!(info.starts_with("INFO "), "{info}");
    socket
        .write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n")
        .await?;
    let mut rest = Vec::new();
    // The server closes: with what it says, or in the middle of what it takes for TLS.
    let _ = timeout(PATIENCE, socket.read_to_end(&mut rest)).await?;
    let rest = String::from_utf8_lossy(&rest);
    assert!(!rest.contains("PONG"), "{rest}");
    secured.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_is_ready_by_tls_on_all_of_its_connections() -> anyhow::Result<()> {
    let secured = Secured::start().await?;
    let NatsArgs { url, nkey, ca, .. } = secured.nats_args(User::Edge);
    let path = |path: Option<std::path::PathBuf>| path.unwrap_or_default().display().to_string();
    let (nkey, ca) = (path(nkey), path(ca));
    let args: natterjack_edge::Args = role::args(&[
        ("--nats-url", &url),
        ("--nats-nkey", &nkey),
        ("--nats-ca", &ca),
        ("--listen", "127.0.0.1:0"),
    ])?;
    let tasks = Tasks::new();
    // Keys of access tokens come from a persister; an edge starts without.
    let edge = Box::pin(natterjack_edge::run(&args, &tasks)).await?;
    assert_eq!(
        edge.app.health.ready().map_err(|failing| format!("{failing:?}")),
        Ok(())
    );
    tasks.stop(PATIENCE).await?;
    secured.stop().await;
    Ok(())
}

//! A socket within TLS loses nothing, however slowly the other end takes it and however often a write is
//! given up half way.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{PrivateKeyDer, ServerName},
    },
};

use super::{Incoming, Outgoing, Socket};
use crate::http::{Patient, Transport};

const FRAMES: usize = 60;
const FRAME_BYTES: usize = 100_000;
const HEADER_BYTES: usize = 10;
const PATIENCE: Duration = Duration::from_secs(30);

/// Both ends of a connection.
async fn pair() -> (Socket, TlsStream<TcpStream>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("they fit");
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let (near, far) = tokio::join!(
        async {
            let (tcp, _) = listener.accept().await.expect("a client");
            let acceptor = TlsAcceptor::from(Arc::new(server));
            let tcp = Patient::new(tcp, PATIENCE);
            acceptor.accept(tcp).await.expect("hands shaken")
        },
        async {
            let tcp = TcpStream::connect(address).await.expect("connected");
            let name = ServerName::try_from("localhost").expect("a name");
            let connector = TlsConnector::from(Arc::new(client));
            connector.connect(name, tcp).await.expect("hands shaken")
        }
    );
    let near = Socket::new(
        Transport::Tls(Box::new(near)).without_limit(),
        Bytes::new(),
        1 << 20,
    );
    (near, far)
}

/// A letter for each frame, so that a missing, doubled or moved byte is seen.
fn letter(index: usize) -> u8 {
    b'a' + u8::try_from(index % 26).expect("a letter")
}

#[tokio::test]
async fn what_is_given_up_half_way_goes_on_where_it_stopped() {
    let (mut near, mut far) = pair().await;
    let reading = tokio::spawn(async move {
        for index in 0..FRAMES {
            // More than the kernel holds waits meanwhile.
            sleep(Duration::from_millis(2)).await;
            let mut frame = vec![0; HEADER_BYTES + FRAME_BYTES];
            far.read_exact(&mut frame).await.expect("a whole frame");
            assert!(
                frame[HEADER_BYTES..].iter().all(|byte| *byte == letter(index)),
                "{index}"
            );
        }
        far
    });
    for index in 0..FRAMES {
        let text = String::from_utf8(vec![letter(index); FRAME_BYTES]).expect("letters");
        near.push(Outgoing::Text(Utf8Bytes::from(text)));
    }
    let mut given_up = 0;
    let written = async {
        while near.waits() {
            match timeout(Duration::from_millis(1), near.flush()).await {
                Ok(written) => written.expect("written"),
                Err(_) => given_up += 1,
            }
        }
    };
    timeout(PATIENCE, written).await.expect("in time");
    let mut far = timeout(PATIENCE, reading)
        .await
        .expect("in time")
        .expect("all read");
    assert!(given_up > 0, "no write was given up: the test shows nothing");

    // The other direction, in pieces, and an end that TLS does not announce.
    let mask = [1, 2, 3, 4];
    let payload: Vec<u8> = (0..50_000).map(letter).collect();
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(50_000_u16.to_be_bytes());
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    for piece in frame.chunks(7_001) {
        far.write_all(piece).await.expect("written");
        far.flush().await.expect("flushed");
    }
    let text = Utf8Bytes::from(String::from_utf8(payload).expect("letters"));
    let came = timeout(PATIENCE, near.recv()).await.expect("in time");
    assert_eq!(came.expect("a message"), Some(Incoming::Text(text)));
    drop(far);
    let came = timeout(PATIENCE, near.recv()).await.expect("in time");
    assert!(matches!(came, Ok(None) | Err(_)), "{came:?}");
}

#[tokio::test]
async fn goodbye_is_said_within_tls_too() {
    let (mut near, mut far) = pair().await;
    near.push(Outgoing::Close(1000, "bye"));
    near.say_goodbye();
    let mut bytes = Vec::new();
    timeout(PATIENCE, far.read_to_end(&mut bytes))
        .await
        .expect("in time")
        .expect("an end that TLS announces");
    assert!(bytes.ends_with(b"bye"), "{bytes:?}");
}

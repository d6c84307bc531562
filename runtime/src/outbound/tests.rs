use std::{
    collections::VecDeque,
    future::Future,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    routing::{any, get},
};
use futures::StreamExt as _;
use reqwest::Method;
use tokio::net::TcpListener;

use super::{resolver::Lookup, *};

const PUBLIC: &str = "8.8.8.8";

/// Answers one list of addresses after the other, and the last one for ever.
#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Vec<IpAddr>>>>,
    asked: Arc<AtomicUsize>,
}

impl Script {
    fn new(answers: &[&[&str]]) -> Self {
        let list = |texts: &&[&str]| {
            texts
                .iter()
                .map(|text| text.parse().expect("an address"))
                .collect()
        };
        Self {
            answers: Arc::new(Mutex::new(answers.iter().map(list).collect())),
            asked: Arc::default(),
        }
    }
}

impl Lookup for Script {
    fn lookup(&self, _: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().expect("no test panics in here");
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("nothing to answer")) })
    }
}

fn public(script: &Script) -> Outbound {
    Outbound::with_lookup(Reach::Public, script.clone()).expect("a client")
}

/// A server on the loopback that counts what comes: connections, not only requests.
async fn victim() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let heard = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((_stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, heard)
}

#[tokio::test]
async fn private_addresses_are_refused_in_every_spelling() {
    let script = Script::new(&[&[PUBLIC]]);
    let outbound = public(&script);
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "0x7F.0x0.0x0.0x1",
        "%31%32%37.0.0.1",
        "127。0。0。1",
        "127.0.0.1",
        "①②⑦.0.0.1",
        "0",
        "0.0.0.0",
        "10.1.2.3",
        "167838211",
        "012.1.2.3",
        "100.64.1.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "172.16.0.1",
        "192.168.1.1",
        "0300.0250.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "4294967295",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:a00:1]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::8.8.8.8]",
        "[2002:a00:1::1]",
        "[2002:7f00:1::]",
        "[2001:0:a00:1::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
    ] {
        let endpoint = format!("https://{host}/push/abc");
        let refused = outbound.check(&endpoint).await.expect_err(host);
        assert!(
            matches!(refused, EndpointError::Private { .. }),
            "{host}: {refused:?}"
        );
        let refused = outbound.request(Method::POST, &endpoint).expect_err(host);
        assert!(
            matches!(refused, EndpointError::Private { .. }),
            "{host}: {refused:?}"
        );
    }
    assert_eq!(script.asked.load(Ordering::SeqCst), 0, "none of them is a name");
}

#[tokio::test]
async fn what_is_no_endpoint_is_refused_in_words() {
    let outbound = public(&Script::new(&[&[PUBLIC]]));
    let long = format!("https://push.example.org/{}", "a".repeat(ENDPOINT_BYTES_MAX));
    for (endpoint, words) in [
        (long.as_str(), "at most 2048"),
        ("", "not a URL"),
        ("push.example.org/abc", "not a URL"),
        ("https://", "not a URL"),
        ("https://1.2.3.4.5/", "not a URL"),
        ("https://256.0.0.1/", "not a URL"),
        ("https://[fe80::1%25eth0]/", "not a URL"),
        ("https://push example.org/", "not a URL"),
        ("http://push.example.org/abc", "only https:"),
        ("ftp://push.example.org/abc", "only https:"),
        ("file:///etc/passwd", "only https:"),
        ("data:text/plain,x", "only https:"),
        ("https://user@push.example.org/", "a user or a password"),
        ("https://:secret@push.example.org/", "a user or a password"),
        ("https://push.example.org@10.0.0.1/", "a user or a password"),
    ] {
        let refused = outbound.check(endpoint).await.expect_err(endpoint);
        assert!(
            refused.to_string().contains(words),
            "{endpoint}: {refused}, not {words}"
        );
    }
    for endpoint in [
        "https://push.example.org/abc",
        "https://push.example.org:8443/abc?d=e",
        "https://8.8.8.8/x",
        "https://[2606:4700:4700::1111]/x",
    ] {
        let url = outbound.check(endpoint).await.expect(endpoint);
        assert_eq!(url.as_str(), endpoint);
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused() {
    for answer in [
        &["127.0.0.1"][..],
        &["::1"],
        &["10.0.0.1"],
        &["64:ff9b::a00:1"],
        // One of several is enough: all of them would be tried.
        &[PUBLIC, "169.254.169.254"],
    ] {
        let outbound = public(&Script::new(&[answer]));
        let endpoint = "https://push.example.org/abc";
        let refused = outbound.check(endpoint).await.expect_err("private");
        assert!(matches!(refused, EndpointError::Private { .. }), "{refused:?}");
        let request = outbound.request(Method::POST, endpoint).expect("a fine form");
        let failed = request.send().await.expect_err("not sent");
        assert!(Outbound::forbidden(&failed).is_some(), "{failed:?}");
    }
}

#[tokio::test]
async fn a_name_without_an_address_says_so() {
    let outbound = public(&Script::new(&[&[]]));
    let refused = outbound
        .check("https://push.example.org/abc")
        .await
        .expect_err("nowhere");
    assert!(matches!(refused, EndpointError::Unresolved { .. }), "{refused:?}");
}

/// The machine's own resolver, and names that every machine knows or that nobody may register (RFC 6761).
#[tokio::test]
async fn the_machines_resolver_is_judged_alike() {
    let outbound = Outbound::new(Reach::Public).expect("a client");
    let refused = outbound.check("https://localhost:8443/x").await.expect_err("us");
    assert!(matches!(refused, EndpointError::Private { .. }), "{refused:?}");
    let refused = outbound
        .check("https://nowhere.invalid/x")
        .await
        .expect_err("nobody");
    assert!(matches!(refused, EndpointError::Unresolved { .. }), "{refused:?}");
}

/// DNS rebinding: public when it is registered, private when it is used. The connection would go to the
/// second answer; it goes nowhere.
#[tokio::test]
async fn a_name_that_changes_its_mind_reaches_nothing_private() {
    let (port, heard) = victim().await;
    let script = Script::new(&[&[PUBLIC], &["127.0.0.1"]]);
    let outbound = public(&script);
    let endpoint = format!("https://rebind.example.org:{port}/abc");
    outbound.check(&endpoint).await.expect("public at first");

    let request = outbound.request(Method::POST, &endpoint).expect("a fine form");
    let failed = request.body("x").send().await.expect_err("private by now");
    assert!(Outbound::forbidden(&failed).is_some(), "{failed:?}");
    assert_eq!(script.asked.load(Ordering::SeqCst), 2, "asked once for each");
    assert_eq!(heard.load(Ordering::SeqCst), 0);

    // Without the check it would have got there: what the test above shows is not a closed port.
    let open = Outbound::with_lookup(Reach::Anywhere, Script::new(&[&["127.0.0.1"]])).expect("a client");
    let request = open.request(Method::POST, &endpoint).expect("a fine form");
    assert!(request.send().await.is_err(), "nobody speaks TLS there");
    assert!(heard.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (port, heard) = victim().await;
    let location = format!("http://127.0.0.1:{port}/latest/meta-data");
    let answer = move || {
        let location = location.clone();
        async move { (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let router = Router::new().route("/push", any(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let outbound = Outbound::new(Reach::Anywhere).expect("a client");
    let request = outbound.request(Method::POST, &format!("http://{address}/push"));
    let answer = request.expect("anywhere").send().await.expect("answered");
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(heard.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_answer_is_read_to_its_limit() {
    let endless = || async {
        let chunks = futures::stream::repeat("é".repeat(512)).map(Ok::<_, io::Error>);
        axum::body::Body::from_stream(chunks)
    };
    let agent = |headers: HeaderMap| async move {
        headers
            .get(header::USER_AGENT)
            .and_then(|agent| agent.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let router = Router::new()
        .route("/endless", get(endless))
        .route("/agent", get(agent));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let outbound = Outbound::new(Reach::Anywhere).expect("a client");
    let get = async |path: &str| {
        let request = outbound.request(Method::GET, &format!("http://{address}/{path}"));
        request.expect("anywhere").send().await.expect("answered")
    };
    let text = text_of(get("endless").await, 4_095).await;
    // The last character is half of one.
    assert_eq!(text, format!("{}\u{fffd}", "é".repeat(2_047)));
    assert!(text_of(get("agent").await, 100).await.starts_with("natterjack/"));
}

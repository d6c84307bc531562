use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::http::HeaderName;
use serde_json::json;

use super::*;

const NOW_S: u64 = 1_800_000_000;

/// A request that is in order, whose parts can be changed.
struct Request {
    pair: EcdsaKeyPair,
    head: Value,
    claims: Value,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Request {
    fn new() -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("ttl", "60"),
            ("urgency", "normal"),
            ("topic", "abc-DEF_012"),
            ("content-encoding", "aes128gcm"),
            ("host", "push.test:8080"),
        ] {
            headers.insert(name, value.parse().expect("a header"));
        }
        let mut body = vec![0; 200];
        body[16..20].copy_from_slice(&4_096_u32.to_be_bytes());
        (body[20], body[21]) = (65, 4);
        Self {
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("randomness"),
            head: json!({"typ": "JWT", "alg": "ES256"}),
            claims: json!({"aud": "http://push.test:8080", "exp": NOW_S + 3_600, "sub": "mailto:a@b.test"}),
            headers,
            body,
        }
    }

    fn key(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.pair.public_key())
    }

    fn authorization(&self) -> String {
        let encode = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", encode(&self.head), encode(&self.claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .expect("signed");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        format!("vapid t={signed}.{signature}, k={}", self.key())
    }

    /// The status, and in what words.
    fn check(mut self) -> (u16, String) {
        let key = self.key();
        if !self.headers.contains_key("authorization") {
            let value = self.authorization().parse().expect("a header");
            self.headers.insert("authorization", value);
        }
        match check(&Method::POST, &self.headers, &self.body, &key, NOW_S) {
            Ok(_) => (201, String::new()),
            Err(problem) => problem,
        }
    }

    fn header(mut self, name: &'static str, value: Option<&str>) -> Self {
        let name = HeaderName::from_static(name);
        self.headers.remove(&name);
        if let Some(value) = value {
            self.headers.insert(name, value.parse().expect("a header"));
        }
        self
    }
}

#[test]
fn what_is_in_order_is_taken() {
    assert_eq!(Request::new().check(), (201, String::new()));
}

#[test]
fn each_header_is_looked_at() {
    for (name, value) in [
        ("ttl", None),
        ("ttl", Some("")),
        ("ttl", Some("-1")),
        ("ttl", Some("+1")),
        ("ttl", Some("1.5")),
        ("urgency", None),
        ("urgency", Some("High")),
        ("topic", None),
        ("topic", Some("")),
        ("topic", Some("a.b")),
        ("topic", Some("a=")),
        ("topic", Some("012345678901234567890123456789012")),
        ("content-encoding", None),
        ("content-encoding", Some("aesgcm")),
    ] {
        let (status, words) = Request::new().header(name, value).check();
        assert_eq!(status, 400, "{name} {value:?}: {words}");
    }
    let mut twice = Request::new();
    twice.headers.append("ttl", "60".parse().expect("a header"));
    assert_eq!(twice.check().0, 400);
}

#[test]
fn the_signature_is_looked_at() {
    type Change = fn(&mut Request);
    let changes: &[(&str, Change)] = &[
        ("aud without the port", |r| {
            r.claims["aud"] = json!("http://push.test")
        }),
        ("aud with a path", |r| {
            r.claims["aud"] = json!("http://push.test:8080/")
        }),
        ("no aud", |r| r.claims["aud"] = Value::Null),
        ("over", |r| r.claims["exp"] = json!(NOW_S)),
        ("more than a day", |r| r.claims["exp"] = json!(NOW_S + 86_401)),
        ("no exp", |r| r.claims["exp"] = Value::Null),
        ("no sub", |r| r.claims["sub"] = Value::Null),
        ("sub is no address", |r| r.claims["sub"] = json!("ops")),
        ("another algorithm", |r| r.head["alg"] = json!("none")),
    ];
    for (what, change) in changes {
        let mut request = Request::new();
        change(&mut request);
        assert_eq!(request.check().0, 401, "{what}");
    }
    assert_eq!(
        Request::new().header("authorization", Some("Bearer x")).check().0,
        401
    );

    // Signed by another key than the one that is named, and named as another than was subscribed with.
    let (request, other) = (Request::new(), Request::new());
    let forged = request.authorization().replace(&request.key(), &other.key());
    let (status, words) = Request {
        headers: other.headers.clone(),
        ..other
    }
    .header("authorization", Some(&forged))
    .check();
    assert_eq!((status, words.as_str()), (401, "the signature is wrong"));
    let foreign = Request::new().authorization();
    assert_eq!(request.header("authorization", Some(&foreign)).check().0, 403);
}

#[test]
fn the_body_is_looked_at() {
    let with = |body: Vec<u8>| {
        Request {
            body,
            ..Request::new()
        }
        .check()
        .0
    };
    let good = Request::new().body;
    assert_eq!(with(vec![0; 4_097]), 413);
    assert_eq!(with(good[..102].to_vec()), 400);
    let changed = |at: usize, value: u8| {
        let mut body = good.clone();
        body[at] = value;
        body
    };
    assert_eq!(with(changed(20, 64)), 400);
    assert_eq!(with(changed(21, 2)), 400);
    // Records of 16 bytes, so that there are several.
    assert_eq!(with(changed(18, 0)), 400);
}

#[test]
fn only_post_pushes() {
    let request = Request::new();
    let found = check(
        &Method::PUT,
        &request.headers,
        &request.body,
        &request.key(),
        NOW_S,
    );
    assert_eq!(found.map_err(|(status, _)| status).map(|_| ()), Err(405));
}

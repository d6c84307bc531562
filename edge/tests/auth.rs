//! Access tokens against a real nats-server: keys that appear after the start, that rotate, and
//! devices that are revoked.

use std::time::Duration;

use async_nats::jetstream;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use natterjack_edge::{
    auth::{Auth, AuthArgs, Revocable},
    connections::Reconnects,
};
use natterjack_nats::{
    DeviceId, UserId, cluster,
    provision::provision,
    subjects::kv,
    topology::{Bucket, Settings},
    wire::{AccessClaims, Code, Revocation, TOKEN_AUDIENCE, TOKEN_ISSUER},
};
use natterjack_runtime::{
    clock::Clock,
    lifecycle::Tasks,
    servers::{NatsConfig, NatsServer, SilentProgress, Tools, testing_tools_dir},
};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(10);

struct Signer {
    kid: &'static str,
    x: String,
    key: EncodingKey,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).expect("randomness");
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("just made");
        Self {
            kid,
            x: BASE64_URL_SAFE_NO_PAD.encode(pair.public_key()),
            key: EncodingKey::from_ed_der(pkcs8.as_ref()),
        }
    }

    fn token(&self, issued_at_ms: u64) -> String {
        let iat = issued_at_ms / 1_000;
        let claims = AccessClaims {
            iss: TOKEN_ISSUER.into(),
            aud: TOKEN_AUDIENCE.into(),
            sub: user(),
            did: device(),
            iat,
            exp: iat + 900,
            jti: "one".into(),
        };
        let header = Header {
            kid: Some(self.kid.into()),
            ..Header::new(Algorithm::EdDSA)
        };
        jsonwebtoken::encode(&header, &claims, &self.key).expect("signs")
    }
}

fn jwks(signers: &[&Signer]) -> String {
    let key = |signer: &&Signer| json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": signer.kid, "x": signer.x});
    json!({"keys": signers.iter().map(key).collect::<Vec<_>>()}).to_string()
}

fn user() -> UserId {
    UserId::from_parts(1, 2)
}

fn device() -> DeviceId {
    DeviceId::from_parts(3, 4)
}

struct Fixture {
    context: jetstream::Context,
    client: async_nats::Client,
    reconnects: Reconnects,
    tasks: Tasks,
    server: NatsServer,
    _dir: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress)
            .await
            .expect("tools");
        let server = NatsServer::start(&tools, NatsConfig::new(dir.path()))
            .await
            .expect("nats-server");
        let reconnects = Reconnects::default();
        let hear = reconnects.clone();
        let client = cluster::connect(&server.url(), "auth test", move |event| hear.hear(&event))
            .await
            .expect("a connection");
        let context = jetstream::new(client.clone());
        provision(&context, &Settings::default(), false)
            .await
            .expect("provisioned");
        Self {
            client,
            reconnects,
            context,
            tasks: Tasks::new(),
            server,
            _dir: dir,
        }
    }

    async fn auth(&self) -> Auth {
        let shutdown = self.tasks.shutdown().clone();
        Auth::start(
            &AuthArgs::default(),
            &self.client,
            Revocable {
                reconnects: &self.reconnects,
                until: async move { shutdown.draining().await },
            },
            Clock::system(),
            &self.tasks,
        )
        .await
        .expect("starts")
    }

    async fn publish(&self, signers: &[&Signer]) {
        self.put(Bucket::Cluster, kv::cluster::JWKS, jwks(signers)).await;
    }

    async fn revoke(&self, at: u64) {
        let value = serde_json::to_string(&Revocation { at }).expect("plain");
        self.put(Bucket::Revocations, &kv::device(user(), device()), value)
            .await;
    }

    async fn put(&self, bucket: Bucket, key: &str, value: String) {
        let bucket = self
            .context
            .get_key_value(bucket.name())
            .await
            .expect("the bucket");
        bucket.put(key, value.into()).await.expect("written");
    }

    async fn end(self) {
        self.tasks.stop(PATIENCE).await.expect("all tasks end");
        self.server.stop().await;
    }
}

async fn until_taken(auth: &Auth, token: &str) {
    let taken = async {
        while auth.verify(token, None).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, taken)
        .await
        .expect("the key is picked up");
}

#[tokio::test]
async fn keys_are_picked_up_when_they_appear_and_when_they_rotate() {
    let fixture = Fixture::new().await;
    let auth = fixture.auth().await;
    let now_ms = Clock::system().now_ms();
    let (first, second) = (Signer::new("k1"), Signer::new("k2"));
    let early = auth
        .verify(&first.token(now_ms), None)
        .await
        .expect_err("no keys yet");
    assert_eq!(
        (early.code, early.retryable),
        (Code::Unavailable, true),
        "nobody can tell yet"
    );

    fixture.publish(&[&first]).await;
    until_taken(&auth, &first.token(now_ms)).await;
    let identity = auth.verify(&first.token(now_ms), None).await.expect("good");
    assert_eq!((identity.user, identity.device), (user(), device()));
    let unknown = auth
        .verify(&second.token(now_ms), None)
        .await
        .expect_err("not published");
    assert_eq!(unknown.code, Code::Unauthorized);

    fixture.publish(&[&second, &first]).await;
    until_taken(&auth, &second.token(now_ms)).await;
    until_taken(&auth, &first.token(now_ms)).await;
    let old = auth
        .verify(&first.token(now_ms - 1_000_000), None)
        .await
        .expect_err("expired");
    assert_eq!(old.code, Code::TokenExpired);
    fixture.end().await;
}

#[tokio::test]
async fn a_revoked_device_is_out_at_once_and_after_a_restart() {
    let fixture = Fixture::new().await;
    let signer = Signer::new("k1");
    fixture.publish(&[&signer]).await;
    let auth = fixture.auth().await;
    let now_ms = Clock::system().now_ms();
    let token = signer.token(now_ms);
    let identity = auth.verify(&token, None).await.expect("good");
    let mut told = auth.revocations();

    fixture.revoke(now_ms + 1).await;
    let heard = tokio::time::timeout(PATIENCE, told.recv())
        .await
        .expect("in time");
    assert_eq!(heard.expect("not lagging"), (user(), device()));
    assert!(auth.is_revoked(&identity));
    let refused = auth.verify(&token, None).await.expect_err("revoked");
    assert_eq!(refused.code, Code::Revoked);

    let restarted = fixture.auth().await;
    let refused = restarted
        .verify(&token, None)
        .await
        .expect_err("known from the start");
    assert_eq!(refused.code, Code::Revoked);
    restarted
        .verify(&signer.token(now_ms + 2_000), None)
        .await
        .expect("made after the revocation");
    fixture.end().await;
}

//! FCM HTTP v1 and the OAuth token endpoint in this process, strict about what they get: the assertion's
//! signature, claims and age, the token, and every field of a message by the documented schema
//! (<https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages>,
//! <https://developers.google.com/identity/protocols/oauth2/service-account>). They answer each documented
//! error where a test asks for it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    path::{Path as FilePath, PathBuf},
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use natterjack_runtime::clock::Clock;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fcm_schema::Request;

pub const PROJECT: &str = "a-project";
const EMAIL: &str = "pusher@a-project.iam.gserviceaccount.com";
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

/// What is answered instead of success.
#[derive(Debug, Clone)]
pub struct Failure {
    pub status: u16,
    pub body: Value,
    pub retry_after: Option<u64>,
}

impl Failure {
    /// As FCM says it: `google.rpc.Status` with the FCM error code in its details.
    pub fn fcm(status: u16, name: &str, code: &str) -> Self {
        Self::fcm_saying(status, name, code, "An error.")
    }

    pub fn fcm_saying(status: u16, name: &str, code: &str, message: &str) -> Self {
        let kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
        let details = if code.is_empty() {
            json!([])
        } else {
            json!([{ "@type": kind, "errorCode": code }])
        };
        Self {
            status,
            body: json!({
                "error": { "code": status, "message": message, "status": name, "details": details }
            }),
            retry_after: None,
        }
    }

    /// As the token endpoint says it (RFC 6749, section 5.2).
    pub fn oauth(status: u16, error: &str) -> Self {
        Self {
            status,
            body: json!({ "error": error, "error_description": "said for a test" }),
            retry_after: None,
        }
    }

    pub fn after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    fn response(&self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap();
        let mut response = (status, self.body.to_string()).into_response();
        if let Some(seconds) = self.retry_after {
            let value = seconds.to_string().parse().unwrap();
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

#[derive(Default)]
struct Told {
    /// Of the next answers to a registration token; `None` is success.
    fcm: HashMap<String, VecDeque<Failure>>,
    /// Of all answers about messages for this platform, until it is taken back.
    fcm_all: Option<Failure>,
    oauth: VecDeque<Failure>,
    oauth_all: Option<Failure>,
    expires_in: u64,
    granted: Vec<String>,
    /// Tokens that are no longer taken.
    spoiled: Vec<String>,
    grants_asked: usize,
    requests: usize,
    taken: Vec<Value>,
    wrong: Vec<String>,
}

struct Server {
    told: Mutex<Told>,
    key: DecodingKey,
    address: SocketAddr,
}

#[derive(Clone)]
pub struct FcmServer {
    server: Arc<Server>,
    pub credentials: PathBuf,
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

impl FcmServer {
    /// Starts it, with a service account of its own whose credentials are put into `dir`.
    pub async fn start(dir: &FilePath) -> anyhow::Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        let private: Pkcs8V1Der<'_> = pair.as_der()?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let credentials = dir.join("service-account.json");
        let file = json!({
            "type": "service_account", "project_id": PROJECT, "private_key_id": "key-1",
            "private_key": pem("PRIVATE KEY", private.as_ref()), "client_email": EMAIL,
            "client_id": "1", "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": format!("http://{address}/token"), "universe_domain": "googleapis.com",
        });
        std::fs::write(&credentials, file.to_string())?;
        let told = Told {
            expires_in: 3_599,
            ..Told::default()
        };
        let server = Arc::new(Server {
            told: Mutex::new(told),
            key: DecodingKey::from_rsa_pem(pem("PUBLIC KEY", public.as_ref()).as_bytes())?,
            address,
        });
        let app = Router::new()
            .route("/token", post(token))
            .route("/v1/projects/{project}/{send}", post(send))
            .with_state(Arc::clone(&server));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Ok(Self { server, credentials })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    fn told<T>(&self, act: impl FnOnce(&mut Told) -> T) -> T {
        act(&mut self.server.told.lock().unwrap())
    }

    /// The next answers to a registration token.
    pub fn next(&self, token: &str, failures: impl IntoIterator<Item = Failure>) {
        self.told(|told| told.fcm.entry(token.to_owned()).or_default().extend(failures));
    }

    /// All answers about messages, until it is told otherwise.
    pub fn all(&self, failure: Option<Failure>) {
        self.told(|told| told.fcm_all = failure);
    }

    /// The next answers of the token endpoint.
    pub fn next_grants(&self, failures: impl IntoIterator<Item = Failure>) {
        self.told(|told| told.oauth.extend(failures));
    }

    /// All answers of the token endpoint, until it is told otherwise.
    pub fn all_grants(&self, failure: Option<Failure>) {
        self.told(|told| told.oauth_all = failure);
    }

    /// For how long tokens are granted from now on.
    pub fn expires_in(&self, seconds: u64) {
        self.told(|told| told.expires_in = seconds);
    }

    /// All tokens that were granted are not taken any more.
    pub fn spoil(&self) {
        self.told(|told| told.spoiled = told.granted.clone());
    }

    /// Tokens that were granted, and how often one was asked for.
    pub fn grants(&self) -> (usize, usize) {
        self.told(|told| (told.granted.len(), told.grants_asked))
    }

    pub fn requests(&self) -> usize {
        self.told(|told| told.requests)
    }

    /// Messages that were taken, for this registration token.
    pub fn taken(&self, token: &str) -> Vec<Value> {
        self.told(|told| {
            let taken = told.taken.iter();
            taken
                .filter(|message| message["token"] == token)
                .cloned()
                .collect()
        })
    }

    /// What was wrong with what came; must be nothing.
    pub fn wrong(&self) -> Vec<String> {
        self.told(|told| told.wrong.clone())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    scope: String,
    iat: u64,
    exp: u64,
    aud: String,
}

/// The claims of an assertion, or why it is none.
fn assertion(server: &Server, headers: &HeaderMap, body: &[u8]) -> Result<Claims, String> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    if kind != Some("application/x-www-form-urlencoded") {
        return Err(format!("content type {kind:?}"));
    }
    let body = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let fields: BTreeMap<_, _> = body
        .split('&')
        .filter_map(|field| field.split_once('='))
        .collect();
    let grant = fields.get("grant_type").copied().unwrap_or_default();
    if grant != "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" || fields.len() != 2 {
        return Err(format!("not the fields of a grant: {body}"));
    }
    let mut rules = Validation::new(Algorithm::RS256);
    let endpoint = format!("http://{}/token", server.address);
    rules.set_audience(&[&endpoint]);
    rules.set_issuer(&[EMAIL]);
    rules.set_required_spec_claims(&["exp", "aud", "iss"]);
    rules.leeway = 0;
    let jwt = fields.get("assertion").copied().unwrap_or_default();
    let decoded =
        jsonwebtoken::decode::<Claims>(jwt, &server.key, &rules).map_err(|error| error.to_string())?;
    let claims = decoded.claims;
    let now_s = Clock::system().now_ms() / 1_000;
    if decoded.header.kid.as_deref() != Some("key-1") {
        return Err("the key's id is not named".into());
    }
    if claims.scope != SCOPE {
        return Err(format!("scope {}", claims.scope));
    }
    // A short-lived one in a reasonable time frame: at most an hour, and not from the future.
    if claims.iat > now_s || claims.iat + 300 < now_s || claims.exp > claims.iat + 3_600 {
        return Err(format!(
            "issued at {}, expires at {}, now {now_s}",
            claims.iat, claims.exp
        ));
    }
    assert_eq!(
        (claims.iss.as_str(), claims.aud.as_str()),
        (EMAIL, endpoint.as_str())
    );
    Ok(claims)
}

async fn token(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let checked = assertion(&server, &headers, &body);
    let mut told = server.told.lock().unwrap();
    told.grants_asked += 1;
    if let Err(error) = checked {
        told.wrong.push(error);
        return Failure::oauth(400, "invalid_grant").response();
    }
    if let Some(failure) = told.oauth.pop_front().or_else(|| told.oauth_all.clone()) {
        return failure.response();
    }
    let text = format!("ya29.{}", told.granted.len());
    told.granted.push(text.clone());
    let granted = json!({ "access_token": text, "expires_in": told.expires_in, "token_type": "Bearer" });
    granted.to_string().into_response()
}

async fn send(
    State(server): State<Arc<Server>>,
    Path((project, verb)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut told = server.told.lock().unwrap();
    told.requests += 1;
    if project != PROJECT || verb != "messages:send" {
        told.wrong.push(format!("no such method: {project}/{verb}"));
        return StatusCode::NOT_FOUND.into_response();
    }
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = bearer
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default()
        .to_owned();
    if !told.granted.contains(&bearer) || told.spoiled.contains(&bearer) {
        return Failure::fcm(401, "UNAUTHENTICATED", "").response();
    }
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            told.wrong
                .push(format!("{error}: {}", String::from_utf8_lossy(&body)));
            return Failure::fcm(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT").response();
        }
    };
    if let Err(error) = request.check() {
        told.wrong.push(error);
        return Failure::fcm(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT").response();
    }
    let token = &request.message.token;
    let next = told.fcm.get_mut(token).and_then(VecDeque::pop_front);
    if let Some(failure) = next.or_else(|| told.fcm_all.clone()) {
        return failure.response();
    }
    let message: Value = serde_json::from_slice(&body).unwrap();
    told.taken.push(message["message"].clone());
    json!({ "name": format!("projects/{PROJECT}/messages/{}", told.taken.len()) })
        .to_string()
        .into_response()
}

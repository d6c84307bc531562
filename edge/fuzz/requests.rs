//! Fuzz target of requests, through the router and all layers without a socket: whatever comes as
//! path, query, headers and body is taken, or refused in the one form with a status that is not 5xx.

use std::sync::OnceLock;

use axum::{
    Json, Router,
    body::{Body as HttpBody, to_bytes},
    http::{Method, Request, StatusCode, header},
    routing::{get, post},
};
use bolero::{check, generator::*};
use natterjack_nats::{
    Conversation, DeviceId, GroupId, MessageId, UserId,
    services::accounts::{LogIn, Refresh, SignUp},
    wire::{PushRequest, WireError},
};
use tokio::runtime::Runtime;
use tower::ServiceExt;

use super::super::{
    Bounds, DEVICE_HEADER, DefaultBodyLimit, accounts, conversations,
    extract::{Body, Path, Query, Whole, bearer, device},
    layered,
    limits::tests::args,
    messages, push,
};
use crate::http::ApiError;

use crate::spoil::Spoiled;

/// The extractors of all routes, each with the types that the routes take, and nothing behind them.
fn router() -> Router {
    async fn headers(headers: axum::http::HeaderMap) -> Result<Json<bool>, ApiError> {
        bearer(&headers)?;
        Ok(Json(device(&headers)?.is_some()))
    }
    macro_rules! body {
        ($type:ty) => {
            post(async |Body(_): Body<$type>| Json(true))
        };
    }
    macro_rules! query {
        ($type:ty) => {
            get(async |Query(_): Query<$type>| Json(true))
        };
    }
    let routes = Router::new()
        .route("/signup", body!(SignUp))
        .route("/login", body!(LogIn))
        .route("/refresh", body!(Refresh))
        .route("/profile", body!(accounts::ProfileChange))
        .route("/group", body!(conversations::NewGroup))
        .route("/title", body!(conversations::NewTitle))
        .route("/members", body!(conversations::NewMembers))
        .route("/role", body!(conversations::NewRole))
        .route("/message", body!(messages::NewMessage))
        .route("/text", body!(messages::NewText))
        .route("/receipt", body!(messages::Receipt))
        .route("/typing", body!(messages::Typing))
        .route("/mute", body!(push::NewMute))
        .route("/push", body!(PushRequest))
        .route("/users", query!(accounts::UsersQuery))
        .route("/list", query!(conversations::ListQuery))
        .route("/page", query!(messages::PageQuery))
        .route("/deletion", query!(messages::DeletionQuery))
        .route("/sync", query!(messages::SyncQuery))
        .route("/user/{id}", get(async |Path(_): Path<UserId>| Json(true)))
        .route("/device/{id}", get(async |Path(_): Path<DeviceId>| Json(true)))
        .route("/of/{a}", get(async |Path(_): Path<Conversation>| Json(true)))
        .route(
            "/of/{a}/{b}",
            get(async |Path(_): Path<(Conversation, Whole)>| Json(true)),
        )
        .route(
            "/in/{a}/{b}",
            get(async |Path(_): Path<(GroupId, UserId)>| Json(true)),
        )
        .route("/headers", get(headers))
        .layer(DefaultBodyLimit::max(10_000));
    layered(routes, super::nothing(), &Bounds::new(&args(&[])))
}

const PATHS: [&str; 25] = [
    "/signup",
    "/login",
    "/refresh",
    "/profile",
    "/group",
    "/title",
    "/members",
    "/role",
    "/message",
    "/text",
    "/receipt",
    "/typing",
    "/mute",
    "/push",
    "/users",
    "/list",
    "/page",
    "/deletion",
    "/sync",
    "/user",
    "/device",
    "/of",
    "/in",
    "/headers",
    "/nowhere",
];
const NAMES: [&str; 11] = [
    "ids", "prefix", "limit", "page", "before", "after", "around", "at", "id", "cursor", "wait",
];

#[derive(Debug, Clone, TypeGenerator)]
struct Asked {
    method: u8,
    path: u8,
    #[generator(produce::<Vec<Piece>>().with().len(0..4_usize))]
    segments: Vec<Piece>,
    #[generator(produce::<Vec<(u8, Piece)>>().with().len(0..5_usize))]
    query: Vec<(u8, Piece)>,
    raw_query: Option<Vec<u8>>,
    authorization: Option<Vec<u8>>,
    device: Option<Piece>,
    preflight: bool,
    body: Load,
}

#[derive(Debug, Clone, TypeGenerator)]
enum Piece {
    Id(u64),
    Conversation(u64, u64),
    Message(u64),
    Number(u64),
    Text(String),
    Bytes(Vec<u8>),
    Nothing,
}

#[derive(Debug, Clone, TypeGenerator)]
enum Load {
    Spoiled(Spoiled),
    Bytes(Vec<u8>),
    Large(u16),
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        let user = |number: u64| UserId::from_parts(number >> 16, u128::from(number));
        match self {
            Self::Id(number) => user(*number).to_string().into(),
            Self::Conversation(a, b) => Conversation::dm(user(*a), user(*b)).to_string().into(),
            Self::Message(ms) => MessageId::generate(ms % (1 << 48)).to_string().into(),
            Self::Number(number) => number.to_string().into(),
            Self::Text(text) => text.clone().into(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Nothing => vec![],
        }
    }

    /// As it stands in a URL.
    fn encoded(&self) -> String {
        encoded(&self.bytes())
    }
}

fn encoded(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(*byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    bytes.iter().map(one).collect()
}

impl Asked {
    /// The request, unless HTTP itself has no way to write it.
    fn request(&self) -> Option<Request<HttpBody>> {
        let methods = [
            Method::GET,
            Method::POST,
            Method::DELETE,
            Method::OPTIONS,
            Method::HEAD,
        ];
        let path = PATHS[usize::from(self.path) % PATHS.len()];
        let mut uri = path.to_owned();
        for segment in &self.segments {
            uri.push('/');
            uri.push_str(&segment.encoded());
        }
        uri.push('?');
        for (name, value) in &self.query {
            let name = NAMES[usize::from(*name) % NAMES.len()];
            uri.push_str(&format!("{name}={}&", value.encoded()));
        }
        if let Some(raw) = &self.raw_query {
            uri.push_str(&String::from_utf8_lossy(raw));
        }
        let method = match self.method % 8 {
            // What the path knows, most of the time.
            0..4 if usize::from(self.path) % PATHS.len() < 14 => Method::POST,
            0..4 => Method::GET,
            other => methods[usize::from(other) % methods.len()].clone(),
        };
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(value) = &self.authorization {
            request = request.header(header::AUTHORIZATION, [b"Bearer ".as_slice(), value].concat());
        }
        if let Some(value) = &self.device {
            request = request.header(DEVICE_HEADER, value.bytes());
        }
        if self.preflight {
            request = request
                .header(header::ORIGIN, "https://chat.example")
                .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
        }
        let body = match &self.body {
            Load::Spoiled(spoiled) => spoiled.bytes(),
            Load::Bytes(bytes) => bytes.clone(),
            Load::Large(size) => vec![b'['; usize::from(*size)],
        };
        request.body(body.into()).ok()
    }
}

/// What runs them; made once.
fn stage() -> &'static (Runtime, Router) {
    static STAGE: OnceLock<(Runtime, Router)> = OnceLock::new();
    STAGE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        (runtime.expect("a runtime"), router())
    })
}

#[test]
fn any_request() {
    check!().with_type().for_each(|asked: &Asked| {
        let (runtime, router) = stage();
        let Some(request) = asked.request() else {
            return;
        };
        let method = request.method().clone();
        runtime.block_on(async {
            let response = router.clone().oneshot(request).await.expect("infallible");
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, 100_000).await.expect("a small body");
            assert!(!parts.status.is_server_error(), "{} {body:?}", parts.status);
            if parts.status == StatusCode::METHOD_NOT_ALLOWED {
                assert!(parts.headers.contains_key(header::ALLOW));
            }
            if parts.status.is_client_error() && method != Method::HEAD {
                let error: WireError = serde_json::from_slice(&body).expect("the one form");
                assert!(!error.message.is_empty() && !error.retryable);
                let told = error.code.status();
                assert!(told == parts.status || parts.status == StatusCode::METHOD_NOT_ALLOWED);
            }
        });
    });
}

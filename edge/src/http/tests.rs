//! Whatever a client gets wrong is answered in the one form, with a status that is not 5xx.

use axum::{
    Json,
    body::{Body as HttpBody, to_bytes},
    extract::WebSocketUpgrade,
    http::{HeaderMap, Method, Request, StatusCode},
    response::Response,
    routing::get,
};
use natterjack_nats::{
    Conversation,
    wire::{Code, WireError},
};
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt;

use super::{
    extract::{Body, Path, Query},
    limits::tests::args,
    *,
};

#[path = "../../fuzz/requests.rs"]
mod fuzz;

#[derive(Deserialize)]
struct Number {
    number: u32,
}

async fn from_body(Body(Number { number }): Body<Number>) -> Json<u32> {
    Json(number)
}

async fn from_query(Query(Number { number }): Query<Number>) -> Json<u32> {
    Json(number)
}

async fn from_path(Path((conversation, seq)): Path<(Conversation, u64)>) -> Json<(Conversation, u64)> {
    Json((conversation, seq))
}

async fn refusing() -> Result<(), ApiError> {
    let error = WireError::new(Code::RateLimited, "slow down");
    Err(error.retry_after_ms(1_500).into())
}

/// What answers where there is no route.
fn nothing() -> MethodRouter {
    get(async || StatusCode::NOT_FOUND)
}

fn service(options: &[&str]) -> Router {
    let routes = Router::new()
        .route("/number", get(from_query).post(from_body))
        .route("/of/{conversation}/{seq}", get(from_path))
        .route("/refusing", get(refusing))
        .route("/ws", get(async |_: WebSocketUpgrade| ()))
        .layer(DefaultBodyLimit::max(1_000));
    layered(routes, nothing(), &Bounds::new(&args(options)))
}

async fn ask(service: Router, request: Request<HttpBody>) -> (StatusCode, HeaderMap, Value) {
    let response: Response = service.oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 100_000).await.expect("a small body");
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    (parts.status, parts.headers, json)
}

fn request(method: Method, path: &str, body: impl Into<HttpBody>) -> Request<HttpBody> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(body.into())
        .expect("a request")
}

#[tokio::test]
async fn every_refusal_has_the_one_form() {
    let long = format!("{{\"number\":1,\"x\":\"{}\"}}", "x".repeat(1_000));
    let cases = [
        (Method::GET, "/nowhere", "", StatusCode::NOT_FOUND, "not_found"),
        (Method::GET, "/%ff%00", "", StatusCode::NOT_FOUND, "not_found"),
        (
            Method::DELETE,
            "/number",
            "",
            StatusCode::METHOD_NOT_ALLOWED,
            "bad_request",
        ),
        (
            Method::POST,
            "/number",
            "",
            StatusCode::BAD_REQUEST,
            "bad_request",
        ),
        (
            Method::POST,
            "/number",
            "{\"num",
            StatusCode::BAD_REQUEST,
            "bad_request",
        ),
        (
            Method::POST,
            "/number",
            "{\"number\":-1}",
            StatusCode::BAD_REQUEST,
            "bad_request",
        ),
        (
            Method::POST,
            "/number",
            "[]]",
            StatusCode::BAD_REQUEST,
            "bad_request",
        ),
        (
            Method::POST,
            "/number",
            &long,
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
        ),
        (Method::GET, "/number", "", StatusCode::BAD_REQUEST, "bad_request"),
        (
            Method::GET,
            "/number?number=x",
            "",
            StatusCode::BAD_REQUEST,
            "bad_request",
        ),
        (
            Method::GET,
            "/number?number=%ff",
            "",
            StatusCode::BAD_REQUEST,
            "bad_request",
        ),
        (
            Method::GET,
            "/of/group.*/1",
            "",
            StatusCode::BAD_REQUEST,
            "bad_request",
        ),
        (
            Method::GET,
            "/of/%ff/1",
            "",
            StatusCode::BAD_REQUEST,
            "bad_request",
        ),
        (Method::GET, "/ws", "", StatusCode::BAD_REQUEST, "bad_request"),
    ];
    for (method, path, body, status, code) in cases {
        let case = format!("{method} {path}");
        let (found, headers, json) = ask(service(&[]), request(method, path, body.to_owned())).await;
        assert_eq!(found, status, "{case}");
        assert_eq!(json["code"], code, "{case}: {json}");
        assert_eq!(json["retryable"], false, "{case}");
        assert!(
            json["message"].as_str().is_some_and(|text| !text.is_empty()),
            "{case}"
        );
        assert_eq!(headers["content-type"], "application/json", "{case}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{case}");
    }
}

#[tokio::test]
async fn a_method_that_is_not_known_is_told_those_that_are() {
    let (_, headers, _) = ask(service(&[]), request(Method::DELETE, "/number", "")).await;
    let allow = headers["allow"].to_str().expect("ASCII");
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test]
async fn invalid_utf_8_is_a_bad_request() {
    let body = b"{\"number\":\"\xff\xfe\"}".to_vec();
    let (status, _, json) = ask(service(&[]), request(Method::POST, "/number", body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(json["code"], "bad_request");
}

#[tokio::test]
async fn a_good_request_passes_whatever_its_content_type() {
    let (status, headers, json) = ask(
        service(&[]),
        request(Method::POST, "/number", "{\"number\":7,\"new\":1}"),
    )
    .await;
    assert_eq!((status, json), (StatusCode::OK, Value::from(7)));
    assert_eq!(headers["cache-control"], "no-store");
}

#[tokio::test]
async fn the_time_to_wait_stands_in_body_and_header() {
    let (status, headers, json) = ask(service(&[]), request(Method::GET, "/refusing", "")).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(headers["retry-after"], "2", "whole seconds, rounded up");
    assert_eq!(json["retry_after_ms"], 1_500);
    assert_eq!(json["retryable"], true);
}

fn preflight(origin: &str) -> Request<HttpBody> {
    Request::builder()
        .method(Method::OPTIONS)
        .uri("/number")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .body(HttpBody::empty())
        .expect("a request")
}

#[tokio::test]
async fn pages_of_other_origins_may_call_where_configured() {
    let (status, headers, _) = ask(service(&[]), preflight("https://chat.example")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert!(!headers.contains_key("access-control-allow-credentials"));

    let only = &["--cors-origins=https://chat.example,https://other.example"];
    let (_, headers, _) = ask(service(only), preflight("https://chat.example")).await;
    assert_eq!(headers["access-control-allow-origin"], "https://chat.example");
    let (_, headers, _) = ask(service(only), preflight("https://evil.example")).await;
    assert!(!headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn only_so_many_requests_are_under_way_at_once() {
    let entered = Arc::new(tokio::sync::Semaphore::new(0));
    let inside = Arc::clone(&entered);
    let slow = async move || {
        inside.add_permits(1);
        std::future::pending::<()>().await;
    };
    let routes = Router::new().route("/slow", get(slow));
    let service = layered(routes, nothing(), &Bounds::new(&args(&["--requests-max=1"])));
    let first = tokio::spawn(service.clone().oneshot(request(Method::GET, "/slow", "")));
    let _inside = entered.acquire().await.expect("not closed");
    let (status, _, json) = ask(service, request(Method::GET, "/slow", "")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(json["code"], "overloaded");
    first.abort();
}

#[tokio::test]
async fn who_gives_up_is_counted_and_timed_too() {
    let registry = natterjack_runtime::metrics::Metrics::new("edge");
    let state = (
        crate::metrics::EdgeMetrics::register(&registry),
        natterjack_runtime::trace::Tracer::off(),
    );
    let service = Router::new()
        .route("/never", get(std::future::pending::<()>))
        .route("/now", get(async || ()))
        .layer(middleware::from_fn_with_state(state, layers::measured));
    let ask = |path: &str| {
        let request = Request::get(path).body(HttpBody::empty()).expect("a request");
        service.clone().oneshot(request)
    };
    ask("/now").await.expect("an answer");
    let moment = std::time::Duration::from_millis(30);
    let given_up = tokio::time::timeout(moment, ask("/never")).await;
    assert!(given_up.is_err(), "it never answers");
    let text = registry.encode();
    for line in [
        "natterjack_http_requests_total{role=\"edge\",route=\"/never\",status=\"gone\"} 1",
        "natterjack_http_request_seconds_count{role=\"edge\",route=\"/never\"} 1",
        "natterjack_http_requests_total{role=\"edge\",route=\"/now\",status=\"2xx\"} 1",
        "natterjack_http_request_seconds_count{role=\"edge\",route=\"/now\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

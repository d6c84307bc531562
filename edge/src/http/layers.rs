//! What every request passes: a span, a bound on time and number, CORS, and careful headers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use natterjack_nats::wire::{Code, WireError};
use natterjack_runtime::trace::{Span, Tracer};
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::metrics::{EdgeMetrics, GONE};

use super::{
    error::ApiError,
    extract::DEVICE_HEADER,
    limits::{REQUEST_TIMEOUT, RateArgs, SYNC_WAIT_MAX},
};

/// What the layers know.
#[derive(Clone)]
pub(super) struct Bounds {
    under_way: Arc<Semaphore>,
    origins: Arc<Origins>,
}

enum Origins {
    Any,
    These(Vec<HeaderValue>),
}

impl Bounds {
    pub fn new(args: &RateArgs) -> Self {
        let origins = if args.cors_origins.iter().any(|origin| origin == "*") {
            Origins::Any
        } else {
            let valid = |origin: &String| HeaderValue::from_str(origin.trim()).ok();
            Origins::These(args.cors_origins.iter().filter_map(valid).collect())
        };
        let requests_max = usize::try_from(args.requests_max.get()).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            under_way: Arc::new(Semaphore::new(requests_max.min(Semaphore::MAX_PERMITS))),
            origins: Arc::new(origins),
        }
    }
}

/// A span that names the route, never the query or a value in the path.
pub(super) async fn span(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let span = tracing::debug_span!(
        "http",
        http.method = %request.method(),
        http.route = route.unwrap_or("none"),
        http.status = tracing::field::Empty,
    );
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.status", response.status().as_u16());
    if response.status().is_server_error() {
        span.in_scope(|| tracing::debug!("answered with a server error"));
    }
    response
}

/// Counted and timed by its route, and traced if it is among those that are. Who asks has no say in that: a
/// `traceparent` of theirs is not taken.
pub(super) async fn measured(
    State((metrics, tracer)): State<(EdgeMetrics, Tracer)>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let asked = Asked {
        metrics,
        route,
        span: tracer.root("http"),
        started: Instant::now(),
        status: None,
    };
    if tracer.is_on() {
        asked.span.note("http.route", asked.route().to_owned());
        asked
            .span
            .note("http.request.method", request.method().to_string());
    }
    let response = asked.span.run(next.run(request)).await;
    asked.answered(response.status());
    response
}

/// A request that is under way. It is counted when this ends, also if the client hangs up before the answer:
/// those who give up are those for whom it took too long.
struct Asked {
    metrics: EdgeMetrics,
    route: Option<MatchedPath>,
    span: Span,
    started: Instant,
    status: Option<StatusCode>,
}

impl Asked {
    fn route(&self) -> &str {
        self.route.as_ref().map_or("page", MatchedPath::as_str)
    }

    fn answered(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        match self.status {
            Some(status) => {
                self.span
                    .note("http.response.status_code", i64::from(status.as_u16()));
                if status.is_server_error() {
                    self.span.failed("server_error");
                }
            }
            None => self.span.failed(GONE),
        }
        let status = self.status.map(|status| status.as_u16());
        self.metrics
            .requested(self.route(), status, self.started.elapsed());
    }
}

/// Only so many requests at once, and each only so long.
pub(super) async fn bound(State(bounds): State<Bounds>, request: Request, next: Next) -> Response {
    let Ok(_permit) = bounds.under_way.try_acquire() else {
        let error = WireError::new(
            Code::Overloaded,
            "this server has too many requests under way; try again soon",
        );
        return ApiError(error.retry_after_ms(1_000)).into_response();
    };
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let time = if route == Some(super::SYNC_ROUTE) {
        SYNC_WAIT_MAX + REQUEST_TIMEOUT
    } else {
        REQUEST_TIMEOUT
    };
    within(time, next.run(request)).await
}

async fn within(time: Duration, answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(time, answer).await.unwrap_or_else(|_| {
        ApiError(WireError::new(
            Code::Timeout,
            "the request took too long and its outcome is not known: try again, a message with the same id",
        ))
        .into_response()
    })
}

/// CORS (the Fetch standard): other origins may call, and as tokens stand in a header that a page
/// sets itself, nothing is ever sent along by a browser on its own.
pub(super) async fn cors(State(bounds): State<Bounds>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = match (&*bounds.origins, origin) {
        (_, None) => None,
        (Origins::Any, Some(_)) => Some(HeaderValue::from_static("*")),
        (Origins::These(origins), Some(origin)) => origins.contains(&origin).then_some(origin),
    };
    let preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(allowed) = allowed else { return response };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("retry-after"),
    );
    if preflight {
        let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let allowed = format!("authorization, content-type, {DEVICE_HEADER}");
        if let Ok(allowed) = HeaderValue::from_str(&allowed) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
    response
}

/// Answers are for the one who asked: not kept, not guessed at, not framed.
pub(super) async fn careful(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

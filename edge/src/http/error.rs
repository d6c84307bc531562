//! Errors as HTTP answers: the one form `{code, message, retryable, retry_after_ms?}`, whatever
//! went wrong and wherever.

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use natterjack_nats::wire::{Code, WireError};

/// An error on its way out.
#[derive(Debug)]
pub struct ApiError(pub WireError);

/// What a handler answers.
pub(super) type Answer<T> = Result<Json<T>, ApiError>;

impl From<WireError> for ApiError {
    fn from(error: WireError) -> Self {
        Self(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = error.retry_after_ms.map(|ms| ms.div_ceil(1_000));
        let mut response = (status, Json(error)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A `bad_request` with a message.
pub(super) fn bad_request(message: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError(WireError::new(Code::BadRequest, message))
}

/// Gives the one form to errors that the framework answered by itself: no such route, a method that
/// a route does not know, a WebSocket handshake that is none.
pub(super) async fn one_form(request: Request, next: Next) -> Response {
    formed(next.run(request).await)
}

/// The same for the probes, whose 503 is an answer: its lines say why, and an operator reads them.
pub(super) async fn one_form_of_probes(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match response.status() {
        StatusCode::SERVICE_UNAVAILABLE => response,
        _ => formed(response),
    }
}

fn formed(response: Response) -> Response {
    let status = response.status();
    let json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let error = match status {
        StatusCode::NOT_FOUND => WireError::new(
            Code::NotFound,
            "there is no such route; docs/protocol.md lists them",
        ),
        StatusCode::METHOD_NOT_ALLOWED => WireError::new(
            Code::BadRequest,
            "this route does not know that method; the Allow header lists those that it knows",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => WireError::new(Code::TooLarge, "the body is too large"),
        StatusCode::UPGRADE_REQUIRED | StatusCode::BAD_REQUEST => WireError::new(
            Code::BadRequest,
            "this is not a request that the route understands",
        ),
        status if status.is_client_error() => WireError::new(Code::BadRequest, "the request is malformed"),
        _ => WireError::new(Code::Internal, "the server failed; try again"),
    };
    let mut response = Json(error).into_response();
    // The status stays, and what the framework said in headers (Allow) too.
    *response.status_mut() = status;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    response.headers_mut().extend(parts.headers);
    response
}

//! Calling a micro service.

use std::time::Duration;

use async_nats::{
    Client,
    client::RequestErrorKind,
    service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE},
};
use bytes::Bytes;

use super::Verb;
use crate::{
    subjects, trace,
    wire::{Code, WireError},
};

/// The reply of a service, still as bytes: a page of history goes on to its reader unread.
#[derive(Debug, Clone)]
pub struct ServiceReply(pub Bytes);

/// Asks a service and decodes its reply.
///
/// # Errors
/// What the service answered; `unavailable` if no instance of it runs; `timeout` if none answered
/// in `timeout`, when the outcome is not known.
pub async fn call<V: Verb>(client: &Client, request: &V, timeout: Duration) -> Result<V::Reply, WireError> {
    let ServiceReply(payload) = ServiceReply::of(client, request, timeout).await?;
    serde_json::from_slice(&payload).map_err(|error| {
        tracing::error!(service = V::SERVICE, verb = V::NAME, %error, "a service's reply does not decode");
        WireError::new(
            Code::Internal,
            "a part of the server answered in a form that this one does not know",
        )
    })
}

impl ServiceReply {
    /// Asks a service and leaves its reply undecoded.
    ///
    /// # Errors
    /// As [`call`].
    pub async fn of<V: Verb>(client: &Client, request: &V, timeout: Duration) -> Result<Self, WireError> {
        let payload = serde_json::to_vec(request)
            .map_err(|error| WireError::new(Code::Internal, format!("a request does not encode: {error}")))?;
        let request = async_nats::Request::new()
            .payload(payload.into())
            .timeout(Some(timeout));
        let request = match trace::current() {
            Some(headers) => request.headers(headers),
            None => request,
        };
        let reply = client
            .send_request(subjects::svc::subject::<V>(), request)
            .await
            .map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders => WireError::new(
                    Code::Unavailable,
                    format!("the {} service is away; try again soon", V::SERVICE),
                )
                .retry_after_ms(1_000),
                RequestErrorKind::TimedOut => WireError::new(
                    Code::Timeout,
                    format!("the {} service did not answer in time; try again", V::SERVICE),
                ),
                _ => WireError::new(
                    Code::Unavailable,
                    "the server's own network is disturbed; try again soon",
                )
                .retry_after_ms(1_000),
            })?;
        let failed = reply
            .headers
            .as_ref()
            .is_some_and(|headers| headers.get(NATS_SERVICE_ERROR_CODE).is_some());
        if !failed {
            return Ok(Self(reply.payload));
        }
        Err(serde_json::from_slice(&reply.payload).unwrap_or_else(|_| {
            let text = reply.headers.as_ref().and_then(|headers| headers.get(NATS_SERVICE_ERROR));
            tracing::error!(service = V::SERVICE, verb = V::NAME, error = ?text, "a service failed without saying how");
            WireError::new(Code::Internal, "a part of the server failed; try again")
        }))
    }
}

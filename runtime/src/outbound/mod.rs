//! Requests to servers that strangers name, such as a push service: an HTTP client that reaches the
//! public internet and nothing else.
//!
//! Whoever registers an endpoint makes this server send requests to it (server-side request forgery).
//! Three things close that door. An address is judged by the IANA registries ([`address`]); a name is
//! resolved by the client's own resolver, which hands on only addresses that passed, so that the
//! connection goes to exactly what was checked and an answer that changes in between changes nothing
//! ([`resolver`]); and a redirect is an answer like any other, never followed. Proxies of the environment
//! are not used: they would resolve names themselves.

mod address;
mod endpoint;
mod resolver;
mod retry_after;
#[cfg(test)]
mod tests;

use std::{error::Error as _, sync::Arc, time::Duration};

use reqwest::{Client, Method, RequestBuilder, Response, Url, redirect::Policy};

pub use address::is_public;
pub use endpoint::{ENDPOINT_BYTES_MAX, EndpointError};
use resolver::{Lookup, Resolver, SystemLookup};
pub use retry_after::retry_after;

/// Until a connection stands, the name's resolution included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Until an answer is there, its body included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that is not used for so long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections to one host that wait for the next request.
const IDLE_PER_HOST_MAX: usize = 8;
/// Bytes of headers that an answer over HTTP/2 may have.
const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// Where requests may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Only to public addresses, and only by TLS.
    Public,
    /// Everywhere, also without TLS: for tests, and for addresses that the operator gives.
    Anywhere,
}

/// The client; cheap to clone, and its clones share their connections.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: Client,
    resolver: Arc<Resolver>,
    reach: Reach,
}

impl Outbound {
    /// A client that resolves names as the machine does.
    ///
    /// # Errors
    /// TLS cannot be set up: the machine has no root certificates.
    pub fn new(reach: Reach) -> Result<Self, reqwest::Error> {
        Self::with_lookup(reach, SystemLookup::default())
    }

    fn with_lookup(reach: Reach, lookup: impl Lookup) -> Result<Self, reqwest::Error> {
        let resolver = Arc::new(Resolver::new(reach, lookup));
        let client = Client::builder()
            .user_agent(concat!("natterjack/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::clone(&resolver))
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            .https_only(reach == Reach::Public)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .build()?;
        Ok(Self {
            client,
            resolver,
            reach,
        })
    }

    /// Whether an endpoint may be registered: its form, and where its name leads now.
    ///
    /// That it leads elsewhere later does no harm: each connection checks again.
    ///
    /// # Errors
    /// [`EndpointError`], which says what to do.
    pub async fn check(&self, endpoint: &str) -> Result<Url, EndpointError> {
        let url = self.parse(endpoint)?;
        if let Some(host) = url.host_str()
            && endpoint::literal(&url).is_none()
        {
            let found = tokio::time::timeout(CONNECT_TIMEOUT, self.resolver.resolve_all(host)).await;
            found.map_err(|_| EndpointError::Unresolved {
                host: host.to_owned(),
                why: format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
            })??;
        }
        Ok(url)
    }

    /// The form of an endpoint, as [`Outbound::check`] checks it, without asking for its name.
    ///
    /// # Errors
    /// [`EndpointError`], but neither [`EndpointError::Unresolved`] nor the name of a private address.
    pub fn parse(&self, endpoint: &str) -> Result<Url, EndpointError> {
        endpoint::parse(endpoint, self.reach)
    }

    /// A request to this endpoint, which is checked anew.
    ///
    /// # Errors
    /// As [`Outbound::parse`]; where a name leads is checked when the request is sent, and
    /// [`Outbound::forbidden`] finds it in the error.
    pub fn request(&self, method: Method, endpoint: &str) -> Result<RequestBuilder, EndpointError> {
        // An address in the URL itself never gets to the resolver.
        let url = self.parse(endpoint)?;
        Ok(self.client.request(method, url))
    }

    /// Whether a request was not sent because its name leads to an address that is not public.
    #[must_use]
    pub fn forbidden(error: &reqwest::Error) -> Option<&EndpointError> {
        let mut source = error.source();
        while let Some(error) = source {
            if let Some(found @ EndpointError::Private { .. }) = error.downcast_ref() {
                return Some(found);
            }
            source = error.source();
        }
        None
    }
}

/// The beginning of an answer's body as text: at most `bytes_max` are read, and the rest is left, with
/// its connection. A body that ends in an error is as long as it came.
pub async fn text_of(mut response: Response, bytes_max: usize) -> String {
    let mut body = Vec::new();
    while body.len() < bytes_max
        && let Ok(Some(chunk)) = response.chunk().await
    {
        let room = bytes_max - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    String::from_utf8_lossy(&body).trim().to_owned()
}

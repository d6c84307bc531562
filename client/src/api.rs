//! The HTTP side, typed: one method a route, [`natterjack_nats::wire::WireError`] as the error.

use std::{sync::Arc, time::Duration};

use natterjack_nats::wire::{Code, WireError};
use reqwest::{Method, RequestBuilder, Response};
use serde::{Serialize, de::DeserializeOwned};

use self::servers::Servers;
use crate::{error::ApiError, socket::Server, token::TokenSource};

mod accounts;
mod conversations;
mod edges;
mod messages;
mod push;
mod servers;

pub use messages::Sent;

/// How long a call may take, besides the time that long polling asks for.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to one of several edges over HTTP. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    servers: Arc<Servers>,
    tokens: Option<Arc<dyn TokenSource>>,
}

/// One call, ready to be made again on another server or with another token.
struct Call<'a> {
    method: Method,
    path: String,
    query: Vec<(&'a str, String)>,
    body: Option<serde_json::Value>,
    timeout: Duration,
}

impl<'a> Call<'a> {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            timeout: CALL_TIMEOUT,
        }
    }

    fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    fn query(mut self, name: &'a str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    fn body(mut self, body: impl Serialize) -> Self {
        // The types of the contract are plain: they have no map with keys that JSON cannot hold.
        self.body = serde_json::to_value(body).ok();
        self
    }
}

impl Api {
    /// Of one server.
    ///
    /// # Errors
    /// If its address is not one.
    pub fn new(server: &str) -> Result<Self, ApiError> {
        Self::of_servers(&[server.to_owned()])
    }

    /// Of several servers that are tried in turn.
    ///
    /// # Errors
    /// If an address is not one, or there is none.
    pub fn of_servers(servers: &[String]) -> Result<Self, ApiError> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map_err(ApiError::Setup)?;
        Self::with_http(servers, http)
    }

    /// With an HTTP client that exists already; load generators share one.
    ///
    /// # Errors
    /// If an address is not one, or there is none.
    pub fn with_http(servers: &[String], http: reqwest::Client) -> Result<Self, ApiError> {
        for server in servers {
            Server::parse(server)?;
        }
        if servers.is_empty() {
            return Err(ApiError::BadAddress(String::new()));
        }
        let servers = servers
            .iter()
            .map(|server| server.trim_end_matches('/').to_owned());
        Ok(Self {
            http,
            servers: Arc::new(Servers::new(servers.collect())),
            tokens: None,
        })
    }

    /// The same, calling with access tokens of that source.
    #[must_use]
    pub fn with_tokens(&self, tokens: Arc<dyn TokenSource>) -> Self {
        Self {
            tokens: Some(tokens),
            ..self.clone()
        }
    }

    /// The servers that were configured; those that discovery found are tried too.
    #[must_use]
    pub fn servers(&self) -> &[String] {
        self.servers.configured()
    }

    /// A call whose answer matters.
    async fn call<R: DeserializeOwned>(&self, call: Call<'_>) -> Result<R, ApiError> {
        let (server, response) = self.send(&call).await?;
        let status = response.status().as_u16();
        let garbled = |_| ApiError::Garbled { server, status };
        response.json().await.map_err(garbled)
    }

    /// A call whose success is all there is to know.
    async fn done(&self, call: Call<'_>) -> Result<(), ApiError> {
        self.send(&call).await.map(drop)
    }

    async fn send(&self, call: &Call<'_>) -> Result<(String, Response), ApiError> {
        let Some(tokens) = &self.tokens else {
            return self.try_servers(call, None).await;
        };
        let token = tokens.token(false).await?;
        match self.try_servers(call, Some(&token.token)).await {
            // The server's clock is ahead of ours.
            Err(ApiError::Wire(error)) if error.code == Code::TokenExpired => {
                let token = tokens.token(true).await?;
                self.try_servers(call, Some(&token.token)).await
            }
            answer => answer,
        }
    }

    async fn try_servers(
        &self,
        call: &Call<'_>,
        token: Option<&str>,
    ) -> Result<(String, Response), ApiError> {
        let mut servers = self.servers.in_turn().into_iter().peekable();
        loop {
            let Some(server) = servers.next() else {
                return Err(ApiError::BadAddress(String::new()));
            };
            match self.request(&server, call, token).send().await {
                Ok(response) => {
                    self.servers.works(&server);
                    return checked(&server, response).await;
                }
                // Nothing was sent, so that another server may be asked whatever the call does.
                Err(error) if error.is_connect() && servers.peek().is_some() => {}
                Err(source) => {
                    let source = source.without_url();
                    return Err(ApiError::Unreachable { server, source });
                }
            }
        }
    }

    fn request(&self, server: &str, call: &Call<'_>, token: Option<&str>) -> RequestBuilder {
        let url = format!("{server}{}", call.path);
        let mut request = self.http.request(call.method.clone(), url).timeout(call.timeout);
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        request
    }
}

async fn checked(server: &str, response: Response) -> Result<(String, Response), ApiError> {
    let (server, status) = (server.to_owned(), response.status());
    if status.is_success() {
        return Ok((server, response));
    }
    let error: Result<WireError, _> = response.json().await;
    let status = status.as_u16();
    Err(error.map_or(ApiError::Garbled { server, status }, ApiError::Wire))
}

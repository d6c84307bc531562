//! Sending spans by OTLP over HTTP: in batches, from a queue that is bounded, and dropped where the receiver is
//! away: nobody waits for a trace.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;

use super::{TraceArgs, Tracer};

/// How long a batch may take to be taken.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end of the process waits for the last batch.
const FLUSH: Duration = Duration::from_secs(3);
/// Where OTLP/HTTP takes traces, below an endpoint.
const PATH: &str = "v1/traces";
/// What makes our spans.
const SCOPE: &str = "natterjack";

/// Why no traces can be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It is no address.
    #[error("--otlp-endpoint (OTEL_EXPORTER_OTLP_ENDPOINT) is not an http:// or https:// address: {0:?}")]
    Endpoint(String),
    /// No client.
    #[error("no HTTP client for traces: {0}")]
    Client(#[from] reqwest::Error),
    /// The exporter.
    #[error("traces cannot be sent: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// The traces of this process.
#[derive(Debug)]
pub struct Traces {
    provider: Option<SdkTracerProvider>,
    tracer: Tracer,
}

impl Traces {
    /// Starts to send, on `runtime`, under the name of a service such as `natterjack-edge`.
    ///
    /// # Errors
    /// [`TraceError`]; a receiver that is away is none.
    pub fn start(args: &TraceArgs, service: &str, runtime: &Handle) -> Result<Self, TraceError> {
        let Some(endpoint) = args
            .otlp_endpoint
            .as_deref()
            .filter(|endpoint| !endpoint.is_empty())
        else {
            return Ok(Self {
                provider: None,
                tracer: Tracer::off(),
            });
        };
        let base = reqwest::Url::parse(endpoint)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            // What is not an address might be a secret in the wrong place, but more likely it is a typing error.
            .ok_or_else(|| TraceError::Endpoint(endpoint.to_owned()))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client {
                http: reqwest::Client::builder().timeout(TIMEOUT).build()?,
                runtime: runtime.clone(),
            })
            .with_endpoint(format!("{}/{PATH}", base.as_str().trim_end_matches('/')))
            .with_timeout(TIMEOUT)
            .build()?;
        let resource = Resource::builder()
            .with_service_name(service.to_owned())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let tracer = Tracer::on(provider.tracer(SCOPE), args.trace_ratio);
        Ok(Self {
            provider: Some(provider),
            tracer,
        })
    }

    /// Makes the spans.
    #[must_use]
    pub const fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Sends what is left, for a few seconds at most. It blocks, and its runtime must still run.
    pub fn stop(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown_with_timeout(FLUSH)
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Our HTTP client for an exporter that works on a thread of its own, without a runtime.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let answer = self.runtime.spawn(async move {
            let request = reqwest::Request::try_from(request)?;
            let answer = http.execute(request).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut response = Response::new(answer.bytes().await?);
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok::<_, reqwest::Error>(response)
        });
        Ok(answer.await??)
    }
}

//! Sending spans by OTLP over HTTP: in batches, from a queue that is bounded, and dropped where the receiver is
//! away: nobody waits for a trace.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

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
    /// It is no address; which, is not told, since there may be a password in it.
    #[error(
        "--otlp-endpoint (OTEL_EXPORTER_OTLP_ENDPOINT) is not an http:// or https:// address, such as \
         http://127.0.0.1:4318"
    )]
    Endpoint,
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
            .ok_or(TraceError::Endpoint)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client {
                http: reqwest::Client::builder().timeout(TIMEOUT).build()?,
                runtime: runtime.clone(),
                failing: AtomicBool::new(false),
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

/// What went wrong, in a word or two.
fn reason(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "nobody listens there, or not with this certificate"
    } else {
        "the connection broke, or the answer was not HTTP"
    }
}

/// Our HTTP client for an exporter that works on a thread of its own, without a runtime.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    /// The last batch was not taken.
    failing: AtomicBool,
}

impl Client {
    /// Tells once that the receiver does not take traces, and once that it does again.
    fn tell(&self, trouble: Option<&str>) {
        let failed = self.failing.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(trouble) if !failed => tracing::warn!(
                error = trouble,
                "traces are not taken, and are dropped meanwhile; is --otlp-endpoint right?"
            ),
            None if failed => tracing::info!("traces are taken again"),
            _ => {}
        }
    }
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
        let answer = answer.await?;
        match &answer {
            Ok(response) if response.status().is_success() => self.tell(None),
            Ok(response) => self.tell(Some(response.status().as_str())),
            // Without the address, which may hold a password.
            Err(error) => self.tell(Some(reason(error))),
        }
        Ok(answer.map_err(reqwest::Error::without_url)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(endpoint: Option<&str>) -> TraceArgs {
        TraceArgs {
            otlp_endpoint: endpoint.map(str::to_owned),
            trace_ratio: 1.0,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn without_an_endpoint_nothing_is_traced_and_a_wrong_one_is_refused() {
        let runtime = Handle::current();
        for none in [None, Some("")] {
            let traces = Traces::start(&args(none), "test", &runtime).expect("it is off");
            assert!(!traces.tracer().is_on());
            traces.stop();
        }
        for wrong in [
            "collector:4318",
            "4318",
            "ftp://collector",
            "htp://me:secret@collector",
        ] {
            let error = Traces::start(&args(Some(wrong)), "test", &runtime).expect_err(wrong);
            assert!(error.to_string().contains("--otlp-endpoint"), "{error}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }

    /// Who traces waits for no receiver, and the end not for long.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_receiver_that_is_away_holds_up_nobody() {
        let runtime = Handle::current();
        let traces =
            Traces::start(&args(Some("http://127.0.0.1:9")), "test", &runtime).expect("it is an address");
        for _ in 0..10_000 {
            drop(traces.tracer().root("test"));
        }
        let stop = tokio::task::spawn_blocking(move || traces.stop());
        let stopped = tokio::time::timeout(FLUSH * 4, stop).await;
        stopped.expect("in time").expect("no panic");
    }
}

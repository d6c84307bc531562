//! Hosts micro services for every role that answers requests: one place for decoding, deadlines,
//! bounded concurrency, errors and metrics, so that a handler is a plain async function.
//!
//! A crate of its own, since it joins what no other may: the verbs of `nats` with the tasks and metrics
//! of `runtime`.

pub mod lag;
pub mod process;

use std::{
    collections::HashMap,
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_nats::{
    Client, HeaderMap,
    service::{
        NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE, Request, Service, ServiceBuilder, ServiceExt as _,
        endpoint::Endpoint,
    },
};
use futures::StreamExt as _;
use natterjack_nats::{
    services::Verb,
    subjects::{self, system::is_inbox},
    trace,
    wire::{Code, WireError},
};
use natterjack_runtime::{
    lifecycle::Tasks,
    metrics::Metrics,
    trace::{Span, SpanKind, Tracer},
};
use prometheus_client::metrics::{
    counter::Counter,
    family::Family,
    histogram::{Histogram, exponential_buckets},
};
use tokio::{sync::Semaphore, task::JoinSet};

/// Requests of one verb that run at once. Each verb has its own, so that slow ones (logins hash
/// passwords) do not hold up the others.
const RUNNING_MAX: usize = 64;
/// Requests of one verb that run or wait; one more is answered `overloaded` at once.
const ADMITTED_MAX: usize = 512;
/// Counted from arrival. Callers give up after 5 to 10 s.
const DEADLINE: Duration = Duration::from_secs(8);

/// Starts services and counts their requests; cheap to clone.
#[derive(Debug, Clone)]
pub struct Host {
    client: Client,
    tasks: Tasks,
    tracer: Tracer,
    requests: Family<[(&'static str, &'static str); 3], Counter>,
    seconds: Family<[(&'static str, &'static str); 2], Histogram>,
}

/// One service, to which verbs are added.
pub struct Hosted {
    host: Host,
    /// Dropping it ends its verbs, so that each of them holds it.
    service: Arc<Service>,
}

impl Host {
    /// Services of this connection, as tasks of `tasks`.
    #[must_use]
    pub fn new(client: Client, tasks: &Tasks, metrics: &Metrics) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_5, 2.0, 15));
        Self {
            client,
            tasks: tasks.clone(),
            tracer: Tracer::installed(),
            requests: metrics.register(
                "service_requests",
                "Requests by verb and outcome",
                Family::default(),
            ),
            seconds: metrics.register(
                "service_request_seconds",
                "Time from arrival to reply",
                Family::new_with_constructor(histogram),
            ),
        }
    }

    /// Starts a service without verbs; `name` is one of `natterjack_nats::services::names`.
    ///
    /// # Errors
    /// NATS is away.
    pub async fn service(&self, name: &'static str, description: &str) -> anyhow::Result<Hosted> {
        self.start(name, self.client.service_builder().description(description))
            .await
    }

    /// The same for a service whose requests nobody shares: every process answers, with what `metadata` says
    /// of it in `nats micro info`.
    async fn service_of_each(
        &self,
        name: &'static str,
        description: &str,
        group: &str,
        metadata: HashMap<String, String>,
    ) -> anyhow::Result<Hosted> {
        // The library knows no endpoint without a queue group: one of its own comes to the same.
        let builder = self
            .client
            .service_builder()
            .description(description)
            .queue_group(group)
            .metadata(metadata);
        self.start(name, builder).await
    }

    async fn start(&self, name: &'static str, builder: ServiceBuilder) -> anyhow::Result<Hosted> {
        let service = builder
            .start(name, env!("CARGO_PKG_VERSION"))
            .await
            .map_err(|error| anyhow::anyhow!("could not start the service {name}: {error}"))?;
        Ok(Hosted {
            host: self.clone(),
            service: Arc::new(service),
        })
    }
}

impl Hosted {
    /// Adds a verb: `handler` gets a clone of `state` and the decoded request. An error of code
    /// `internal` is logged as it says; what the caller is told is its [`WireError`].
    ///
    /// # Errors
    /// NATS is away.
    pub async fn verb<V, S, H, F, E>(&self, state: &S, handler: H) -> anyhow::Result<()>
    where
        V: Verb,
        S: Clone + Send + Sync + 'static,
        H: Fn(S, V) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<V::Reply, E>> + Send,
        E: Into<WireError> + Display + Send,
    {
        self.verb_on(subjects::svc::subject::<V>(), state, handler).await
    }

    /// The same on another subject than the verb's own, for what one process answers for itself: see
    /// [`subjects::svc::of_edge`].
    ///
    /// # Errors
    /// NATS is away.
    pub async fn verb_on<V, S, H, F, E>(&self, subject: String, state: &S, handler: H) -> anyhow::Result<()>
    where
        V: Verb,
        S: Clone + Send + Sync + 'static,
        H: Fn(S, V) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<V::Reply, E>> + Send,
        E: Into<WireError> + Display + Send,
    {
        self.endpoint(V::NAME, subject, state, handler).await
    }

    /// The same under a name of its own, where a verb is answered on several subjects.
    async fn endpoint<V, S, H, F, E>(
        &self,
        name: &str,
        subject: String,
        state: &S,
        handler: H,
    ) -> anyhow::Result<()>
    where
        V: Verb,
        S: Clone + Send + Sync + 'static,
        H: Fn(S, V) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<V::Reply, E>> + Send,
        E: Into<WireError> + Display + Send,
    {
        let endpoint = self
            .service
            .endpoint_builder()
            .name(name)
            .add(subject.clone())
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))
            .with_context(|| format!("could not add {} to the service {}", V::NAME, V::SERVICE))?;
        let gate = Gate {
            host: self.host.clone(),
            running: Arc::new(Semaphore::new(RUNNING_MAX)),
            admitted: Arc::new(Semaphore::new(ADMITTED_MAX)),
        };
        let (state, shutdown) = (state.clone(), self.host.tasks.shutdown().clone());
        let service = Arc::clone(&self.service);
        self.host.tasks.spawn(subject, async move {
            let answer = move |gate: Gate, request: Request| {
                let (state, handler) = (state.clone(), handler.clone());
                async move { gate.answer(request, |verb: V| handler(state, verb)).await }
            };
            tokio::select! {
                () = serve(endpoint, &gate, answer, &shutdown) => {}
                () = shutdown.killed() => {}
            }
            drop(service);
            Ok(())
        });
        Ok(())
    }
}

/// Takes requests until the drain, then finishes those it took.
async fn serve<A, F>(
    mut endpoint: Endpoint,
    gate: &Gate,
    answer: A,
    shutdown: &natterjack_runtime::lifecycle::Shutdown,
) where
    A: Fn(Gate, Request) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            request = endpoint.next() => match request {
                Some(request) => { under_way.spawn(answer(gate.clone(), request)); }
                None => break,
            },
            Some(ended) = under_way.join_next() => report(ended),
            () = shutdown.draining() => break,
        }
    }
    // Others of the queue group get what comes from now on.
    let _ = endpoint.stop().await;
    while let Some(ended) = under_way.join_next().await {
        report(ended);
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a request's handler died");
    }
}

#[derive(Clone)]
struct Gate {
    host: Host,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Gate {
    async fn answer<V, F, E>(&self, request: Request, handle: impl FnOnce(V) -> F)
    where
        V: Verb,
        F: Future<Output = Result<V::Reply, E>> + Send,
        E: Into<WireError> + Display + Send,
    {
        let started = Instant::now();
        if request
            .message
            .reply
            .as_deref()
            .is_some_and(|reply| !is_inbox(reply))
        {
            return self.refuse::<V>();
        }
        let span = self.span::<V>(&request);
        let result = span.run(self.run(&request, handle)).await;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(error) => error.code.as_str(),
        };
        if result.is_err() {
            span.failed(outcome);
        }
        let (verb, service) = (("verb", V::NAME), ("service", V::SERVICE));
        self.host
            .requests
            .get_or_create(&[service, verb, ("outcome", outcome)])
            .inc();
        self.host
            .seconds
            .get_or_create(&[service, verb])
            .observe(started.elapsed().as_secs_f64());
        if let Err(error) = reply(&request, result).await {
            tracing::warn!(service = V::SERVICE, verb = V::NAME, %error, "a reply could not be sent");
        }
    }

    /// The server lets who answers publish wherever the asker wants the answer. So this looks: else whoever may
    /// ask could have keys of buckets replaced, or JetStream told what to do, with the rights of who answers.
    fn refuse<V: Verb>(&self) {
        tracing::warn!(
            service = V::SERVICE,
            verb = V::NAME,
            "a request wants its answer somewhere else than in an inbox, which nothing of Natterjack does: it is \
             neither run nor answered; look who has keys to NATS"
        );
        let labels = [
            ("service", V::SERVICE),
            ("verb", V::NAME),
            ("outcome", Code::BadRequest.as_str()),
        ];
        self.host.requests.get_or_create(&labels).inc();
    }

    fn span<V: Verb>(&self, request: &Request) -> Span {
        if !self.host.tracer.is_on() {
            return Span::none();
        }
        let parent = trace::of(request.message.headers.as_ref());
        let span = self.host.tracer.follow(parent, "service", SpanKind::Server);
        span.note("service", V::SERVICE);
        span.note("verb", V::NAME);
        span
    }

    async fn run<V, F, E>(&self, request: &Request, handle: impl FnOnce(V) -> F) -> Result<Vec<u8>, WireError>
    where
        V: Verb,
        F: Future<Output = Result<V::Reply, E>> + Send,
        E: Into<WireError> + Display + Send,
    {
        let overloaded = || {
            WireError::new(Code::Overloaded, "too many requests at once; try again soon").retry_after_ms(500)
        };
        let _admitted = self.admitted.try_acquire().map_err(|_| overloaded())?;
        let work = async {
            let _running = self.running.acquire().await.map_err(|_| overloaded())?;
            let verb = decode(&request.message.payload).map_err(|error| {
                WireError::new(Code::BadRequest, format!("the request does not decode: {error}"))
            })?;
            handle(verb).await.map_err(|failure| {
                let told = failure.to_string();
                let error: WireError = failure.into();
                if error.code == Code::Internal {
                    tracing::error!(
                        service = V::SERVICE,
                        verb = V::NAME,
                        error = told,
                        "a request failed"
                    );
                }
                error
            })
        };
        let reply = tokio::time::timeout(DEADLINE, work).await.map_err(|_| {
            WireError::new(
                Code::Timeout,
                format!("the {} service did not finish in time; try again", V::SERVICE),
            )
        })??;
        serde_json::to_vec(&reply).map_err(|error| {
            tracing::error!(service = V::SERVICE, verb = V::NAME, %error, "a reply does not encode");
            WireError::new(Code::Internal, "a part of the server failed; try again")
        })
    }
}

/// Nothing at all is a request without fields, as an operator types it: `nats req <subject> ''`.
fn decode<V: Verb>(payload: &[u8]) -> serde_json::Result<V> {
    serde_json::from_slice(if payload.is_empty() { b"{}" } else { payload })
}

/// A failure goes out with the headers of ADR-32 and, unlike the library's own error reply, the
/// error itself as the payload.
async fn reply(request: &Request, result: Result<Vec<u8>, WireError>) -> anyhow::Result<()> {
    let (payload, headers) = match result {
        Ok(payload) => (payload, HeaderMap::new()),
        Err(error) => {
            let mut headers = HeaderMap::new();
            headers.insert(NATS_SERVICE_ERROR, error.code.as_str());
            headers.insert(NATS_SERVICE_ERROR_CODE, error.code.status().to_string().as_str());
            (serde_json::to_vec(&error)?, headers)
        }
    };
    request.respond_with_headers(Ok(payload.into()), headers).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use natterjack_nats::services::{edge::Drain, presence::Query};

    use super::*;

    #[test]
    fn an_empty_payload_is_a_request_without_fields() {
        assert!(decode::<Drain>(b"").is_ok() && decode::<Drain>(b"{}").is_ok());
        let missing = decode::<Query>(b"").expect_err("it has fields");
        assert!(missing.to_string().contains("users"), "{missing}");
        assert!(decode::<Drain>(b"x").is_err());
    }
}

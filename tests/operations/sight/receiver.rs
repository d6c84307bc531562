//! A receiver of traces: OTLP over HTTP, decoded as its specification says.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, any_value::Value},
};
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinHandle};

/// A span as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Which service it is of.
    pub service: String,
    /// What was done.
    pub name: String,
    /// Its trace.
    pub trace: Vec<u8>,
    /// Its own id.
    pub id: Vec<u8>,
    /// That of its parent; empty for the first.
    pub parent: Vec<u8>,
    /// When it began, and ended, in Unix nanoseconds.
    pub times: (u64, u64),
    /// What was noted.
    pub notes: BTreeMap<String, String>,
    /// Whether it failed.
    pub failed: bool,
}

/// What was received so far; it ends when this is dropped.
#[derive(Debug)]
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    spans: Spans,
    task: JoinHandle<std::io::Result<()>>,
}

type Spans = Arc<Mutex<Vec<Span>>>;

impl Receiver {
    /// Starts it on a free port.
    pub async fn start() -> anyhow::Result<Self> {
        let spans = Spans::default();
        let app = Router::new()
            .route("/v1/traces", post(receive))
            .with_state(Arc::clone(&spans));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { address, spans, task })
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(State(spans): State<Spans>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut received = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap_or_default();
        let service = resource
            .attributes
            .iter()
            .find(|attribute| attribute.key == "service.name")
            .map_or_else(String::new, |attribute| text(attribute.value.as_ref()));
        for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let notes = span
                .attributes
                .iter()
                .map(|note| (note.key.clone(), text(note.value.as_ref())));
            received.push(Span {
                service: service.clone(),
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                times: (span.start_time_unix_nano, span.end_time_unix_nano),
                notes: notes.collect(),
                failed: span.status.is_some_and(|status| status.code == 2),
            });
        }
    }
    spans
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(received);
    StatusCode::OK
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

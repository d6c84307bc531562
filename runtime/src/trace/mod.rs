//! Traces: where the time of a request went, through all processes that had to do with it, sent by OTLP to
//! whatever collects them. Off unless an endpoint is configured, and then only a share of what clients ask is
//! traced.
//!
//! Spans are made by hand, where a request passes from one part to the next, and not from the log's: what is
//! not traced costs a comparison there, and no header, allocation or lock. A span says what was done, how it
//! went and how long it took, and never a text, a token, a user or a conversation: traces go to systems with
//! rules of their own. A stream and a sequence name a message for whoever may look into the stream.

mod export;
mod span;

use std::sync::Arc;

use clap::Args;
pub use export::{TraceError, Traces};
pub use opentelemetry::trace::{SpanContext, SpanKind};
use opentelemetry::{
    Context,
    trace::{SpanBuilder, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;
use rand::RngExt as _;
pub use span::Span;
use tracing::Subscriber;
use tracing_subscriber::Layer;

/// What is traced and where to; flatten it into a command's arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct TraceArgs {
    /// Where to send traces: the base address of an OTLP/HTTP receiver, such as http://127.0.0.1:4318
    /// [default: none are made]
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        hide_env_values = true,
        global = true,
        value_name = "URL"
    )]
    pub otlp_endpoint: Option<String>,

    /// Which share of what clients ask is traced, from 0 to 1
    #[arg(
        long,
        env = "NATTERJACK_TRACE_RATIO",
        global = true,
        default_value_t = 0.01,
        value_parser = ratio,
        value_name = "SHARE"
    )]
    pub trace_ratio: f64,
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("a share is a number from 0 to 1, such as 0.01".to_owned()),
    }
}

/// Makes the spans of this process; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<On>>);

#[derive(Debug)]
pub(crate) struct On {
    tracer: SdkTracer,
    ratio: f64,
}

impl Tracer {
    /// One that makes none.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    pub(crate) fn on(tracer: SdkTracer, ratio: f64) -> Self {
        Self(Some(Arc::new(On { tracer, ratio })))
    }

    /// That of this process, which is part of its tracing subscriber: the one thing that is global.
    #[must_use]
    pub fn installed() -> Self {
        tracing::dispatcher::get_default(|dispatch| dispatch.downcast_ref::<Self>().cloned())
            .unwrap_or_default()
    }

    /// Whether any spans are made: what is read from a message only for them need not be read otherwise.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The first span of something that a client asked for, if it is among those that are traced.
    #[must_use]
    pub fn root(&self, name: &'static str) -> Span {
        match &self.0 {
            Some(on) if rand::rng().random_bool(on.ratio) => on.start(
                SpanBuilder::from_name(name).with_kind(SpanKind::Server),
                &Context::new(),
            ),
            _ => Span::none(),
        }
    }

    /// A part of what this task is at, if that is traced.
    #[must_use]
    pub fn part(&self, name: &'static str) -> Span {
        self.part_of_kind(name, SpanKind::Internal)
    }

    /// The same, for what is handed to another process, or asked of a server.
    #[must_use]
    pub fn part_of_kind(&self, name: &'static str, kind: SpanKind) -> Span {
        let Some(on) = &self.0 else { return Span::none() };
        let Some(parent) = current() else {
            return Span::none();
        };
        on.start(SpanBuilder::from_name(name).with_kind(kind), &parent)
    }

    /// What follows from a span of another process; nothing if that is not traced.
    #[must_use]
    pub fn follow(&self, parent: Option<SpanContext>, name: &'static str, kind: SpanKind) -> Span {
        let (Some(on), Some(parent)) = (&self.0, parent) else {
            return Span::none();
        };
        let parent = Context::new().with_remote_span_context(parent);
        on.start(SpanBuilder::from_name(name).with_kind(kind), &parent)
    }
}

impl On {
    fn start(self: &Arc<Self>, builder: SpanBuilder, parent: &Context) -> Span {
        let span = self.tracer.build_with_context(builder, parent);
        Span::new(parent.with_span(span))
    }
}

/// What this task is at, if it is traced.
fn current() -> Option<Context> {
    Context::map_current(|context| {
        let sampled = context.has_active_span() && context.span().span_context().is_sampled();
        sampled.then(|| context.clone())
    })
}

impl<S: Subscriber> Layer<S> for Tracer {
    // It is only kept here.
    fn event_enabled(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use opentelemetry::trace::{SpanId, TracerProvider as _};
    use opentelemetry_sdk::{
        error::OTelSdkResult,
        trace::{SdkTracerProvider, SpanData, SpanExporter},
    };

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().expect("nobody panicked").extend(batch);
            Ok(())
        }
    }

    fn tracer(ratio: f64) -> (Tracer, Kept, SdkTracerProvider) {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(kept.clone())
            .build();
        (Tracer::on(provider.tracer("test"), ratio), kept, provider)
    }

    #[tokio::test]
    async fn parts_belong_to_what_the_task_is_at() {
        let (tracer, kept, _provider) = tracer(1.0);
        let root = tracer.root("root");
        let remote = root
            .run(async {
                tokio::task::yield_now().await;
                tracer.part("part").remote()
            })
            .await;
        assert!(
            tracer.part("lost").remote().is_none(),
            "the task is at nothing here"
        );
        tracer
            .follow(remote, "elsewhere", SpanKind::Consumer)
            .failed("away");
        drop(root);
        let spans = kept.0.lock().expect("nobody panicked");
        let find = |name: &str| spans.iter().find(|span| span.name == name).expect("a span");
        let (root, part, elsewhere) = (find("root"), find("part"), find("elsewhere"));
        assert_eq!(root.parent_span_id, SpanId::INVALID);
        assert_eq!(part.parent_span_id, root.span_context.span_id());
        assert_eq!(elsewhere.parent_span_id, part.span_context.span_id());
        assert!(
            spans
                .iter()
                .all(|span| span.span_context.trace_id() == root.span_context.trace_id())
        );
        assert_eq!(spans.len(), 3);
    }

    #[tokio::test]
    async fn what_is_not_sampled_makes_no_span() {
        for (tracer, kept, _provider) in [tracer(0.0)] {
            let root = tracer.root("root");
            assert!(root.remote().is_none());
            root.run(async { assert!(tracer.part("part").remote().is_none()) })
                .await;
            assert!(
                tracer
                    .follow(None, "elsewhere", SpanKind::Consumer)
                    .remote()
                    .is_none()
            );
            assert!(kept.0.lock().expect("nobody panicked").is_empty());
        }
        assert!(Tracer::off().root("root").remote().is_none());
    }

    /// An address may hold a password, and help is copied into many places.
    #[test]
    fn help_does_not_tell_where_traces_go() {
        let command = TraceArgs::augment_args(clap::Command::new("test"));
        let hides = |name: &str| {
            let mut found = command.get_arguments().filter(|arg| arg.get_id() == name);
            found.next().is_some_and(clap::Arg::is_hide_env_values_set)
        };
        assert!(hides("otlp_endpoint"));
    }

    #[test]
    fn a_share_is_from_0_to_1() {
        assert!(ratio("0.25").is_ok_and(|ratio| (ratio - 0.25).abs() < f64::EPSILON));
        for wrong in ["", "-0.1", "1.5", "NaN", "all"] {
            assert!(ratio(wrong).is_err(), "{wrong}");
        }
    }
}

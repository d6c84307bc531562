//! One span, or none: who holds it need not know which.

use futures::future::Either;
use opentelemetry::{
    Context, KeyValue, Value,
    context::FutureExt as _,
    trace::{SpanContext, Status, TraceContextExt as _},
};

/// A part of a trace from its beginning until it is dropped; nothing where nothing is traced.
#[derive(Debug, Clone, Default)]
pub struct Span(Option<Context>);

impl Span {
    /// Nothing is traced.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    pub(super) const fn new(context: Context) -> Self {
        Self(Some(context))
    }

    /// What another process needs to go on with it; `None` where nothing is traced.
    #[must_use]
    pub fn remote(&self) -> Option<SpanContext> {
        Some(self.0.as_ref()?.span().span_context().clone())
    }

    /// Notes something that is neither somebody's words nor who they are.
    pub fn note(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// It came to nothing, because of this: a code, never a text that could quote something.
    pub fn failed(&self, code: &'static str) {
        if let Some(context) = &self.0 {
            context.span().set_status(Status::error(code));
        }
    }

    /// Something of another trace has to do with it.
    pub fn link(&self, other: Option<SpanContext>) {
        if let (Some(context), Some(other)) = (&self.0, other) {
            context.span().add_link(other, Vec::new());
        }
    }

    /// Runs something as part of it.
    pub fn run<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        match &self.0 {
            Some(context) => Either::Left(work.with_context(context.clone())),
            None => Either::Right(work),
        }
    }
}

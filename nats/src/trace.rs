//! Traces through NATS: the header `traceparent` (W3C Trace Context, level 1, section 3.2) on what an edge
//! publishes and asks, only where something is traced.

use async_nats::HeaderMap;
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};

/// The header.
pub const TRACEPARENT: &str = "traceparent";

/// The value of [`TRACEPARENT`], for example `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
#[must_use]
pub fn format(span: &SpanContext) -> String {
    format!(
        "00-{}-{}-{:02x}",
        span.trace_id(),
        span.span_id(),
        span.trace_flags() & TraceFlags::SAMPLED
    )
}

/// The span that a value names, if it is one that is traced.
#[must_use]
pub fn parse(value: &str) -> Option<SpanContext> {
    let mut parts = value.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    // Later versions may have more behind the flags; ff is none (section 3.2.2.1).
    let whole = version != "00" || parts.next().is_none();
    let formed = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    if !formed || !whole {
        return None;
    }
    let span = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    (span.is_valid() && span.is_sampled()).then_some(span)
}

/// The span that the headers of a message name, if it is one that is traced.
#[must_use]
pub fn of(headers: Option<&HeaderMap>) -> Option<SpanContext> {
    parse(headers?.get(TRACEPARENT)?.as_str())
}

/// The header for what this task is at; `None` if that is not traced.
#[must_use]
pub fn current() -> Option<HeaderMap> {
    Context::map_current(|context| {
        if !context.has_active_span() {
            return None;
        }
        let span = context.span();
        let span = span.span_context();
        span.is_sampled().then(|| {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, format(span).as_str());
            headers
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_specification() {
        let value = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let span = parse(value).expect("it is valid");
        assert_eq!(format(&span), value);
        assert!(span.is_remote());
        assert!(
            parse(&value.replace("00-4b", "cc-4b")).is_some(),
            "a later version"
        );
        assert!(parse(&format!("{}-more", value.replace("00-4b", "cc-4b"))).is_some());
    }

    #[test]
    fn what_is_no_span_or_not_traced_is_none() {
        for value in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert!(parse(value).is_none(), "{value}");
        }
        assert!(current().is_none());
    }

    proptest! {
        #[test]
        fn it_comes_back(trace in 1_u128.., span in 1_u64..) {
            let (trace, span) = (TraceId::from(trace), SpanId::from(span));
            let span = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE);
            prop_assert_eq!(parse(&format(&span)), Some(span));
        }

        #[test]
        fn garbage_is_none(value: String) {
            let _ = parse(&value);
        }
    }
}

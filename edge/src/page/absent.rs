//! What people read at `/` where there is no page: why, and what to do.

use std::fmt::Write as _;

use axum::{
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

const STYLE: &str = ":root{color-scheme:light dark}body{font:1.05rem/1.6 system-ui,sans-serif;max-width:40rem;\
     margin:12vh auto;padding:0 1.5rem}pre{overflow:auto;padding:1rem;border:1px solid;border-radius:.5rem}";

/// Why there is no page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Absent {
    /// Nobody built it, or said where it is.
    #[default]
    NotBuilt,
    /// It is being built.
    Building,
    /// It could not be built; what the build said last.
    Failed(String),
}

impl Absent {
    /// It says so, without a script.
    pub(super) fn response(&self) -> Response {
        let again = if *self == Self::Building {
            "<meta http-equiv=\"refresh\" content=\"2\">"
        } else {
            ""
        };
        let html = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">{again}\
             <meta name=\"viewport\" content=\"width=device-width\"><title>Natterjack</title>\
             <style>{STYLE}</style><main><h1>Natterjack {}</h1>{}\
             <p>The server itself works. Programs talk to it under <code>/v1</code>: \
             <a href=\"/v1/openapi.json\">the routes</a>, and <code>docs/protocol.md</code> in its source. \
             <code>natterjack chat --as &lt;name&gt;</code> chats in a terminal.</p></main></html>",
            env!("CARGO_PKG_VERSION"),
            self.words(),
        );
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            BASE64_STANDARD.encode(Sha256::digest(STYLE)),
        );
        let mut response = Html(html).into_response();
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            response
                .headers_mut()
                .insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    fn words(&self) -> String {
        let by_hand = "<pre>cd web\nnpm ci\nnpm run build</pre>\
             <p>An edge that runs alone finds it by <code>--web-dir web/client/dist</code>.</p>";
        match self {
            Self::NotBuilt => format!(
                "<p>The chat page is not here yet. To get it, install <a href=\"https://nodejs.org/\">Node.js</a> \
                 20.19 or newer and start <code>cargo run --release</code> again: it builds the page by itself. \
                 By hand, in the source of Natterjack:</p>{by_hand}"
            ),
            Self::Building => "<p>The chat page is being built, which takes half a minute the first time. \
                 This page then turns into it.</p>"
                .to_owned(),
            Self::Failed(lines) => format!(
                "<p>The chat page could not be built. The build said:</p><pre>{}</pre>\
                 <p>When that is mended, start again, or build it by hand:</p>{by_hand}",
                escaped(lines)
            ),
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '"' | '\'' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_says_is_text() {
        let words = Absent::Failed("<script>alert(1)</script> & \"more\"".to_owned()).words();
        assert!(!words.contains("<script>"), "{words}");
        assert!(words.contains("&#60;script&#62;"), "{words}");
    }
}

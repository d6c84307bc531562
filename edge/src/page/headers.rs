//! What a browser is told about a file of the page: its type, how long it may keep it, and what the page may
//! do.

use axum::http::{HeaderName, HeaderValue, header};

use super::files::HASHED;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What the page may load and reach (Content Security Policy, level 3), where it was asked for by https:
/// its own files, and any edge by TLS, as the edges that discovery names are other origins. Scripts, styles
/// and workers are files of ours; no text becomes markup but what Svelte compiled, and no script address
/// comes from a string but that of the service worker.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     font-src 'self'; manifest-src 'self'; worker-src 'self'; connect-src 'self' https: wss:; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types svelte-trusted-html natterjack-worker";

/// The same where it was asked for by http, as on one's own machine: other edges are reached likewise.
const POLICY_HTTP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     font-src 'self'; manifest-src 'self'; worker-src 'self'; connect-src 'self' https: wss: http: ws:; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types svelte-trusted-html natterjack-worker";

/// Sensors and devices are not for a chat that has no calls.
const PERMISSIONS: &str =
    "camera=(), display-capture=(), geolocation=(), microphone=(), midi=(), payment=(), usb=()";

/// The headers of a file, whichever form of it is sent.
pub(super) fn of(path: &str, https: bool) -> [(HeaderName, HeaderValue); 6] {
    // Whatever has no hash in its name is asked for again each time, which mostly ends with 304.
    let keep = if path.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    [
        (header::CONTENT_TYPE, mime(path)),
        (header::CACHE_CONTROL, keep),
        (
            header::CONTENT_SECURITY_POLICY,
            if https { POLICY } else { POLICY_HTTP },
        ),
        (PERMISSIONS_POLICY, PERMISSIONS),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
}

/// The media type by the ending of the name; one that is not known is bytes, which no browser runs.
fn mime(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/vnd.microsoft.icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_http_the_page_may_reach_http_and_that_is_all_the_difference() {
        assert_eq!(
            POLICY_HTTP,
            POLICY.replace("https: wss:;", "https: wss: http: ws:;")
        );
        assert!(!POLICY_HTTP.contains("unsafe"));
    }
}

//! Whether a request is a Web Push that may be taken: every MUST of the RFCs that concerns one, and what
//! the push services of Mozilla, Google and Apple demand besides.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use axum::http::{HeaderMap, Method, header};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

/// RFC 8291, section 4: what a push service has to take at least, and some take no more.
const BODY_BYTES_MAX: usize = 4_096;
/// Salt, record size, length of the key, key (RFC 8188, section 2.1), a tag and one byte that delimits.
const BODY_BYTES_MIN: usize = 16 + 4 + 1 + 65 + 16 + 1;
/// RFC 8292, section 2.
const LIFETIME_MAX_S: u64 = 24 * 3_600;

/// What the headers of a good request say.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    /// Its topic, which collapses.
    pub topic: String,
    /// Its urgency.
    pub urgency: String,
    /// For how long it may wait for the device.
    pub ttl_s: u64,
}

/// What is wrong, and with which status that is said.
pub type Problem = (u16, String);

fn bad(words: impl Into<String>) -> Problem {
    (400, words.into())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| bad(format!("{name} is missing")))?;
    if values.next().is_some() {
        return Err(bad(format!("{name} is there twice")));
    }
    value.to_str().map_err(|_| bad(format!("{name} is no text")))
}

/// Checks everything but what needs the browser's key, for a subscription that was made with this
/// `applicationServerKey`.
///
/// # Errors
/// What is wrong with it, and the status to say so.
pub fn check(
    method: &Method,
    headers: &HeaderMap,
    body: &[u8],
    application_server_key: &str,
    now_s: u64,
) -> Result<Headers, Problem> {
    if method != Method::POST {
        return Err((405, format!("{method} is not POST")));
    }
    let ttl = text(headers, "ttl")?;
    let digits = !ttl.is_empty() && ttl.bytes().all(|byte| byte.is_ascii_digit());
    let ttl_s = ttl.parse().ok().filter(|_| digits);
    let ttl_s = ttl_s.ok_or_else(|| bad(format!("TTL {ttl:?} is no number of seconds")))?;
    let urgency = text(headers, "urgency")?;
    if !["very-low", "low", "normal", "high"].contains(&urgency) {
        return Err(bad(format!("Urgency {urgency:?} is none of the four")));
    }
    let topic = text(headers, "topic")?;
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if topic.is_empty() || topic.len() > 32 || !topic.bytes().all(alphabet) {
        return Err(bad(format!(
            "Topic {topic:?} is not 1 to 32 characters of base64url"
        )));
    }
    let encoding = text(headers, "content-encoding")?;
    if encoding != "aes128gcm" {
        return Err(bad(format!("Content-Encoding is {encoding:?}")));
    }
    let host = text(headers, "host")?;
    let authorization = text(headers, header::AUTHORIZATION.as_str())?;
    check_vapid(
        authorization,
        &format!("http://{host}"),
        application_server_key,
        now_s,
    )?;
    check_body(body)?;
    Ok(Headers {
        topic: topic.to_owned(),
        urgency: urgency.to_owned(),
        ttl_s,
    })
}

/// RFC 8188, section 2.1: one record, made with a key on P-256.
fn check_body(body: &[u8]) -> Result<(), Problem> {
    if body.len() > BODY_BYTES_MAX {
        return Err((413, format!("{} bytes are too many", body.len())));
    }
    if body.len() < BODY_BYTES_MIN {
        return Err(bad(format!("{} bytes hold no message", body.len())));
    }
    if body[20] != 65 || body[21] != 4 {
        return Err(bad("the header holds no uncompressed point"));
    }
    let record = u32::from_be_bytes([body[16], body[17], body[18], body[19]]);
    if usize::try_from(record).is_ok_and(|record| body.len() - 86 > record) {
        return Err(bad("more than one record"));
    }
    Ok(())
}

/// RFC 8292.
fn check_vapid(
    authorization: &str,
    origin: &str,
    application_server_key: &str,
    now_s: u64,
) -> Result<(), Problem> {
    let wrong = |words: String| (401, words);
    let parameters = authorization
        .strip_prefix("vapid ")
        .ok_or_else(|| wrong("not the scheme vapid".into()))?;
    let parameter = |name: &str| {
        let found = parameters
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .find(|(key, _)| *key == name);
        found
            .map(|(_, value)| value)
            .ok_or_else(|| wrong(format!("no parameter {name}")))
    };
    let (token, key) = (parameter("t")?, parameter("k")?);
    if key != application_server_key {
        return Err((
            403,
            "the key is not the one that this subscription was made with".into(),
        ));
    }
    let decode = |text: &str| {
        BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| wrong("not base64url".into()))
    };
    let (signed, signature) = token.rsplit_once('.').ok_or_else(|| wrong("no token".into()))?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, decode(key)?)
        .verify(signed.as_bytes(), &decode(signature)?)
        .map_err(|_| wrong("the signature is wrong".into()))?;
    let (head, claims) = signed.split_once('.').ok_or_else(|| wrong("no token".into()))?;
    let json = |part| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| wrong("not JSON".into()));
    let (head, claims) = (json(head)?, json(claims)?);
    if head["alg"] != "ES256" || head["typ"] != "JWT" {
        return Err(wrong(format!("the token's header is {head}")));
    }
    if claims["aud"] != origin {
        return Err(wrong(format!("aud is {}, not {origin}", claims["aud"])));
    }
    let expires = claims["exp"].as_u64().unwrap_or_default();
    if expires <= now_s || expires > now_s + LIFETIME_MAX_S {
        return Err(wrong(format!("exp is {expires}, and it is {now_s}")));
    }
    let sub = claims["sub"].as_str().unwrap_or_default();
    if !sub.starts_with("mailto:") && !sub.starts_with("https:") {
        return Err(wrong(format!("sub is {sub:?}")));
    }
    Ok(())
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;

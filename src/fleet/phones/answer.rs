//! What the push service says to a request.

use std::{future, sync::Arc};

use anyhow::{Context, ensure};
use axum::{
    body::Bytes,
    extract::{Path, State as Shared},
    http::{HeaderMap, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use tokio::time::{Instant, sleep};

use super::{Mood, State, Taken, lock, subscription::Subscription};

/// What push services take at least (RFC 8030, section 7.2).
const BODY_BYTES_MAX: usize = 4_096;
/// RFC 8030, section 5.4.
const TOPIC_CHARS_MAX: usize = 32;
/// RFC 8030, section 5.3.
const URGENCIES: [&str; 4] = ["very-low", "low", "normal", "high"];

pub(super) async fn push(
    Shared(state): Shared<Arc<State>>,
    Path(phone): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (subscription, mood) = match lock(&state.phones).get_mut(&phone) {
        Some(phone) => {
            phone.requests += 1;
            (Arc::clone(&phone.subscription), phone.mood)
        }
        None => return StatusCode::NOT_FOUND.into_response(),
    };
    let taken = match read(&phone, &subscription, &headers, &body) {
        Ok(taken) => taken,
        Err(error) => {
            lock(&state.wrong).push(format!("to {phone}: {error:#}"));
            return StatusCode::BAD_REQUEST.into_response();
        }
    };
    match mood {
        Mood::Takes => {
            let pause = *lock(&state.answers_after);
            // Taken before it is said: whoever dies in between does not know.
            state.taken.send_modify(|all| all.push(taken));
            if !pause.is_zero() {
                sleep(pause).await;
            }
            StatusCode::CREATED.into_response()
        }
        Mood::Refuses(code) => status(code).into_response(),
        Mood::Later(code, seconds) => {
            let pause = [(RETRY_AFTER, seconds.to_string())];
            (status(code), pause).into_response()
        }
        Mood::Hangs => future::pending().await,
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn read(phone: &str, subscription: &Subscription, headers: &HeaderMap, body: &[u8]) -> anyhow::Result<Taken> {
    let header = |name: &str| -> anyhow::Result<Option<&str>> {
        let value = headers.get(name).map(|value| value.to_str());
        value.transpose().with_context(|| name.to_owned())
    };
    let encoding = header("content-encoding")?;
    ensure!(encoding == Some("aes128gcm"), "Content-Encoding {encoding:?}");
    let ttl_s = header("ttl")?.context("no TTL")?.parse().context("TTL")?;
    let urgency = header("urgency")?.unwrap_or("normal").to_owned();
    ensure!(URGENCIES.contains(&urgency.as_str()), "Urgency {urgency}");
    let topic = header("topic")?.map(str::to_owned);
    if let Some(topic) = &topic {
        let good = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
        let fits = topic.len() <= TOPIC_CHARS_MAX && topic.chars().all(good);
        ensure!(fits, "Topic {topic}");
    }
    let vapid = header("authorization")?.context("no Authorization")?;
    ensure!(
        vapid.starts_with("vapid ") && vapid.contains("t=") && vapid.contains("k="),
        "Authorization is not as in RFC 8292"
    );
    ensure!(body.len() <= BODY_BYTES_MAX, "a body of {} bytes", body.len());
    let said = subscription.open(body)?;
    let notice = serde_json::from_slice(&said).context("what it says is no notice")?;
    Ok(Taken {
        phone: phone.to_owned(),
        notice,
        topic,
        ttl_s,
        urgency,
        bytes: body.len(),
        at: Instant::now(),
    })
}

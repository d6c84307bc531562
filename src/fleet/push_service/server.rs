//! The requests: how each is answered, and what is remembered of it.

use std::{collections::VecDeque, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State as Extract},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::any,
};
use serde_json::Value;

use super::{
    Behaviour, Delivery, Depth, State, Subscription,
    check::{self, Headers, Problem},
    open,
};

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new().route("/push/{id}", any(push)).with_state(state)
}

async fn push(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (subscription, behaviour) = {
        let mut inner = state.lock();
        let scripted = inner.scripts.get_mut(&id).and_then(VecDeque::pop_front);
        let habit = || inner.habits.get(&id).or(inner.habit.as_ref()).cloned();
        let behaviour = scripted.or_else(habit).unwrap_or(Behaviour::Take);
        (inner.subscriptions.get(&id).cloned(), behaviour)
    };
    let mut delivery = Delivery {
        subscription: id,
        at_ms: state.clock.now_ms(),
        status: 0,
        topic: String::new(),
        urgency: String::new(),
        ttl_s: 0,
        body_bytes: body.len(),
        notice: None,
        problem: None,
    };
    let Some(subscription) = subscription else {
        return remember(&state, delivery, StatusCode::GONE).into_response();
    };
    // Also what is not taken has to be in order.
    let checked = look(&state, &method, &headers, &body, &subscription).await;
    match checked {
        Ok((found, notice)) => {
            delivery.topic = found.topic;
            delivery.urgency = found.urgency;
            delivery.ttl_s = found.ttl_s;
            delivery.notice = notice;
        }
        Err((status, problem)) => {
            delivery.problem = Some(problem.clone());
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            return (remember(&state, delivery, status), problem).into_response();
        }
    }
    match behaviour {
        Behaviour::BytesMax(max) if body.len() > max => {
            remember(&state, delivery, StatusCode::PAYLOAD_TOO_LARGE).into_response()
        }
        Behaviour::Take | Behaviour::BytesMax(_) => {
            let ttl = delivery.ttl_s.to_string();
            let location = format!("/message/{}", uuid::Uuid::new_v4());
            let status = remember(&state, delivery, StatusCode::CREATED);
            (status, [("TTL", ttl), ("Location", location)]).into_response()
        }
        Behaviour::Answer { status, retry_after } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let status = remember(&state, delivery, status);
            match retry_after {
                Some(after) => (status, [(header::RETRY_AFTER, after)], "as you were told").into_response(),
                None => (status, "as you were told").into_response(),
            }
        }
        Behaviour::Redirect(to) => {
            let status = remember(&state, delivery, StatusCode::TEMPORARY_REDIRECT);
            (status, [(header::LOCATION, to)]).into_response()
        }
        Behaviour::Hang => {
            note(&state, delivery);
            std::future::pending().await
        }
    }
}

/// Checks a request, and opens it as far as it is wanted.
async fn look(
    state: &State,
    method: &Method,
    headers: &HeaderMap,
    body: &Bytes,
    subscription: &Subscription,
) -> Result<(Headers, Option<Value>), Problem> {
    let now_s = state.clock.now_ms() / 1_000;
    let found = check::check(method, headers, body, &subscription.application_server_key, now_s)?;
    if state.depth == Depth::Headers {
        return Ok((found, None));
    }
    let bad = |words: String| (400, words);
    let plain = open::open(body, subscription).map_err(bad)?;
    if let Some(opener) = &state.opener {
        let theirs = opener.open(body, subscription).await;
        let theirs = theirs.map_err(|error| bad(format!("{error:#}")))?;
        if theirs != plain {
            return Err(bad("http_ece finds something else in it".into()));
        }
    }
    let notice = serde_json::from_slice(&plain).map_err(|error| bad(format!("no JSON: {error}")))?;
    Ok((found, Some(notice)))
}

fn remember(state: &State, mut delivery: Delivery, status: StatusCode) -> StatusCode {
    delivery.status = status.as_u16();
    note(state, delivery);
    status
}

fn note(state: &State, delivery: Delivery) {
    state.lock().deliveries.push(delivery);
    state.count.send_modify(|count| *count += 1);
}

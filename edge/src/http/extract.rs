//! What handlers take in, with refusals in the one form: body, query, path, caller, address.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::{ConnectInfo, FromRequest, FromRequestParts, Request, rejection::BytesRejection},
    http::{HeaderMap, header, request::Parts},
};
use natterjack_nats::{
    limits::WHOLE_MAX,
    wire::{Code, HelloDevice, WireError},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned},
};

use super::error::{ApiError, bad_request};
use crate::{app::App, auth::Identity, ops::Caller};

/// Names the device of a request whose token does not (tokens of an outside provider).
pub const DEVICE_HEADER: &str = "natterjack-device";

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// A JSON body. Its content type does not matter: nothing here depends on cookies.
pub(super) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state))
            .await
            .map_err(|_| bad_request("the body did not arrive in time"))?
            .map_err(|rejection| unread(&rejection))?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| bad_request(format!("the body is not the JSON that this route takes: {error}")))
    }
}

fn unread(rejection: &BytesRejection) -> ApiError {
    if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        ApiError(WireError::new(
            Code::TooLarge,
            "the body is larger than this route takes",
        ))
    } else {
        bad_request("the body broke off")
    }
}

/// The query, with unknown parameters ignored.
pub(super) struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| bad_request(format!("the query: {}", error.body_text())))
    }
}

/// The parameters in the path.
pub(super) struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(path)| Self(path))
            .map_err(|error| bad_request(format!("the path: {}", error.body_text())))
    }
}

/// A whole number in a query or a path: digits and nothing else, below 2^53.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Whole(pub u64);

impl Whole {
    /// As a bound of how many: what does not fit is as good as any large number.
    pub fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number <= WHOLE_MAX);
        number
            .map(Self)
            .ok_or_else(|| de::Error::custom("expected a whole number from 0 to 2^53 - 1"))
    }
}

/// A whole number in a JSON body, which may be written with a fraction of zero: JSON (RFC 8259) knows
/// one kind of number, and in JSON Schema 7.0 is an integer.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let fraction = || {
        let number = number.as_f64()?;
        let whole = (0.0..=WHOLE_MAX as f64).contains(&number) && number.fract() == 0.0;
        whole.then_some(number as u64)
    };
    let whole = number.as_u64().filter(|number| *number <= WHOLE_MAX);
    whole.or_else(fraction).map(Some).ok_or_else(|| {
        de::Error::custom(format!(
            "expected a whole number from 0 to 2^53 - 1, not {number}"
        ))
    })
}

impl FromRequestParts<Arc<App>> for Identity {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers)?;
        let device = device(&parts.headers)?;
        Ok(app.auth.verify(token, device.as_ref()).await?)
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let identity = Identity::from_request_parts(parts, app).await?;
        Ok(identity.caller())
    }
}

/// The token of `Authorization: Bearer <token>` (RFC 6750); the only place where one is looked for.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .ok_or_else(|| {
            ApiError(WireError::new(
                Code::Unauthorized,
                "send an access token in the header `Authorization: Bearer <token>`",
            ))
        })
}

pub(super) fn device(headers: &HeaderMap) -> Result<Option<HelloDevice>, ApiError> {
    let Some(value) = headers.get(DEVICE_HEADER) else {
        return Ok(None);
    };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    let id =
        id.ok_or_else(|| bad_request(format!("the header {DEVICE_HEADER} does not hold a device id")))?;
    Ok(Some(HelloDevice {
        id: Some(id),
        name: String::new(),
        platform: String::new(),
    }))
}

/// The address of the client, for limits only; unknown in tests without a socket.
pub(super) struct Address(pub Option<IpAddr>);

impl FromRequestParts<Arc<App>> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        let header = app.args.rates.client_address_header.as_deref();
        let told = header.and_then(|name| told_address(&parts.headers, name));
        let peer = || {
            parts
                .extensions
                .get::<ConnectInfo<SocketAddr>>()
                .map(|ConnectInfo(address)| address.ip())
        };
        Ok(Self(told.or_else(peer)))
    }
}

/// The last address in the last header of that name: the one that the nearest proxy wrote.
fn told_address(headers: &HeaderMap, name: &str) -> Option<IpAddr> {
    let last = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().expect("a name"), HeaderValue::from_static(value))])
    }

    #[test]
    fn a_token_stands_in_its_header_only() {
        assert_eq!(bearer(&headers("authorization", "Bearer abc")).ok(), Some("abc"));
        assert_eq!(
            bearer(&headers("authorization", "bearer  abc ")).ok(),
            Some("abc")
        );
        for value in ["", "abc", "Basic abc", "Bearer", "Bearer "] {
            let error = bearer(&headers("authorization", value)).expect_err(value);
            assert_eq!(error.0.code, Code::Unauthorized);
        }
    }

    #[test]
    fn numbers_are_whole_and_below_the_bound() {
        let text = |text: &str| Whole::deserialize(serde_json::Value::from(text)).map(|Whole(number)| number);
        assert_eq!(text("0").ok(), Some(0));
        assert_eq!(text("9007199254740991").ok(), Some(WHOLE_MAX));
        for bad in [
            "",
            "+5",
            "-1",
            " 5",
            "5.0",
            "0x5",
            "9007199254740992",
            "99999999999999999999",
        ] {
            assert!(text(bad).is_err(), "{bad}");
        }
        let json = |text: &str| whole(&mut serde_json::Deserializer::from_str(text)).ok();
        assert_eq!(json("null"), Some(None));
        assert_eq!(json("7"), Some(Some(7)));
        assert_eq!(json("7.0"), Some(Some(7)));
        assert_eq!(json("9007199254740991"), Some(Some(WHOLE_MAX)));
        for bad in [
            "7.5",
            "-1",
            "-0.5",
            "9007199254740992",
            "9007199254740992.0",
            "1e300",
            "\"7\"",
            "[]",
        ] {
            assert_eq!(json(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_nearest_proxy_is_believed_and_not_the_client() {
        let told = |value| told_address(&headers("x-forwarded-for", value), "x-forwarded-for");
        assert_eq!(
            told("203.0.113.9, 192.0.2.1"),
            "192.0.2.1".parse().ok(),
            "the client wrote the first"
        );
        assert_eq!(told("nonsense"), None);
    }

    #[test]
    fn a_device_header_holds_an_id() {
        let good = "01j00000000000000000000000";
        assert_eq!(
            device(&headers(DEVICE_HEADER, good))
                .ok()
                .flatten()
                .and_then(|device| device.id),
            good.parse().ok()
        );
        assert!(device(&headers(DEVICE_HEADER, "../x")).is_err());
        assert!(device(&HeaderMap::new()).expect("optional").is_none());
    }
}

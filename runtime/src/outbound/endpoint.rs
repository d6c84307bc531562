//! The form of an endpoint that somebody registers, and what is wrong with it.

use std::net::IpAddr;

use reqwest::Url;

use super::{Reach, is_public};

/// Bytes that an endpoint may have.
pub const ENDPOINT_BYTES_MAX: usize = 2_048;

/// Why an endpoint is refused; the text is for whoever registers it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is too long.
    #[error("the endpoint has {0} bytes, and at most {ENDPOINT_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// It is no URL, or one without a host.
    #[error("the endpoint is not a URL such as https://push.example.org/abc: {0}")]
    Syntax(String),
    /// It is not `https`.
    #[error("the endpoint begins with {0}:, and only https: is allowed")]
    NotHttps(String),
    /// It names a user or a password.
    #[error("the endpoint names a user or a password before its host; register it without")]
    UserInfo,
    /// It is an address that is not public, or its name leads to one.
    #[error(
        "{host} is or leads to {address}, which is not a public address; a push service has to be reachable \
         on the internet"
    )]
    Private {
        /// The host in the endpoint.
        host: String,
        /// Where it leads.
        address: IpAddr,
    },
    /// Its name leads nowhere.
    #[error("{host} has no address: {why}; check its spelling, or try again later")]
    Unresolved {
        /// The host in the endpoint.
        host: String,
        /// What the resolver said.
        why: String,
    },
}

pub(super) fn parse(endpoint: &str, reach: Reach) -> Result<Url, EndpointError> {
    if endpoint.len() > ENDPOINT_BYTES_MAX {
        return Err(EndpointError::TooLong(endpoint.len()));
    }
    let url = Url::parse(endpoint).map_err(|error| EndpointError::Syntax(error.to_string()))?;
    let allowed = match reach {
        Reach::Public => url.scheme() == "https",
        Reach::Anywhere => matches!(url.scheme(), "https" | "http"),
    };
    if !allowed {
        return Err(EndpointError::NotHttps(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EndpointError::UserInfo);
    }
    // The parser demands a host of these two schemes.
    let host = url.host_str().unwrap_or_default().to_owned();
    match literal(&url) {
        Some(address) if reach == Reach::Public && !is_public(address) => {
            Err(EndpointError::Private { host, address })
        }
        _ => Ok(url),
    }
}

/// The address that a URL names itself. The parser has brought all spellings of one (decimal, octal,
/// hexadecimal, with fewer parts, in other digits) into one form: the URL standard, section 3.5.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

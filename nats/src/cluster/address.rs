//! Where NATS is and how to log in there: the one place in which an operator's URL is read.

use std::fmt;

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

use super::{
    auth::{LoginError, NatsAuth},
    tls::Trust,
};

/// What inboxes begin with where no user is named; the default of NATS.
const INBOX_PREFIX: &str = "_INBOX";

/// Why a URL does not name NATS servers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is not a URL of a known kind.
    #[error(
        "`{server}` is not the address of a NATS server ({reason}): write nats://host:4222 or tls://host:4222, several with commas between them"
    )]
    Server {
        /// What was read, without what may be secret.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two of the servers come with different users.
    #[error("the NATS servers have different users or passwords: all of one cluster take the same")]
    Auth,
    /// The URL says who logs in, and so does a file.
    #[error("NATS_URL has a user and a file has another: give one of them")]
    Twice,
    /// A file does not say what it should.
    #[error(transparent)]
    Login(#[from] LoginError),
}

/// The servers of a cluster, any of which will do, and how to log in.
///
/// Read from `nats://[user:password@]host[:port]`, or `nats://token@host`; `tls://` insists on TLS;
/// several are separated by commas. Reserved characters in user, password and token are
/// percent-encoded (RFC 3986). It prints without them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub(super) servers: Vec<ServerAddr>,
    pub(super) auth: NatsAuth,
    pub(super) trust: Trust,
    pub(super) inbox_prefix: String,
}

impl Address {
    /// Reads a URL, or several with commas between them.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let mut servers = Vec::new();
        let mut auth = None;
        for one in url.split(',') {
            let (server, own) = server(one.trim())?;
            servers.push(server);
            if let Some(own) = own
                && *auth.get_or_insert_with(|| own.clone()) != own
            {
                return Err(AddressError::Auth);
            }
        }
        Ok(Self {
            servers,
            auth: auth.unwrap_or_default(),
            trust: Trust::default(),
            inbox_prefix: INBOX_PREFIX.into(),
        })
    }

    /// The servers that were named; there is at least one.
    #[must_use]
    pub fn servers(&self) -> &[ServerAddr] {
        &self.servers
    }

    /// How to log in.
    #[must_use]
    pub const fn auth(&self) -> &NatsAuth {
        &self.auth
    }

    /// Whom to trust.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What the inboxes of this connection begin with.
    #[must_use]
    pub fn inbox_prefix(&self) -> &str {
        &self.inbox_prefix
    }

    /// Whether nothing but TLS will do with any of the cluster's servers.
    #[must_use]
    pub fn insists_on_tls(&self) -> bool {
        self.trust.insists() || self.servers.iter().any(ServerAddr::tls_required)
    }
}

fn server(text: &str) -> Result<(ServerAddr, Option<NatsAuth>), AddressError> {
    let wrong = |reason: String| AddressError::Server {
        // What stands before the last @ may be secret.
        server: text.rsplit_once('@').map_or(text, |(_, host)| host).to_owned(),
        reason,
    };
    let server: ServerAddr = text
        .parse()
        .map_err(|error: std::io::Error| wrong(error.to_string()))?;
    if server.is_websocket() {
        return Err(wrong("WebSockets are not supported".into()));
    }
    if server.host().is_empty() {
        return Err(wrong("there is no host".into()));
    }
    let decoded = |encoded: &str| {
        let decoded = percent_decode_str(encoded).decode_utf8();
        decoded
            .map(String::from)
            .map_err(|_| wrong("user or password is not UTF-8".into()))
    };
    let auth = match (server.username(), server.password()) {
        (None, None) => None,
        (Some(token), None) => Some(NatsAuth::Token(decoded(token)?)),
        (user, password) => Some(NatsAuth::User {
            user: decoded(user.unwrap_or_default())?,
            password: decoded(password.unwrap_or_default())?,
        }),
    };
    // From here on, the address may be shown.
    let mut bare = server.into_inner();
    let stripped = bare.set_username("").and_then(|()| bare.set_password(None));
    stripped.map_err(|()| wrong("there is no host".into()))?;
    let server = ServerAddr::from_url(bare).map_err(|error| wrong(error.to_string()))?;
    Ok((server, auth))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, server) in self.servers.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}", server.as_url_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_several_servers() {
        let address = Address::parse("nats://one:1, two,tls://[::1]:3").expect("read");
        let hosts: Vec<_> = address
            .servers()
            .iter()
            .map(|server| (server.host(), server.port(), server.tls_required()))
            .collect();
        assert_eq!(hosts, [("one", 1, false), ("two", 4222, false), ("::1", 3, true)]);
        assert_eq!(address.auth(), &NatsAuth::Nothing);
    }

    #[test]
    fn who_logs_in_is_read_and_not_shown() {
        let address = Address::parse("nats://us%40er:p%2fw@one,nats://two").expect("read");
        let user = NatsAuth::User {
            user: "us@er".into(),
            password: "p/w".into(),
        };
        assert_eq!(address.auth(), &user);
        assert_eq!(
            user.answer(b"").expect("answered").username.as_deref(),
            Some("us@er")
        );
        assert_eq!(address.to_string(), "nats://one,nats://two");
        assert!(!format!("{address:?}").contains("p/w"));
        let token = Address::parse("nats://s3cret@one").expect("read");
        assert_eq!(token.auth(), &NatsAuth::Token("s3cret".into()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_its_secrets() {
        for url in [
            "",
            "nats://",
            "http://one",
            "ws://one",
            "nats://one:port",
            "nats://s3cret@one:port",
        ] {
            let error = Address::parse(url).expect_err(url).to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert_eq!(
            Address::parse("nats://a:b@one,nats://a:c@two"),
            Err(AddressError::Auth)
        );
    }
}

//! Where Postgres is, and what is needed to be let in.

use std::fmt;
use std::path::PathBuf;

use tokio_postgres::{Config, config::SslMode};

use super::{
    connect::ConnectError,
    tls::{self, Tls, Trust},
};

/// Where Postgres is, and what is needed to be let in: a URL, to which files may add what is secret or
/// belongs to the machine.
#[derive(Clone)]
pub struct Address {
    /// `postgres://user:password@host:port/database?sslmode=…`, or the same as `key=value` pairs.
    pub url: String,
    /// A file with the password, for a URL that has none. White space at its end does not count.
    pub password_file: Option<PathBuf>,
    /// The CA, in PEM, that must have signed the server's certificate.
    pub ca: Option<PathBuf>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not derived: the URL may hold the password.
        f.debug_struct("Address")
            .field("password_file", &self.password_file)
            .field("ca", &self.ca)
            .finish_non_exhaustive()
    }
}

impl From<&str> for Address {
    fn from(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            password_file: None,
            ca: None,
        }
    }
}

impl From<String> for Address {
    fn from(url: String) -> Self {
        url.as_str().into()
    }
}

impl From<&String> for Address {
    fn from(url: &String) -> Self {
        url.as_str().into()
    }
}

impl Address {
    /// The client's options, and how it encrypts. The files are read.
    pub(super) fn resolve(&self) -> Result<(Config, Tls), ConnectError> {
        let (url, mode) = mode(&self.url);
        let mut config: Config = url
            .parse()
            .map_err(|error: tokio_postgres::Error| ConnectError::Url(super::error::chain(&error)))?;
        if let (None, Some(path)) = (config.get_password(), &self.password_file) {
            let unreadable = |why: String| ConnectError::PasswordFile {
                path: path.clone(),
                why,
            };
            let password = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
            let password = password.trim_end();
            if password.is_empty() {
                return Err(unreadable("it is empty".into()));
            }
            config.password(password);
        }
        let (wanted, trust) = match (mode, &self.ca) {
            ("disable", Some(_)) => return Err(ConnectError::PlainWithCa),
            ("disable", None) => (SslMode::Disable, Trust::Anyone),
            ("verify-ca", Some(ca)) => (SslMode::Require, Trust::Chain(tls::roots_in(ca)?)),
            (_, Some(ca)) => (SslMode::Require, Trust::ChainAndName(tls::roots_in(ca)?)),
            ("verify-ca", None) => (SslMode::Require, Trust::Chain(tls::roots_of_the_machine())),
            ("verify-full", None) => (SslMode::Require, Trust::ChainAndName(tls::roots_of_the_machine())),
            ("require", None) => (SslMode::Require, Trust::Anyone),
            // As the parser has it: `prefer`, unless it refused the word.
            _ => (config.get_ssl_mode(), Trust::Anyone),
        };
        config.ssl_mode(wanted);
        Ok((config, tls::connector(trust)?))
    }
}

/// Takes the `sslmode` out that the client library has no word for, and answers what it was.
fn mode(url: &str) -> (String, &str) {
    const KEY: &str = "sslmode=";
    let ends = |c: char| c == '&' || c.is_whitespace();
    let starts = |at: &usize| {
        let before = url.get(..*at).and_then(|head| head.chars().next_back());
        before.is_none_or(|c| c == '?' || ends(c))
    };
    let found = url.match_indices(KEY).map(|(at, _)| at).filter(starts).last();
    let Some(value_at) = found.map(|at| at + KEY.len()) else {
        return (url.to_owned(), "");
    };
    let (head, rest) = url.split_at(value_at);
    let (value, tail) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    match value {
        "verify-ca" | "verify-full" => (format!("{head}require{tail}"), value),
        _ => (url.to_owned(), value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(url: &str) -> Result<Config, ConnectError> {
        Address::from(url).resolve().map(|(config, _)| config)
    }

    #[test]
    fn the_mode_is_found_where_it_stands() {
        let cases = [
            ("postgres://u@h/d", "postgres://u@h/d", ""),
            (
                "postgres://u@h/d?sslmode=require",
                "postgres://u@h/d?sslmode=require",
                "require",
            ),
            (
                "postgres://u@h/d?sslmode=verify-full&connect_timeout=3",
                "postgres://u@h/d?sslmode=require&connect_timeout=3",
                "verify-full",
            ),
            (
                "host=h sslmode=verify-ca user=u",
                "host=h sslmode=require user=u",
                "verify-ca",
            ),
            (
                "postgres://u:xsslmode=verify-ca@h/d",
                "postgres://u:xsslmode=verify-ca@h/d",
                "",
            ),
        ];
        for (url, rest, value) in cases {
            assert_eq!(mode(url), (rest.to_owned(), value), "{url}");
        }
    }

    #[test]
    fn a_mode_means_what_it_says() {
        let mode = |url: &str| resolved(url).map(|config| config.get_ssl_mode());
        assert_eq!(mode("postgres://u@h/d").expect("understood"), SslMode::Prefer);
        assert_eq!(
            mode("postgres://u@h/d?sslmode=disable").expect("understood"),
            SslMode::Disable
        );
        for strict in ["require", "verify-ca", "verify-full"] {
            let url = format!("postgres://u@h/d?sslmode={strict}");
            assert_eq!(mode(&url).expect("understood"), SslMode::Require);
        }
        let error = mode("postgres://u@h/d?sslmode=allow").expect_err("no such mode here");
        assert!(error.to_string().contains("sslmode"), "{error}");
    }

    #[test]
    fn the_password_comes_from_the_file_unless_the_url_has_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("password");
        let address = |url: &str| Address {
            password_file: Some(path.clone()),
            ..url.into()
        };
        let refused = |url| address(url).resolve().err().expect("no password").to_string();
        let error = refused("postgres://u@h/d");
        assert!(error.contains("cannot be read"), "{error}");
        std::fs::write(&path, "\n").expect("written");
        let error = refused("postgres://u@h/d");
        assert!(error.contains("empty"), "{error}");
        std::fs::write(&path, "from the file\n").expect("written");
        let password = |url| {
            let (config, _) = address(url).resolve().expect("resolved");
            String::from_utf8_lossy(config.get_password().unwrap_or_default()).into_owned()
        };
        assert_eq!(password("postgres://u@h/d"), "from the file");
        assert_eq!(password("postgres://u:own@h/d"), "own");
        assert!(!format!("{:?}", address("postgres://u:own@h/d")).contains("own"));
    }
}

//! What an operator says about access tokens: nothing for our own, and where to find the keys of
//! an outside identity provider ("bring your own JWT").

use std::path::PathBuf;

use anyhow::{Context, bail};
use natterjack_nats::wire::TOKEN_ISSUER;

/// Access tokens of an outside identity provider. Our own need no settings.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Bring your own JWT")]
pub struct AuthArgs {
    /// `iss` of the provider's tokens; turns them on.
    #[arg(long, env = "EDGE_JWT_ISSUER", requires = "jwt_audience", group = "jwt")]
    pub jwt_issuer: Option<String>,

    /// `aud` that the provider's tokens must carry.
    #[arg(long, env = "EDGE_JWT_AUDIENCE", requires = "jwt_issuer")]
    pub jwt_audience: Option<String>,

    /// The provider's public keys: the path or the http(s) URL of a JWK set (RFC 7517). Read again
    /// when a token names a key that is not in it.
    #[arg(long, env = "EDGE_JWT_JWKS", requires = "jwt_issuer", conflicts_with_all = ["jwt_key", "jwt_secret_file"])]
    pub jwt_jwks: Option<String>,

    /// The provider's one public key: the path of a PEM file (Ed25519, P-256 or RSA).
    #[arg(
        long,
        env = "EDGE_JWT_KEY",
        requires = "jwt_issuer",
        conflicts_with = "jwt_secret_file"
    )]
    pub jwt_key: Option<PathBuf>,

    /// The path of a file with the secret that the provider signs with (HS256), at least 32 bytes.
    /// Whoever can read it can be any user: prefer a public key.
    #[arg(long, env = "EDGE_JWT_SECRET_FILE", requires = "jwt_issuer")]
    pub jwt_secret_file: Option<PathBuf>,
}

/// The outside provider, as the arguments name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Provider {
    pub issuer: String,
    pub audience: String,
    pub keys: KeySource,
}

/// Where the keys of the outside provider are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeySource {
    /// A JWK set behind a URL.
    Url(reqwest::Url),
    /// A JWK set in a file.
    File(PathBuf),
    /// One public key in a PEM file.
    Pem(PathBuf),
    /// One shared secret in a file.
    Secret(PathBuf),
}

impl AuthArgs {
    pub(super) fn provider(&self) -> anyhow::Result<Option<Provider>> {
        let (Some(issuer), Some(audience)) = (&self.jwt_issuer, &self.jwt_audience) else {
            return Ok(None);
        };
        if issuer == TOKEN_ISSUER {
            bail!("--jwt-issuer cannot be {issuer:?}: that is the issuer of the server's own tokens");
        }
        let keys = match (&self.jwt_jwks, &self.jwt_key, &self.jwt_secret_file) {
            (Some(place), None, None) if place.starts_with("http://") || place.starts_with("https://") => {
                let url = place.parse().with_context(|| format!("--jwt-jwks {place}"))?;
                KeySource::Url(url)
            }
            (Some(place), None, None) => KeySource::File(place.into()),
            (None, Some(path), None) => KeySource::Pem(path.clone()),
            (None, None, Some(path)) => KeySource::Secret(path.clone()),
            _ => bail!("--jwt-issuer needs one of --jwt-jwks, --jwt-key and --jwt-secret-file"),
        };
        Ok(Some(Provider {
            issuer: issuer.clone(),
            audience: audience.clone(),
            keys,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(issuer: &str, jwks: Option<&str>) -> AuthArgs {
        AuthArgs {
            jwt_issuer: Some(issuer.into()),
            jwt_audience: Some("chat".into()),
            jwt_jwks: jwks.map(Into::into),
            ..AuthArgs::default()
        }
    }

    #[test]
    fn a_provider_needs_keys_and_a_name_of_its_own() {
        assert_eq!(AuthArgs::default().provider().expect("none"), None);
        assert!(args("https://id.example", None).provider().is_err());
        assert!(args("natterjack", Some("/keys.json")).provider().is_err());
        let keys = |jwks| {
            args("https://id.example", Some(jwks))
                .provider()
                .map(|p| p.map(|p| p.keys))
        };
        assert_eq!(
            keys("/keys.json").expect("a file"),
            Some(KeySource::File("/keys.json".into()))
        );
        assert!(matches!(
            keys("https://id.example/jwks"),
            Ok(Some(KeySource::Url(_)))
        ));
    }
}

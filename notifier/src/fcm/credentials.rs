//! The key of a Firebase service account: the JSON file that the Firebase console hands out under "Project
//! settings", "Service accounts".

use std::path::{Path, PathBuf};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

/// What the token may be used for: <https://developers.google.com/identity/protocols/oauth2/scopes#fcm>.
pub const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// An assertion lives at most an hour, and is refused if it was made in the future: so much is it dated back,
/// for a clock that is a little ahead.
const DATED_BACK_S: u64 = 10;
const LIFE_S: u64 = 3_600;

/// Why the credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error(
        "cannot read the FCM credentials {path}: {source}. Set --fcm-credentials to the service account's JSON file, readable for this process"
    )]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not such a file.
    #[error(
        "{path} is not the key of a service account: {why}. Download one in the Firebase console: Project settings, Service accounts, Generate new private key"
    )]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It cannot be signed.
    #[error("an assertion for OAuth cannot be signed: {0}")]
    Sign(jsonwebtoken::errors::Error),
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    project_id: String,
    private_key_id: String,
    private_key: String,
    client_email: String,
    token_uri: String,
}

/// Who we are to Google.
pub struct Credentials {
    /// The project whose apps are pushed.
    pub project: String,
    /// Where tokens are to be had.
    pub token_uri: String,
    email: String,
    key_id: String,
    key: EncodingKey,
}

/// The claims of an assertion (RFC 7523), as
/// <https://developers.google.com/identity/protocols/oauth2/service-account> has them.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

impl Credentials {
    /// Reads the file.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let text = std::fs::read(path).map_err(|source| CredentialsError::Read {
            path: path.to_owned(),
            source,
        })?;
        let wrong = |why: String| CredentialsError::Content {
            path: path.to_owned(),
            why,
        };
        let file: File = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if file.kind != "service_account" {
            return Err(wrong(format!(
                "its type is {:?}, not \"service_account\"",
                file.kind
            )));
        }
        let key = EncodingKey::from_rsa_pem(file.private_key.as_bytes())
            .map_err(|error| wrong(format!("its private_key is not an RSA key in PEM: {error}")))?;
        let credentials = Self {
            project: file.project_id,
            token_uri: file.token_uri,
            email: file.client_email,
            key_id: file.private_key_id,
            key,
        };
        // What does not sign shows here and not with the first push.
        credentials
            .assertion(0)
            .map_err(|error| wrong(format!("its private_key does not sign: {error}")))?;
        Ok(credentials)
    }

    /// What is exchanged for a token: a JWT (RFC 7523) signed with RS256.
    ///
    /// # Errors
    /// [`CredentialsError::Sign`].
    pub fn assertion(&self, now_s: u64) -> Result<String, CredentialsError> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.key_id.clone());
        let iat = now_s.saturating_sub(DATED_BACK_S);
        let claims = Claims {
            iss: &self.email,
            scope: SCOPE,
            aud: &self.token_uri,
            iat,
            exp: iat + LIFE_S,
        };
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(CredentialsError::Sign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key.json");
        let told = |path: &Path| {
            let error = Credentials::read(path).err().expect("no key");
            format!("{error}")
        };
        assert!(told(&path).contains("--fcm-credentials"));
        let file = |kind: &str, key: &str| {
            let text = serde_json::json!({
                "type": kind, "project_id": "p", "private_key_id": "k", "private_key": key,
                "client_email": "e", "token_uri": "u",
            });
            std::fs::write(&path, text.to_string()).expect("written");
        };
        for (kind, key, names) in [
            ("authorized_user", "", "service_account"),
            ("service_account", "x", "private_key"),
        ] {
            file(kind, key);
            let told = told(&path);
            assert!(told.contains(names) && told.contains("console"), "{told}");
        }
        std::fs::write(&path, "{}").expect("written");
        assert!(told(&path).contains("type"), "{}", told(&path));
    }
}

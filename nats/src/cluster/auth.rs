//! How to log in: what `CONNECT` says to a server, and the files that hold the secrets for it.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_nats::{Auth, AuthError};
use nkeys::{KeyPair, KeyPairType};

/// Why a file does not say how to log in. No message holds what stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// It cannot be read.
    #[error(
        "{path}: {reason}. NATS_NKEY, NATS_CREDS and NATS_CA each name a file that this process may read"
    )]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It holds the public half of a key.
    #[error(
        "{path} holds a public key, which only servers need: give the file with the seed, which begins with SU"
    )]
    PublicKey {
        /// Which file.
        path: PathBuf,
    },
    /// It holds no seed of a user.
    #[error(
        "{path} holds no nkey seed of a user: that is one line which begins with SU, as `natterjack provision --write-config` writes it"
    )]
    NoSeed {
        /// Which file.
        path: PathBuf,
    },
    /// It holds no JWT with its seed.
    #[error(
        "{path} is no .creds file: it needs a block NATS USER JWT and a block USER NKEY SEED, as `nsc generate creds` writes them"
    )]
    NoCreds {
        /// Which file.
        path: PathBuf,
    },
    /// It holds no certificate.
    #[error(
        "{path} holds no certificate: NATS_CA names a PEM file with the certificate of the authority that signed those of the servers"
    )]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
}

impl LoginError {
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }
}

/// How to log in. Every connection asks here, so that another way needs to be told here only.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum NatsAuth {
    /// The server asks for nothing.
    #[default]
    Nothing,
    /// A user with a password.
    User {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
    /// An Ed25519 key whose public half the server has in its configuration.
    Nkey(Signer),
    /// A JWT that somebody signed for the key.
    Jwt {
        /// The JWT.
        jwt: String,
        /// The key.
        key: Signer,
    },
}

/// A key that signs what a server sends; it prints as its public half.
#[derive(Clone)]
pub struct Signer(Arc<KeyPair>);

impl Signer {
    /// The public half, as servers have it in their configuration.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.0.public_key()
    }

    fn sign(&self, nonce: &[u8]) -> Result<Vec<u8>, AuthError> {
        self.0.sign(nonce).map_err(AuthError::new)
    }
}

impl PartialEq for Signer {
    fn eq(&self, other: &Self) -> bool {
        self.public_key() == other.public_key()
    }
}

impl Eq for Signer {}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public_key())
    }
}

impl NatsAuth {
    /// Reads an nkey seed from a file: the first line that is neither empty nor a comment (`#`).
    ///
    /// # Errors
    /// [`LoginError`]: it cannot be read, or holds none.
    pub fn nkey_file(path: &Path) -> Result<Self, LoginError> {
        let text = secret(path)?;
        let line = text.lines().map(str::trim);
        let seed = line
            .clone()
            .find(|line| !line.is_empty() && !line.starts_with('#'));
        let seed = seed.unwrap_or_default();
        if KeyPair::from_public_key(seed).is_ok() {
            return Err(LoginError::PublicKey {
                path: path.to_owned(),
            });
        }
        let signer = signer(seed).ok_or_else(|| LoginError::NoSeed {
            path: path.to_owned(),
        })?;
        Ok(Self::Nkey(signer))
    }

    /// Reads a user's JWT and the seed that belongs to it from a `.creds` file.
    ///
    /// # Errors
    /// [`LoginError`]: it cannot be read, or holds none.
    pub fn creds_file(path: &Path) -> Result<Self, LoginError> {
        let text = secret(path)?;
        let key = block(&text, "USER NKEY SEED").and_then(signer);
        match (block(&text, "NATS USER JWT"), key) {
            (Some(jwt), Some(key)) => Ok(Self::Jwt {
                jwt: jwt.to_owned(),
                key,
            }),
            _ => Err(LoginError::NoCreds {
                path: path.to_owned(),
            }),
        }
    }

    /// What `CONNECT` is to say to a server that sent this nonce.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn answer(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let mut auth = Auth::new();
        match self {
            Self::Nothing => {}
            Self::User { user, password } => {
                auth.username = Some(user.clone());
                auth.password = Some(password.clone());
            }
            Self::Token(token) => auth.token = Some(token.clone()),
            Self::Nkey(key) => {
                auth.nkey = Some(key.public_key());
                auth.signature = Some(key.sign(nonce)?);
            }
            Self::Jwt { jwt, key } => {
                auth.jwt = Some(jwt.clone());
                auth.signature = Some(key.sign(nonce)?);
            }
        }
        Ok(auth)
    }
}

impl fmt::Debug for NatsAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::User { .. } => f.write_str("User"),
            Self::Token(_) => f.write_str("Token"),
            Self::Nkey(key) => write!(f, "Nkey({key:?})"),
            Self::Jwt { key, .. } => write!(f, "Jwt({key:?})"),
        }
    }
}

/// The seed of a user, and of nothing else: that of an account or an operator is not for logging in.
fn signer(seed: &str) -> Option<Signer> {
    let pair = KeyPair::from_seed(seed).ok()?;
    (pair.key_pair_type() == KeyPairType::User).then(|| Signer(Arc::new(pair)))
}

/// What stands between `-----BEGIN <name>-----` and the line that ends the block.
fn block<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("BEGIN {name}-"))?;
    let mut lines = rest.lines().skip(1).map(str::trim);
    lines
        .find(|line| !line.is_empty())
        .filter(|line| !line.starts_with('-'))
}

fn secret(path: &Path) -> Result<String, LoginError> {
    let text = fs::read_to_string(path).map_err(|error| LoginError::unreadable(path, &error))?;
    if everybody_reads(path) {
        tracing::warn!(
            file = %path.display(),
            "everybody on this machine can read a key that logs in to NATS; chmod 600 keeps it to its owner"
        );
    }
    Ok(text)
}

fn everybody_reads(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &tempfile::TempDir, text: &str) -> PathBuf {
        let path = dir.path().join("file");
        fs::write(&path, text).expect("written");
        path
    }

    #[test]
    fn a_seed_signs_and_is_not_shown() {
        let dir = tempfile::tempdir().expect("a directory");
        let pair = KeyPair::new_user();
        let seed = pair.seed().expect("a seed");
        let auth = NatsAuth::nkey_file(&file(&dir, &format!("# a comment\n\n{seed}\n"))).expect("read");
        assert!(!format!("{auth:?}").contains(&seed));
        let answer = auth.answer(b"nonce").expect("signed");
        assert_eq!(answer.nkey, Some(pair.public_key()));
        let signature = answer.signature.expect("a signature");
        pair.verify(b"nonce", &signature).expect("it is ours");
    }

    #[test]
    fn what_is_no_seed_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = file(&dir, &KeyPair::new_user().public_key());
        let refused = |path: &Path| NatsAuth::nkey_file(path).expect_err("refused").to_string();
        assert!(refused(&path).contains("public key"));
        for other in [
            String::new(),
            "SUnothing".into(),
            KeyPair::new_account().seed().expect("a seed"),
        ] {
            let error = refused(&file(&dir, &other));
            assert!(error.contains("begins with SU"), "{error}");
            assert!(other.is_empty() || !error.contains(&other), "{error}");
        }
        let error = refused(Path::new("/nowhere.nk"));
        assert!(
            error.contains("/nowhere.nk") && error.contains("NATS_NKEY"),
            "{error}"
        );
    }

    #[test]
    fn a_creds_file_has_two_blocks() {
        let dir = tempfile::tempdir().expect("a directory");
        let pair = KeyPair::new_user();
        let seed = pair.seed().expect("a seed");
        let text = format!(
            "-----BEGIN NATS USER JWT-----\neyJ.a.b\n------END NATS USER JWT------\n\n\
             ***** IMPORTANT *****\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let auth = NatsAuth::creds_file(&file(&dir, &text)).expect("read");
        let answer = auth.answer(b"nonce").expect("signed");
        assert_eq!(answer.jwt.as_deref(), Some("eyJ.a.b"));
        pair.verify(b"nonce", &answer.signature.expect("a signature"))
            .expect("it is ours");
        assert!(!format!("{auth:?}").contains("eyJ"));
        let refused = NatsAuth::creds_file(&file(&dir, &seed));
        assert!(matches!(refused, Err(LoginError::NoCreds { .. })));
    }
}

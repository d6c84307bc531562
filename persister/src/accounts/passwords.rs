//! Password hashes: argon2id (RFC 9106), off the async threads and never more at once than there
//! are cores, because each takes a core and some 20 MiB.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

/// What a hash costs; OWASP's recommendation by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Argon2Cost {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1_024,
            passes: 2,
            lanes: 1,
        }
    }
}

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The costs are out of range, or a stored hash is not one.
    #[error("argon2: {0}; check the argon2 cost options")]
    Argon2(String),
    /// The process ends.
    #[error("the process ends before the password is hashed")]
    Stopping,
}

/// Hashes and checks passwords; cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    cores: Arc<Semaphore>,
    /// Of a password that nobody has: checked where there is no account, so that it takes as long.
    dummy: Arc<str>,
}

impl Passwords {
    /// With these costs for new hashes.
    pub async fn new(cost: Argon2Cost) -> Result<Self, PasswordError> {
        let argon = |error: argon2::Error| PasswordError::Argon2(error.to_string());
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None).map_err(argon)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut passwords = Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            cores: Arc::new(Semaphore::new(cores)),
            dummy: Arc::from(""),
        };
        let nobodys = uuid::Uuid::new_v4().to_string();
        passwords.dummy = Arc::from(passwords.hash(nobodys).await?);
        Ok(passwords)
    }

    /// The hash of a new password, in PHC form.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        let argon2 = self.argon2.clone();
        self.off_thread(move || {
            let hash: Result<PasswordHash, _> = argon2.hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string())
                .map_err(|error| PasswordError::Argon2(error.to_string()))
        })
        .await
    }

    /// Whether the password belongs to the hash. Without a hash it never does, which takes as long
    /// to find out.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, PasswordError> {
        let argon2 = self.argon2.clone();
        let (hash, exists) = match hash {
            Some(hash) => (hash, true),
            None => (self.dummy.to_string(), false),
        };
        self.off_thread(move || {
            let hash = PasswordHash::new(&hash).map_err(|error| PasswordError::Argon2(error.to_string()))?;
            let matches = argon2.verify_password(password.as_bytes(), &hash).is_ok();
            Ok(matches && exists)
        })
        .await
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permit = Arc::clone(&self.cores).acquire_owned().await;
        let permit = permit.map_err(|_| PasswordError::Stopping)?;
        let outcome = tokio::task::spawn_blocking(move || {
            // Held by the work itself: a caller that gives up does not free the core.
            let _permit = permit;
            work()
        });
        outcome.await.map_err(|_| PasswordError::Stopping)?
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failure is the test's failure")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_verifies_and_nobody_has_none() {
        let cost = Argon2Cost {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        };
        let passwords = Passwords::new(cost).await.unwrap();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        assert!(
            passwords
                .verify("correct horse".into(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(!passwords.verify("battery".into(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("battery".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn costs_out_of_range_are_refused() {
        let cost = Argon2Cost {
            memory_kib: 1,
            passes: 1,
            lanes: 1,
        };
        assert!(matches!(
            Passwords::new(cost).await,
            Err(PasswordError::Argon2(_))
        ));
    }
}

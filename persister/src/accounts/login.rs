//! The verbs that give and take sessions: sign-up, login, refresh, revoke, outside users.

use natterjack_nats::{
    UserId,
    limits::NAME_CHARS_MAX,
    services::{
        Done,
        accounts::{External, LogIn, Refresh, RevokeDevice, RevokeOthers, SignUp, Tokens},
    },
    wire::{Code, HelloDevice, Profile},
};

use super::{
    Accounts,
    errors::{handle_taken, wrong_login},
    millis, names,
    refresh::RefreshToken,
    users::{self, NewUser, Outsider},
};
use crate::{db::Tx, failure::Failure};

/// Most bytes of an issuer or subject: both are in one index entry.
const IDENTITY_BYTES_MAX: usize = 1_000;
/// Two persisters that make one outside user at once: the second sees the first one's row when it
/// looks again.
const UPSERT_TRIES: usize = 3;

impl Accounts {
    /// A new account with its first device. Who signs up again with the right password and a device id that they made
    /// gets a session of the account that is there: the answer to their own sign-up was lost.
    pub async fn sign_up(&self, request: SignUp) -> Result<Tokens, Failure> {
        let handle = names::handle(&request.handle)?;
        names::password(&request.password)?;
        let name = names::shown("name", request.name.as_deref().unwrap_or(&handle))?;
        let device = labelled(&request.device)?;
        let now_ms = self.clock.now_ms();
        let user = NewUser {
            id: UserId::generate(now_ms),
            password_hash: self.passwords.hash(request.password.clone()).await?,
            created_at: millis(now_ms),
            handle,
            name,
        };
        let new = &user;
        let insert = |tx: Tx| async move { users::insert(&tx, new).await };
        if !self.db.tx("accounts.sign_up", insert).await? {
            let known = match device.id {
                Some(_) => self.authenticated(&user.handle, request.password).await?,
                None => None,
            };
            let profile = known.ok_or_else(|| handle_taken(&user.handle))?;
            let token = self.devices.lease(profile.id, &device).await?;
            return self.tokens(profile, &token);
        }
        let profile = Profile {
            id: user.id,
            handle: Some(user.handle),
            name: user.name,
        };
        let token = self.devices.lease_first(profile.id, &device).await?;
        self.tokens(profile, &token)
    }

    /// A session for a device of an account.
    pub async fn log_in(&self, request: LogIn) -> Result<Tokens, Failure> {
        let device = labelled(&request.device)?;
        // Too long to be anybody's, and too long to hash.
        if names::too_long_for_a_password(&request.password) {
            return Err(wrong_login());
        }
        // A handle that cannot exist takes the same way, and as long, as one that does not.
        let handle = names::handle(&request.handle).unwrap_or_default();
        let profile = self.authenticated(&handle, request.password).await?;
        let profile = profile.ok_or_else(wrong_login)?;
        let token = self.devices.lease(profile.id, &device).await?;
        self.tokens(profile, &token)
    }

    /// Whose handle and password these are; it takes as long if they are nobody's.
    async fn authenticated(&self, handle: &str, password: String) -> Result<Option<Profile>, Failure> {
        let find = |tx: Tx| async move { users::by_handle(&tx, handle).await };
        let found = self.db.read("accounts.log_in", find).await?;
        let (profile, hash) = found.map_or((None, None), |(profile, hash)| (Some(profile), hash));
        let matches = self.passwords.verify(password, hash).await?;
        Ok(profile.filter(|_| matches))
    }

    /// New tokens for old.
    pub async fn refresh(&self, request: Refresh) -> Result<Tokens, Failure> {
        let token: RefreshToken = request.refresh_token.parse()?;
        // First what may be away: a token that was rotated and not answered would be lost.
        let profile = self.profile(token.user).await?;
        let profile = profile.ok_or(super::refresh::NotARefreshToken)?;
        let token = self.devices.rotate(&token).await?;
        self.tokens(profile, &token)
    }

    /// Ends a device.
    pub async fn revoke(&self, request: RevokeDevice) -> Result<Done, Failure> {
        self.devices.revoke(request.user, request.device).await?;
        Ok(Done {})
    }

    /// Ends all devices but one.
    pub async fn revoke_others(&self, request: RevokeOthers) -> Result<Done, Failure> {
        self.devices.revoke_others(request.user, request.except).await?;
        Ok(Done {})
    }

    /// The account of an outside user, made at first sight.
    pub async fn external(&self, request: External) -> Result<Profile, Failure> {
        for (what, text) in [("issuer", &request.issuer), ("subject", &request.subject)] {
            if text.is_empty() || text.len() > IDENTITY_BYTES_MAX || text.chars().any(char::is_control) {
                let told = format!(
                    "the token's {what} is empty, longer than {IDENTITY_BYTES_MAX} bytes, or not plain text"
                );
                return Err(Failure::wire(Code::BadRequest, told));
            }
        }
        let now_ms = self.clock.now_ms();
        let handle = request.handle.and_then(|handle| names::handle(&handle).ok());
        let outsider = Outsider {
            id: UserId::generate(now_ms),
            name: outside_name(request.name.as_deref(), handle.as_deref()),
            issuer: request.issuer,
            subject: request.subject,
            created_at: millis(now_ms),
            handle,
        };
        let profile = self.upsert(&outsider).await?;
        if let Some((id, device)) = request.device {
            self.devices.register(profile.id, id, &labelled(&device)?).await?;
        }
        Ok(profile)
    }

    async fn upsert(&self, outsider: &Outsider) -> Result<Profile, Failure> {
        let upsert = |tx: Tx| async move { users::upsert_outsider(&tx, outsider).await };
        for _ in 0..UPSERT_TRIES {
            // Read committed: each statement sees what others committed meanwhile.
            if let Some(profile) = self.db.tx("accounts.external", upsert).await? {
                return Ok(profile);
            }
        }
        Err(Failure::internal(
            "an outside user could be neither found nor made",
        ))
    }

    fn tokens(&self, user: Profile, token: &RefreshToken) -> Result<Tokens, Failure> {
        let access = self.keys.sign(user.id, token.device, self.clock.now_ms())?;
        Ok(Tokens {
            user,
            device: token.device,
            access_token: access.text,
            expires_at: access.expires_at,
            refresh_token: token.to_string(),
        })
    }
}

fn labelled(device: &HelloDevice) -> Result<HelloDevice, Failure> {
    Ok(HelloDevice {
        id: device.id,
        name: names::label("device's name", &device.name)?,
        platform: names::label("device's platform", &device.platform)?,
    })
}

/// An outside name is shortened rather than refused: its owner cannot change it here.
fn outside_name(name: Option<&str>, handle: Option<&str>) -> String {
    let tidy = |text: &str| -> String {
        let plain = text.trim().chars().filter(|character| !character.is_control());
        plain.take(NAME_CHARS_MAX).collect()
    };
    [name, handle]
        .into_iter()
        .flatten()
        .map(tidy)
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| "somebody".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outside_name_is_made_to_fit() {
        assert_eq!(outside_name(Some(" A\nda "), Some("ada")), "Ada");
        assert_eq!(outside_name(Some("\n"), Some("ada")), "ada");
        assert_eq!(outside_name(None, None), "somebody");
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        assert_eq!(outside_name(Some(&long), None).len(), NAME_CHARS_MAX);
    }
}

//! Access tokens of our own accounts, and their revocation: signed by the persister, verified by
//! edges with the JWK set in the bucket `cluster`.

use serde::{Deserialize, Serialize};

use crate::ids::{DeviceId, UserId};

/// `iss` of our own access tokens.
pub const TOKEN_ISSUER: &str = "natterjack";

/// `aud` of our own access tokens.
pub const TOKEN_AUDIENCE: &str = "natterjack";

/// The claims of an access token (RFC 7519), signed with EdDSA (RFC 8037); the header's `kid`
/// names the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// [`TOKEN_ISSUER`].
    pub iss: String,
    /// [`TOKEN_AUDIENCE`].
    pub aud: String,
    /// Who.
    pub sub: UserId,
    /// On which device.
    pub did: DeviceId,
    /// When it was issued, Unix seconds.
    pub iat: u64,
    /// When it ends, Unix seconds.
    pub exp: u64,
    /// Names this token among all.
    pub jti: String,
}

/// The value in the bucket `revocations`: this device's access tokens are no longer taken.
///
/// That is every token with `iat * 1000 <= at`. The id of a revoked device of our own accounts is
/// never given out again, so that no later token can be hit; a token from outside that was issued
/// after the revocation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When the device was revoked, Unix milliseconds.
    pub at: u64,
}

//! Pushes: how a client can be pushed here, where its device wants to be, and what it mutes.

use std::{sync::OnceLock, time::Duration};

use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, UnparsedPublicKey};
use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use natterjack_nats::{
    Conversation, DeviceId,
    direct::{self, Bounds},
    services::{
        accounts::{RemovePush, SetPush, SetPushPreview},
        conversations::SetMute,
    },
    subjects::kv,
    topology::Bucket,
    wire::{
        Channel, Code, ConversationSummary, Device, Mute, PushChannels, PushPreview, PushRequest, PushTarget,
        WebPushKeys, WireError,
    },
};
use natterjack_runtime::outbound::{Outbound, Reach};

use super::{Caller, conversations::admitted};
use crate::app::App;

/// Longest registration token of Firebase, in bytes.
const FCM_TOKEN_BYTES_MAX: usize = 4_096;
/// An uncompressed point on P-256 (SEC 1, section 2.3.3), and how it begins.
const POINT_BYTES: usize = 65;
const POINT_UNCOMPRESSED: u8 = 4;
/// An authentication secret (RFC 8291, section 3.2).
const AUTH_BYTES: usize = 16;
/// How long the cluster may take to tell its keys.
const CHANNELS_TIMEOUT: Duration = Duration::from_secs(3);
/// Much more than two keys have.
const CHANNELS_BYTES_MAX: usize = 64 * 1024;

/// Some libraries pad what browsers do not.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Judges where devices want to be pushed.
#[derive(Debug)]
pub struct PushTargets {
    reach: Reach,
    /// Set up for the first who asks; `None` if it cannot be.
    outbound: OnceLock<Option<Outbound>>,
}

impl PushTargets {
    /// Push services are on the internet, or `anywhere`: for tests.
    #[must_use]
    pub const fn new(anywhere: bool) -> Self {
        Self {
            reach: if anywhere { Reach::Anywhere } else { Reach::Public },
            outbound: OnceLock::new(),
        }
    }

    /// The request as it may be registered, its keys in their one form.
    ///
    /// # Errors
    /// `bad_request`, which says what is wrong; `unavailable` if names cannot be looked up at all.
    pub async fn checked(&self, mut request: PushRequest) -> Result<PushRequest, WireError> {
        match &mut request.target {
            PushTarget::WebPush { endpoint, keys } => {
                *keys = checked_keys(keys)?;
                let url = self.outbound()?.check(endpoint).await;
                url.map_err(|error| WireError::new(Code::BadRequest, error.to_string()))?;
            }
            PushTarget::Fcm { token, .. } => check_token(token)?,
        }
        Ok(request)
    }

    fn outbound(&self) -> Result<&Outbound, WireError> {
        let set_up = || {
            Outbound::new(self.reach)
                .inspect_err(|error| {
                    tracing::error!(
                        %error,
                        "nobody can register for Web Push here: install root certificates (ca-certificates) and \
                         restart the edge"
                    );
                })
                .ok()
        };
        let away = "this server cannot take registrations for Web Push for now; its operator was told why";
        let outbound = self.outbound.get_or_init(set_up).as_ref();
        outbound.ok_or_else(|| WireError::new(Code::Unavailable, away).retry_after_ms(60_000))
    }
}

fn checked_keys(keys: &WebPushKeys) -> Result<WebPushKeys, WireError> {
    let wrong = |told: &'static str| WireError::new(Code::BadRequest, told);
    let point = BASE64URL
        .decode(&keys.p256dh)
        .ok()
        .filter(|bytes| is_point(bytes));
    let point = point.ok_or_else(|| {
        wrong(
            "`keys.p256dh` is not an uncompressed point on P-256 in base64url; send what `PushSubscription.toJSON()` \
             gives",
        )
    })?;
    let auth = BASE64URL.decode(&keys.auth).ok();
    let auth = auth.filter(|bytes| bytes.len() == AUTH_BYTES).ok_or_else(|| {
        wrong("`keys.auth` is not 16 bytes in base64url; send what `PushSubscription.toJSON()` gives")
    })?;
    Ok(WebPushKeys {
        p256dh: BASE64URL.encode(point),
        auth: BASE64URL.encode(auth),
    })
}

/// Whether nothing can go wrong when a message is encrypted to it: the parser looks whether it is on the
/// curve.
fn is_point(bytes: &[u8]) -> bool {
    bytes.len() == POINT_BYTES
        && bytes.first() == Some(&POINT_UNCOMPRESSED)
        && ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, bytes)).is_ok()
}

fn check_token(token: &str) -> Result<(), WireError> {
    let fits = (1..=FCM_TOKEN_BYTES_MAX).contains(&token.len());
    if fits && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(WireError::new(
        Code::BadRequest,
        "`token` is not a registration token of Firebase: 1 to 4,096 visible ASCII characters; send what the \
         Firebase SDK gives",
    ))
}

impl App {
    /// How a client can be pushed here.
    ///
    /// # Errors
    /// `unavailable` if the cluster does not tell.
    pub async fn push_channels(&self) -> Result<PushChannels, WireError> {
        let [vapid, fcm] =
            [kv::cluster::VAPID, kv::cluster::FCM].map(|key| kv::subject(Bucket::Cluster, key));
        let bounds = Bounds {
            messages: 2,
            bytes: CHANNELS_BYTES_MAX,
            timeout: CHANNELS_TIMEOUT,
        };
        let (stream, keys) = (Bucket::Cluster.stream_name(), [vapid, fcm]);
        let found = direct::last_by_subject(&self.nats.service, &stream, &keys, bounds).await;
        let found = found.map_err(|error| {
            tracing::warn!(%error, "how clients can be pushed could not be read");
            let told = "how to be pushed cannot be told for now; try again soon";
            WireError::new(Code::Unavailable, told).retry_after_ms(1_000)
        })?;
        let value = |subject: &str| {
            let entry = found.messages.iter().find(|entry| entry.subject == subject)?;
            let text = std::str::from_utf8(&entry.payload).ok()?;
            // A key that was deleted has an empty one.
            (!text.is_empty()).then(|| text.to_owned())
        };
        let [vapid, fcm] = &keys;
        Ok(PushChannels {
            webpush_key: value(vapid),
            fcm_project: value(fcm),
        })
    }

    /// Registers the caller's device for pushes, in place of what it had registered.
    ///
    /// # Errors
    /// `forbidden` for another device; `bad_request` for a target that is none, or a kind of push service
    /// that is not set up here; `rate_limited`; `not_found` if the device is revoked; something is away.
    pub async fn register_push(
        &self,
        caller: &Caller,
        device: DeviceId,
        request: PushRequest,
    ) -> Result<Device, WireError> {
        own(caller, device)?;
        self.limits.choice(caller.user)?;
        let channel = request.target.channel();
        let request = self.push_targets.checked(request).await?;
        let channels = self.push_channels().await?;
        let (known, told) = match channel {
            Channel::WebPush => (
                channels.webpush_key.is_some(),
                "this server has no key for Web Push: its operator has to run `natterjack provision`",
            ),
            Channel::Fcm => (
                channels.fcm_project.is_some(),
                "this server pushes nothing through FCM: its operator has given it no credentials of Firebase; \
                 GET /v1/push tells what there is",
            ),
        };
        if !known {
            return Err(WireError::new(Code::BadRequest, told));
        }
        let user = caller.user;
        let registration = SetPush {
            user,
            device,
            request,
        };
        // The list of devices may not know yet what was just stored.
        let (registered, open) = tokio::join!(self.ask(&registration), self.open_sessions(user));
        let mut registered = registered?;
        self.show(caller, &mut registered, &open);
        Ok(registered)
    }

    /// Takes back what the caller's device has registered; nothing if it has not.
    ///
    /// # Errors
    /// `forbidden` for another device; `rate_limited`; the accounts are away.
    pub async fn unregister_push(&self, caller: &Caller, device: DeviceId) -> Result<(), WireError> {
        own(caller, device)?;
        self.limits.choice(caller.user)?;
        let (user, id) = (caller.user, None);
        self.ask(&RemovePush { user, device, id }).await?;
        Ok(())
    }

    /// How much pushes to the caller say at most.
    ///
    /// # Errors
    /// `rate_limited`; the accounts are away.
    pub async fn set_push_preview(&self, caller: &Caller, preview: PushPreview) -> Result<(), WireError> {
        self.limits.choice(caller.user)?;
        let user = caller.user;
        self.ask(&SetPushPreview { user, preview }).await?;
        Ok(())
    }

    /// Mutes a conversation for the caller, or takes it back.
    ///
    /// # Errors
    /// `bad_request` for a time that is over; `not_member`, `not_found`; `rate_limited`; the service is
    /// away.
    pub async fn set_mute(
        &self,
        caller: &Caller,
        conversation: Conversation,
        mute: Option<Mute>,
    ) -> Result<ConversationSummary, WireError> {
        admitted(caller, &conversation)?;
        self.limits.choice(caller.user)?;
        self.ask(&SetMute {
            user: caller.user,
            conversation,
            mute,
        })
        .await
    }
}

/// A device registers itself: the platform gives its address to nobody else.
fn own(caller: &Caller, device: DeviceId) -> Result<(), WireError> {
    if device == caller.device {
        return Ok(());
    }
    let told = format!(
        "a device registers itself, and this token belongs to the device {}; ask for that one",
        caller.device
    );
    Err(WireError::new(Code::Forbidden, told))
}

#[cfg(test)]
mod tests {
    use natterjack_nats::wire::FcmOs;

    use super::*;

    const GOLDEN: &str = include_str!("../../../nats/golden/http.push_webpush.json");

    fn golden() -> WebPushKeys {
        let request: PushRequest = serde_json::from_str(GOLDEN).expect("decodes");
        match request.target {
            PushTarget::WebPush { keys, .. } => keys,
            PushTarget::Fcm { .. } => panic!("a browser's"),
        }
    }

    /// The same bytes with one changed.
    fn with_byte(text: &str, at: usize, byte: u8) -> String {
        let mut bytes = BASE64URL.decode(text).expect("base64url");
        bytes[at] = byte;
        BASE64URL.encode(bytes)
    }

    #[test]
    fn keys_are_a_point_on_the_curve_and_a_secret() {
        let good = golden();
        assert_eq!(checked_keys(&good), Ok(good.clone()));
        let padded = WebPushKeys {
            p256dh: format!("{}=", good.p256dh),
            auth: format!("{}==", good.auth),
        };
        assert_eq!(checked_keys(&padded), Ok(good.clone()), "in the one form");
        let points = [
            // Off the curve, compressed, too long, too short, not base64url, nothing.
            with_byte(&good.p256dh, 64, 1),
            with_byte(&good.p256dh, 0, 2),
            format!("{}AA", good.p256dh),
            good.p256dh[..86].to_owned(),
            good.p256dh.replace('-', "+"),
            String::new(),
            BASE64URL.encode([4_u8; 65]),
            BASE64URL.encode([0_u8; 65]),
        ];
        for p256dh in points {
            let keys = WebPushKeys {
                p256dh,
                ..good.clone()
            };
            let error = checked_keys(&keys).expect_err(&keys.p256dh);
            assert!(error.code == Code::BadRequest && error.message.contains("p256dh"));
        }
        for auth in [String::new(), "AAAA".into(), BASE64URL.encode([1_u8; 17])] {
            let keys = WebPushKeys { auth, ..good.clone() };
            let error = checked_keys(&keys).expect_err(&keys.auth);
            assert!(error.code == Code::BadRequest && error.message.contains("auth"));
        }
    }

    #[tokio::test]
    async fn targets_are_judged_and_told_what_is_wrong() {
        let at = |endpoint: &str| PushRequest {
            target: PushTarget::WebPush {
                endpoint: endpoint.into(),
                keys: golden(),
            },
            silent: false,
        };
        let phone = |token: &str| PushRequest {
            target: PushTarget::Fcm {
                token: token.into(),
                os: FcmOs::Ios,
            },
            silent: true,
        };
        let (public, anywhere) = (PushTargets::new(false), PushTargets::new(true));
        let local = at("http://127.0.0.1:9/push");
        assert_eq!(anywhere.checked(local.clone()).await, Ok(local.clone()));
        let address = at("https://1.1.1.1/push");
        assert_eq!(public.checked(address.clone()).await, Ok(address));
        let bad = [
            (local, "https"),
            (at("https://127.0.0.1/push"), "not a public address"),
            (at("https://[::1]/push"), "not a public address"),
            (at("https://localhost/push"), "not a public address"),
            (at("https://a:b@1.1.1.1/push"), "a user or a password"),
            (at("nonsense"), "not a URL"),
            (phone(""), "token"),
            (phone("a b"), "token"),
            (phone("é"), "token"),
            (phone(&"x".repeat(FCM_TOKEN_BYTES_MAX + 1)), "token"),
        ];
        for (request, told) in bad {
            let error = public.checked(request).await.expect_err(told);
            assert_eq!(error.code, Code::BadRequest);
            assert!(error.message.contains(told), "{told}: {error}");
        }
        let longest = phone(&"x".repeat(FCM_TOKEN_BYTES_MAX));
        assert_eq!(public.checked(longest.clone()).await, Ok(longest));
    }
}

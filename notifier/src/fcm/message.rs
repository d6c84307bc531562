//! What is sent to FCM: the fields of
//! <https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages>, and in `apns` those of
//! <https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification>.

use std::{collections::BTreeMap, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use natterjack_nats::wire::{FcmOs, Notice};
use serde::Serialize;
use unicode_segmentation::UnicodeSegmentation as _;

/// FCM takes 4,096 bytes of payload, and so does APNs, of which FCM uses some for its own fields. Counted is
/// everything but the token, so that there is room whatever of it they count.
const BYTES_MAX: usize = 3_700;
/// FCM keeps nothing for longer: four weeks.
const TTL_S_MAX: u64 = 2_419_200;
/// The longest `apns-collapse-id`, by Apple's documentation of the headers.
const COLLAPSE_ID_BYTES_MAX: usize = 64;
/// What stands where something was left out.
const CUT: &str = "…";

/// The body of a request.
#[derive(Debug, Serialize)]
pub struct Request<'a> {
    message: Message<'a>,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    token: &'a str,
    /// `notice`: our own [`Notice`] as JSON, since all values are texts.
    data: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    android: Option<Android>,
    #[serde(skip_serializing_if = "Option::is_none")]
    apns: Option<Apns<'a>>,
}

/// Data alone, which the app shows. FCM collapses notification messages by app whatever their key says, and of
/// messages with keys it keeps four for a phone that is off: it would show fewer conversations than have news
/// (<https://firebase.google.com/docs/cloud-messaging/customize-messages/collapsible-message-types>).
#[derive(Debug, Serialize)]
struct Android {
    priority: &'static str,
    ttl: String,
}

#[derive(Debug, Serialize)]
struct Apns<'a> {
    headers: BTreeMap<&'static str, String>,
    payload: ApnsPayload<'a>,
}

#[derive(Debug, Serialize)]
struct ApnsPayload<'a> {
    aps: Aps<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Aps<'a> {
    Alert {
        alert: Alert<'a>,
        badge: u32,
        #[serde(rename = "thread-id")]
        thread_id: String,
        sound: &'static str,
        /// The app may look at it before it is shown.
        #[serde(rename = "mutable-content")]
        mutable_content: u8,
    },
    /// Wakes the app and shows nothing; Apple allows nothing else beside it.
    Background {
        #[serde(rename = "content-available")]
        content_available: u8,
    },
}

#[derive(Debug, Serialize)]
struct Alert<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
}

/// What goes into a request.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// What the device is told.
    pub notice: &'a Notice,
    /// The registration token.
    pub token: &'a str,
    /// What the app runs on.
    pub os: FcmOs,
    /// For how long it may be kept for a device that is away.
    pub ttl: Duration,
    /// Seconds since 1970.
    pub now_s: u64,
}

impl Parts<'_> {
    /// The request as JSON, its text cut where FCM's limit demands it; with `body_max`, to no more than so
    /// many bytes of text.
    ///
    /// # Errors
    /// It does not encode, which no notice of ours does.
    pub fn encode(&self, body_max: Option<usize>) -> serde_json::Result<Vec<u8>> {
        let Notice::Message { body: Some(text), .. } = self.notice else {
            return self.with(None);
        };
        let longest = body_max.map_or(text.len(), |max| max.min(text.len()));
        let whole = self.with(cut(text, longest).as_deref())?;
        if self.fits(&whole) {
            return Ok(whole);
        }
        // What a text takes depends on what must be escaped: the longest that fits is searched.
        let (mut fits, mut too_long) = (0, longest);
        while fits + 1 < too_long {
            let middle = usize::midpoint(fits, too_long);
            if self.fits(&self.with(cut(text, middle).as_deref())?) {
                fits = middle;
            } else {
                too_long = middle;
            }
        }
        self.with(cut(text, fits).as_deref())
    }

    /// How many bytes of text there are.
    pub fn body_bytes(&self) -> usize {
        match self.notice {
            Notice::Message { body: Some(text), .. } => text.len(),
            Notice::Message { .. } | Notice::Withdraw { .. } => 0,
        }
    }

    fn fits(&self, request: &[u8]) -> bool {
        request.len().saturating_sub(self.token.len()) <= BYTES_MAX
    }

    fn with(&self, text: Option<&str>) -> serde_json::Result<Vec<u8>> {
        let mut notice = self.notice.clone();
        if let Notice::Message { body, .. } = &mut notice {
            *body = text.map(str::to_owned);
        }
        let data = BTreeMap::from([("notice", serde_json::to_string(&notice)?)]);
        let (android, apns) = match self.os {
            FcmOs::Android => (Some(self.android()), None),
            FcmOs::Ios => (None, Some(self.apns(text))),
        };
        let message = Message {
            token: self.token,
            data,
            android,
            apns,
        };
        serde_json::to_vec(&Request { message })
    }

    fn android(&self) -> Android {
        Android {
            priority: match self.notice {
                Notice::Message { .. } => "HIGH",
                // A push that shows nothing does not wake a phone that sleeps.
                Notice::Withdraw { .. } => "NORMAL",
            },
            ttl: format!("{}s", self.ttl.as_secs().min(TTL_S_MAX)),
        }
    }

    fn apns<'a>(&'a self, body: Option<&'a str>) -> Apns<'a> {
        let conversation = self.notice.conversation();
        let (aps, kind, priority) = match self.notice {
            Notice::Message { title, badge, .. } => {
                let aps = Aps::Alert {
                    alert: Alert { title, body },
                    badge: *badge,
                    thread_id: conversation.to_string(),
                    sound: "default",
                    mutable_content: 1,
                };
                (aps, "alert", "10")
            }
            Notice::Withdraw { .. } => {
                let aps = Aps::Background { content_available: 1 };
                (aps, "background", "5")
            }
        };
        let headers = BTreeMap::from([
            ("apns-push-type", kind.to_owned()),
            ("apns-priority", priority.to_owned()),
            (
                "apns-expiration",
                self.now_s.saturating_add(self.ttl.as_secs()).to_string(),
            ),
            ("apns-collapse-id", collapse_id(&conversation.to_string())),
        ]);
        Apns {
            headers,
            payload: ApnsPayload { aps },
        }
    }
}

/// The conversation's name, by which the app finds what is shown; a hash of one that is longer than APNs takes.
fn collapse_id(conversation: &str) -> String {
    if conversation.len() <= COLLAPSE_ID_BYTES_MAX {
        return conversation.to_owned();
    }
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, conversation.as_bytes()))
}

/// The beginning of a text, of whole graphemes and at most so many bytes, with a sign that something is
/// missing; `None` if nothing of it is left.
fn cut(text: &str, bytes_max: usize) -> Option<String> {
    if text.len() <= bytes_max {
        return Some(text.to_owned());
    }
    let room = bytes_max.checked_sub(CUT.len())?;
    let end = text
        .grapheme_indices(true)
        .map(|(start, grapheme)| start + grapheme.len())
        .take_while(|end| *end <= room)
        .last()?;
    Some(format!("{}{CUT}", text[..end].trim_end()))
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;

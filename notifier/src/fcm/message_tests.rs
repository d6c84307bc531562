//! What FCM gets for each kind of notice, and that a text is cut where it must be and no sooner.

use natterjack_nats::{Conversation, MessageId, UserId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const NOW_S: u64 = 1_700_000_000;

fn dm() -> Conversation {
    Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(1, 2))
}

fn message(body: Option<&str>) -> Notice {
    Notice::Message {
        conversation: dm(),
        seq: 7,
        id: MessageId::generate(NOW_S * 1_000),
        sent_at: NOW_S * 1_000,
        title: "Ada".into(),
        body: body.map(str::to_owned),
        badge: 3,
        mention: false,
    }
}

fn withdrawal() -> Notice {
    Notice::Withdraw {
        conversation: dm(),
        seq: 7,
        badge: 0,
    }
}

fn encoded(notice: &Notice, os: FcmOs, body_max: Option<usize>) -> Value {
    let parts = Parts {
        notice,
        token: "token",
        os,
        ttl: DAY,
        now_s: NOW_S,
    };
    let bytes = parts.encode(body_max).expect("it encodes");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn notice_in(request: &Value) -> Notice {
    let text = request["message"]["data"]["notice"].as_str().expect("a text");
    serde_json::from_str(text).expect("a notice")
}

#[test]
fn android_gets_data_alone() {
    let notice = message(Some("hello"));
    let request = encoded(&notice, FcmOs::Android, None);
    assert_eq!(notice_in(&request), notice);
    // No notification and no key: FCM would keep few of them for a phone that is off.
    let expected = json!({ "priority": "HIGH", "ttl": "86400s" });
    assert_eq!(request["message"]["android"], expected);
    assert!(request["message"].get("notification").is_none());
    assert_eq!(request["message"]["token"], "token");
    assert!(request["message"].get("apns").is_none());
    let quiet = encoded(&withdrawal(), FcmOs::Android, None);
    assert_eq!(notice_in(&quiet), withdrawal());
    assert_eq!(quiet["message"]["android"]["priority"], "NORMAL");
}

#[test]
fn ios_is_told_what_to_show_and_woken_without_a_sound() {
    let request = encoded(&message(None), FcmOs::Ios, None);
    let apns = &request["message"]["apns"];
    let expected = json!({
        "apns-push-type": "alert", "apns-priority": "10", "apns-collapse-id": dm().to_string(),
        "apns-expiration": (NOW_S + DAY.as_secs()).to_string(),
    });
    assert_eq!(apns["headers"], expected);
    let expected = json!({
        "alert": { "title": "Ada" }, "badge": 3, "thread-id": dm().to_string(), "sound": "default",
        "mutable-content": 1,
    });
    assert_eq!(apns["payload"]["aps"], expected);
    assert!(request["message"].get("android").is_none());
    let quiet = encoded(&withdrawal(), FcmOs::Ios, None);
    let apns = &quiet["message"]["apns"];
    assert_eq!(apns["headers"]["apns-push-type"], "background");
    assert_eq!(apns["headers"]["apns-priority"], "5");
    assert_eq!(apns["payload"]["aps"], json!({ "content-available": 1 }));
}

#[test]
fn a_conversations_name_is_its_collapse_id() {
    assert_eq!(collapse_id(&dm().to_string()), dm().to_string());
    let longest = "x".repeat(64);
    assert_eq!(collapse_id(&longest), longest);
    let hashed = collapse_id(&"x".repeat(65));
    assert!(hashed.len() <= 64 && hashed != collapse_id(&"y".repeat(65)));
}

#[test]
fn graphemes_stay_whole() {
    let family = "👨‍👩‍👧";
    assert_eq!(cut("hello", 5).as_deref(), Some("hello"));
    assert_eq!(cut("hello there", 9).as_deref(), Some("hello…"));
    assert_eq!(
        cut(&family.repeat(2), family.len() + CUT.len()),
        Some(format!("{family}{CUT}"))
    );
    assert_eq!(cut(&family.repeat(2), family.len() + CUT.len() - 1), None);
    assert_eq!(cut("hello", 2), None);
    assert_eq!(
        encoded(&message(Some("hello")), FcmOs::Ios, Some(0))["message"]["apns"]["payload"]["aps"]["alert"],
        json!({ "title": "Ada" })
    );
}

/// What is escaped or not, of one byte or many, one scalar value or several.
const PIECES: &[&str] = &[
    "a",
    "b",
    " ",
    "\"",
    "\\",
    "\n",
    "\u{1}",
    "é",
    "e\u{301}",
    "世",
    "👨‍👩‍👧",
    "🇩🇪",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_fits_and_nothing_is_cut_without_need(
        text in proptest::collection::vec(proptest::sample::select(PIECES), 0..1_500),
        android: bool,
    ) {
        let text = text.concat();
        let notice = message(Some(&text));
        let os = if android { FcmOs::Android } else { FcmOs::Ios };
        let parts = Parts { notice: &notice, token: "token", os, ttl: DAY, now_s: NOW_S };
        let request = parts.encode(None).expect("it encodes");
        prop_assert!(parts.fits(&request), "{}", request.len());
        let value: Value = serde_json::from_slice(&request).expect("JSON");
        let Notice::Message { body, .. } = notice_in(&value) else { panic!("a message") };
        let whole = parts.with(Some(&text)).expect("it encodes");
        if parts.fits(&whole) {
            prop_assert_eq!(body.as_deref(), Some(text.as_str()));
        } else {
            let body = body.expect("some of it");
            let kept = body.strip_suffix(CUT).expect("a sign that it was cut");
            prop_assert!(text.starts_with(kept));
            // One more grapheme, and the spaces before it, would be too much.
            let rest = &text[kept.len()..];
            let spaces = rest.len() - rest.trim_start().len();
            let more = rest[spaces..].graphemes(true).next().map_or(0, str::len);
            let longer = cut(&text, kept.len() + spaces + more + CUT.len());
            prop_assert!(!parts.fits(&parts.with(longer.as_deref()).expect("it encodes")), "{kept:?} {longer:?}");
        }
    }
}

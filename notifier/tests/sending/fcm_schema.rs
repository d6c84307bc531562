//! What a message to FCM must look like.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

/// The documented schema, as far as a chat server has a use for it; what is not in here is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub message: Message,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub token: String,
    data: BTreeMap<String, String>,
    android: Option<Android>,
    apns: Option<Apns>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Android {
    priority: Priority,
    ttl: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Priority {
    Normal,
    High,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Apns {
    headers: BTreeMap<String, String>,
    payload: Value,
}

impl Request {
    pub fn check(&self) -> Result<(), String> {
        let message = &self.message;
        let reserved = |key: &String| {
            key == "from" || key == "message_type" || key.starts_with("google") || key.starts_with("gcm")
        };
        if let Some(key) = message.data.keys().find(|key| reserved(key)) {
            return Err(format!("the key {key} in data is reserved"));
        }
        let size: usize = message
            .data
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if size > 4_096 {
            return Err(format!("{size} bytes of data"));
        }
        match (&message.android, &message.apns) {
            (Some(android), None) => android.check(&message.data),
            (None, Some(apns)) => apns.check(&message.data),
            _ => Err("exactly one platform was expected".into()),
        }
    }
}

impl Android {
    /// Data alone: nothing that FCM would show or collapse by itself.
    fn check(&self, data: &BTreeMap<String, String>) -> Result<(), String> {
        let seconds = self.ttl.strip_suffix('s').and_then(|ttl| ttl.parse::<u64>().ok());
        if seconds.is_none_or(|seconds| seconds > 2_419_200) {
            return Err(format!("ttl {}", self.ttl));
        }
        let notice = data.get("notice").map(|text| serde_json::from_str::<Value>(text));
        let Some(Ok(notice)) = notice else {
            return Err(format!("no notice in {data:?}"));
        };
        if matches!(self.priority, Priority::High) != (notice["type"] == "message") {
            return Err("what shows something is urgent, and nothing else is".into());
        }
        Ok(())
    }
}

impl Apns {
    /// As Apple documents headers and payload.
    fn check(&self, data: &BTreeMap<String, String>) -> Result<(), String> {
        let header = |name: &str| self.headers.get(name).map(String::as_str).unwrap_or_default();
        if header("apns-collapse-id").len() > 64 || header("apns-expiration").parse::<u64>().is_err() {
            return Err(format!("apns headers {:?}", self.headers));
        }
        let aps = &self.payload["aps"];
        let size = self.payload.to_string().len() + json!(data).to_string().len();
        if size > 4_096 {
            return Err(format!("{size} bytes for APNs"));
        }
        let fine = match header("apns-push-type") {
            "alert" => {
                header("apns-priority") == "10" && aps["alert"]["title"].is_string() && aps["badge"].is_u64()
            }
            "background" => header("apns-priority") == "5" && *aps == json!({ "content-available": 1 }),
            _ => false,
        };
        fine.then_some(())
            .ok_or_else(|| format!("apns {:?} {}", self.headers, self.payload))
    }
}

//! What an answer of FCM means. The error codes and their meaning are those of
//! <https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode>; what to do about each is in
//! <https://firebase.google.com/docs/cloud-messaging/error-codes>.

use std::{error::Error as _, time::Duration};

use reqwest::StatusCode;
use serde::Deserialize;

use crate::push::{Outcome, Scope};

/// FCM asks for at least this after 429 if it names no time.
const QUOTA_PAUSE: Duration = Duration::from_secs(60);

/// What to do after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// That is what became of it.
    Is(Outcome),
    /// The token was not taken: once more with another one.
    OtherToken(String),
    /// It is too big: once more with less.
    Less(String),
    /// Refused, and more than this one push is wrong.
    Alarming(String),
}

#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    error: Status,
}

/// `google.rpc.Status` in JSON: <https://cloud.google.com/apis/design/errors#http_mapping>.
#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Vec<Detail>,
}

/// All kinds of details in one: each has a few of these.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    /// Of `google.firebase.fcm.v1.FcmError`.
    #[serde(default)]
    error_code: String,
    /// Of `google.rpc.BadRequest`.
    #[serde(default)]
    field_violations: Vec<FieldViolation>,
    /// Of `google.rpc.QuotaFailure`.
    #[serde(default)]
    violations: Vec<QuotaViolation>,
    /// Of `google.firebase.fcm.v1.ApnsError`.
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
struct FieldViolation {
    #[serde(default)]
    field: String,
    #[serde(default)]
    description: String,
}

#[derive(Debug, Deserialize)]
struct QuotaViolation {
    #[serde(default)]
    subject: String,
}

impl Status {
    fn code(&self) -> &str {
        let codes = self.details.iter().map(|detail| detail.error_code.as_str());
        codes
            .into_iter()
            .find(|code| !code.is_empty())
            .unwrap_or_default()
    }

    /// Whether the token itself is said to be none. The documented answer names no field and says so in its
    /// message; others name the field.
    fn names_the_token(&self) -> bool {
        let mut fields = self.details.iter().flat_map(|detail| &detail.field_violations);
        fields.any(|violation| violation.field == "message.token")
            || self.message.contains("not a valid FCM registration token")
    }

    fn too_big(&self) -> bool {
        let says = |text: &str| {
            let text = text.to_ascii_lowercase();
            text.contains("too big") || text.contains("too large") || text.contains("toolarge")
        };
        says(&self.message)
            || self.details.iter().any(|detail| {
                says(&detail.reason)
                    || detail
                        .field_violations
                        .iter()
                        .any(|violation| says(&violation.description))
            })
    }

    /// Whether a quota of the whole project is used up, and not the one of a single device.
    fn of_the_project(&self) -> bool {
        let mut violations = self.details.iter().flat_map(|detail| &detail.violations);
        violations.any(|violation| violation.subject.starts_with("project")) || self.code().is_empty()
    }
}

/// What an answer means.
pub fn read(status: StatusCode, after: Option<Duration>, body: &str) -> Answer {
    // A proxy in between answers in HTML.
    let body: Body = serde_json::from_str(body).unwrap_or_default();
    if status.is_success() {
        return Answer::Is(Outcome::Accepted {
            detail: format!("{} {}", status.as_u16(), body.name.unwrap_or_default()),
        });
    }
    let error = body.error;
    let said = said(status, &error);
    let later = |after: Option<Duration>, scope| {
        let detail = said.clone();
        Answer::Is(Outcome::Later { after, scope, detail })
    };
    let misconfigured = |advice: &str| {
        let detail = format!("{said}; {advice}");
        Answer::Is(Outcome::Misconfigured { detail })
    };
    match (error.code(), status.as_u16()) {
        ("UNREGISTERED", _) => Answer::Is(Outcome::Gone { detail: said }),
        ("SENDER_ID_MISMATCH", _) => Answer::Alarming(format!(
            "{said}; the app that registered this token is built for another Firebase project than the one of \
             --fcm-credentials: build it with this project's configuration, or use the credentials of its project"
        )),
        ("THIRD_PARTY_AUTH_ERROR", _) => misconfigured(
            "Apple does not take the APNs key that Firebase has: upload a valid one in the Firebase console, \
             Project settings, Cloud Messaging",
        ),
        ("QUOTA_EXCEEDED", _) | (_, 429) => {
            let scope = if error.of_the_project() {
                Scope::Origin
            } else {
                Scope::Device
            };
            later(Some(after.unwrap_or(QUOTA_PAUSE)), scope)
        }
        ("UNAVAILABLE" | "INTERNAL", _) | (_, 408 | 500..=599) => later(after, Scope::Origin),
        (_, 400 | 413) if error.too_big() || status.as_u16() == 413 => Answer::Less(said),
        (_, 400) if error.names_the_token() => Answer::Is(Outcome::Gone { detail: said }),
        (_, 401) => Answer::OtherToken(format!(
            "{said}; the service account's tokens are not taken: check that --fcm-credentials names a key that \
             still exists and that the service account is enabled"
        )),
        (_, 403) => misconfigured(
            "the service account may not push for this project: enable the Firebase Cloud Messaging API (V1), and \
             give the account the role \"Firebase Cloud Messaging API Admin\"",
        ),
        (_, 404 | 300..=399) => misconfigured(
            "there is no such project, or --fcm-url does not lead to FCM: check both it and project_id in \
             the credentials",
        ),
        _ => Answer::Is(Outcome::Refused { detail: said }),
    }
}

/// For the operator: never a token.
fn said(status: StatusCode, error: &Status) -> String {
    let mut said = format!("FCM says {}", status.as_u16());
    for part in [error.code(), error.status.as_str(), error.message.as_str()] {
        if !part.is_empty() && !said.contains(part) {
            said.push(' ');
            said.extend(part.chars().filter(|char| !char.is_control()).take(300));
        }
    }
    let fields = error.details.iter().flat_map(|detail| &detail.field_violations);
    for violation in fields.take(3) {
        said.push_str(" (");
        said.extend(violation.field.chars().take(100));
        said.push(')');
    }
    said
}

/// An error of the network with its causes, and without the URL.
pub fn network(error: &reqwest::Error) -> String {
    let mut said = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the connection broke".to_owned()
    };
    let mut source = error.source();
    while let Some(cause) = source {
        said.push_str(": ");
        said.push_str(&cause.to_string());
        source = cause.source();
    }
    said
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;

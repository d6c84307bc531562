//! Answers as the documentation shows them, and as services in between give them, with what each means.

use serde_json::json;

use super::*;

fn fcm_error(code: &str) -> serde_json::Value {
    json!({ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code })
}

fn error(status: u16, name: &str, message: &str, details: &[serde_json::Value]) -> String {
    json!({ "error": { "code": status, "message": message, "status": name, "details": details } }).to_string()
}

fn read_as(status: u16, after: Option<Duration>, body: &str) -> Answer {
    read(StatusCode::from_u16(status).expect("a status"), after, body)
}

fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Is(Outcome::Accepted { .. }) => "accepted",
        Answer::Is(Outcome::Gone { .. }) => "gone",
        Answer::Is(Outcome::Later {
            scope: Scope::Origin, ..
        }) => "later",
        Answer::Is(Outcome::Later {
            scope: Scope::Device, ..
        }) => "later for the device",
        Answer::Is(Outcome::Misconfigured { .. }) => "misconfigured",
        Answer::Is(Outcome::Refused { .. }) => "refused",
        Answer::OtherToken(_) => "other token",
        Answer::Less(_) => "less",
        Answer::Alarming(_) => "alarming",
    }
}

#[test]
fn every_documented_error_has_its_meaning() {
    let violation = |field: &str, description: &str| {
        json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{ "field": field, "description": description }],
        })
    };
    let quota = |subject: &str| {
        json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{ "subject": subject, "description": "too much" }],
        })
    };
    let apns = json!({
        "@type": "type.googleapis.com/google.firebase.fcm.v1.ApnsError",
        "statusCode": 413, "reason": "PayloadTooLarge",
    });
    let invalid = fcm_error("INVALID_ARGUMENT");
    let too_big = "Android message is too big";
    let html = "<!DOCTYPE html><title>Error 502 (Server Error)!!1</title>".to_owned();
    let no_token = "The registration token is not a valid FCM registration token";
    let table = [
        (
            404,
            error(
                404,
                "NOT_FOUND",
                "Requested entity was not found.",
                &[fcm_error("UNREGISTERED")],
            ),
            "gone",
        ),
        (
            400,
            error(400, "INVALID_ARGUMENT", no_token, std::slice::from_ref(&invalid)),
            "gone",
        ),
        (
            400,
            error(
                400,
                "INVALID_ARGUMENT",
                "invalid",
                &[
                    invalid.clone(),
                    violation("message.token", "Invalid registration token"),
                ],
            ),
            "gone",
        ),
        (
            400,
            error(
                400,
                "INVALID_ARGUMENT",
                "Invalid value",
                &[violation("message.data[0].value", "Invalid value")],
            ),
            "refused",
        ),
        (
            400,
            error(
                400,
                "INVALID_ARGUMENT",
                "Request contains an invalid argument.",
                std::slice::from_ref(&invalid),
            ),
            "refused",
        ),
        (
            400,
            error(400, "INVALID_ARGUMENT", too_big, std::slice::from_ref(&invalid)),
            "less",
        ),
        (
            400,
            error(
                400,
                "INVALID_ARGUMENT",
                "invalid",
                &[invalid, violation("message", too_big)],
            ),
            "less",
        ),
        (400, error(400, "INVALID_ARGUMENT", "invalid", &[apns]), "less"),
        (
            403,
            error(
                403,
                "PERMISSION_DENIED",
                "SenderId mismatch",
                &[fcm_error("SENDER_ID_MISMATCH")],
            ),
            "alarming",
        ),
        (
            403,
            error(
                403,
                "PERMISSION_DENIED",
                "Permission denied on resource project",
                &[],
            ),
            "misconfigured",
        ),
        (
            429,
            error(
                429,
                "RESOURCE_EXHAUSTED",
                "Quota exceeded",
                &[fcm_error("QUOTA_EXCEEDED")],
            ),
            "later for the device",
        ),
        (
            429,
            error(
                429,
                "RESOURCE_EXHAUSTED",
                "Quota exceeded",
                &[fcm_error("QUOTA_EXCEEDED"), quota("project:7")],
            ),
            "later",
        ),
        (
            429,
            error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric", &[]),
            "later",
        ),
        (
            503,
            error(
                503,
                "UNAVAILABLE",
                "The service is currently unavailable.",
                &[fcm_error("UNAVAILABLE")],
            ),
            "later",
        ),
        (
            500,
            error(
                500,
                "INTERNAL",
                "Internal error encountered.",
                &[fcm_error("INTERNAL")],
            ),
            "later",
        ),
        (
            500,
            error(500, "UNKNOWN", "?", &[fcm_error("UNSPECIFIED_ERROR")]),
            "later",
        ),
        (502, html.clone(), "later"),
        (
            401,
            error(
                401,
                "UNAUTHENTICATED",
                "Auth error from APNS or Web Push Service",
                &[fcm_error("THIRD_PARTY_AUTH_ERROR")],
            ),
            "misconfigured",
        ),
        (
            401,
            error(
                401,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials.",
                &[],
            ),
            "other token",
        ),
        (404, html.clone(), "misconfigured"),
        (
            404,
            error(404, "NOT_FOUND", "Project not found", &[]),
            "misconfigured",
        ),
        (307, html, "misconfigured"),
        (413, String::new(), "less"),
        (405, String::new(), "refused"),
        (
            200,
            json!({ "name": "projects/p/messages/1" }).to_string(),
            "accepted",
        ),
        (200, String::new(), "accepted"),
    ];
    for (status, body, expected) in table {
        let answer = read_as(status, None, &body);
        assert_eq!(kind(&answer), expected, "{status} {body}: {answer:?}");
    }
}

#[test]
fn a_pause_is_the_one_that_was_asked_for_and_after_429_a_minute_at_least() {
    let pause = |answer: Answer| match answer {
        Answer::Is(Outcome::Later { after, .. }) => after,
        other => panic!("{other:?}"),
    };
    let body = error(429, "RESOURCE_EXHAUSTED", "Quota", &[fcm_error("QUOTA_EXCEEDED")]);
    assert_eq!(pause(read_as(429, None, &body)), Some(QUOTA_PAUSE));
    let asked = Some(Duration::from_secs(7));
    assert_eq!(pause(read_as(429, asked, &body)), asked);
    assert_eq!(pause(read_as(503, asked, "")), asked);
    assert_eq!(pause(read_as(503, None, "")), None);
}

#[test]
fn what_is_told_is_short_and_says_what_to_do() {
    let body = error(403, "PERMISSION_DENIED", &"long ".repeat(1_000), &[]);
    match read_as(403, None, &body) {
        Answer::Is(Outcome::Misconfigured { detail }) => {
            assert!(detail.len() < 700, "{}", detail.len());
            assert!(
                detail.contains("403 PERMISSION_DENIED") && detail.contains("role"),
                "{detail}"
            );
        }
        other => panic!("{other:?}"),
    }
}

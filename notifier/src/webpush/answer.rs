//! What a push service's answer means (RFC 8030, sections 5 and 8.4; RFC 8292, section 4.2).

use std::time::Duration;

use reqwest::StatusCode;

use crate::push::{Outcome, Scope};

/// An answer, as far as it matters.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// What `Retry-After` says.
    pub(super) retry_after: Option<Duration>,
    /// The beginning of the body.
    pub(super) text: String,
}

/// Characters of a stranger's words that go into a trace.
const WORDS_MAX: usize = 200;

impl Answer {
    /// The status and what was said, in one line.
    pub(super) fn words(&self) -> String {
        let said = self.text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let said: String = said.take(WORDS_MAX).collect();
        let status = self.status.as_u16();
        match said.trim() {
            "" => format!("{status}"),
            said => format!("{status}: {said}"),
        }
    }

    /// What became of the push; `vouched` is whether the push service takes our signature
    /// with other pushes ([`Vouched`](super::vouched::Vouched)).
    ///
    /// 413 is the caller's: it sends less.
    pub(super) fn outcome(&self, origin: &str, vouched: bool) -> Outcome {
        let words = self.words();
        match self.status.as_u16() {
            200..=299 => Outcome::Accepted { detail: words },
            404 | 410 => Outcome::Gone { detail: words },
            // The subscription seems to be wrong: made with another key than ours. Were it taken for a
            // mistake of the operator's, one user could stop the pushes of all others. It may yet be a
            // moment's fault of the push service's, or the first sign of one of ours: it is tried on.
            401 | 403 if vouched => Outcome::Later {
                after: self.retry_after,
                scope: Scope::Device,
                detail: format!(
                    "{words}; {origin} takes our other pushes: if this lasts, this subscription was made with \
                     another applicationServerKey than the one in GET /v1/push, and the device has to subscribe \
                     anew"
                ),
            },
            401 | 403 => Outcome::Misconfigured {
                detail: format!(
                    "{origin} does not take our signature: {words}. Check that this machine's clock is right, \
                     that NATTERJACK_PUSH_CONTACT names a real mailto: or https: address, and that the key in \
                     the bucket push_keys is the one that browsers have subscribed with"
                ),
            },
            // RFC 8030: too many messages to this push resource.
            429 => Outcome::Later {
                after: self.retry_after,
                scope: Scope::Device,
                detail: words,
            },
            408 | 425 | 500..=599 => Outcome::Later {
                after: self.retry_after,
                scope: Scope::Origin,
                detail: words,
            },
            // As a proxy or a captive portal in between does for a while.
            300..=399 => Outcome::Later {
                after: self.retry_after,
                scope: Scope::Origin,
                detail: format!("{words}; {origin} answers with a redirect, and none is followed"),
            },
            413 => Outcome::Refused {
                detail: format!("{words}; {origin} does not take the smallest notice there is"),
            },
            _ => Outcome::Refused { detail: words },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, text: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            retry_after: Some(Duration::from_secs(7)),
            text: text.into(),
        }
    }

    #[test]
    fn every_status_means_something() {
        let kind = |status: u16, vouched: bool| match answer(status, "").outcome("https://p", vouched) {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Gone { .. } => "gone",
            Outcome::Later { after, scope, .. } => {
                assert_eq!(after, Some(Duration::from_secs(7)));
                match scope {
                    Scope::Origin => "later there",
                    Scope::Device => "later to it",
                }
            }
            Outcome::Misconfigured { .. } => "misconfigured",
            Outcome::Refused { .. } => "refused",
        };
        for (statuses, meaning) in [
            (&[200, 201, 202, 204][..], "accepted"),
            (&[404, 410], "gone"),
            (&[401, 403], "misconfigured"),
            (&[429], "later to it"),
            (
                &[301, 302, 307, 308, 408, 425, 500, 502, 503, 504, 507],
                "later there",
            ),
            (&[400, 402, 405, 406, 411, 413, 415, 422], "refused"),
        ] {
            for status in statuses {
                assert_eq!(kind(*status, false), meaning, "{status}");
            }
        }
        assert_eq!(kind(403, true), "later to it");
        assert_eq!(kind(401, true), "later to it");
    }

    #[test]
    fn a_strangers_words_are_one_short_line() {
        assert_eq!(answer(500, "").words(), "500");
        assert_eq!(answer(500, "a\nb\u{1b}[31m").words(), "500: a b [31m");
        assert_eq!(
            answer(500, &"é".repeat(5_000)).words().chars().count(),
            5 + WORDS_MAX
        );
    }

    #[test]
    fn a_mistake_of_the_operators_says_what_to_do() {
        let Outcome::Misconfigured { detail } = answer(401, "InvalidSignature").outcome("https://p", false)
        else {
            panic!("401");
        };
        for words in [
            "https://p",
            "InvalidSignature",
            "clock",
            "NATTERJACK_PUSH_CONTACT",
            "push_keys",
        ] {
            assert!(detail.contains(words), "{detail}");
        }
    }
}

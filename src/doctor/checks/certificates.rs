//! Whether certificates are trusted, and how long they last.

use natterjack_runtime::clock::Clock;

use super::seen_or_told;
use crate::doctor::{
    facts::{Facts, Unseen},
    finding::Findings,
    format,
};

/// Days before the end from which somebody should renew; `--write-config` does from 30 on.
const SOON_DAYS: u64 = 21;
const DAY_S: u64 = 86_400;
const RENEW: &str = "run `natterjack provision --write-config DIR`, which renews it, and tell the server (see \
                     \"Keys and certificates\" in docs/operations.md); a certificate of your own is yours to renew";

pub fn certificates(facts: &Facts, findings: &mut Findings) {
    let Some(all) = seen_or_told(&facts.certificates, findings) else {
        return;
    };
    if all.is_empty() {
        return findings.skip(
            "nothing that was given is encrypted",
            "fine on one machine; else give --config and tls:// or https:// addresses",
        );
    }
    let now_s = Clock::system().now_ms() / 1_000;
    let mut first = u64::MAX;
    for shown in all {
        match &shown.ends_s {
            Err(Unseen::Away(why)) => findings.warn(
                &shown.at,
                format!("its certificate could not be seen: {why}"),
                "start what should listen there, or look at the way to it; then ask again",
            ),
            Err(Unseen::Untrusted(why)) => findings.fail(
                &shown.at,
                format!("its certificate is not trusted, or not shown: {why}"),
                "its names have to include this host, it must not have ended, and its authority has to be the \
                 one in --nats-ca or --config, or one that this machine trusts",
            ),
            Ok(ends_s) => {
                let left_s = ends_s.saturating_sub(now_s);
                first = first.min(left_s);
                if left_s == 0 {
                    findings.fail(&shown.at, "its certificate has ended", RENEW);
                } else if left_s < SOON_DAYS * DAY_S {
                    findings.warn(
                        &shown.at,
                        format!("its certificate ends in {}", format::seconds(left_s)),
                        RENEW,
                    );
                }
            }
        }
    }
    if findings.all_well() {
        findings.ok(
            "",
            format!(
                "{} are trusted; the first ends in {}",
                all.len(),
                format::seconds(first)
            ),
        );
    }
}

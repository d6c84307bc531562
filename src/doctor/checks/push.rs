//! The keys of push services.

use natterjack_nats::provision::PushKeys;

use super::seen;
use crate::doctor::{facts::Facts, finding::Findings};

pub fn web(facts: &Facts, findings: &mut Findings) {
    let Some(nats) = seen(&facts.nats, "nats.reached", findings) else {
        return;
    };
    match &nats.push_keys {
        None => findings.skip(
            "this user may not read the private half of the key, as it should be",
            "give --config: then it is read as the user who provisions",
        ),
        Some(Ok(PushKeys::Pair)) => findings.ok("", "the key pair of Web Push is there and whole"),
        Some(Ok(PushKeys::None)) => findings.fail(
            "",
            "there is no key pair for Web Push",
            "run `natterjack provision`, which makes one",
        ),
        Some(Err(why)) => findings.fail(
            "",
            why,
            "put the bucket push_keys back from a backup: no browser that has subscribed can be pushed \
             without it",
        ),
    }
}

pub fn fcm(facts: &Facts, findings: &mut Findings) {
    let Some(nats) = seen(&facts.nats, "nats.reached", findings) else {
        return;
    };
    match &nats.fcm {
        Some(project) => findings.ok(
            "",
            format!("a notifier has credentials of the Firebase project {project}"),
        ),
        None => findings.ok(
            "",
            "no notifier has credentials for Firebase, so that apps are not pushed",
        ),
    }
}

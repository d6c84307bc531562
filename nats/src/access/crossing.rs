//! What passes between the account of the edges and that of everything else.
//!
//! An answer of JetStream goes where its asker wants it, in the asker's account, and no permission keeps it from
//! there. So the account of the edges holds nothing but what edges may do anyway: this follows from their rights.
//! `docs/decisions/one-user-for-each-role.md` says more.

use super::{
    ACCOUNT, EDGE_ACCOUNT, Permissions,
    accounts::RESPONSE_WITHIN,
    api::{ACCOUNT_INFO, DIRECT_GET},
};
use crate::subjects::svc;

/// For how long after the last one further answers to a Direct Get may come: longer than who asks waits.
const READ_WITHIN: &str = "10s";

/// What is refused is led below this: nobody may publish or listen there.
pub(super) const REFUSED: &str = "refused";

/// A subject that one account gives to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crossing {
    /// Requests, or what is heard.
    pub kind: Kind,
    /// With wildcards.
    pub subject: String,
    /// Who answers, or says it.
    pub from: &'static str,
    /// Who asks, or hears it.
    pub to: &'static str,
}

/// What passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Messages of the account that gives it, to whoever listens in the other one.
    Stream,
    /// Messages of the account that takes it, and the answers to them.
    Service {
        /// Until how long after the last answer another one may come; `None` for a single answer.
        answers_within: Option<&'static str>,
    },
}

/// All that passes, from the rights of an edge.
///
/// What an edge both says and hears, edges say to each other: it stays among them, and what streams republish there
/// joins it. What it hears otherwise is asked of it if it is of a service, and told to it if not. What it says
/// otherwise goes to the others.
pub(super) fn crossings(edge: &Permissions) -> Vec<Crossing> {
    let out = edge
        .publish
        .iter()
        .filter(|subject| !edge.subscribe.contains(subject))
        // Without an import of its own, a server gives each account all of JetStream, which would answer first.
        .chain([&ACCOUNT_INFO.to_owned()])
        .map(|subject| Crossing {
            kind: Kind::Service {
                answers_within: subject.starts_with(DIRECT_GET).then_some(READ_WITHIN),
            },
            subject: subject.clone(),
            from: ACCOUNT,
            to: EDGE_ACCOUNT,
        })
        .collect::<Vec<_>>();
    let heard = edge.subscribe.iter().map(|subject| {
        if svc::is_of_service(subject) {
            // Whoever asks all processes is answered by each.
            Crossing {
                kind: Kind::Service {
                    answers_within: Some(RESPONSE_WITHIN),
                },
                subject: subject.clone(),
                from: EDGE_ACCOUNT,
                to: ACCOUNT,
            }
        } else {
            Crossing {
                kind: Kind::Stream,
                subject: subject.clone(),
                from: ACCOUNT,
                to: EDGE_ACCOUNT,
            }
        }
    });
    out.into_iter().chain(heard).collect()
}

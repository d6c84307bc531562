//! `svc.<service>.<verb>`: the micro services that answer edges, for example `svc.history.page`.
//!
//! The services and their verbs are the table in [`crate::services`].

use crate::{
    ids::{EdgeId, ProcessId},
    services::Verb,
};

/// The subject of a verb.
#[must_use]
pub fn subject<V: Verb>() -> String {
    format!("svc.{}.{}", V::SERVICE, V::NAME)
}

/// The subject of a verb that one edge answers for itself.
#[must_use]
pub fn of_edge<V: Verb>(edge: EdgeId) -> String {
    format!("{}.{edge}", subject::<V>())
}

/// The subject of a verb that one process answers for itself.
#[must_use]
pub fn of_process<V: Verb>(process: ProcessId) -> String {
    format!("{}.{process}", subject::<V>())
}

/// All verbs of a service, of all processes that host it, for example `svc.history.*`.
#[must_use]
pub fn verbs(service: &str) -> String {
    format!("svc.{service}.*")
}

/// What a process subscribes to that hosts a service: the verbs, those that it answers for itself, and what
/// `nats micro` asks of the service.
#[must_use]
pub fn hosted(service: &str) -> [String; 4] {
    [
        verbs(service),
        format!("svc.{service}.*.*"),
        format!("$SRV.*.{service}"),
        format!("$SRV.*.{service}.*"),
    ]
}

/// Whether a subject is one on which services are asked.
#[must_use]
pub fn is_of_service(subject: &str) -> bool {
    ["svc.", "$SRV."].iter().any(|prefix| subject.starts_with(prefix))
}

/// What a process subscribes to that hosts any service: what `nats micro ls` asks of all.
#[must_use]
pub fn discovery() -> [String; 1] {
    ["$SRV.*".into()]
}

/// What `nats micro ls`, `info`, `stats` and `ping` publish.
#[must_use]
pub fn discovery_requests() -> [String; 1] {
    ["$SRV.>".into()]
}

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

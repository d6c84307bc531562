//! `svc.<service>.<verb>`: the micro services that answer edges, for example `svc.history.page`.
//!
//! The services and their verbs are the table in [`crate::services`].

use crate::services::Verb;

/// The subject of a verb.
#[must_use]
pub fn subject<V: Verb>() -> String {
    format!("svc.{}.{}", V::SERVICE, V::NAME)
}

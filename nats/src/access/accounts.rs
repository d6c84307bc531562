//! Accounts and users as configuration of nats-server.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    Permissions, Rights, User,
    crossing::{Crossing, Kind, REFUSED, crossings},
    rights,
};
use crate::shard::Shards;

/// The account in which everything of Natterjack is, but the edges.
pub const ACCOUNT: &str = "NATTERJACK";

/// The account of the edges.
pub const EDGE_ACCOUNT: &str = "EDGE";

/// The account of the servers themselves.
pub const SYSTEM_ACCOUNT: &str = "SYS";

/// For how long a request may be answered: longer than any service takes.
pub(super) const RESPONSE_WITHIN: &str = "15s";

/// The public nkey of each user.
pub type UserKeys = BTreeMap<User, String>;

/// The text of `accounts.conf` for a cluster of so many shards: accounts, users with their public keys, and
/// what each may do. Users without a key are left out.
#[must_use]
pub fn accounts(keys: &UserKeys, shards: Shards) -> String {
    let mut text = String::from(
        "# Written by `natterjack provision --write-config`; changes made here are lost.\n\
         # Who may do what: one user for each role, and for those who operate. Public keys only.\n\
         accounts {\n",
    );
    let edge = match rights(User::Edge, shards) {
        Rights::Only(permissions) => permissions,
        Rights::Everything => Permissions::default(),
    };
    let crossings = crossings(&edge);
    for (name, settings) in [
        (ACCOUNT, "  jetstream: enabled\n".to_owned()),
        (EDGE_ACCOUNT, refusals(&edge)),
        (SYSTEM_ACCOUNT, String::new()),
    ] {
        let _ = write!(text, " {name} {{\n{settings}");
        shared(&mut text, name, &crossings);
        users(&mut text, name, keys, shards);
        text.push_str(" }\n");
    }
    let _ = write!(text, "}}\nsystem_account: {SYSTEM_ACCOUNT}\n");
    text
}

/// Leads away what edges are denied although it lies within an import: answers go through mappings, too.
fn refusals(edge: &Permissions) -> String {
    let mut text = String::from("  mappings: {\n");
    for subject in &edge.publish_deny {
        let _ = writeln!(text, "   {subject:?}: \"{REFUSED}.{subject}\"");
    }
    text.push_str("  }\n");
    text
}

/// What an account gives to the other one, and takes from it.
fn shared(text: &mut String, account: &str, crossings: &[Crossing]) {
    let mut exports = String::new();
    let mut imports = String::new();
    for Crossing {
        kind,
        subject,
        from,
        to,
    } in crossings
    {
        let (name, more) = match kind {
            Kind::Stream => ("stream", String::new()),
            Kind::Service { answers_within: None } => ("service", String::new()),
            Kind::Service {
                answers_within: Some(within),
            } => (
                "service",
                format!(", response_type: stream, threshold: {within:?}"),
            ),
        };
        if *from == account {
            let _ = writeln!(exports, "   {{ {name}: {subject:?}{more}, accounts: [{to}] }}");
        }
        if *to == account {
            let _ = writeln!(
                imports,
                "   {{ {name}: {{ account: {from}, subject: {subject:?} }} }}"
            );
        }
    }
    for (what, lines) in [("exports", exports), ("imports", imports)] {
        if !lines.is_empty() {
            let _ = write!(text, "  {what}: [\n{lines}  ]\n");
        }
    }
}

fn users(text: &mut String, account: &str, keys: &UserKeys, shards: Shards) {
    text.push_str("  users: [\n");
    for (user, key) in keys.iter().filter(|(user, _)| user.account() == account) {
        let _ = writeln!(text, "   # {user}");
        match rights(*user, shards) {
            Rights::Everything => {
                let _ = writeln!(text, "   {{ nkey: {key} }}");
            }
            Rights::Only(permissions) => user_with(text, key, &permissions),
        }
    }
    text.push_str("  ]\n");
}

fn user_with(text: &mut String, key: &str, permissions: &Permissions) {
    let Permissions {
        publish,
        publish_deny,
        subscribe,
        responds,
    } = permissions;
    let _ = writeln!(text, "   {{ nkey: {key}, permissions: {{");
    text.push_str("    publish: {\n");
    list(text, "allow", publish);
    list(text, "deny", publish_deny);
    text.push_str("    }\n    subscribe: {\n");
    list(text, "allow", subscribe);
    text.push_str("    }\n");
    if *responds {
        let _ = writeln!(
            text,
            "    # Answers what it was asked: once for each service that it hosts, as `nats micro ls` asks all of them.\n    allow_responses: {{ max: 8, expires: {RESPONSE_WITHIN:?} }}"
        );
    }
    text.push_str("   } }\n");
}

fn list(text: &mut String, name: &str, subjects: &[String]) {
    if subjects.is_empty() {
        return;
    }
    let _ = writeln!(text, "     {name}: [");
    for subject in subjects {
        // Subjects hold no character that JSON escapes, nor the quote.
        let _ = writeln!(text, "      {subject:?}");
    }
    text.push_str("     ]\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read in a review: who may do what, in a cluster of two shards.
    #[test]
    fn the_accounts_are_the_ones_that_were_reviewed() {
        let keys: UserKeys = User::ALL
            .into_iter()
            .map(|user| (user, format!("U_{}", user.name().to_uppercase())))
            .collect();
        let text = accounts(&keys, Shards::new(2).expect("in range"));
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/access/accounts.golden.conf");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden, &text).expect("written");
        }
        let known = std::fs::read_to_string(golden).expect("accounts.golden.conf");
        assert!(
            text == known,
            "accounts.golden.conf differs: look at it, and run once with UPDATE_GOLDEN=1\n{text}"
        );
    }
}

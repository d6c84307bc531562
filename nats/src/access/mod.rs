//! Who may do what in NATS: one user for each role, and for those who operate a cluster.
//!
//! [`User`] lists them, [`rights`] is the table of what each may do, built from the same subjects and
//! streams that the roles use, and [`accounts`] renders it as configuration of nats-server. A role that
//! needs something new gets it here, or its tests fail: they run as these users. Edges have an account of
//! their own; what passes between it and that of the others follows from the rights of an edge.

mod accounts;
mod api;
mod crossing;
mod people;
mod roles;
mod user;

pub use accounts::{ACCOUNT, EDGE_ACCOUNT, SYSTEM_ACCOUNT, UserKeys, accounts};
pub use user::User;

use crate::{services::names, shard::Shards, subjects};

/// What a user may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// Everything in the user's account.
    Everything,
    /// What is listed.
    Only(Permissions),
}

/// Subjects of a user, with wildcards. What is not allowed is refused; what is denied is refused although
/// it is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// On which to publish.
    pub publish: Vec<String>,
    /// On which not.
    pub publish_deny: Vec<String>,
    /// To which to subscribe.
    pub subscribe: Vec<String>,
    /// Whether requests that were delivered may be answered, a few times each, wherever their answer is wanted.
    pub responds: bool,
}

/// What a user may do in a cluster of so many shards.
#[must_use]
pub fn rights(user: User, shards: Shards) -> Rights {
    let mut permissions = match user {
        User::Edge => roles::edge(shards),
        User::Persister => roles::persister(shards),
        User::Presence => roles::presence(),
        User::Notifier => roles::notifier(shards),
        User::Provision => people::provision(shards),
        User::Operator => people::operator(),
        User::Admin | User::System => return Rights::Everything,
    };
    // Answers come there, to this user alone.
    permissions.subscribe.push(format!("{}.>", user.inbox_prefix()));
    for list in [
        &mut permissions.publish,
        &mut permissions.publish_deny,
        &mut permissions.subscribe,
    ] {
        list.sort();
        list.dedup();
    }
    Rights::Only(permissions)
}

impl Permissions {
    /// Hosts micro services: hears their verbs and what `nats micro` asks of them, and answers.
    fn host(&mut self, services: &[&str]) -> &mut Self {
        self.responds = true;
        self.subscribe.extend(subjects::svc::discovery());
        for service in services.iter().chain(&[names::PROCESS]) {
            self.subscribe.extend(subjects::svc::hosted(service));
        }
        self
    }

    fn publish(&mut self, subjects: impl IntoIterator<Item = String>) -> &mut Self {
        self.publish.extend(subjects);
        self
    }

    fn subscribe(&mut self, subjects: impl IntoIterator<Item = String>) -> &mut Self {
        self.subscribe.extend(subjects);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a pattern covers all that another one does.
    fn covers(pattern: &str, subject: &str) -> bool {
        let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
        loop {
            match (pattern.next(), subject.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(token)) if token != ">" => {}
                (Some(own), Some(token)) if own == token => {}
                _ => return false,
            }
        }
    }

    #[test]
    fn nobody_but_admins_may_do_everything_or_listen_to_others() {
        let shards = Shards::new(12).expect("in range");
        for user in User::ALL {
            let Rights::Only(permissions) = rights(user, shards) else {
                assert!(matches!(user, User::Admin | User::System));
                continue;
            };
            for subject in permissions.publish.iter().chain(&permissions.subscribe) {
                assert!(!subject.starts_with(['>', '*']), "{user}: {subject}");
            }
            for other in User::ALL.into_iter().filter(|other| *other != user) {
                let inbox = format!("{}.x", other.inbox_prefix());
                let heard = permissions.subscribe.iter().any(|own| covers(own, &inbox));
                assert!(!heard, "{user} hears what {other} is answered");
                let told = permissions.publish.iter().any(|own| covers(own, &inbox));
                assert!(!told, "{user} tells {other} what nobody asked");
            }
        }
    }

    #[test]
    fn the_operator_reads_nothing_that_people_write_and_no_secret() {
        let Rights::Only(permissions) = rights(User::Operator, Shards::new(2).expect("in range")) else {
            panic!("the operator may do everything");
        };
        for stream in ["CHAT_1", "PUSH_DEAD", "KV_pushes", "KV_devices", "KV_push_keys"] {
            for request in [
                format!("$JS.API.DIRECT.GET.{stream}"),
                format!("$JS.API.DIRECT.GET.{stream}.x"),
                format!("$JS.API.STREAM.MSG.GET.{stream}"),
                format!("$JS.API.STREAM.SNAPSHOT.{stream}"),
                format!("$JS.API.CONSUMER.CREATE.{stream}"),
                format!("$JS.API.CONSUMER.CREATE.{stream}.x.y"),
                format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.x"),
            ] {
                let may = permissions.publish.iter().any(|own| covers(own, &request));
                assert!(!may, "{request}");
            }
        }
        for heard in [
            "chat.1.dm.x.y",
            "live.dm.x.y",
            "live.group.x",
            "live.user.x",
            "push.dead.fcm.x.y",
        ] {
            assert!(
                !permissions.subscribe.iter().any(|own| covers(own, heard)),
                "{heard}"
            );
        }
    }

    /// Answers go wherever their asker wants them in the account, whatever its user may publish.
    #[test]
    fn nothing_that_an_edge_may_not_do_crosses_from_its_account() {
        let Rights::Only(edge) = rights(User::Edge, Shards::new(2).expect("in range")) else {
            panic!("an edge may do everything");
        };
        let crossings = crossing::crossings(&edge);
        let asked = |subject: &str| {
            crossings.iter().any(|one| {
                one.to == EDGE_ACCOUNT && one.kind != crossing::Kind::Stream && covers(&one.subject, subject)
            })
        };
        for subject in [
            "$JS.API.STREAM.DELETE.CHAT_1",
            "$JS.API.STREAM.PURGE.CHAT_1",
            "$JS.API.STREAM.UPDATE.CHAT_1",
            "$JS.API.CONSUMER.DELETE.CHAT_1.persister",
            "$JS.API.CONSUMER.CREATE.CHAT_1.x",
            "$JS.ACK.CHAT_1.persister.1.2.3.4.5",
            "$KV.push_keys.vapid",
            "$KV.devices.u.d",
            "chat.1.user.u",
            "live.user.u",
            "live.dm.u.v",
            "svc.push.replay",
            "svc.process.log",
            "_INBOX_persister.x",
            "$SRV.PING",
        ] {
            assert!(!asked(subject), "{subject}");
        }
        for subject in edge.publish.iter().filter(|one| !edge.subscribe.contains(one)) {
            assert!(asked(&subject.replace(['*', '>'], "x")), "{subject}");
        }
    }

    #[test]
    fn both_forms_of_acks_are_allowed_where_a_role_acks() {
        let Rights::Only(permissions) = rights(User::Persister, Shards::new(2).expect("in range")) else {
            panic!("the persister may do everything");
        };
        for ack in [
            "$JS.ACK.CHAT_1.persister.1.2.3.4.5",
            "$JS.ACK._.AbCdEf.CHAT_1.persister.1.2.3.4.5",
        ] {
            assert!(permissions.publish.iter().any(|own| covers(own, ack)), "{ack}");
        }
        let other = "$JS.ACK.CHAT_1.notifier.1.2.3.4.5";
        assert!(!permissions.publish.iter().any(|own| covers(own, other)));
    }
}

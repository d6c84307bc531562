//! What each user may do, and the worst that each might try.

use natterjack_nats::access::User;

use super::actor::{
    Action::{self, Ask, Hear, Store, Tell},
    Actor,
};

const FIRST: &str = r#"{"seq":1}"#;
const EPHEMERAL: &str = r#"{"stream_name":"KV_presence","config":{"name":"mine","ack_policy":"none","inactive_threshold":1000000000}}"#;
/// Changes a durable consumer that only the payload names.
const BY_NAME: &str = r#"{"stream_name":"KV_edges","config":{"name":"presence","ack_policy":"explicit","deliver_policy":"all","filter_subject":"$KV.edges.nobody"}}"#;
const NOTHING_OF_IT: &str = r#"{"seq":1}"#;
const NO_WAIT: &str = r#"{"batch":1,"no_wait":true}"#;

/// Something to read everywhere.
pub async fn fill(admin: &Actor) -> anyhow::Result<()> {
    for subject in [
        "chat.0.dm.a.b",
        "$KV.edges.e1",
        "$KV.sessions.e1.u.d",
        "$KV.presence.u",
        "$KV.devices.u.d",
        "$KV.pushes.fcm.u.d.dm.a.b",
        "push.trace.dm.a.b",
        "push.dead.fcm.u.d",
    ] {
        admin.works(&Store(subject), admin).await?;
    }
    Ok(())
}

/// Who, what works, and what is refused.
pub const TABLE: &[(User, &[Action], &[Action])] = &[
    (User::Edge, EDGE, EDGE_NEVER),
    (User::Persister, PERSISTER, PERSISTER_NEVER),
    (User::Presence, PRESENCE, PRESENCE_NEVER),
    (User::Notifier, NOTIFIER, NOTIFIER_NEVER),
    (User::Provision, PROVISION, PROVISION_NEVER),
    (User::Operator, OPERATOR, OPERATOR_NEVER),
    (User::Admin, ADMIN, &[]),
    (User::System, &[Ask("$SYS.REQ.SERVER.PING", "")], &[]),
];

const EDGE: &[Action] = &[
    Store("chat.0.dm.a.b"),
    Store("chat.3.group.g"),
    Store("chat.0.void"),
    Store("receipt.0"),
    Store("$KV.edges.e2"),
    Store("$KV.sessions.e2.u.d"),
    Tell("svc.history.page"),
    Ask("$JS.API.STREAM.INFO.CHAT_0", ""),
    Ask("$JS.API.DIRECT.GET.CHAT_0", FIRST),
    // What a stream republishes. Edges hear each other too: `edges_hear_each_other`.
    Hear("live.dm.a.*", "chat.0.dm.a.b"),
    Hear("live.group.g", "chat.3.group.g"),
    Hear("live.user.u", "live.user.u"),
    Hear("live.presence.7.*", "live.presence.7.u"),
    Hear("svc.edge.drain.e2", "svc.edge.drain.e2"),
];

const EDGE_NEVER: &[Action] = &[
    // Reads history by a consumer, its own or another's.
    Ask("$JS.API.CONSUMER.CREATE.CHAT_0", "{}"),
    Ask("$JS.API.CONSUMER.CREATE.CHAT_0.mine.chat.0.>", "{}"),
    Ask("$JS.API.CONSUMER.MSG.NEXT.CHAT_0.persister", NO_WAIT),
    // Makes messages go, or pretends that they were written.
    Ask("$JS.API.STREAM.DELETE.CHAT_0", ""),
    Ask("$JS.API.STREAM.PURGE.CHAT_0", ""),
    Ask("$JS.API.STREAM.UPDATE.CHAT_0", "{}"),
    Ask("$JS.API.STREAM.MSG.DELETE.CHAT_0", FIRST),
    Tell("$JS.ACK.CHAT_0.persister.1.1.1.1.1"),
    Tell("$JS.ACK._.hash.CHAT_0.persister.1.1.1.1.1"),
    // Takes the consumer of presence away.
    Ask("$JS.API.CONSUMER.DELETE.KV_edges.presence", ""),
    Ask("$JS.API.CONSUMER.CREATE.KV_edges", BY_NAME),
    Ask("$JS.API.CONSUMER.CREATE.KV_edges.presence", "{}"),
    Ask("$JS.API.CONSUMER.CREATE.KV_edges.presence.$KV.edges.x", "{}"),
    Ask("$JS.API.CONSUMER.MSG.NEXT.KV_edges.presence", NO_WAIT),
    // Writes and reads what is of other roles.
    Store("$KV.presence.u"),
    Store("$KV.devices.u.d"),
    Store("$KV.revocations.u.d"),
    Store("$KV.cluster.shards"),
    Store("$KV.cluster.jwks"),
    Store("$KV.push_keys.vapid"),
    Ask("$JS.API.DIRECT.GET.KV_push_keys.$KV.push_keys.vapid", ""),
    Ask("$JS.API.DIRECT.GET.KV_devices", FIRST),
    Ask("$JS.API.STREAM.MSG.GET.KV_devices", FIRST),
    // Adds a user to a group, nudges, replays pushes, logs more.
    Store("chat.0.user.u"),
    Tell("live.user.u"),
    Tell("push.dead.fcm.u.d"),
    Tell("svc.push.replay"),
    Tell("svc.history.replay"),
    Tell("svc.process.log"),
    // Answers what it was not asked, or listens where others are answered and asked.
    Tell("_INBOX_persister.x"),
    Hear("_INBOX_persister.>", ""),
    Hear("_INBOX.>", ""),
    Hear("svc.accounts.login", ""),
    Hear("chat.>", ""),
    Hear("live.>", ""),
    Hear(">", ""),
];

const PERSISTER: &[Action] = &[
    Store("chat.0.group.g"),
    Store("chat.0.user.u"),
    Store("$KV.devices.u.d"),
    Store("$KV.revocations.u.d"),
    Store("$KV.push_targets.u.d"),
    Store("$KV.cluster.jwks"),
    Ask("$JS.API.DIRECT.GET.CHAT_0", FIRST),
    Ask("$JS.API.STREAM.PURGE.CHAT_0", NOTHING_OF_IT),
    Ask("$JS.API.CONSUMER.INFO.CHAT_0.persister", ""),
    Hear("svc.accounts.login", "svc.accounts.login"),
];

const PERSISTER_NEVER: &[Action] = &[
    Tell("live.dm.a.b"),
    Ask("$JS.API.STREAM.DELETE.CHAT_0", ""),
    Ask("$JS.API.CONSUMER.MSG.NEXT.CHAT_0.notifier", NO_WAIT),
    Ask("$JS.API.CONSUMER.DELETE.CHAT_0.notifier", ""),
    Store("$KV.presence.u"),
    Store("$KV.edges.e1"),
    Store("$KV.cluster.shards"),
    Ask("$JS.API.DIRECT.GET.KV_push_keys.$KV.push_keys.vapid", ""),
    Hear("_INBOX_edge.>", ""),
    Hear("chat.>", ""),
];

const PRESENCE: &[Action] = &[
    Store("$KV.presence.u"),
    Store("$KV.devices.u.d"),
    Ask("$JS.API.CONSUMER.INFO.KV_sessions.presence", ""),
    Ask("$JS.API.DIRECT.GET.KV_sessions.$KV.sessions.e1.u.d", ""),
    Store("$KV.sessions.e1.u.d"),
    Hear("svc.presence.query", "svc.presence.query"),
];

const PRESENCE_NEVER: &[Action] = &[
    // Reads or writes a message.
    Ask("$JS.API.DIRECT.GET.CHAT_0", FIRST),
    Ask("$JS.API.CONSUMER.MSG.NEXT.CHAT_0.persister", NO_WAIT),
    Ask("$JS.API.STREAM.PURGE.CHAT_0", ""),
    Store("chat.0.dm.a.b"),
    Hear("live.dm.*.*", ""),
    // Pretends to be an edge.
    Store("$KV.edges.e1"),
    Store("$KV.revocations.u.d"),
    Tell("svc.accounts.login"),
    Hear("_INBOX_edge.>", ""),
];

const NOTIFIER: &[Action] = &[
    Store("$KV.pushes.fcm.u.d.dm.a.c"),
    Store("$KV.cluster.fcm"),
    Store("push.trace.dm.a.b"),
    Store("push.dead.fcm.u.d"),
    Tell("live.user.u"),
    Tell("svc.conversations.audiences"),
    Ask("$JS.API.DIRECT.GET.CHAT_0", FIRST),
    Ask("$JS.API.DIRECT.GET.KV_push_keys.$KV.push_keys.vapid", ""),
    Ask("$JS.API.CONSUMER.INFO.CHAT_0.notifier", ""),
];

const NOTIFIER_NEVER: &[Action] = &[
    Store("chat.0.dm.a.b"),
    Tell("live.dm.a.b"),
    Ask("$JS.API.STREAM.PURGE.CHAT_0", ""),
    Ask("$JS.API.CONSUMER.MSG.NEXT.CHAT_0.persister", NO_WAIT),
    Tell("$JS.ACK.CHAT_0.persister.1.1.1.1.1"),
    Store("$KV.push_keys.vapid"),
    Store("$KV.cluster.shards"),
    Store("$KV.devices.u.d"),
    Store("$KV.presence.u"),
    Tell("svc.accounts.login"),
    Tell("svc.conversations.create_group"),
    Hear("live.dm.*.*", ""),
    Hear("_INBOX_edge.>", ""),
];

const PROVISION: &[Action] = &[
    Ask("$JS.API.STREAM.INFO.CHAT_0", ""),
    Ask("$JS.API.CONSUMER.INFO.CHAT_0.persister", ""),
    Ask("$JS.API.DIRECT.GET.KV_cluster.$KV.cluster.shards", ""),
];

const PROVISION_NEVER: &[Action] = &[
    // Reads messages, or lets them go.
    Ask("$JS.API.DIRECT.GET.CHAT_0", FIRST),
    Ask("$JS.API.STREAM.MSG.GET.CHAT_0", FIRST),
    Ask("$JS.API.CONSUMER.MSG.NEXT.CHAT_0.persister", NO_WAIT),
    Ask("$JS.API.CONSUMER.CREATE.CHAT_0.mine", "{}"),
    Ask("$JS.API.STREAM.CREATE.MINE", "{}"),
    Ask("$JS.API.STREAM.DELETE.CHAT_0", ""),
    Ask("$JS.API.STREAM.PURGE.CHAT_0", ""),
    Ask("$JS.API.CONSUMER.DELETE.CHAT_0.persister", ""),
    Ask("$JS.API.DIRECT.GET.KV_devices", FIRST),
    Store("$KV.cluster.jwks"),
    Store("chat.0.dm.a.b"),
    Hear("chat.>", ""),
    Hear("live.>", ""),
];

const OPERATOR: &[Action] = &[
    Ask("$JS.API.INFO", ""),
    Ask("$JS.API.STREAM.LIST", ""),
    Ask("$JS.API.STREAM.NAMES", ""),
    Ask("$JS.API.STREAM.INFO.CHAT_0", ""),
    Ask("$JS.API.CONSUMER.LIST.CHAT_0", ""),
    Ask("$JS.API.CONSUMER.INFO.CHAT_0.persister", ""),
    Ask("$JS.API.DIRECT.GET.KV_edges.$KV.edges.e1", ""),
    Ask("$JS.API.DIRECT.GET.KV_sessions.$KV.sessions.e1.u.d", ""),
    Ask("$JS.API.DIRECT.GET.KV_presence.$KV.presence.u", ""),
    Ask("$JS.API.DIRECT.GET.KV_cluster.$KV.cluster.shards", ""),
    Ask("$JS.API.CONSUMER.CREATE.KV_presence.mine", EPHEMERAL),
    Ask("$JS.API.DIRECT.GET.PUSH_TRACE", FIRST),
    Ask("$SYS.REQ.USER.INFO", ""),
    Tell("$SRV.PING"),
    Tell("$SRV.STATS.history"),
    Tell("svc.push.why"),
    Tell("svc.push.dead"),
    Tell("svc.presence.query"),
    Tell("svc.process.info"),
    Hear("push.trace.>", "push.trace.dm.a.b"),
    Hear("live.presence.*.*", "live.presence.7.u"),
];

const OPERATOR_NEVER: &[Action] = &[
    // Reads what people write.
    Hear("chat.>", ""),
    Hear("live.dm.*.*", ""),
    Hear("live.group.g", ""),
    Hear("live.user.u", ""),
    Hear("live.>", ""),
    Hear(">", ""),
    Ask("$JS.API.DIRECT.GET.CHAT_0", FIRST),
    Ask("$JS.API.DIRECT.GET.CHAT_0.chat.0.dm.a.b", ""),
    Ask("$JS.API.STREAM.MSG.GET.CHAT_0", FIRST),
    Ask("$JS.API.CONSUMER.CREATE.CHAT_0", "{}"),
    Ask("$JS.API.CONSUMER.CREATE.CHAT_0.mine.chat.0.>", "{}"),
    Ask("$JS.API.CONSUMER.MSG.NEXT.CHAT_0.persister", NO_WAIT),
    Ask("$JS.API.STREAM.SNAPSHOT.CHAT_0", "{}"),
    Tell("svc.history.page"),
    // Reads secrets, and what is shown on devices.
    Ask("$JS.API.DIRECT.GET.KV_devices", FIRST),
    Ask("$JS.API.DIRECT.GET.KV_push_keys.$KV.push_keys.vapid", ""),
    Ask("$JS.API.DIRECT.GET.KV_pushes", FIRST),
    Ask("$JS.API.DIRECT.GET.PUSH_DEAD", FIRST),
    Ask("$JS.API.CONSUMER.CREATE.KV_devices", "{}"),
    // Changes anything.
    Ask("$JS.API.STREAM.DELETE.CHAT_0", ""),
    Ask("$JS.API.STREAM.PURGE.CHAT_0", ""),
    Ask("$JS.API.STREAM.UPDATE.CHAT_0", "{}"),
    Ask("$JS.API.CONSUMER.CREATE.KV_edges", BY_NAME),
    Ask("$JS.API.CONSUMER.DELETE.KV_sessions.presence", ""),
    Ask("$JS.API.CONSUMER.MSG.NEXT.KV_sessions.presence", NO_WAIT),
    Store("$KV.edges.e1"),
    Store("$KV.cluster.shards"),
    Tell("svc.edge.drain.e1"),
    Tell("svc.push.replay"),
    Tell("svc.process.log"),
    Tell("svc.accounts.login"),
    Hear("_INBOX_admin.>", ""),
];

const ADMIN: &[Action] = &[
    Ask("$JS.API.DIRECT.GET.CHAT_0", FIRST),
    Store("$KV.devices.u.d"),
    Tell("svc.edge.drain.e1"),
    Hear("chat.>", "chat.0.dm.a.b"),
];

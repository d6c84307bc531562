//! What each command of the page shows, in the page's order. Words in angle brackets, and the shard 0, stand for what the scene has.

use super::scene::{Before, SECRET};

/// How a command is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It changes something: once, and it succeeds.
    Once,
    /// It shows something that may be on its way: until it is there.
    Looks,
    /// It goes on until it is interrupted.
    Follows,
}

/// A command of the page.
#[derive(Debug)]
pub struct Case {
    pub command: &'static str,
    pub how: How,
    /// What happens in the cluster before.
    pub before: Before,
    /// All of these must be in what it prints.
    pub shows: &'static [&'static str],
}

impl Case {
    const fn before(mut self, before: Before) -> Self {
        self.before = before;
        self
    }
}

const fn case(how: How, command: &'static str, shows: &'static [&'static str]) -> Case {
    Case {
        command,
        how,
        before: Before::Nothing,
        shows,
    }
}

const fn once(command: &'static str, shows: &'static [&'static str]) -> Case {
    case(How::Once, command, shows)
}

const fn looks(command: &'static str, shows: &'static [&'static str]) -> Case {
    case(How::Looks, command, shows)
}

const fn follows(command: &'static str, shows: &'static [&'static str]) -> Case {
    case(How::Follows, command, shows)
}

const SESSION: &str = "<edge>.<user>.<device>";
const DRAIN: &str = "nats --context natterjack-admin req svc.edge.drain.<edge> ''";

pub const CASES: &[Case] = &[
    once(
        "nats context add natterjack --server nats://127.0.0.1:4222 --select",
        &["nats://127.0.0.1:4222"],
    ),
    once("nats context select natterjack-operator", &["Natterjack, to look at"]),
    looks("nats --context natterjack-admin account info", &["NATTERJACK", "Streams"]),
    looks("nats --context natterjack-system server list 1", &["Server Overview"]),
    follows("nats kv watch presence", &["online"]),
    follows("nats kv watch presence <user>", &["<user>", "online"]),
    looks("nats kv ls sessions", &[SESSION]),
    looks("nats kv ls sessions '*.<user>.*'", &[SESSION]),
    looks("nats kv ls sessions '<edge>.>'", &[SESSION]),
    looks("nats kv get sessions <edge>.<user>.<device>", &["\"since\":", "\"active\":true"]),
    looks(
        "nats req svc.presence.query '{\"users\":[\"<user>\"]}'",
        &["\"state\":\"online\""],
    ),
    follows("nats kv watch edges", &["<edge>", "\"draining\":false"]),
    looks("nats kv ls edges", &["<edge>"]),
    looks("nats micro ls", &["history", "push", "presence", "edge", "process"]),
    looks("nats micro info history", &["svc.history.page", "svc.history.dead"]),
    looks("nats micro stats history", &["page", "dead"]),
    looks(
        "nats req svc.process.info '{}' --replies 0",
        &["\"role\":\"edge\"", "\"role\":\"persister\"", "\"role\":\"notifier\""],
    ),
    once(
        "nats --context natterjack-admin req svc.process.log \
         '{\"filter\":\"info,natterjack_persister=debug\",\"for_s\":600}' --replies 0",
        &["\"role\":\"persister\"", "\"filter\":\"info,natterjack_persister=debug\""],
    ),
    once(
        "nats --context natterjack-admin req svc.process.log '{}' --replies 0",
        &["\"role\":\"persister\"", "\"configured\":"],
    ),
    once(DRAIN, &["\"draining\":true"]),
    once(DRAIN, &["\"draining\":true"]),
    once(
        "nats --context natterjack-admin req svc.edge.undrain.<edge> ''",
        &["\"draining\":false"],
    ),
    looks("nats stream report", &["CHAT_0", "RECEIPTS", "PUSH_TRACE"]),
    looks("nats consumer report CHAT_0", &["persister", "notifier", "Unprocessed"]),
    looks("nats consumer info KV_sessions presence", &["Outstanding Acks", "Unprocessed Messages"]),
    looks(
        "nats consumer info CHAT_0 persister",
        &["Outstanding Acks: 1 out of", "Redelivered Messages", "Acknowledgment Floor"],
    )
    .before(Before::StandsStill),
    looks("nats req svc.history.dead '{}'", &["\"letters\":[]"]).before(Before::GoesOn),
    looks(
        "nats req svc.push.why '{\"conversation\":\"<conversation>\",\"seq\":<seq>,\"user\":\"<recipient>\"}'",
        &["\"answer\":[", "accepted"],
    ),
    follows(
        "nats sub --stream PUSH_TRACE --all 'push.trace.<conversation>'",
        &["push.trace.<conversation>", "\"seq\":<seq>"],
    ),
    follows("nats sub 'push.trace.>'", &["Received on \"push.trace."]),
    looks("nats req svc.push.dead '{}'", &["{\"pushes\":[[<push>,", "400"]).before(Before::PushGivenUp),
    once(
        "nats --context natterjack-admin req svc.push.replay '{\"seq\":<push>}'",
        &["\"replayed\":1", "\"left\":0"],
    )
    .before(Before::PushesAreTaken),
    looks("nats consumer info KV_pushes fcm", &["Outstanding Acks"]),
    looks(
        "nats req svc.history.dead '{}'",
        &["\"stream\":\"CHAT_0\",\"seq\":<letter>", "chat.0.<conversation>"],
    )
    .before(Before::Unwritable),
    once(
        "nats --context natterjack-admin req svc.history.replay '{}'",
        &["\"replayed\":0,\"failed\":[{", "\"left\":1"],
    ),
    once(
        "nats --context natterjack-admin req svc.history.replay '{\"place\":{\"stream\":\"CHAT_0\",\"seq\":<letter>}}'",
        &["{\"replayed\":1,\"failed\":[],\"left\":0}"],
    )
    .before(Before::Mended),
    once(
        "nats --context natterjack-admin req svc.history.replay \
         '{\"place\":{\"stream\":\"CHAT_0\",\"seq\":<letter>},\"anew\":true}'",
        &["{\"replayed\":1,\"failed\":[],\"left\":0}"],
    )
    .before(Before::PlaceTaken),
    once("natterjack provision", &["nothing to do"]),
    once("natterjack provision --apply", &["nothing to do"]),
    looks("nats stream info CHAT_0", &["Maximum Bytes: 128 KiB"]).before(Before::Full),
    once(
        "natterjack provision --apply --chat-bytes-max 2147483648",
        &["updated  stream CHAT_0"],
    ),
    looks(
        "nats --context natterjack-system server report jetstream",
        &["JetStream Summary"],
    )
    .before(Before::RoomAgain),
    looks(
        "nats stream info CHAT_0",
        &["chat.0.>", "Maximum Bytes: 2.0 GiB"],
    ),
    once(
        "nats --context natterjack-admin backup stream KV_devices backup/KV_devices",
        &["KV_devices"],
    )
    .before(Before::AsProvisioned),
    once(
        "nats --context natterjack-admin backup restore stream backup/KV_devices",
        &["KV_devices"],
    )
    .before(Before::DevicesLost),
    once(
        "nats --context natterjack-admin consumer rm KV_sessions presence --force",
        NOTHING,
    ),
    once(
        "nats --context natterjack-admin consumer rm KV_edges presence --force",
        NOTHING,
    ),
    once("natterjack provision", &["KV_sessions > presence"]),
    follows("nats sub 'live.presence.*.*'", &["Received on \"live.presence."]),
    follows(
        "nats --context natterjack-admin sub --headers-only 'live.group.<group>'",
        &["live.group.<group>", "Nats-Sequence"],
    ),
    follows("nats --context natterjack-admin sub 'live.group.<group>'", &["live.group.<group>", SECRET]),
    looks("nats stream subjects CHAT_0", &["chat.0.<conversation>"]),
];

/// Of a command that says nothing when it succeeds.
const NOTHING: &[&str] = &[""];

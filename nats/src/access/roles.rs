//! What each role may do: just what it needs.

use super::Permissions;
use crate::{
    services::{accounts, conversations, history, names},
    shard::Shards,
    subjects::{chat, kv, live, presence as live_presence, push, receipt, svc},
    topology::{self, Bucket, PUSH_DEAD, PUSH_TRACE, RECEIPTS, chat_stream},
    wire::Channel,
};

/// Stores what users send, hears what is live, asks services, and tells of itself and its sessions.
///
/// It reads the tails of the streams (the first copy of a message, the last of each conversation), and has
/// no consumer on them.
pub(super) fn edge(shards: Shards) -> Permissions {
    let mut may = Permissions::default();
    may.host(&[names::EDGE]);
    for shard in shards.all() {
        let stream = chat_stream(shard);
        may.publish(chat::of_conversations(shard))
            .publish([chat::void(shard), receipt::subject(shard)])
            .info(&stream)
            .get(&stream);
    }
    may.publish(live::EPHEMERAL.map(String::from)).subscribe(
        live::EPHEMERAL
            .into_iter()
            .chain([live::USERS, live_presence::ALL])
            .map(String::from),
    );
    may.publish([names::ACCOUNTS, names::CONVERSATIONS, names::PRESENCE].map(svc::verbs))
        .publish([
            svc::subject::<history::ReadPage>(),
            svc::subject::<history::LookUp>(),
            svc::subject::<history::Inspect>(),
            svc::subject::<history::Sync>(),
        ]);
    may.publish([
        kv::subject(Bucket::Edges, ANY_KEY),
        kv::subject(Bucket::Sessions, ANY_KEYS),
    ])
    .read(Bucket::Cluster)
    .get_of_leader(&Bucket::Edges.stream_name())
    .read(Bucket::Sessions)
    .follow(&Bucket::Cluster.stream_name(), &[])
    .follow(&Bucket::Edges.stream_name(), &[topology::PRESENCE])
    .follow(&Bucket::Revocations.stream_name(), &[]);
    may
}

/// Reads and trims the streams, publishes what happens to groups, keeps accounts and devices.
pub(super) fn persister(shards: Shards) -> Permissions {
    let mut may = Permissions::default();
    may.host(&[names::ACCOUNTS, names::CONVERSATIONS, names::HISTORY]);
    for shard in shards.all() {
        let stream = chat_stream(shard);
        may.publish(chat::of_outbox(shard))
            // A letter that could not be written where it was, and is sent anew.
            .publish(chat::of_conversations(shard))
            .info(&stream)
            .get(&stream)
            // What it takes for the end must be the leader's.
            .get_of_leader(&stream)
            .purge(&stream)
            // It opens chat streams, which are made closed.
            .update_stream(&stream)
            // It waits for the notifier before it empties one.
            .consumer_info(&stream, topology::NOTIFIER)
            .consume(&stream, topology::PERSISTER);
    }
    may.info(RECEIPTS)
        .get(RECEIPTS)
        .get_of_leader(RECEIPTS)
        .consume(RECEIPTS, topology::PERSISTER);
    for bucket in [Bucket::Devices, Bucket::Revocations, Bucket::PushTargets] {
        may.publish([kv::subject(bucket, ANY_KEYS)]).read_newest(bucket);
    }
    may.read(Bucket::Cluster)
        .publish([kv::subject(Bucket::Cluster, kv::cluster::JWKS)]);
    may
}

/// Reads sessions and leases, and writes who is there.
pub(super) fn presence() -> Permissions {
    let mut may = Permissions::default();
    may.host(&[names::PRESENCE]);
    for bucket in [Bucket::Edges, Bucket::Sessions] {
        may.consume(&bucket.stream_name(), topology::PRESENCE);
    }
    for bucket in [Bucket::Edges, Bucket::Sessions, Bucket::Presence, Bucket::Devices] {
        may.read_newest(bucket);
    }
    may.read(Bucket::Cluster);
    may.publish([
        kv::subject(Bucket::Presence, ANY_KEY),
        kv::subject(Bucket::Devices, ANY_KEYS),
        // What a dead edge left is taken out.
        kv::subject(Bucket::Sessions, ANY_KEYS),
    ])
    // By which processes of the version before still do so.
    .purge(&Bucket::Sessions.stream_name());
    may
}

/// Reads messages and receipts, decides, pushes, and says why.
pub(super) fn notifier(shards: Shards) -> Permissions {
    let mut may = Permissions::default();
    may.host(&[names::PUSH]);
    for shard in shards.all() {
        let stream = chat_stream(shard);
        may.info(&stream)
            .get(&stream)
            .consume(&stream, topology::NOTIFIER);
    }
    may.info(RECEIPTS)
        .get(RECEIPTS)
        // Where it goes on behind what the stream does not have any more.
        .get_of_leader(RECEIPTS)
        .consume(RECEIPTS, topology::NOTIFIER);
    let pushes = Bucket::Pushes.stream_name();
    for channel in Channel::ALL {
        may.consume(&pushes, channel.as_str());
    }
    may.read_newest(Bucket::Pushes)
        .publish([kv::subject(Bucket::Pushes, ANY_KEYS)])
        .read_newest(Bucket::Devices)
        .read(Bucket::Sessions)
        .read(Bucket::PushKeys)
        .read(Bucket::Cluster)
        .publish([kv::subject(Bucket::Cluster, kv::cluster::FCM)]);
    may.publish([push::TRACES, push::DEAD, live::USERS].map(String::from))
        .info(PUSH_TRACE)
        .get(PUSH_TRACE)
        .info(PUSH_DEAD)
        .get(PUSH_DEAD)
        .delete_messages(PUSH_DEAD);
    may.publish([
        svc::subject::<accounts::Profiles>(),
        svc::subject::<accounts::RemovePush>(),
        svc::subject::<conversations::One>(),
        svc::subject::<conversations::Audiences>(),
        svc::subject::<conversations::Badges>(),
    ]);
    may
}

/// Keys of one token, and of any number.
const ANY_KEY: &str = "*";
const ANY_KEYS: &str = ">";

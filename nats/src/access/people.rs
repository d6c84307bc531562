//! What those may do who operate a cluster.

use super::{Permissions, api};
use crate::{
    services::{history, presence, process, push},
    shard::Shards,
    subjects::{kv, presence as live_presence, push as push_subjects, svc},
    topology::{self, Bucket, PUSH_TRACE, Settings},
};

/// Makes and changes what there is to make, and reads no message. It deletes nothing.
pub(super) fn provision(shards: Shards) -> Permissions {
    let mut may = Permissions::default();
    may.publish([api::ACCOUNT_INFO.into()])
        .publish(api::stream_lists());
    let settings = Settings {
        shards,
        ..Settings::default()
    };
    let streams = topology::streams(&settings).into_iter().map(|stream| stream.name);
    let buckets = Bucket::ALL.map(Bucket::stream_name);
    for stream in streams.chain(buckets) {
        may.info(&stream)
            .make_stream(&stream)
            .publish(api::consumer_lists(&stream));
    }
    for (stream, consumer) in topology::consumers(&settings) {
        let name = consumer.durable_name.unwrap_or_default();
        may.consumer_info(&stream, &name).make_consumer(&stream, &name);
    }
    may.read(Bucket::Cluster).read(Bucket::PushKeys).publish([
        kv::subject(Bucket::Cluster, kv::cluster::SHARDS),
        kv::subject(Bucket::Cluster, kv::cluster::VAPID),
        kv::subject(Bucket::PushKeys, kv::push_keys::VAPID),
    ]);
    may
}

/// Looks at everything that is neither a message nor a secret, and changes nothing.
pub(super) fn operator() -> Permissions {
    let mut may = Permissions::default();
    may.publish([api::ACCOUNT_INFO.into(), "$SYS.REQ.USER.INFO".into()])
        .publish(api::stream_lists())
        .publish(api::consumer_lists(api::ANY))
        .info(api::ANY)
        .consumer_info(api::ANY, api::ANY);
    for bucket in [Bucket::Edges, Bucket::Sessions] {
        may.read_newest(bucket)
            .follow(&bucket.stream_name(), &[topology::PRESENCE]);
    }
    for bucket in [Bucket::Presence, Bucket::Cluster] {
        may.read_newest(bucket).follow(&bucket.stream_name(), &[]);
    }
    // Not those that were given up, which hold what people write: the notifier tells of them without that.
    may.get(PUSH_TRACE).get_of_leader(PUSH_TRACE).view(PUSH_TRACE);
    may.publish(svc::discovery_requests()).publish([
        svc::subject::<push::Why>(),
        svc::subject::<push::Dead>(),
        svc::subject::<presence::Query>(),
        svc::subject::<history::Dead>(),
    ]);
    let process = svc::subject::<process::Info>();
    may.publish([format!("{process}.*"), process]);
    may.subscribe([push_subjects::TRACES, live_presence::ALL].map(String::from));
    may
}

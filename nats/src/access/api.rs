//! Subjects of JetStream's API, as far as permissions name them: what may be asked of a stream.
//!
//! <https://docs.nats.io/reference/reference-protocols/nats_api_reference>

use super::Permissions;
use crate::topology::Bucket;

/// Every stream or consumer, where a subject names one.
pub(super) const ANY: &str = "*";

/// What a server says of its JetStream as a whole.
pub(super) const ACCOUNT_INFO: &str = "$JS.API.INFO";

/// What requests begin with that may have several answers: messages of a stream by sequence or subject.
pub(super) const DIRECT_GET: &str = "$JS.API.DIRECT.GET.";

/// What streams there are.
pub(super) fn stream_lists() -> [String; 2] {
    ["NAMES", "LIST"].map(|what| format!("$JS.API.STREAM.{what}"))
}

/// What consumers a stream has.
pub(super) fn consumer_lists(stream: &str) -> [String; 2] {
    ["NAMES", "LIST"].map(|what| format!("$JS.API.CONSUMER.{what}.{stream}"))
}

/// A verb on a stream, such as `INFO` or `MSG.GET`.
fn of_stream(verb: &str, stream: &str) -> String {
    format!("$JS.API.STREAM.{verb}.{stream}")
}

/// A verb on a consumer, such as `INFO` or `MSG.NEXT`.
fn of_consumer(verb: &str, stream: &str, consumer: &str) -> String {
    format!("$JS.API.CONSUMER.{verb}.{stream}.{consumer}")
}

impl Permissions {
    /// Looks at a stream: its settings, how much it holds.
    pub(super) fn info(&mut self, stream: &str) -> &mut Self {
        self.publish([of_stream("INFO", stream)])
    }

    /// Reads messages of a stream by sequence or subject, without a consumer.
    pub(super) fn get(&mut self, stream: &str) -> &mut Self {
        self.publish([format!("{DIRECT_GET}{stream}"), format!("{DIRECT_GET}{stream}.>")])
    }

    /// The same from the stream's leader, which has seen everything.
    pub(super) fn get_of_leader(&mut self, stream: &str) -> &mut Self {
        self.publish([of_stream("MSG.GET", stream)])
    }

    /// Removes what a stream holds, all or part of it.
    pub(super) fn purge(&mut self, stream: &str) -> &mut Self {
        self.publish([of_stream("PURGE", stream)])
    }

    /// Removes single messages.
    pub(super) fn delete_messages(&mut self, stream: &str) -> &mut Self {
        self.publish([of_stream("MSG.DELETE", stream)])
    }

    /// Makes a stream, or changes its settings.
    pub(super) fn make_stream(&mut self, stream: &str) -> &mut Self {
        self.publish([of_stream("CREATE", stream), of_stream("UPDATE", stream)])
    }

    /// Changes a stream's settings.
    pub(super) fn update_stream(&mut self, stream: &str) -> &mut Self {
        self.publish([of_stream("UPDATE", stream)])
    }

    /// Looks at a consumer.
    pub(super) fn consumer_info(&mut self, stream: &str, consumer: &str) -> &mut Self {
        self.publish([of_consumer("INFO", stream, consumer)])
    }

    /// Makes a consumer of this name, or changes its settings.
    pub(super) fn make_consumer(&mut self, stream: &str, consumer: &str) -> &mut Self {
        let create = of_consumer("CREATE", stream, consumer);
        self.publish([format!("{create}.>"), create])
    }

    /// Takes messages from a durable consumer and acks them, in both forms that servers write: with the
    /// stream first, and with the domain and a hash of the account before it (ADR-15).
    pub(super) fn consume(&mut self, stream: &str, consumer: &str) -> &mut Self {
        self.consumer_info(stream, consumer).publish([
            of_consumer("MSG.NEXT", stream, consumer),
            format!("$JS.ACK.{stream}.{consumer}.>"),
            format!("$JS.ACK.*.*.{stream}.{consumer}.>"),
        ])
    }

    /// Follows a stream with consumers of its own that go away with it, and leaves the durable ones alone.
    ///
    /// Only by requests that name the consumer in their subject: the form without a name may name a durable
    /// one in its payload, and change it.
    pub(super) fn follow(&mut self, stream: &str, durables: &[&str]) -> &mut Self {
        self.info(stream).publish([
            format!("$JS.API.CONSUMER.CREATE.{stream}.>"),
            of_consumer("INFO", stream, ANY),
            of_consumer("DELETE", stream, ANY),
            format!("$JS.FC.{stream}.>"),
            format!("$JS.FC.*.*.{stream}.>"),
        ]);
        for durable in durables {
            let create = of_consumer("CREATE", stream, durable);
            self.publish_deny.extend([
                format!("{create}.>"),
                create,
                of_consumer("DELETE", stream, durable),
            ]);
        }
        self
    }

    /// Looks through a stream that has no durable consumers, page by page, as `nats stream view` does.
    pub(super) fn view(&mut self, stream: &str) -> &mut Self {
        self.follow(stream, &[]).publish([
            of_consumer("MSG.NEXT", stream, ANY),
            format!("$JS.ACK.{stream}.>"),
            format!("$JS.ACK.*.*.{stream}.>"),
        ])
    }

    /// Reads keys of a bucket.
    pub(super) fn read(&mut self, bucket: Bucket) -> &mut Self {
        let stream = bucket.stream_name();
        self.info(&stream).get(&stream)
    }

    /// Reads keys of a bucket from its leader too: what is written by compare-and-set.
    pub(super) fn read_newest(&mut self, bucket: Bucket) -> &mut Self {
        self.read(bucket).get_of_leader(&bucket.stream_name())
    }
}

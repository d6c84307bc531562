//! Users who are away, each with a browser that is registered; and somebody who writes to all of them.

use async_nats::jetstream::{context::ContextBuilder, message::PublishMessage};
use futures::{StreamExt, TryStreamExt, stream};
use natterjack_nats::{
    Conversation, DeviceId, UserId, cluster,
    subjects::kv,
    topology::Bucket,
    wire::{PushRegistration, PushRequest, PushTarget},
};
use natterjack_notifier::sample;
use natterjack_runtime::clock::Clock;
use serde_json::json;
use uuid::Uuid;

use super::super::{
    cluster::Cluster,
    idle::population::{Shape, populate},
};

/// Writes that are under way at a time.
const IN_FLIGHT: usize = 256;

/// Makes so many of them; the conversation of each with the one who writes, in the order of the push
/// service's devices.
///
/// # Errors
/// The cluster is not ours, or a part of it refuses.
pub async fn register(
    cluster: &Cluster,
    service_url: &str,
    count: usize,
) -> anyhow::Result<Vec<(UserId, Conversation)>> {
    let shape = Shape {
        users: count + 1,
        partners: 0,
        groups: 0,
        members: 2,
    };
    let people = populate(cluster, shape).await?;
    let (writer, readers) = (people[0].user, &people[1..]);
    let client = cluster::connect(&cluster.nats_url, "natterjack bench registrations", |_| {}).await?;
    let context = ContextBuilder::new().max_ack_inflight(65_536).build(client);
    let now_ms = Clock::system().now_ms();
    let registrations = stream::iter(readers.iter().enumerate()).map(|(number, reader)| {
        let registration = PushRegistration {
            id: Uuid::now_v7(),
            request: PushRequest {
                target: PushTarget::WebPush {
                    endpoint: format!("{service_url}/{number}"),
                    keys: sample::keys(),
                },
                silent: false,
            },
            registered_at: now_ms,
        };
        // As what the accounts service keeps.
        let record = json!({
            "name": "bench", "platform": "web", "created_at": now_ms, "refreshed_at": now_ms,
            "refresh_hash": "0".repeat(43), "push": registration,
        });
        let device = DeviceId::generate(now_ms);
        let subject = kv::subject(Bucket::Devices, &kv::device(reader.user, device));
        let context = context.clone();
        async move {
            let payload = serde_json::to_vec(&record)?;
            let message = PublishMessage::build().payload(payload.into());
            context.send_publish(subject, message).await?.await?;
            anyhow::Ok(())
        }
    });
    registrations
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<()>()
        .await?;
    let with = |reader: &UserId| (writer, Conversation::dm(writer, *reader));
    Ok(readers.iter().map(|reader| with(&reader.user)).collect())
}

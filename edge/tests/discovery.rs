//! `GET /v1/edges` over leases in a real bucket: of edges that come, go, expire and drain, and while NATS
//! is away.

mod common;

use std::{collections::HashSet, time::Duration};

use async_nats::jetstream::{self, context::traits::Publisher as _, message::PublishMessage};
use common::{PATIENCE, Stage};
use natterjack_nats::{
    EdgeId, cluster,
    limits::LEASE_TTL_MS,
    subjects::kv,
    topology::Bucket,
    wire::{EdgeInfo, Lease, WireError},
};
use tokio::time::{Instant, sleep, timeout};

/// Leases that the test writes by hand, as edges do.
struct Leases(jetstream::Context);

fn edge(number: u128) -> EdgeId {
    EdgeId::from_parts(1, number)
}

fn lease(region: &str) -> Lease {
    Lease {
        instance: uuid::Uuid::new_v4(),
        epoch: 1,
        region: region.into(),
        url: "https://edge.example.com".into(),
        connections: 50,
        connections_max: 100,
        version: "natterjack test".into(),
        draining: false,
        started_at: 1,
    }
}

impl Leases {
    async fn new(stage: &Stage) -> Self {
        let client = cluster::connect(&stage.server.url(), "other edges", |_| {})
            .await
            .expect("a connection");
        Self(jetstream::new(client))
    }

    async fn write(&self, edge: EdgeId, lease: &Lease, ttl: Duration) {
        let message = PublishMessage::build()
            .payload(serde_json::to_vec(lease).expect("plain").into())
            .ttl(ttl)
            .outbound_message(kv::subject(Bucket::Edges, &edge.to_string()));
        let stored = self.0.publish_message(message).await.expect("sent");
        stored.await.expect("stored");
    }

    async fn renew(&self, edge: EdgeId, lease: &Lease) {
        self.write(edge, lease, Duration::from_millis(LEASE_TTL_MS)).await;
    }

    async fn give_back(&self, edge: EdgeId) {
        let bucket = self
            .0
            .get_key_value(Bucket::Edges.name())
            .await
            .expect("a bucket");
        bucket.purge(edge.to_string()).await.expect("purged");
    }
}

/// What the edge answers.
async fn ask(stage: &Stage, region: &str) -> Result<Vec<EdgeInfo>, WireError> {
    let url = format!("http://{}/v1/edges?region={region}", stage.edge.addr);
    let answer = reqwest::get(url).await.expect("an answer");
    if answer.status().is_success() {
        return Ok(answer.json().await.expect("edges"));
    }
    let status = answer.status();
    let error: WireError = answer.json().await.expect("the one form");
    assert_eq!(error.code.status(), status.as_u16());
    Err(error)
}

/// Asks until the answer is as it should be; the edges that it names, without the one that answers.
async fn until(stage: &Stage, what: &str, good: impl Fn(&[EdgeId]) -> bool) -> Vec<EdgeId> {
    let asking = async {
        loop {
            if let Ok(named) = ask(stage, "eu").await {
                let ids = named.iter().map(|info| info.id);
                let ids: Vec<_> = ids.filter(|id| *id != stage.edge.app.edge).collect();
                if good(&ids) {
                    return ids;
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, asking).await.expect(what)
}

#[tokio::test]
async fn those_that_live_are_named_and_no_others() {
    let stage = Stage::new(&["--no-rate-limits"]).await;
    let leases = Leases::new(&stage).await;
    let (near, far, expiring, leaving) = (edge(1), edge(2), edge(3), edge(4));
    leases.renew(far, &lease("us")).await;
    leases.write(expiring, &lease("eu"), Duration::from_secs(1)).await;
    leases.renew(leaving, &lease("eu")).await;
    leases.renew(near, &lease("eu")).await;
    let all = HashSet::from([near, far, expiring, leaving]);
    let named = until(&stage, "all four", |ids| {
        ids.iter().copied().collect::<HashSet<_>>() == all
    })
    .await;
    assert_eq!(named[3], far, "the region that was asked for comes first");
    let started = Instant::now();

    leases.give_back(leaving).await;
    until(&stage, "one is given back", |ids| !ids.contains(&leaving)).await;
    until(&stage, "one has expired", |ids| !ids.contains(&expiring)).await;
    assert!(
        started.elapsed() < Duration::from_millis(LEASE_TTL_MS),
        "its marker is heard; nobody waits until it would be too old"
    );
    let draining = Lease {
        draining: true,
        ..lease("eu")
    };
    leases.renew(near, &draining).await;
    leases.renew(far, &lease("us")).await;
    until(&stage, "one drains", |ids| ids == [far]).await;
    leases.renew(near, &lease("eu")).await;
    until(&stage, "it takes connections again", |ids| ids == [near, far]).await;
    stage.end().await;
}

#[tokio::test]
async fn while_nats_is_away_what_was_heard_is_told_for_a_while_and_not_for_ever() {
    let stage = Stage::new(&["--no-rate-limits"]).await;
    let leases = Leases::new(&stage).await;
    leases.renew(edge(1), &lease("eu")).await;
    until(&stage, "it is named", |ids| ids == [edge(1)]).await;
    stage.server.kill().await;
    let lost = Instant::now();
    let named = ask(&stage, "eu").await.expect("told for a while");
    assert!(named.iter().any(|info| info.id == edge(1)), "{named:?}");
    let stale = async {
        loop {
            match ask(&stage, "eu").await {
                Ok(_) => sleep(Duration::from_millis(20)).await,
                Err(error) => return error,
            }
        }
    };
    let error = timeout(PATIENCE, stale).await.expect("not for ever");
    assert!(error.retryable, "{error:?}");
    assert_eq!(error.code, natterjack_nats::wire::Code::Unavailable);
    assert!(
        lost.elapsed() >= Duration::from_millis(LEASE_TTL_MS) / 2,
        "not at once"
    );

    stage.server.restart().await.expect("back");
    leases.renew(edge(2), &lease("eu")).await;
    until(&stage, "heard again", |ids| ids == [edge(2)]).await;
    stage.end().await;
}

#[tokio::test]
async fn one_address_may_not_ask_all_the_time() {
    let stage = Stage::new(&["--discoveries-per-address=3"]).await;
    let leases = Leases::new(&stage).await;
    leases.renew(edge(1), &lease("eu")).await;
    let mut last = ask(&stage, "eu").await;
    for _ in 0..3 {
        last = ask(&stage, "eu").await;
    }
    let error = last.expect_err("the fourth in a moment");
    assert_eq!(error.code, natterjack_nats::wire::Code::RateLimited);
    assert!(error.retry_after_ms.is_some());
    stage.end().await;
}

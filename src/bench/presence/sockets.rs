//! Transitions through edges: clients that connect, all of them, and vanish.

use std::{net::SocketAddr, time::Duration};

use natterjack_nats::wire::{ClientFrame, Hello, PresenceState};
use tokio::time::sleep;

use super::{
    super::{
        cluster::Cluster,
        cost::Meter,
        idle::{crew::Crew, crowd, memory, population::Person},
    },
    heard::Heard,
    once,
    result::{ByRole, Once, each},
};

/// What came out.
pub struct Sockets {
    pub connect: Once,
    pub vanish: Once,
    /// Bytes that each role holds for one of them.
    pub bytes_each: ByRole,
}

/// Connects `people` over all edges, so many at a time, and kills the processes that hold them.
///
/// # Errors
/// They do not all get there, or do not all go.
pub async fn measure(
    cluster: &mut Cluster,
    people: &[Person],
    heard: &Heard,
    at_once: usize,
    settle: Duration,
) -> anyhow::Result<Sockets> {
    let clients = clients(cluster, people)?;
    let crew = Crew::start(cluster, &clients).await?;
    sleep(settle).await;
    let before = memory::anonymous(&cluster.processes());
    heard.begin();
    let meter = Meter::start(cluster);
    crew.connect(cluster, at_once).await?;
    let users = people.iter().map(|person| person.user);
    let stretch = heard.until(users.clone(), PresenceState::Online).await?;
    let connect = once(&stretch, &meter.stop(cluster), people.len());
    sleep(settle).await;
    let held = memory::anonymous(&cluster.processes());
    let bytes_each = held.into_iter().map(|(role, bytes)| {
        let more = bytes - before.get(&role).copied().unwrap_or_default();
        (role, more / each(people.len()))
    });
    let bytes_each = bytes_each.collect();
    heard.begin();
    // The load is gone from the meter's sight too, which is as well.
    cluster.stop_more();
    let meter = Meter::start(cluster);
    let stretch = heard.until(users, PresenceState::Offline).await?;
    let vanish = once(&stretch, &meter.stop(cluster), people.len());
    Ok(Sockets {
        connect,
        vanish,
        bytes_each,
    })
}

fn clients(cluster: &Cluster, people: &[Person]) -> anyhow::Result<Vec<crowd::Person>> {
    let client = |(number, (person, url)): (usize, (&Person, &String))| {
        let address: SocketAddr = url.trim_start_matches("http://").parse()?;
        let hello = ClientFrame::Hello(Box::new(Hello {
            token: person.token.clone(),
            device: None,
            client: "bench".into(),
            resume: None,
            active: true,
        }));
        Ok(crowd::Person {
            number,
            address,
            path: "/v1/ws".into(),
            hello: Some(serde_json::to_string(&hello)?),
        })
    };
    people
        .iter()
        .zip(cluster.edge_urls.iter().cycle())
        .enumerate()
        .map(client)
        .collect()
}

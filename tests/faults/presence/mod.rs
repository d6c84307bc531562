//! Who is online, whatever dies.
//!
//! The promises: an edge that is killed or held still makes its users offline within ten seconds, and
//! does not touch those who sit on another edge too; presence processes and NATS may go and come back,
//! and what is told is right within seconds; whoever only moves from one edge to another is not seen
//! to leave; and nothing is left of anybody who is gone. What is true is known here, because every
//! socket is held here.

mod churn;
mod edges;
mod outages;
mod people;
mod rolling;
mod stored;
mod watcher;

use std::{path::Path, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use natterjack::fleet::{Fleet, FleetConfig, Ground, GroundConfig, audit};
use natterjack_nats::{UserId, wire::PresenceState, wire::ShownState};

use people::{Connection, Person, Truth};
use stored::Stored;
use watcher::Watcher;

/// What is promised for the users of an edge that dies.
const PROMISED: Duration = Duration::from_secs(10);
/// For all that is promised without a number, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sign-ups that are under way at a time.
const SIGN_UPS: usize = 8;

/// Edges and presence processes on servers of their own.
struct Scene {
    fleet: Fleet,
    stored: Stored,
}

impl Scene {
    async fn set(edges: usize, presences: usize) -> anyhow::Result<Self> {
        let ground = Ground::start(GroundConfig::default()).await?;
        let stored = Stored::open(ground.admin()).await?;
        let mut config = FleetConfig::new(Path::new(env!("CARGO_BIN_EXE_natterjack")));
        (config.edges, config.presences) = (edges, presences);
        let fleet = Fleet::start(ground, &config).await?;
        Ok(Self { fleet, stored })
    }

    fn url(&self, edge: usize) -> String {
        self.fleet.edges[edge].url().to_owned()
    }

    /// Makes so many users.
    async fn people(&self, name: &str, count: usize) -> anyhow::Result<Vec<Person>> {
        let urls = self.fleet.urls();
        let one = |index: usize| {
            let url = urls[index % urls.len()].clone();
            async move { Person::sign_up(&url, &format!("{name}{index}")).await }
        };
        stream::iter(0..count)
            .map(one)
            .buffered(SIGN_UPS)
            .try_collect()
            .await
    }

    /// Connects them all to one edge, in the foreground.
    async fn connect(&self, edge: usize, people: &[Person]) -> anyhow::Result<Vec<Connection>> {
        let url = &self.url(edge);
        let one = |person: Person| async move { Connection::open(url, &person, true).await };
        stream::iter(people.to_vec())
            .map(one)
            .buffered(SIGN_UPS)
            .try_collect()
            .await
    }

    /// Somebody who watches these people, from that edge or, when it is away, from the next.
    async fn watcher(&self, edge: usize, name: &str, people: &[Person]) -> anyhow::Result<Watcher> {
        self.watcher_of(edge, name, users(people)).await
    }

    async fn watcher_of(&self, edge: usize, name: &str, users: Vec<UserId>) -> anyhow::Result<Watcher> {
        let mut urls = self.fleet.urls();
        urls.rotate_left(edge);
        let person = Person::sign_up(&urls[0], name).await?;
        self.stored.leave_out(person.user);
        Ok(Watcher::start(urls, person, users))
    }

    /// Waits until watchers and buckets say the same of these people.
    async fn are(&self, people: &[Person], state: PresenceState, watcher: &Watcher) -> anyhow::Result<()> {
        let users = users(people);
        watcher.until(&users, ShownState::from(state), PATIENCE).await?;
        self.stored.until(&users, state, PATIENCE).await
    }

    /// When all are gone and everything has come to rest, nothing may be left of anybody.
    async fn finish(self) -> anyhow::Result<()> {
        let nobody = Truth::default();
        self.stored.leave_out_nobody();
        self.stored.agrees(&nobody, PATIENCE).await?;
        // Whatever was put off has been looked at once no event is open any more.
        let ground = self.fleet.ground();
        audit::persisted(ground.admin(), ground.settings()).await?;
        self.stored.agrees(&nobody, Duration::ZERO).await?;
        self.fleet.finish().await
    }
}

fn users(people: &[Person]) -> Vec<UserId> {
    people.iter().map(|person| person.user).collect()
}

async fn close(connections: Vec<Connection>) -> anyhow::Result<()> {
    for connection in connections {
        connection.close().await?;
    }
    Ok(())
}

//! The three ways of asking for a page, and the load that does.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::{
        Measure,
        cluster::Cluster,
        pace::pace,
        stage::{Stage, Tally},
        window::{Window, Workers, measure},
    },
    scene::{Ask, LIST, PAGE, Scene},
};
use anyhow::Context;
use async_nats::Client;
use natterjack_client::Account;
use natterjack_nats::{
    UserId, cluster,
    services::{self, conversations::List, history::ReadPage},
    wire::HistoryQuery,
};
use natterjack_persister::sample::Bare;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A way of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One prepared statement for the same rows.
    Postgres,
    /// The persister's service, over NATS.
    Service,
    /// An edge, over HTTP.
    Edge,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Service, Self::Edge];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Service => "service",
            Self::Edge => "edge",
        }
    }
}

/// How much is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// As much as possible.
    Closed,
    /// So many a second.
    Open(f64),
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("at most"),
            Self::Open(rate) => write!(f, "{rate:.0} a second"),
        }
    }
}

/// Who asks.
pub struct Asker(Arc<Inner>);

struct Inner {
    /// One for each that asks at a time.
    bare: Vec<Bare>,
    client: Client,
    http: reqwest::Client,
    edge_url: String,
    readers: BTreeMap<UserId, Account>,
}

impl Asker {
    /// Connects in all three ways.
    pub async fn new(
        cluster: &Cluster,
        database_url: &str,
        readers: [&Account; 2],
        at_a_time: usize,
    ) -> anyhow::Result<Self> {
        let mut bare = Vec::new();
        for _ in 0..at_a_time {
            bare.push(Bare::connect(database_url).await?);
        }
        Ok(Self(Arc::new(Inner {
            bare,
            client: cluster::connect(&cluster.nats_url, "natterjack bench history", |_| {}).await?,
            http: reqwest::Client::builder().timeout(TIMEOUT).build()?,
            edge_url: cluster.edge_urls.first().context("an edge")?.clone(),
            readers: readers.map(|reader| (reader.user().id, reader.clone())).into(),
        })))
    }

    /// Measures a scene in one way.
    pub async fn window(
        &self,
        cluster: &Cluster,
        scene: &Scene,
        way: Way,
        load: Load,
        length: &Measure,
    ) -> anyhow::Result<Window> {
        let stage = Stage::default();
        let mut workers = Workers::new();
        let count = self.0.bare.len();
        let mut due = match load {
            Load::Closed => Vec::new(),
            Load::Open(rate) => pace(rate, count, stage.clone()),
        };
        let asks: Arc<[Ask]> = scene.asks.clone().into();
        let reader = asks.first().and_then(|ask| self.0.readers.get(&ask.user()));
        // Valid for longer than any measurement takes.
        let token: Arc<str> = reader
            .context("nobody asks")?
            .source()
            .token(false)
            .await?
            .token
            .into();
        for worker in 0..count {
            let (inner, asks, stage) = (Arc::clone(&self.0), Arc::clone(&asks), stage.clone());
            let token = Arc::clone(&token);
            let mut due = due.pop();
            workers.spawn(async move {
                let mut tally = Tally::new(&stage)?;
                // Each begins somewhere else.
                let mut at = worker * asks.len() / count;
                loop {
                    let begun = match &mut due {
                        None if stage.is_over() => break,
                        None => Instant::now(),
                        Some(due) => match due.recv().await {
                            Some(begun) => begun,
                            None => break,
                        },
                    };
                    let ask = &asks[at % asks.len()];
                    match way {
                        Way::Postgres => inner.postgres(&inner.bare[worker], ask).await?,
                        Way::Service => inner.service(ask).await?,
                        Way::Edge => inner.edge(ask, &token).await?,
                    }
                    tally.done(begun.elapsed());
                    at += 1;
                }
                Ok(tally)
            });
        }
        measure(cluster, &stage, workers, length.warm_up(), length.length()).await
    }
}

impl Inner {
    async fn postgres(&self, bare: &Bare, ask: &Ask) -> anyhow::Result<()> {
        let rows = match ask {
            Ask::List(user) => bare.list(*user, LIST as i64).await?,
            Ask::Page(_, query) => {
                let (conversation, limit) = (&query.conversation, PAGE as i64);
                match (query.before, query.after, query.around) {
                    (_, Some(seq), _) => bare.after(conversation, seq, limit).await?,
                    (_, _, Some(seq)) => {
                        let half = limit / 2;
                        bare.before(conversation, seq, half).await?
                            + bare.after(conversation, seq.saturating_sub(1), half).await?
                    }
                    (before, ..) => {
                        bare.before(conversation, before.unwrap_or(u64::MAX), limit)
                            .await?
                    }
                }
            }
        };
        std::hint::black_box(rows);
        Ok(())
    }

    async fn service(&self, ask: &Ask) -> anyhow::Result<()> {
        // Not decoded: neither is it by a bare client.
        let reply = match ask {
            Ask::List(user) => {
                let list = List {
                    user: *user,
                    page: None,
                    limit: LIST,
                };
                services::ServiceReply::of(&self.client, &list, TIMEOUT).await
            }
            Ask::Page(user, query) => {
                let page = ReadPage {
                    user: *user,
                    member: false,
                    query: query.clone(),
                };
                services::ServiceReply::of(&self.client, &page, TIMEOUT).await
            }
        };
        std::hint::black_box(reply?.0.len());
        Ok(())
    }

    async fn edge(&self, ask: &Ask, token: &str) -> anyhow::Result<()> {
        let request = match ask {
            Ask::List(_) => {
                let url = format!("{}/v1/conversations", self.edge_url);
                self.http.get(url).query(&[("limit", LIST)])
            }
            Ask::Page(_, query) => {
                let HistoryQuery {
                    conversation,
                    before,
                    after,
                    around,
                    at,
                    limit,
                } = query;
                let url = format!("{}/v1/conversations/{conversation}/messages", self.edge_url);
                let places = [
                    ("before", before),
                    ("after", after),
                    ("around", around),
                    ("at", at),
                ];
                let places = places.map(|(name, seq)| seq.map(|seq| (name, seq)));
                let limit = ("limit", limit.unwrap_or(PAGE) as u64);
                let query: Vec<_> = places.into_iter().flatten().chain([limit]).collect();
                self.http.get(url).query(&query)
            }
        };
        let answer = request.bearer_auth(token).send().await?.error_for_status()?;
        std::hint::black_box(answer.bytes().await?.len());
        Ok(())
    }
}

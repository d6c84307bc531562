//! The stage of a scenario: two edges, a persister, presence and, if wanted, a notifier in this process, on real servers.

use natterjack::fleet::{Ground, GroundConfig, House};
use natterjack_nats::topology::Settings;

use super::{answers, database::Database, panics, proxy::Proxy};

type Tune<T> = Box<dyn FnOnce(&mut T)>;

/// What differs from the usual.
#[derive(Default)]
pub struct Stage {
    settings: Settings,
    edge: Option<Tune<natterjack_edge::Args>>,
    persister: Option<Tune<natterjack_persister::Args>>,
    notifier: Option<Tune<natterjack_notifier::Args>>,
    first_edge_via_proxy: bool,
    second_edge_via_proxy: bool,
    outage: bool,
}

/// What a scenario gets.
pub struct Play {
    pub house: House,
    /// Between the first edge and NATS, if asked for.
    pub proxy: Option<Proxy>,
    /// Between the second edge and NATS, if asked for.
    pub second_proxy: Option<Proxy>,
}

impl Stage {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn settings(mut self, tune: impl FnOnce(&mut Settings)) -> Self {
        tune(&mut self.settings);
        self
    }

    pub fn edge(mut self, tune: impl FnOnce(&mut natterjack_edge::Args) + 'static) -> Self {
        self.edge = Some(Box::new(tune));
        self
    }

    pub fn persister(mut self, tune: impl FnOnce(&mut natterjack_persister::Args) + 'static) -> Self {
        self.persister = Some(Box::new(tune));
        self
    }

    /// With a notifier, which pushes to servers on this machine too.
    pub fn notifier(mut self, tune: impl FnOnce(&mut natterjack_notifier::Args) + 'static) -> Self {
        self.notifier = Some(Box::new(tune));
        self
    }

    /// For scenarios that disturb an edge's connection to NATS: then server errors are right.
    pub fn first_edge_via_proxy(mut self) -> Self {
        self.outage = true;
        self.first_edge_via_proxy = true;
        self
    }

    /// The same for the other edge, through a proxy of its own.
    pub fn second_edge_via_proxy(mut self) -> Self {
        self.outage = true;
        self.second_edge_via_proxy = true;
        self
    }

    /// For scenarios in which an edge refuses newcomers with 503.
    pub const fn refuses(mut self) -> Self {
        self.outage = true;
        self
    }

    /// Runs a scenario, and fails also if it left something behind.
    pub async fn run(
        self,
        scenario: impl AsyncFnOnce(&mut Play) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        panics::listen();
        let database = Database::new().await?;
        let database_url = Some(database.url());
        let ground = Ground::start(GroundConfig {
            settings: self.settings,
            database_url,
            ..GroundConfig::default()
        })
        .await?;
        let mut persister = House::persister_args(&ground)?;
        if let Some(tune) = self.persister {
            tune(&mut persister);
        }
        let presence = House::presence_args(&ground)?;
        let mut first = House::edge_args(&ground)?;
        if let Some(tune) = self.edge {
            tune(&mut first);
        }
        let mut second = first.clone();
        let proxy = via_proxy(self.first_edge_via_proxy, &mut first).await?;
        let second_proxy = via_proxy(self.second_edge_via_proxy, &mut second).await?;
        let mut notifier = House::notifier_args(&ground)?;
        let mut house = House::start(ground, persister, presence, vec![first, second]).await?;
        if let Some(tune) = self.notifier {
            tune(&mut notifier);
            house.start_notifier(&notifier).await?;
        }
        let edges = house.urls();
        answers::forget(&edges);
        let mut play = Play {
            house,
            proxy,
            second_proxy,
        };
        scenario(&mut play).await?;
        if !self.outage {
            answers::no_failure(&edges)?;
        }
        play.house.finish().await?;
        panics::none()
    }
}

/// Leads an edge to NATS through a proxy, if asked for.
async fn via_proxy(wanted: bool, edge: &mut natterjack_edge::Args) -> anyhow::Result<Option<Proxy>> {
    if !wanted {
        return Ok(None);
    }
    let proxy = Proxy::start(&edge.nats.url).await?;
    edge.nats.url = proxy.url();
    Ok(Some(proxy))
}

/// The usual stage.
pub async fn run(scenario: impl AsyncFnOnce(&mut Play) -> anyhow::Result<()>) -> anyhow::Result<()> {
    Stage::new().run(scenario).await
}

//! What `bench history` found, and how a person reads it.

use anyhow::Context;
use natterjack_persister::sample::Sample;
use serde::Serialize;

use super::{
    super::{
        figure::number,
        ingest::Ingest,
        page::Page,
        report::{About, Report},
        table::{self, Table},
        window::Window,
    },
    ask::Way,
};

/// What came out.
#[derive(Debug, Serialize)]
pub struct Result {
    #[serde(flatten)]
    pub about: About,
    pub space: Space,
    pub scenes: Vec<Scene>,
    pub ingest: Option<Ingest>,
}

/// What the messages take on disk.
#[derive(Debug, Serialize)]
pub struct Space {
    /// How many there are.
    pub messages: u64,
    /// Bytes for each in the table and in each of its indexes.
    pub bytes_each: Vec<(String, f64)>,
}

/// One figure for each way.
#[derive(Debug, Default, Serialize)]
pub struct Ways<T> {
    pub postgres: T,
    pub service: T,
    pub edge: T,
}

/// A kind of page.
#[derive(Debug, Serialize)]
pub struct Scene {
    pub name: &'static str,
    /// As many as possible.
    pub closed: Ways<Window>,
    /// So many a second.
    pub open: Ways<Window>,
    /// Pages of 8 KiB that Postgres fetched from the operating system for one answer of the
    /// service, at the fixed rate; the others were in its own memory.
    pub blocks_read_each: f64,
}

impl Space {
    /// As it stands on disk.
    pub async fn of(sample: &Sample) -> anyhow::Result<Self> {
        let messages = sample.messages().await?;
        let each = sample
            .space()
            .await?
            .into_iter()
            .map(|one| (one.name, ratio(one.bytes, messages)));
        Ok(Self {
            messages,
            bytes_each: each.collect(),
        })
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["", "bytes a message"]);
        let all = (
            "all".to_owned(),
            self.bytes_each.iter().map(|(_, bytes)| bytes).sum(),
        );
        for (name, bytes) in self.bytes_each.iter().chain([&all]) {
            table.row(vec![name.clone(), number(*bytes)]);
        }
        table
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

impl<T> Ways<T> {
    pub const fn of(&mut self, way: Way) -> &mut T {
        match way {
            Way::Postgres => &mut self.postgres,
            Way::Service => &mut self.service,
            Way::Edge => &mut self.edge,
        }
    }

    fn all(&self) -> [(Way, &T); 3] {
        [
            (Way::Postgres, &self.postgres),
            (Way::Service, &self.service),
            (Way::Edge, &self.edge),
        ]
    }
}

impl Ways<Vec<Window>> {
    /// The medians of each.
    pub fn medians(&self) -> anyhow::Result<Ways<Window>> {
        let median = |windows: &[Window]| Window::median(windows).context("nothing was measured");
        Ok(Ways {
            postgres: median(&self.postgres)?,
            service: median(&self.service)?,
            edge: median(&self.edge)?,
        })
    }
}

/// Blocks that were read from disk for so many answers, of each repetition.
type Blocks = Vec<(u64, u64)>;

impl Scene {
    /// From closed and open load, with the blocks read for so many answers.
    pub fn of(name: &'static str, loads: Vec<(Ways<Window>, Blocks)>) -> anyhow::Result<Self> {
        let mut loads = loads.into_iter();
        let (Some((closed, _)), Some((open, blocks))) = (loads.next(), loads.next()) else {
            anyhow::bail!("nothing was measured");
        };
        let (read, count) = blocks
            .iter()
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        Ok(Self {
            name,
            closed,
            open,
            blocks_read_each: ratio(read, count),
        })
    }
}

impl Report for Result {
    fn about(&self) -> &About {
        &self.about
    }

    fn page(&self) -> Page {
        let mut pages = Table::new([
            "page",
            "way",
            "a second at most",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "CPU µs",
            "blocks read",
        ]);
        for scene in &self.scenes {
            for ((way, closed), (_, open)) in scene.closed.all().into_iter().zip(scene.open.all()) {
                let blocks = if way == Way::Service {
                    number(scene.blocks_read_each)
                } else {
                    "–".into()
                };
                pages.row(vec![
                    scene.name.to_owned(),
                    way.name().to_owned(),
                    number(closed.per_second),
                    number(open.latency_ms.p50),
                    number(open.latency_ms.p99),
                    number(open.latency_ms.p999),
                    number(closed.cpu_us_all()),
                    blocks,
                ]);
            }
        }
        let rate = self
            .about
            .settings
            .get("rate")
            .map_or_else(String::new, ToString::to_string);
        let mut page = Page::default()
            .table(format!("On disk, {} messages:", self.space.messages), self.space.table())
            .table(
                format!("Pages of 50 messages and lists: the highest rate, the latency at {rate} a second from when each was due, CPU of all parts for one at the highest rate:"),
                pages,
            );
        if let Some(scene) = self.scenes.first() {
            let named = scene.closed.all().map(|(way, window)| (way.name(), window));
            page = page.table(
                format!("CPU and memory by role, “{}”:", scene.name),
                table::costs(&named),
            );
        }
        match &self.ingest {
            Some(ingest) => page.and(ingest.page()),
            None => page,
        }
    }
}

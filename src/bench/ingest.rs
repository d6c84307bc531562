//! How fast the persister catches up, next to bare inserts of the same rows into the same table.

use std::sync::Arc;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use natterjack_nats::{
    Conversation, MessageId, UserId, cluster, topology,
    wire::{Content, Stored},
};
use natterjack_persister::sample::{BareInsert, Sample};
use natterjack_runtime::{clock::Clock, servers::Progress};
use serde::Serialize;

use super::{
    cluster::Cluster,
    cost::{Cost, Meter},
    figure::{Figure, number, percent},
    history,
    hold::hold,
    page::Page,
    population::text,
    raw::Raw,
    table::Table,
};

/// Rows of one bare insert, as many as the persister writes at once by default.
const BATCH: usize = 500;
/// Messages that are under way while the streams are filled.
const FILLING: usize = 256;
/// Sequences of bare rows are beyond all that the streams give.
const BARE_FROM: u64 = 1 << 40;

/// Rows a second, and what each cost.
#[derive(Debug, Serialize)]
pub struct Ingest {
    /// Rows of each measurement.
    pub rows: usize,
    /// Publishing them to the streams while the persister's consumers were held, a second.
    pub raw_per_second: Figure,
    /// The persister, until it had caught up.
    pub persister_per_second: Figure,
    /// Bare inserts over as many connections as there are shards.
    pub bare_per_second: Figure,
    /// What the last catching up cost.
    pub persister_cost: Cost,
    /// What the last bare inserts cost.
    pub bare_cost: Cost,
}

/// Measures both in turns, on top of what the database holds.
///
/// # Errors
/// A part fails, or the persister does not catch up.
pub async fn measure(
    cluster: &Cluster,
    sample: &Sample,
    database_url: &str,
    rows: usize,
    args: &history::Args,
    progress: &dyn Progress,
) -> anyhow::Result<Ingest> {
    let targets = targets(sample, cluster).await?;
    follow(cluster, args.rows).await?;
    let text = text(args.text_bytes as usize);
    let raw = Raw::connect(&cluster.nats_url, cluster.shards, text.clone(), targets.clone()).await?;
    let client = cluster::connect(&cluster.nats_url, "natterjack bench ingest", |_| {}).await?;
    let (mut raws, mut persisted, mut bares) = (Vec::new(), Vec::new(), Vec::new());
    let mut costs = (Cost::default(), Cost::default());
    for repetition in 0..args.measure.repetitions {
        let bare = bare(cluster, database_url, rows, repetition, &targets, &text).await?;
        hold(cluster, &client, topology::PERSISTER, true).await?;
        let meter = Meter::start(cluster);
        let filling = stream::iter(0..rows)
            .map(|number| raw.publish(number, &text))
            .buffer_unordered(FILLING);
        filling.try_collect::<()>().await?;
        let filled = meter.stop(cluster);
        let meter = Meter::start(cluster);
        hold(cluster, &client, topology::PERSISTER, false).await?;
        cluster.settle().await?;
        let caught_up = meter.stop(cluster);
        let rate = |cost: &Cost| float(rows) / cost.seconds;
        progress.say(&format!(
            "ingest of {rows}: {} rows/s, bare inserts {}, published at {}",
            number(rate(&caught_up)),
            number(rate(&bare)),
            number(rate(&filled)),
        ));
        raws.push(rate(&filled));
        persisted.push(rate(&caught_up));
        bares.push(rate(&bare));
        costs = (caught_up, bare);
    }
    Ok(Ingest {
        rows,
        raw_per_second: Figure::of(raws),
        persister_per_second: Figure::of(persisted),
        bare_per_second: Figure::of(bares),
        persister_cost: costs.0,
        bare_cost: costs.1,
    })
}

/// Conversations of the sample with somebody who may write there.
async fn targets(sample: &Sample, cluster: &Cluster) -> anyhow::Result<Vec<(UserId, Conversation)>> {
    let all = sample.some_conversations(1_000).await?;
    let dms = all.into_iter().filter_map(|conversation| match conversation {
        Conversation::Dm(dm) => Some((dm.low(), conversation)),
        _ => None,
    });
    let dms: Vec<_> = dms.collect();
    anyhow::ensure!(
        dms.len() >= usize::from(cluster.shards.count()),
        "the sample is too small"
    );
    Ok(dms)
}

/// Lets the streams go on where the sample ended, as if they had given its sequences.
async fn follow(cluster: &Cluster, rows: u64) -> anyhow::Result<()> {
    for shard in cluster.shards.all() {
        let stream = cluster
            .jetstream()
            .get_stream(topology::chat_stream(shard))
            .await?;
        stream.purge().sequence(rows + 1).await?;
    }
    Ok(())
}

async fn bare(
    cluster: &Cluster,
    database_url: &str,
    rows: usize,
    repetition: u32,
    targets: &[(UserId, Conversation)],
    text: &str,
) -> anyhow::Result<Cost> {
    let clock = Clock::system();
    let connections = usize::from(cluster.shards.count());
    let mut writers = Vec::new();
    for _ in 0..connections {
        writers.push(BareInsert::connect(database_url).await?);
    }
    let messages: Arc<[Stored]> = (0..rows)
        .map(|number| {
            let (sender, conversation) = targets[number % targets.len()];
            let now_ms = clock.now_ms();
            let content = Content::Text {
                text: text.to_owned(),
                reply_to: None,
            };
            Stored::new(conversation, MessageId::generate(now_ms), sender, now_ms, content)
        })
        .collect();
    let from = BARE_FROM * (u64::from(repetition) + 1);
    let meter = Meter::start(cluster);
    let writing = writers.iter().enumerate().map(|(index, writer)| {
        let messages = Arc::clone(&messages);
        async move {
            let own = messages
                .chunks(BATCH)
                .enumerate()
                .skip(index)
                .step_by(connections);
            for (at, chunk) in own {
                writer.write(chunk, from + (at * BATCH) as u64).await?;
            }
            anyhow::Ok(())
        }
    });
    try_join_all(writing).await.context("a bare insert")?;
    Ok(meter.stop(cluster))
}

impl Ingest {
    /// For a person.
    pub fn page(&self) -> Page {
        let mut table = Table::new([
            "way",
            "rows/s",
            "least–most",
            "of bare",
            "persister µs",
            "Postgres µs",
            "nats-server µs",
        ]);
        let bare = self.bare_per_second.median;
        let mut row = |name: &str, figure: &Figure, cost: Option<&Cost>| {
            let each = |role: &str| {
                let used = cost.and_then(|cost| cost.cpu_s.get(role));
                used.map_or_else(|| "–".into(), |used| number(used * 1e6 / float(self.rows)))
            };
            table.row(vec![
                name.to_owned(),
                number(figure.median),
                figure.range(),
                percent(figure.median / bare),
                each("persister"),
                each("postgres"),
                each("nats-server"),
            ]);
        };
        row("bare inserts", &self.bare_per_second, Some(&self.bare_cost));
        row(
            "persister, catching up",
            &self.persister_per_second,
            Some(&self.persister_cost),
        );
        row("raw publishing alone", &self.raw_per_second, None);
        Page::default().table(format!("Ingest of {} messages, CPU for each:", self.rows), table)
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
const fn float(count: usize) -> f64 {
    count as f64
}

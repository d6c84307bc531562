//! The end of a run: everything comes to rest, and is held against the promises.

use std::time::Duration;

use anyhow::{Context, ensure};
use async_nats::jetstream::{self, consumer::PullConsumer};
use natterjack::fleet::{Fleet, Phones};
use natterjack_nats::{
    cluster, services,
    services::push::{Dead, Why},
    topology::{self, NOTIFIER},
    wire::{Channel, PushReason},
};
use tokio::time::{Instant, sleep};

use super::{
    Victim,
    people::{Cast, Kind},
    record::{Place, Record},
    rules,
};

/// What a process that was killed had in its hands is taken up by another after a minute.
const SETTLED_WITHIN: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(500);
/// Of each kind, so many messages are asked about.
const SAMPLES: usize = 10;
/// What NATS has confirmed for a shorter time than this when it is killed, it may have forgotten.
const FORGETS_MS: u64 = 1_000;
/// A notifier that is killed leaves at most so many pushes that were taken and not acked: those of some
/// tenths of a second on a machine that is busy, and hardly one on one that is not.
const DOUBLES_EACH: usize = 8;

pub struct Judge<'a> {
    fleet: &'a Fleet,
    cast: &'a Cast,
    phones: &'a Phones,
}

impl<'a> Judge<'a> {
    pub const fn new(fleet: &'a Fleet, cast: &'a Cast, phones: &'a Phones) -> Self {
        Self { fleet, cast, phones }
    }

    /// Waits until nothing is under way any more, then checks every promise.
    pub async fn pass(&self, killed: &[(u64, Victim)]) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.rest().await?;
        let ground = self.fleet.ground();
        let nats = cluster::connect(ground.admin(), "natterjack judge", |_| {}).await?;
        let record = Record::read(&nats, ground.settings()).await?;
        let taken = self.phones.taken()?;
        let (doubles, shares) = (rules::doubles(&taken), rules::shares(self.cast, &taken));
        println!(
            "at rest after {:?}: {} texts, {} pushes {shares:?}, {} of them told of twice",
            begun.elapsed(),
            record.texts.len(),
            taken.len(),
            doubles.len(),
        );
        timeline(killed, &doubles);
        self.phones.nothing_wrong()?;
        let missing = rules::missing(&record, self.cast, &taken);
        ensure!(missing.is_empty(), "{} missing: {missing:#?}", missing.len());
        let needless = rules::needless(&record, self.cast, &taken);
        ensure!(needless.is_empty(), "{} needless: {needless:#?}", needless.len());
        let visible = rules::visible(&taken);
        ensure!(visible.is_empty(), "{visible:#?}");
        let garbled = rules::garbled(&record, &taken);
        ensure!(garbled.is_empty(), "{garbled:#?}");
        let (forgotten, other): (Vec<_>, Vec<_>) = doubles
            .iter()
            .partition(|(_, _, times)| forgotten(killed, times[0]));
        println!(
            "{} doubles of pushes whose acks NATS forgot, {} others: {:.3} % of all pushes",
            forgotten.len(),
            other.len(),
            doubles.len() as f64 * 100.0 / taken.len().max(1) as f64
        );
        let ended: usize = killed.iter().map(|(_, victim)| victim.notifiers()).sum();
        ensure!(
            other.len() <= ended * DOUBLES_EACH,
            "{} doubles for {ended} notifiers that were killed",
            other.len()
        );
        for kind in [Kind::Offline, Kind::Background, Kind::HalfOpen] {
            ensure!(shares.get(&kind).is_some_and(|count| *count > 20), "{shares:?}");
        }
        self.explained(&record, &nats).await?;
        let dead = services::call(&nats, &Dead::default(), POLL * 20).await?;
        ensure!(dead.pushes.is_empty(), "given up: {:?}", dead.pushes);
        Ok(())
    }

    /// Waits until the notifiers have nothing in their hands.
    async fn rest(&self) -> anyhow::Result<()> {
        let ground = self.fleet.ground();
        let nats = cluster::connect(ground.admin(), "natterjack judge", |_| {}).await?;
        let context = jetstream::new(nats);
        let deadline = Instant::now() + SETTLED_WITHIN;
        let of_notifier =
            |name: &str| name == NOTIFIER || Channel::ALL.iter().any(|channel| channel.as_str() == name);
        // Deciding first: what it decides is pushed then.
        let mut consumers = topology::consumers(ground.settings());
        consumers.retain(|(_, config)| config.durable_name.as_deref().is_some_and(of_notifier));
        for (stream, config) in consumers {
            let name = config.durable_name.unwrap_or_default();
            loop {
                let consumer: PullConsumer = context
                    .get_consumer_from_stream(&name, &stream)
                    .await
                    .with_context(|| format!("{stream} > {name}"))?;
                let info = consumer.cached_info();
                let (pending, unacked) = (info.num_pending, info.num_ack_pending);
                if pending == 0 && unacked == 0 {
                    break;
                }
                ensure!(
                    Instant::now() < deadline,
                    "{stream} > {name} has {pending} pending and {unacked} unacked"
                );
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Asks why messages were pushed or not, as an operator does.
    async fn explained(&self, record: &Record, nats: &async_nats::Client) -> anyhow::Result<()> {
        let traced = record
            .texts
            .keys()
            .filter(|place| record.verdicts.contains_key(*place));
        let traced = traced.count();
        println!("{traced} of {} texts have a trace", record.texts.len());
        // Traces are not synced one by one: what NATS had not written when it was killed is gone.
        ensure!(traced * 100 >= record.texts.len() * 95, "too few");
        for kind in [Kind::Offline, Kind::Background, Kind::HalfOpen, Kind::Foreground] {
            let of_kind = record.texts.iter().filter_map(|(place, text)| {
                let listeners = self.cast.listeners(&place.0, text.sender);
                let person = listeners.into_iter().find(|person| person.kind == kind)?;
                record.verdicts.contains_key(place).then_some((*place, person))
            });
            let of_kind: Vec<_> = of_kind.collect();
            let step = (of_kind.len() / SAMPLES).max(1);
            for (place, person) in of_kind.iter().step_by(step) {
                let verdicts = &record.verdicts[place];
                let about = verdicts
                    .iter()
                    .filter(|verdict| verdict.users.contains(&person.user));
                let reasons: Vec<_> = about.map(|verdict| verdict.reason).collect();
                let last = reasons.last().with_context(|| format!("no verdict: {place:?}"))?;
                let pushed = [PushReason::Unconfirmed, PushReason::Queued, PushReason::Nudged];
                ensure!(
                    kind == Kind::Foreground || pushed.contains(last),
                    "{place:?} for a user {kind:?}: {reasons:?}"
                );
                let question = Why {
                    conversation: place.0,
                    seq: place.1,
                    user: Some(person.user),
                };
                let why = services::call(nats, &question, POLL * 20).await?;
                ensure!(
                    !why.answer.is_empty() && !why.trace.is_empty(),
                    "{place:?}: {why:?}"
                );
                if *place == of_kind[0].0 {
                    println!("{kind:?}: {}", why.answer.join("; "));
                }
            }
        }
        Ok(())
    }
}

/// Whether a push was taken so shortly before NATS was killed that its ack may be forgotten: nats-server
/// confirms acks before it writes them, some tenths of a second later.
fn forgotten(killed: &[(u64, Victim)], taken_ms: u64) -> bool {
    let shortly = |(at_ms, victim): &(u64, Victim)| {
        *victim == Victim::Nats && taken_ms + FORGETS_MS >= *at_ms && taken_ms <= at_ms + FORGETS_MS
    };
    killed.iter().any(shortly)
}

/// Who was killed when, and what was told twice: which of the kills is to blame.
fn timeline(killed: &[(u64, Victim)], doubles: &[(String, Place, Vec<u64>)]) {
    let Some((begin, _)) = killed.first() else { return };
    let since = |at_ms: &u64| (*at_ms as f64 - *begin as f64) / 1_000.0;
    for (at, victim) in killed {
        println!("{} s: {victim:?}", since(at));
    }
    for (phone, (_, seq), times) in doubles {
        let times: Vec<_> = times.iter().map(|at_ms| since(at_ms).to_string()).collect();
        println!("{phone} was told of {seq} at {} s", times.join(" s and "));
    }
}

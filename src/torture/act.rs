//! Does to real processes what the plan says.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use natterjack_nats::{Shard, cluster, topology::chat_stream};
use natterjack_runtime::servers::Progress;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    crowd::Crowd,
    fault::{Fault, Part},
    plan::{Plan, Planned},
    stage::Stage,
};
use crate::{
    check::{Recorder, Span},
    fleet::Weather,
};

/// How long a client may take to leave in good order while anything may be disturbed.
const LEAVE_WITHIN: Duration = Duration::from_secs(90);
/// How long the cluster may take to say who leads a stream.
const LEADER_WITHIN: Duration = Duration::from_secs(10);

/// What became of a planned fault.
#[derive(Debug, Clone)]
pub struct Done {
    /// The fault.
    pub planned: Planned,
    /// What was only known when it came, such as who led a stream.
    pub note: Option<String>,
    /// From its begin to its end, restarts included; since the record began.
    pub span: Span,
}

/// What a fault needs.
struct Actor {
    stage: Arc<Stage>,
    devices: Vec<Arc<super::crowd::Device>>,
    recorder: Recorder,
}

/// Lets every fault of the plan happen at its time, and returns once all are healed.
///
/// # Errors
/// Something that was killed does not come back, or ended by itself.
pub async fn act(
    plan: &Plan,
    stage: &Arc<Stage>,
    crowd: &Crowd,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Done>> {
    let began = Instant::now();
    let actor = Arc::new(Actor {
        stage: Arc::clone(stage),
        devices: crowd.devices.clone(),
        recorder: crowd.recorder.clone(),
    });
    let mut faults = JoinSet::new();
    let over: Vec<watch::Sender<bool>> = plan.faults.iter().map(|_| watch::Sender::new(false)).collect();
    let over = Arc::new(over);
    for (index, planned) in plan.faults.iter().copied().enumerate() {
        let (actor, over, clashes) = (Arc::clone(&actor), Arc::clone(&over), plan.clashes(index));
        faults.spawn(async move {
            sleep_until(began + Duration::from_millis(planned.at_ms)).await;
            for before in clashes {
                // The senders live as long as this task does.
                let _ = over[before].subscribe().wait_for(|over| *over).await;
            }
            let from = actor.recorder.now();
            let note = actor.fault(&planned).await;
            let note = note.with_context(|| format!("fault {planned}"))?;
            let to = actor.recorder.now();
            over[index].send_replace(true);
            Ok::<_, anyhow::Error>(Done {
                planned,
                note,
                span: Span { from, to },
            })
        });
    }
    let mut done = Vec::new();
    while let Some(one) = faults.join_next().await {
        let one = one??;
        let note = one
            .note
            .as_deref()
            .map_or_else(String::new, |note| format!(" ({note})"));
        let took = one.span.to - one.span.from;
        progress.say(&format!(
            "{}{note}, over after {:.1} s",
            one.planned,
            took.as_secs_f64()
        ));
        if one.planned.fault.of_server() {
            actor.recorder.with_journal(|journal| journal.disturbed(one.span));
        }
        done.push(one);
    }
    stage.all_ready().await?;
    done.sort_by_key(|one| one.planned.number);
    Ok(done)
}

impl Actor {
    async fn fault(&self, planned: &Planned) -> anyhow::Result<Option<String>> {
        let (stage, hold) = (&*self.stage, Duration::from_millis(planned.hold_ms));
        match planned.fault {
            Fault::Kill(part) => {
                stage.kill(part).await?;
                sleep(hold).await;
                stage.revive(part).await?;
            }
            Fault::Pause(part) => {
                stage.hold(part, true)?;
                sleep(hold).await;
                stage.hold(part, false)?;
            }
            Fault::Cut(wire) => self.weather(wire, Weather::Cut, hold).await,
            Fault::Still(wire) => self.weather(wire, Weather::Still, hold).await,
            Fault::Late(wire, ms) => {
                let by = Duration::from_millis(ms.into());
                self.weather(wire, Weather::Late(by), hold).await;
            }
            Fault::Narrow(wire, kib) => {
                self.weather(wire, Weather::Narrow(kib.saturating_mul(1024)), hold)
                    .await;
            }
            Fault::FullDisk(part) => {
                let disk = stage.disks.get(&part).context("a disk of its own")?;
                disk.fill()?;
                sleep(hold).await;
                disk.free()?;
                stage.has_room(part).await?;
            }
            Fault::Clock(part, ms) => {
                let hand = stage.clocks.get(&part).context("a clock of its own")?;
                hand.set(ms)?;
                sleep(hold).await;
                hand.set(0)?;
            }
            Fault::Slow(client) => {
                let device = &self.devices[client];
                device.hold(true).await;
                sleep(hold).await;
                device.hold(false).await;
            }
            Fault::Leave(client) => {
                let device = &self.devices[client];
                device.leave(LEAVE_WITHIN).await?;
                sleep(hold).await;
                device.come_back().await?;
            }
            Fault::Crash(client) => {
                let device = &self.devices[client];
                device.crash().await?;
                sleep(hold).await;
                device.come_back().await?;
            }
            Fault::Leader(shard) => return self.leader(shard, hold).await.map(Some),
            Fault::Majority(one, other) => {
                let parts = [Part::Nats(one), Part::Nats(other)];
                for part in parts {
                    stage.kill(part).await?;
                }
                let from = self.recorder.now();
                sleep(hold).await;
                let to = self.recorder.now();
                self.recorder
                    .with_journal(|journal| journal.without_quorum(Span { from, to }));
                for part in parts {
                    stage.revive(part).await?;
                }
            }
        }
        Ok(None)
    }

    async fn weather(&self, wire: super::fault::Wire, weather: Weather, hold: Duration) {
        self.stage.set(wire, weather);
        sleep(hold).await;
        self.stage.set(wire, Weather::Fair);
    }

    /// Kills whoever leads the stream of a shard; answers who it was.
    async fn leader(&self, shard: u16, hold: Duration) -> anyhow::Result<String> {
        let found = timeout(LEADER_WITHIN, leader_of(&self.stage.nats.urls(), shard)).await;
        let name = found.context("nobody says who leads the stream")??;
        let index = name
            .strip_prefix("nats-")
            .and_then(|index| index.parse().ok())
            .with_context(|| format!("{name} is none of our servers"))?;
        self.stage.kill(Part::Nats(index)).await?;
        sleep(hold).await;
        self.stage.revive(Part::Nats(index)).await?;
        Ok(name)
    }
}

/// The name of the server that leads the stream of a shard, once there is one.
async fn leader_of(urls: &str, shard: u16) -> anyhow::Result<String> {
    let client = cluster::connect(urls, "natterjack torture", |_| {}).await?;
    let context = async_nats::jetstream::new(client);
    let shards = natterjack_nats::Shards::new(shard + 1).context("there is no such shard")?;
    let shard: Shard = shards.all().last().context("there is no such shard")?;
    loop {
        if let Ok(stream) = context.get_stream(chat_stream(shard)).await
            && let Some(cluster) = &stream.cached_info().cluster
            && let Some(leader) = cluster.leader.as_ref().filter(|leader| !leader.is_empty())
        {
            return Ok(leader.clone());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

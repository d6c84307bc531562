//! Idempotent provisioning: makes what is missing, and reports what differs.

mod drift;
mod vapid;

use std::{collections::BTreeSet, fmt::Display};

use async_nats::jetstream::{
    Context, ErrorCode,
    consumer::{FromConsumer as _, IntoConsumerConfig as _, pull},
    context::{ConsumerInfoErrorKind, GetStreamErrorKind},
    kv, stream,
};
pub use drift::Drift;
use drift::{Compared, Pair};
pub use vapid::{PushKeys, inspect_push_keys};

use crate::{
    cluster::{self, JoinError},
    subjects,
    topology::{self, Bucket, Settings},
};

/// What provisioning did and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What was made.
    pub created: Vec<String>,
    /// What there is not, and was not made since nothing was to be changed: see [`inspect`].
    pub missing: Vec<String>,
    /// What was brought in line.
    pub updated: Vec<String>,
    /// What differs from what was asked for and was left alone.
    pub drift: Vec<Drift>,
    /// Chat streams that take no messages yet: a persister opens them, once it has seen up to where the
    /// history of their shards counts.
    pub closed: Vec<String>,
    /// What did not answer when it was only looked at ([`inspect`]), with the reason.
    pub silent: Vec<String>,
}

/// Why provisioning failed.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The cluster has another number of shards, which cannot change: conversations would move to
    /// streams that do not have them.
    #[error("the cluster was provisioned with {found} shards and cannot change to {wanted}")]
    Shards {
        /// As recorded.
        found: u16,
        /// As asked for.
        wanted: u16,
    },
    /// Joining failed.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The server refused something.
    #[error("{what}: {why}")]
    Refused {
        /// Which stream, bucket or consumer.
        what: String,
        /// In the server's words.
        why: String,
    },
}

fn refused(what: &str, why: &impl Display) -> ProvisionError {
    ProvisionError::Refused {
        what: what.to_owned(),
        why: why.to_string(),
    }
}

/// Makes all streams, buckets and consumers that are missing, records the number of shards, and makes the
/// key pair of Web Push if there is none.
///
/// What exists and differs is reported; with `apply` it is changed where nothing can be lost by that, and
/// reported with the reason where something could ([`Drift::refused`]).
///
/// # Errors
/// [`ProvisionError`]; nothing is undone, and running again goes on.
pub async fn provision(
    context: &Context,
    settings: &Settings,
    apply: bool,
) -> Result<Report, ProvisionError> {
    match cluster::shards(context).await {
        Ok(found) if found != settings.shards => {
            return Err(ProvisionError::Shards {
                found: found.count(),
                wanted: settings.shards.count(),
            });
        }
        Ok(_) | Err(JoinError::NotProvisioned) => {}
        Err(error) => return Err(error.into()),
    }
    let changes = if apply { Changes::All } else { Changes::Missing };
    let mut round = Round {
        context,
        settings,
        changes,
        report: Report::default(),
    };
    round.topology().await?;
    record_shards(context, settings).await?;
    vapid::ensure(context, apply, &mut round.report).await?;
    Ok(round.report)
}

/// Compares streams, buckets and consumers with what they should be, and changes nothing: needs no more
/// than to read their configurations. What does not answer is told ([`Report::silent`]), and the rest is
/// compared; the streams of `without` (those of buckets by their own names) are not even asked, which takes
/// the time of a request each where one is known to be without a leader.
pub async fn inspect(context: &Context, settings: &Settings, without: &BTreeSet<String>) -> Report {
    let mut round = Round {
        context,
        settings,
        changes: Changes::Nothing,
        report: Report::default(),
    };
    let mut silent = without.clone();
    for config in topology::streams(settings) {
        let name = config.name.clone();
        if silent.contains(&name) {
            continue;
        }
        if let Err(error) = round.stream(config).await {
            round.report.silent.push(error.to_string());
            silent.insert(name);
        }
    }
    for config in topology::buckets(settings) {
        if silent.contains(&format!("KV_{}", config.bucket)) {
            continue;
        }
        if let Err(error) = round.bucket(config).await {
            round.report.silent.push(error.to_string());
        }
    }
    for (stream, config) in topology::consumers(settings) {
        if silent.contains(&stream) {
            continue;
        }
        if let Err(error) = round.consumer(&stream, config).await {
            round.report.silent.push(error.to_string());
        }
    }
    round.report
}

/// What a run may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Changes {
    /// It only looks.
    Nothing,
    /// It makes what is missing.
    Missing,
    /// It also brings in line what differs.
    All,
}

/// One run over the topology.
struct Round<'a> {
    context: &'a Context,
    settings: &'a Settings,
    changes: Changes,
    report: Report,
}

impl Round<'_> {
    async fn topology(&mut self) -> Result<(), ProvisionError> {
        for config in topology::streams(self.settings) {
            self.stream(config).await?;
        }
        for config in topology::buckets(self.settings) {
            self.bucket(config).await?;
        }
        for (stream, config) in topology::consumers(self.settings) {
            self.consumer(&stream, config).await?;
        }
        Ok(())
    }

    async fn stream(&mut self, mut wanted: stream::Config) -> Result<(), ProvisionError> {
        let (what, context) = (format!("stream {}", wanted.name), self.context);
        let shard = self
            .settings
            .shards
            .all()
            .find(|shard| topology::chat_stream(*shard) == wanted.name);
        let found = match context.get_stream(&wanted.name).await {
            Ok(found) => found.cached_info().clone(),
            Err(error) if is_missing(&error.kind()) => {
                let makes = self.changes != Changes::Nothing && self.settings.made_closed;
                if let Some(shard) = shard.filter(|_| makes) {
                    topology::set_closed(shard, &mut wanted, true);
                    self.report.closed.push(wanted.name.clone());
                }
                return self.made(what, context.create_stream(wanted)).await;
            }
            Err(error) => return Err(refused(&what, &error)),
        };
        if let Some(shard) = shard.filter(|shard| topology::is_closed(*shard, &found.config)) {
            // It is the persister's to open it.
            topology::set_closed(shard, &mut wanted, true);
            self.report.closed.push(wanted.name.clone());
        }
        self.compared(&what, drift::STREAM, &found, &wanted).await;
        Ok(())
    }

    async fn bucket(&mut self, wanted: kv::Config) -> Result<(), ProvisionError> {
        let (what, context) = (format!("bucket {}", wanted.bucket), self.context);
        let wanted = topology::bucket_stream(wanted);
        let found = match context.get_stream(&wanted.name).await {
            Ok(found) => found.cached_info().clone(),
            Err(error) if is_missing(&error.kind()) => {
                return self.made(what, context.create_stream(wanted)).await;
            }
            Err(error) => return Err(refused(&what, &error)),
        };
        self.compared(&what, drift::BUCKET, &found, &wanted).await;
        Ok(())
    }

    /// Compares a stream with what it should be, and settles what differs.
    async fn compared(&mut self, of: &str, names: &[&str], found: &stream::Info, wanted: &stream::Config) {
        let pair = Pair {
            of,
            names,
            found: &found.config,
            wanted,
            bytes: found.state.bytes,
        };
        let context = self.context;
        let update = |mended| async { context.update_stream(mended).await };
        self.settle(of, pair.compare(), update).await;
    }

    async fn consumer(&mut self, stream: &str, wanted: pull::Config) -> Result<(), ProvisionError> {
        let name = wanted.durable_name.clone().unwrap_or_default();
        let what = format!("consumer {stream} > {name}");
        let stream = match self.context.get_stream(stream).await {
            Ok(stream) => stream,
            Err(error) if self.changes == Changes::Nothing && is_missing(&error.kind()) => {
                self.report.missing.push(what);
                return Ok(());
            }
            Err(error) => return Err(refused(&what, &error)),
        };
        let found = match stream.consumer_info(&name).await {
            Ok(found) => found.config,
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => {
                return self.made(what, stream.create_consumer(wanted)).await;
            }
            Err(error) => return Err(refused(&what, &error)),
        };
        let pair = Pair {
            of: &what,
            names: drift::CONSUMER,
            found: &found,
            wanted: &wanted.into_consumer_config(),
            bytes: 0,
        };
        let stream = &stream;
        self.settle(&what, pair.compare(), |mended| async move {
            let mended = pull::Config::try_from_consumer_config(mended).map_err(|_| {
                "it pushes; remove it with `nats consumer rm`, and provision again".to_owned()
            })?;
            let updated = stream.update_consumer(mended).await;
            updated.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Ok(())
    }

    /// Makes what is missing.
    async fn made<A, E: Display>(
        &mut self,
        what: String,
        create: impl Future<Output = Result<A, E>>,
    ) -> Result<(), ProvisionError> {
        if self.changes == Changes::Nothing {
            self.report.missing.push(what);
            return Ok(());
        }
        create.await.map_err(|error| refused(&what, &error))?;
        self.report.created.push(what);
        Ok(())
    }

    /// Changes what differs and may be changed, if that is wanted; reports the rest.
    async fn settle<T, A, E: Display, F: Future<Output = Result<A, E>>>(
        &mut self,
        what: &str,
        compared: Compared<T>,
        update: impl FnOnce(T) -> F,
    ) {
        let Compared { mut drift, mended } = compared;
        if self.changes == Changes::All && drift.iter().any(|drift| drift.refused.is_none()) {
            match update(mended).await {
                Ok(_) => {
                    self.report.updated.push(what.to_owned());
                    drift.retain(|drift| drift.refused.is_some());
                }
                // The others are changed all the same.
                Err(error) => {
                    for drift in &mut drift {
                        let why = || format!("the server refused: {error}");
                        drift.refused.get_or_insert_with(why);
                    }
                }
            }
        }
        self.report.drift.extend(drift);
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

async fn record_shards(context: &Context, settings: &Settings) -> Result<(), ProvisionError> {
    let bucket = context
        .get_key_value(Bucket::Cluster.name())
        .await
        .map_err(|error| refused("bucket cluster", &error))?;
    let wanted = settings.shards.count();
    // Create, not put: of two first provisionings at once, the second reads what the first wrote.
    if bucket
        .create(subjects::kv::cluster::SHARDS, wanted.to_string().into())
        .await
        .is_err()
    {
        let found = cluster::shards(context).await?.count();
        if found != wanted {
            return Err(ProvisionError::Shards { found, wanted });
        }
    }
    Ok(())
}

//! Idempotent provisioning: makes what is missing, and reports what differs.

mod vapid;

use std::fmt::Display;

use async_nats::jetstream::{
    Context, ErrorCode,
    consumer::{IntoConsumerConfig as _, pull},
    context::{ConsumerInfoErrorKind, GetStreamErrorKind, KeyValueErrorKind},
    kv, stream,
};
use serde_json::Value;
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
}

/// One setting that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Of which stream, bucket or consumer.
    pub of: String,
    /// Which setting, in the server's own words.
    pub setting: String,
    /// What the server has.
    pub found: String,
    /// What was asked for.
    pub wanted: String,
}

impl Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            of,
            setting,
            found,
            wanted,
        } = self;
        write!(f, "{of}: {setting} is {found}, not {wanted}")
    }
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

/// Settings of a stream that matter to Natterjack, by their names in the server's API.
const STREAM_SETTINGS: &[&str] = &[
    "subjects",
    "retention",
    "storage",
    "num_replicas",
    "max_bytes",
    "max_age",
    "discard",
    "duplicate_window",
    "allow_direct",
    "republish",
    "max_msgs_per_subject",
    "deny_delete",
    "deny_purge",
    "persist_mode",
];

/// Settings of a consumer that matter to Natterjack.
const CONSUMER_SETTINGS: &[&str] = &[
    "deliver_policy",
    "ack_policy",
    "ack_wait",
    "max_deliver",
    "max_ack_pending",
    "filter_subject",
    "filter_subjects",
];

/// Makes all streams, buckets and consumers that are missing, records the number of shards, and makes the
/// key pair of Web Push if there is none.
///
/// What exists and differs is reported; with `apply` it is updated where the server allows it.
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
        changes,
        report: Report::default(),
    };
    round.topology(settings).await?;
    record_shards(context, settings).await?;
    vapid::ensure(context, apply, &mut round.report).await?;
    Ok(round.report)
}

/// Compares streams, buckets and consumers with what they should be, and changes nothing: needs no more
/// than to read their configurations.
///
/// # Errors
/// [`ProvisionError::Refused`]: the server did not answer, or not this user.
pub async fn inspect(context: &Context, settings: &Settings) -> Result<Report, ProvisionError> {
    let mut round = Round {
        context,
        changes: Changes::Nothing,
        report: Report::default(),
    };
    round.topology(settings).await?;
    Ok(round.report)
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
    changes: Changes,
    report: Report,
}

impl Round<'_> {
    async fn topology(&mut self, settings: &Settings) -> Result<(), ProvisionError> {
        for config in topology::streams(settings) {
            self.stream(config).await?;
        }
        for config in topology::buckets(settings) {
            self.bucket(config).await?;
        }
        for (stream, config) in topology::consumers(settings) {
            self.consumer(&stream, config).await?;
        }
        Ok(())
    }

    async fn stream(&mut self, wanted: stream::Config) -> Result<(), ProvisionError> {
        let (what, context) = (format!("stream {}", wanted.name), self.context);
        let found = match context.get_stream(&wanted.name).await {
            Ok(found) => Some(differences(
                &what,
                STREAM_SETTINGS,
                &found.cached_info().config,
                &wanted,
            )),
            Err(error) if is_missing(&error.kind()) => None,
            Err(error) => return Err(refused(&what, &error)),
        };
        let create = context.create_stream(wanted.clone());
        self.settle(what, found, create, context.update_stream(wanted))
            .await
    }

    async fn bucket(&mut self, wanted: kv::Config) -> Result<(), ProvisionError> {
        let (what, context) = (format!("bucket {}", wanted.bucket), self.context);
        let found = match context.get_key_value(&wanted.bucket).await {
            Ok(found) => {
                let status = found.status().await.map_err(|error| refused(&what, &error))?;
                Some(bucket_differences(&what, &status.info.config, &wanted))
            }
            Err(error) if error.kind() == KeyValueErrorKind::GetBucket => None,
            Err(error) => return Err(refused(&what, &error)),
        };
        let create = context.create_key_value(wanted.clone());
        self.settle(what, found, create, context.update_key_value(wanted))
            .await
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
            Ok(found) => {
                let wanted = (&wanted).into_consumer_config();
                Some(differences(&what, CONSUMER_SETTINGS, &found.config, &wanted))
            }
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => None,
            Err(error) => return Err(refused(&what, &error)),
        };
        let create = stream.create_consumer(wanted.clone());
        self.settle(what, found, create, stream.update_consumer(wanted))
            .await
    }

    /// Creates what is missing (`found` is `None`); updates or reports what differs. Of the two
    /// futures at most one runs.
    async fn settle<A, B, E: Display, F: Display>(
        &mut self,
        what: String,
        found: Option<Vec<Drift>>,
        create: impl Future<Output = Result<A, E>>,
        update: impl Future<Output = Result<B, F>>,
    ) -> Result<(), ProvisionError> {
        match found {
            None if self.changes == Changes::Nothing => self.report.missing.push(what),
            None => {
                create.await.map_err(|error| refused(&what, &error))?;
                self.report.created.push(what);
            }
            Some(drift) if drift.is_empty() => {}
            Some(_) if self.changes == Changes::All => {
                update.await.map_err(|error| refused(&what, &error))?;
                self.report.updated.push(what);
            }
            Some(drift) => self.report.drift.extend(drift),
        }
        Ok(())
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn bucket_differences(what: &str, found: &stream::Config, wanted: &kv::Config) -> Vec<Drift> {
    let facts = [
        (
            "max_age",
            format!("{:?}", found.max_age),
            format!("{:?}", wanted.max_age),
        ),
        (
            "num_replicas",
            found.num_replicas.to_string(),
            wanted.num_replicas.to_string(),
        ),
        (
            "limit_markers",
            format!("{:?}", found.subject_delete_marker_ttl),
            format!("{:?}", wanted.limit_markers),
        ),
        (
            "republish",
            format!("{:?}", found.republish),
            format!("{:?}", wanted.republish),
        ),
        (
            "history",
            found.max_messages_per_subject.to_string(),
            wanted.history.to_string(),
        ),
    ];
    facts
        .into_iter()
        .filter(|(_, found, wanted)| found != wanted)
        .map(|(setting, found, wanted)| Drift {
            of: what.to_owned(),
            setting: setting.to_owned(),
            found,
            wanted,
        })
        .collect()
}

/// The settings in `names` whose JSON differs; absent, zero and -1 are the same "no limit".
fn differences<T: serde::Serialize>(of: &str, names: &[&str], found: &T, wanted: &T) -> Vec<Drift> {
    let json = |config: &T| serde_json::to_value(config).unwrap_or_default();
    let unset = |value: &Value| {
        matches!(value.as_i64(), Some(0 | -1))
            || value.is_null()
            || value == &Value::Bool(false)
            || value == ""
    };
    let (found, wanted) = (json(found), json(wanted));
    names
        .iter()
        .filter(|name| {
            let (found, wanted) = (&found[**name], &wanted[**name]);
            found != wanted && !(unset(found) && unset(wanted))
        })
        .map(|name| Drift {
            of: of.into(),
            setting: (*name).into(),
            found: found[*name].to_string(),
            wanted: wanted[*name].to_string(),
        })
        .collect()
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

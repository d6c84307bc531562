//! Idempotent provisioning: makes what is missing, and reports what differs.

use async_nats::jetstream::{
    Context,
    consumer::pull,
    context::{ConsumerInfoErrorKind, GetStreamErrorKind},
    kv, stream,
};
use serde_json::Value;

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

impl std::fmt::Display for Drift {
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

fn refused(what: &str) -> impl Fn(String) -> ProvisionError + use<> {
    let what = what.to_owned();
    move |why| ProvisionError::Refused {
        what: what.clone(),
        why,
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
];

/// Settings of a consumer that matter to Natterjack.
const CONSUMER_SETTINGS: &[&str] = &[
    "deliver_policy",
    "ack_policy",
    "ack_wait",
    "max_deliver",
    "max_ack_pending",
    "filter_subject",
];

/// Makes all streams, buckets and consumers that are missing and records the number of shards.
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
    let mut report = Report::default();
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
    for config in topology::streams(settings) {
        stream(context, config, apply, &mut report).await?;
    }
    for config in topology::buckets(settings) {
        bucket(context, config, apply, &mut report).await?;
    }
    for (stream, config) in topology::consumers(settings) {
        consumer(context, &stream, config, apply, &mut report).await?;
    }
    record_shards(context, settings).await?;
    Ok(report)
}

async fn stream(
    context: &Context,
    wanted: stream::Config,
    apply: bool,
    report: &mut Report,
) -> Result<(), ProvisionError> {
    let what = format!("stream {}", wanted.name);
    let fail = refused(&what);
    let found = match context.get_stream(&wanted.name).await {
        Ok(found) => found,
        Err(error) if is_missing(&error.kind()) => {
            context
                .create_stream(wanted)
                .await
                .map_err(|error| fail(error.to_string()))?;
            report.created.push(what);
            return Ok(());
        }
        Err(error) => return Err(fail(error.to_string())),
    };
    let drift = differences(&what, STREAM_SETTINGS, &found.cached_info().config, &wanted);
    if drift.is_empty() {
        return Ok(());
    }
    if apply {
        context
            .update_stream(wanted)
            .await
            .map_err(|error| fail(error.to_string()))?;
        report.updated.push(what);
    } else {
        report.drift.extend(drift);
    }
    Ok(())
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    use async_nats::jetstream::ErrorCode;
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

async fn bucket(
    context: &Context,
    wanted: kv::Config,
    apply: bool,
    report: &mut Report,
) -> Result<(), ProvisionError> {
    let what = format!("bucket {}", wanted.bucket);
    let fail = refused(&what);
    let Ok(found) = context.get_key_value(&wanted.bucket).await else {
        context
            .create_key_value(wanted)
            .await
            .map_err(|error| fail(error.to_string()))?;
        report.created.push(what);
        return Ok(());
    };
    let status = found.status().await.map_err(|error| fail(error.to_string()))?;
    let have = &status.info.config;
    let facts = [
        (
            "max_age",
            format!("{:?}", have.max_age),
            format!("{:?}", wanted.max_age),
        ),
        (
            "num_replicas",
            have.num_replicas.to_string(),
            wanted.num_replicas.to_string(),
        ),
        (
            "history",
            have.max_messages_per_subject.to_string(),
            wanted.history.to_string(),
        ),
    ];
    let drift: Vec<Drift> = facts
        .into_iter()
        .filter(|(_, found, wanted)| found != wanted)
        .map(|(setting, found, wanted)| Drift {
            of: what.clone(),
            setting: setting.into(),
            found,
            wanted,
        })
        .collect();
    if drift.is_empty() {
        return Ok(());
    }
    if apply {
        context
            .update_key_value(wanted)
            .await
            .map_err(|error| fail(error.to_string()))?;
        report.updated.push(what);
    } else {
        report.drift.extend(drift);
    }
    Ok(())
}

async fn consumer(
    context: &Context,
    stream: &str,
    wanted: pull::Config,
    apply: bool,
    report: &mut Report,
) -> Result<(), ProvisionError> {
    let name = wanted.durable_name.clone().unwrap_or_default();
    let what = format!("consumer {stream} > {name}");
    let fail = refused(&what);
    let stream = context
        .get_stream(stream)
        .await
        .map_err(|error| fail(error.to_string()))?;
    let found = match stream.consumer_info(&name).await {
        Ok(found) => found,
        Err(error) if matches!(error.kind(), ConsumerInfoErrorKind::NotFound) => {
            stream
                .create_consumer(wanted)
                .await
                .map_err(|error| fail(error.to_string()))?;
            report.created.push(what);
            return Ok(());
        }
        Err(error) => return Err(fail(error.to_string())),
    };
    let desired =
        <&pull::Config as async_nats::jetstream::consumer::IntoConsumerConfig>::into_consumer_config(&wanted);
    let drift = differences(&what, CONSUMER_SETTINGS, &found.config, &desired);
    if drift.is_empty() {
        return Ok(());
    }
    if apply {
        stream
            .update_consumer(wanted)
            .await
            .map_err(|error| fail(error.to_string()))?;
        report.updated.push(what);
    } else {
        report.drift.extend(drift);
    }
    Ok(())
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
    let what = "bucket cluster";
    let fail = refused(what);
    let bucket = context
        .get_key_value(Bucket::Cluster.name())
        .await
        .map_err(|error| fail(error.to_string()))?;
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

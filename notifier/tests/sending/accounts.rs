//! The one verb of the accounts service that pushing needs: removes a registration, and not its successor.

use natterjack_nats::{
    services::{Done, accounts::RemovePush, names},
    subjects::kv as keys,
    topology::Bucket,
    wire::{Code, WireError},
};
use natterjack_runtime::{lifecycle::Tasks, metrics::Metrics};
use natterjack_service::Host;

/// Serves until `tasks` end.
pub async fn serve(client: &async_nats::Client, tasks: &Tasks) -> anyhow::Result<()> {
    let host = Host::new(client.clone(), tasks, &Metrics::new("accounts"));
    let devices = async_nats::jetstream::new(client.clone())
        .get_key_value(Bucket::Devices.name())
        .await?;
    let service = host.service(names::ACCOUNTS, "for tests").await?;
    service
        .verb(
            &devices,
            async |devices: async_nats::jetstream::kv::Store, request: RemovePush| {
                let failed =
                    |error: &dyn std::fmt::Display| WireError::new(Code::Internal, error.to_string());
                let key = keys::device(request.user, request.device);
                let Some(entry) = devices.entry(&key).await.map_err(|error| failed(&error))? else {
                    return Ok(Done {});
                };
                let mut record: serde_json::Value =
                    serde_json::from_slice(&entry.value).map_err(|error| failed(&error))?;
                let id = serde_json::to_value(request.id).map_err(|error| failed(&error))?;
                if request.id.is_none() || record["push"]["id"] == id {
                    if let Some(fields) = record.as_object_mut() {
                        fields.remove("push");
                    }
                    let updated = devices.update(&key, record.to_string().into(), entry.revision);
                    updated.await.map_err(|error| failed(&error))?;
                }
                Ok::<_, WireError>(Done {})
            },
        )
        .await?;
    client.flush().await?;
    Ok(())
}

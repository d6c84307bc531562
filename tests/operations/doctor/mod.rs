//! `natterjack doctor` on real servers and roles: it finds nothing where nothing is wrong, and what is made
//! wrong it names, and that alone.

mod cluster;
mod keys;
mod leaderless;
mod operator;
mod patient;
mod postgres;
mod wrong;

use patient::{Patient, Seen};

/// The disks of the machine that runs this may be as full as they are.
const OF_THIS_MACHINE: &[&str] = &["nats.disk", "postgres.disk"];

/// Nobody logs in here, and nothing is encrypted.
const NOT_GIVEN: &[&str] = &["permissions", "certificates"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_wrong_it_finds_nothing() -> anyhow::Result<()> {
    let patient = Patient::new().await?;
    let Seen { code, report, .. } = patient.doctor(&[]).await?;
    for finding in report["findings"].as_array().expect("findings") {
        let check = finding["check"].as_str().expect("a name");
        let unasked = NOT_GIVEN.contains(&check) && finding["state"] == "not_checked";
        assert!(
            finding["state"] == "ok" || unasked || OF_THIS_MACHINE.contains(&check),
            "{finding}"
        );
    }
    assert_eq!(report["failures"], 0, "{report:#}");
    assert_eq!(code, Some(0));
    patient.finish().await
}

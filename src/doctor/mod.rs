//! `natterjack doctor`: looks at a whole cluster, and says in plain words how it stands and what to do.
//!
//! It changes nothing. [`facts`] gathers what can be seen, side by side and within a bounded time;
//! [`checks`] are a table of small functions over it; [`report`] prints what they found.

mod args;
pub mod checks;
pub mod facts;
pub mod finding;
mod format;
pub mod report;

use std::process::ExitCode;

pub use args::Args;
use report::Report;

/// Something is broken.
const BROKEN: u8 = 1;
/// Nothing could be looked at.
const BLIND: u8 = 2;

/// Looks, prints, and answers the exit code: 0 if nothing is broken, 1 if something is, 2 if neither NATS
/// nor Postgres could be looked at.
pub async fn run(args: Args) -> ExitCode {
    let json = args.json;
    let facts = facts::gather(args).await;
    let blind = facts.nats.is_err() && facts.database.is_err();
    let report = Report::new(checks::all(&facts));
    if json {
        // Plain data: it always encodes.
        println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        print!("{}", report.page());
    }
    match report.failures {
        _ if blind => ExitCode::from(BLIND),
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(BROKEN),
    }
}

//! Postgres, through the persister's crate: the only one with a client for it.

use natterjack_persister::db::look::{self, Facts};

use super::{Missing, Seen};
use crate::doctor::args::Args;

/// Looks at it.
pub async fn look(args: &Args) -> Seen<Facts> {
    let Some(database) = args.database() else {
        return Err(Missing::not_given(
            "no database was named",
            "give --database-url, as the persister has it",
        ));
    };
    look::look(database).await.map_err(|error| {
        Missing::away(
            error.to_string(),
            "look whether it runs, and at the URL, the password and the CA that were given",
        )
    })
}

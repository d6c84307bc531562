//! Who is in the way of a step, asked over a connection of its own while the step waits.

use std::time::Duration;

use tokio_postgres::{Client, Config};

use crate::db::{connect, tls::Tls};

/// Between two looks. Most steps are through before the first.
const PAUSE: Duration = Duration::from_millis(500);

/// The query of anybody else may quote what nobody else is to read.
const WHO: &str = "\
    select string_agg(format('process %s (%s)', b.pid, concat_ws(', ', a.backend_type, nullif(a.application_name, ''), \
        a.usename, case when a.backend_type = 'autovacuum worker' then a.query end)), ' and ') \
    from unnest(pg_blocking_pids($1)) b (pid) left join pg_stat_activity a on a.pid = b.pid";

/// Where to ask.
#[derive(Clone)]
pub(in crate::db) struct Watch {
    config: Config,
    tls: Tls,
}

impl Watch {
    pub(in crate::db) fn new(config: &Config, tls: &Tls) -> Self {
        Self {
            config: config.clone(),
            tls: tls.clone(),
        }
    }

    /// Another connection.
    pub(super) async fn connect(&self) -> Option<Client> {
        connect::connect(&self.config, &self.tls).await.ok()
    }

    /// Answers once somebody holds the session up that has this process, and never if that cannot be found out.
    pub(super) async fn in_the_way_of(&self, pid: i32) -> String {
        tokio::time::sleep(PAUSE).await;
        let Some(client) = self.connect().await else {
            return std::future::pending().await;
        };
        loop {
            match client.query_one(WHO, &[&pid]).await.map(|row| row.get(0)) {
                Ok(Some(who)) => return who,
                Ok(None) => tokio::time::sleep(PAUSE).await,
                Err(_) => return std::future::pending().await,
            }
        }
    }
}

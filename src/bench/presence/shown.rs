//! How soon a watcher on another edge is told that somebody came or went.

use std::{collections::VecDeque, time::Duration};

use anyhow::Context;
use futures::{TryStreamExt, stream};
use natterjack_nats::{
    UserId,
    wire::{ClientFrame, ServerFrame, ShownState},
};
use tokio::time::{Instant, timeout};

use super::{
    super::{cluster::Cluster, idle::population::Person},
    result::Shown,
};
use crate::fleet::Socket;

/// How long one change may take to be told.
const PATIENCE: Duration = Duration::from_secs(60);
/// Those who go do so at about the same time: each is waited for a grace long.
const AT_ONCE: usize = 32;

/// Lets each of `people` come to the first edge while `watcher` watches them through the last, one
/// after the other, and then go.
///
/// # Errors
/// An edge refuses, or a change is not told.
pub async fn measure(
    cluster: &Cluster,
    watcher: &Person,
    people: &[Person],
    grace_ms: u64,
) -> anyhow::Result<Shown> {
    let (here, there) = cluster
        .edge_urls
        .first()
        .zip(cluster.edge_urls.last())
        .context("there are edges")?;
    let mut socket = Socket::open(there, &watcher.token, true).await?;
    let users = people.iter().map(|person| person.user).collect();
    let watch = ClientFrame::Watch {
        id: "all".into(),
        users,
    };
    socket.say(&watch).await?;
    while !matches!(socket.next().await?, ServerFrame::Presence { id: Some(_), .. }) {}
    let mut eyes = Eyes {
        socket,
        told: VecDeque::new(),
    };
    let (mut online, mut offline) = (Vec::new(), Vec::new());
    for some in people.chunks(AT_ONCE) {
        let mut sockets = Vec::new();
        for person in some {
            let begun = Instant::now();
            // Both at the same time: who reads late has measured nothing.
            let (socket, told) = tokio::join!(
                Socket::open(here, &person.token, true),
                eyes.see(person.user, ShownState::Online)
            );
            sockets.push(socket?);
            online.push(told?.duration_since(begun).as_secs_f64() * 1e3);
        }
        let begun = Instant::now();
        let closing = stream::iter(sockets.into_iter().map(Ok::<_, anyhow::Error>));
        let closing = closing.try_for_each_concurrent(AT_ONCE, |socket| async move {
            socket.close().await;
            Ok(())
        });
        let gone = async {
            let mut left: Vec<UserId> = some.iter().map(|person| person.user).collect();
            let mut took = Vec::new();
            while !left.is_empty() {
                let (user, at) = eyes.next(ShownState::Offline).await?;
                left.retain(|one| *one != user);
                took.push(at.duration_since(begun).as_secs_f64() * 1e3);
            }
            Ok::<_, anyhow::Error>(took)
        };
        let (closed, took) = tokio::join!(closing, timeout(PATIENCE, gone));
        closed?;
        offline.extend(took.context("somebody who went is still shown")??);
    }
    online.sort_unstable_by(f64::total_cmp);
    offline.sort_unstable_by(f64::total_cmp);
    let at = |sorted: &[f64], percent: usize| {
        let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(index).copied().unwrap_or_default()
    };
    Ok(Shown {
        samples: people.len(),
        online_p50_ms: at(&online, 50),
        online_p99_ms: at(&online, 99),
        online_max_ms: at(&online, 100),
        offline_p50_ms: at(&offline, 50),
        offline_p99_ms: at(&offline, 99),
        offline_max_ms: at(&offline, 100),
        grace_ms,
    })
}

/// Somebody who watches, and what was told of whom and not looked at yet.
struct Eyes {
    socket: Socket,
    told: VecDeque<(UserId, ShownState, Instant)>,
}

impl Eyes {
    /// When it was told that this user is in that state.
    async fn see(&mut self, user: UserId, state: ShownState) -> anyhow::Result<Instant> {
        let telling = async {
            loop {
                let (one, at) = self.next(state).await?;
                if one == user {
                    return Ok(at);
                }
            }
        };
        timeout(PATIENCE, telling)
            .await
            .with_context(|| format!("{user} is not shown {state:?} after {PATIENCE:?}"))?
    }

    /// Who is told to be in that state next.
    async fn next(&mut self, state: ShownState) -> anyhow::Result<(UserId, Instant)> {
        loop {
            while let Some((user, told, at)) = self.told.pop_front() {
                if told == state {
                    return Ok((user, at));
                }
            }
            if let ServerFrame::Presence { users, .. } = self.socket.next().await? {
                let at = Instant::now();
                self.told
                    .extend(users.iter().map(|one| (one.user, one.state, at)));
            }
        }
    }
}

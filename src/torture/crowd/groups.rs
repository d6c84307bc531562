//! Groups whose members come and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::bail;
use natterjack_client::{Account, ApiError};
use natterjack_nats::{Conversation, GroupId, wire::Code};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio::time::{Instant, sleep};

use crate::check::{Change, Recorder};

/// Time between two changes of one group.
const PACE_MS: std::ops::Range<u64> = 1_000..6_000;
/// Between tries of a change while a part of the server is away.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a change may take once nothing is disturbed any more.
const DONE_WITHIN: Duration = Duration::from_secs(90);

/// A group, its first member the owner, who stays.
pub struct Group {
    /// Its name.
    pub conversation: Conversation,
    /// Its users, by index, and whether each is in it now.
    members: Vec<(usize, bool)>,
    seed: u64,
}

/// How a change was answered.
enum Answer {
    /// It is so.
    Done,
    /// Not known, or not now.
    Again(String),
    /// It is not so, and never will be.
    Never(String),
}

impl Group {
    /// With these users, all in it.
    pub fn new(conversation: Conversation, members: &[usize], seed: u64) -> Self {
        Self {
            conversation,
            members: members.iter().map(|user| (*user, true)).collect(),
            seed,
        }
    }

    /// Whether the user is in it, at least at times.
    pub fn knows(&self, user: usize) -> bool {
        self.members.iter().any(|(member, _)| *member == user)
    }
}

/// Removes members and lets them in again, one after the other, until it is told to stop; each
/// change is tried until its outcome is known.
///
/// # Errors
/// A change was refused that has to be allowed, or does not come to an end.
pub async fn manage(
    mut group: Group,
    accounts: Vec<Account>,
    recorder: Recorder,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(group.seed);
    let Conversation::Group(id) = group.conversation else {
        bail!("{} is no group", group.conversation);
    };
    let owner = accounts[group.members[0].0].clone();
    while !stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(random.random_range(PACE_MS))).await;
        let others: Vec<usize> = (1..group.members.len()).collect();
        let Some(&index) = others.choose(&mut random) else {
            return Ok(());
        };
        let (user, is_in) = group.members[index];
        let member = &accounts[user];
        let leaves = is_in && random.random_bool(0.3);
        let actor = if leaves { member } else { &owner };
        change(&recorder, id, actor, member, !is_in, &stop).await?;
        group.members[index].1 = !is_in;
    }
    Ok(())
}

/// Makes one change, however long it takes, and writes it into the record.
async fn change(
    recorder: &Recorder,
    id: GroupId,
    actor: &Account,
    member: &Account,
    joins: bool,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let (user, group, asked) = (member.user().id, Conversation::Group(id), recorder.now());
    if joins {
        // Known from its begin: whoever is let in may hear of it before the answer is here.
        let begun = Change {
            group,
            user,
            joined: true,
            asked,
            answered: None,
        };
        recorder.with_journal(|journal| journal.changed(begun));
    } else {
        recorder.with_journal(|journal| journal.excuses(user, group));
    }
    let (mut tries, mut deadline) = (0_u32, None);
    loop {
        let answer = if joins {
            actor.api().add_members(id, &[user]).await.map(drop)
        } else {
            actor.api().remove_member(id, user).await
        };
        tries += 1;
        let what = match judge(answer, joins, tries) {
            Answer::Done => break,
            Answer::Never(why) => bail!("{user} of {group} could not be changed (in: {joins}): {why}"),
            Answer::Again(why) => why,
        };
        if deadline.is_none() && stop.load(Ordering::Relaxed) {
            deadline = Some(Instant::now() + DONE_WITHIN);
        }
        if deadline.is_some_and(|deadline| deadline < Instant::now()) {
            bail!("{user} of {group} is not changed (in: {joins}) after {tries} tries: {what}");
        }
        sleep(PAUSE).await;
    }
    let answered = Some(recorder.now());
    recorder.with_journal(|journal| {
        if joins {
            journal.demands(user, group);
        } else {
            journal.changed(Change {
                group,
                user,
                joined: false,
                asked,
                answered,
            });
        }
    });
    Ok(())
}

fn judge(answer: Result<(), ApiError>, joins: bool, tries: u32) -> Answer {
    let error = match answer {
        Ok(()) => return Answer::Done,
        Err(error) => error,
    };
    let Some(wire) = error.wire() else {
        return Answer::Again(error.to_string());
    };
    // An earlier try whose answer was lost did it.
    let gone = matches!(wire.code, Code::NotFound | Code::NotMember);
    if !joins && tries > 1 && gone {
        Answer::Done
    } else if wire.retryable || matches!(wire.code, Code::TokenExpired | Code::Unauthorized) {
        // By a clock that is wrong for a while, a token has expired.
        Answer::Again(wire.to_string())
    } else {
        Answer::Never(wire.to_string())
    }
}

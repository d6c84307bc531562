//! Who is there.

use natterjack_nats::wire::ShownState;

use super::Violation;
use crate::check::journal::Journal;

const PROMISE: &str = "at rest, what a watcher was told last is what is stored, and what is stored is true";

/// Compares what is true at the end, what is stored and what each watcher was told last; answers how
/// many of those were compared.
///
/// # Errors
/// The first of them that differs.
pub fn presence(journal: &Journal) -> Result<usize, Violation> {
    let people = &journal.people;
    let broken = |what: String| Violation {
        promise: PROMISE,
        what,
        around: Vec::new(),
    };
    for user in people.truth.keys().chain(people.stored.keys()) {
        let of = |states: &std::collections::BTreeMap<_, _>| states.get(user).copied().unwrap_or_default();
        let (truth, stored) = (of(&people.truth), of(&people.stored));
        if truth != stored {
            return Err(broken(format!("{user} is {truth:?}, and stored as {stored:?}")));
        }
    }
    let mut compared = 0;
    for (device, users) in &people.watches {
        for user in users {
            let truth = ShownState::from(people.truth.get(user).copied().unwrap_or_default());
            let told = people.told.get(&(device.clone(), *user));
            if told != Some(&truth) {
                return Err(broken(format!(
                    "{user} is {truth:?}, and {device} was told last: {told:?}"
                )));
            }
            compared += 1;
        }
    }
    Ok(compared)
}

#[cfg(test)]
mod tests {
    use natterjack_nats::{UserId, wire::PresenceState};

    use super::*;

    /// A watcher who was told of two users, one of whom has left since.
    fn run() -> (Journal, UserId, UserId) {
        let (here, gone) = (UserId::from_parts(1, 1), UserId::from_parts(2, 2));
        let mut journal = Journal::new();
        journal.watches("eyes", [here, gone]);
        journal.shown("eyes", here, ShownState::Away);
        journal.shown("eyes", here, ShownState::Online);
        journal.shown("eyes", gone, ShownState::Online);
        journal.shown("eyes", gone, ShownState::Offline);
        journal.at_the_end(
            [(here, PresenceState::Online), (gone, PresenceState::Offline)],
            [(here, PresenceState::Online)],
        );
        (journal, here, gone)
    }

    #[test]
    fn what_agrees_is_counted() {
        assert_eq!(presence(&run().0), Ok(2));
    }

    #[test]
    fn what_was_planted_is_found() {
        let broken = |plant: &dyn Fn(&mut Journal, UserId, UserId), says: &str| {
            let (mut journal, here, gone) = run();
            plant(&mut journal, here, gone);
            let violation = presence(&journal).expect_err(says);
            assert!(violation.what.contains(says), "{violation}");
        };
        broken(
            &|journal, _, gone| journal.shown("eyes", gone, ShownState::Online),
            "told last: Some(Online)",
        );
        broken(
            &|journal, here, _| journal.shown("eyes", here, ShownState::Hidden),
            "told last: Some(Hidden)",
        );
        broken(
            &|journal, here, gone| {
                let online = PresenceState::Online;
                journal.at_the_end([(here, online), (gone, online)], [(here, online)]);
            },
            "stored as Online",
        );
        broken(
            &|journal, here, _| journal.at_the_end([], [(here, PresenceState::Away)]),
            "stored as Offline",
        );
        let never_told = |journal: &mut Journal, _, _| {
            journal.watches("eyes", [UserId::from_parts(3, 3)]);
        };
        broken(&never_told, "told last: None");
    }

    #[test]
    fn who_is_gone_shows_nobody() {
        let (mut journal, _, gone) = run();
        journal.shown("eyes", gone, ShownState::Online);
        journal.watches_nobody("eyes");
        assert_eq!(presence(&journal), Ok(0));
    }
}

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
    for key in people.truth.keys().chain(people.sessions.keys()) {
        let (truth, stored) = (people.truth.get(key), people.sessions.get(key));
        if truth != stored {
            let (user, device) = key;
            return Err(broken(format!(
                "device {device} of {user} is connected: {truth:?} (in the foreground), and stored as {stored:?}"
            )));
        }
    }
    let connected = people.truth.keys().map(|(user, _)| user);
    for user in connected.chain(people.stored.keys()) {
        let (truth, stored) = (
            people.is(*user),
            people.stored.get(user).copied().unwrap_or_default(),
        );
        if truth != stored {
            return Err(broken(format!("{user} is {truth:?}, and stored as {stored:?}")));
        }
    }
    let mut compared = 0;
    for (device, users) in &people.watches {
        for user in users {
            let truth = ShownState::from(people.is(*user));
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
    use natterjack_nats::{DeviceId, UserId, wire::PresenceState};

    use super::*;
    use crate::check::Sessions;

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
            sessions(&[(here, true)]),
            sessions(&[(here, true)]),
        );
        (journal, here, gone)
    }

    fn sessions(all: &[(UserId, bool)]) -> Sessions {
        let device = DeviceId::from_parts(1, 1);
        all.iter()
            .map(|(user, active)| ((*user, device), *active))
            .collect()
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
        let online = PresenceState::Online;
        broken(
            &|journal, here, gone| {
                let there = sessions(&[(here, true)]);
                journal.at_the_end([(here, online), (gone, online)], there.clone(), there);
            },
            "stored as Online",
        );
        broken(
            &|journal, here, _| {
                let there = sessions(&[(here, false)]);
                journal.at_the_end([(here, online)], there.clone(), there);
            },
            "is Away, and stored as Online",
        );
        // A ghost, somebody who was forgotten, and a background that was not noted.
        for (stored, truth, says) in [
            (true, None, "connected: None"),
            (false, Some(true), "stored as Some(false)"),
        ] {
            broken(
                &|journal, here, gone| {
                    let of = |active: Option<bool>| {
                        let gone = active.map(|active| (gone, active));
                        sessions(
                            &[Some((here, true)), gone]
                                .into_iter()
                                .flatten()
                                .collect::<Vec<_>>(),
                        )
                    };
                    journal.at_the_end([(here, online)], of(Some(stored)), of(truth));
                },
                says,
            );
        }
        broken(
            &|journal, here, _| {
                journal.at_the_end([(here, online)], sessions(&[]), sessions(&[(here, true)]));
            },
            "stored as None",
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

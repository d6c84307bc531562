//! The lists of people that a session asks to watch: one at a time, and the last one counts.

use natterjack_nats::{UserId, wire::ServerFrame};

use super::machine::Effect;

/// What is under way, and what comes after it.
#[derive(Debug, Default)]
pub(super) struct Watching {
    busy: bool,
    // Boxed: most sessions have none, at any time.
    next: Option<Box<(String, Vec<UserId>)>>,
}

impl Watching {
    /// The client wants another list.
    pub(super) fn wanted(&mut self, id: String, users: Vec<UserId>, out: &mut Vec<Effect>) {
        if !self.busy {
            self.busy = true;
            return out.push(Effect::Watch { id, users });
        }
        if let Some(overtaken) = self.next.replace(Box::new((id, users))) {
            let (id, users) = (Some(overtaken.0), vec![]);
            out.push(Effect::Write(ServerFrame::Presence { id, users }));
        }
    }

    /// The one that was under way is done.
    pub(super) fn done(&mut self, out: &mut Vec<Effect>) {
        self.busy = false;
        if let Some(next) = self.next.take() {
            self.wanted(next.0, next.1, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(n: u64) -> Vec<UserId> {
        vec![UserId::from_parts(n, 0)]
    }

    #[test]
    fn of_those_that_come_meanwhile_the_last_one_counts_and_all_are_answered() {
        let (mut watching, mut out) = (Watching::default(), vec![]);
        for n in 0..4 {
            watching.wanted(n.to_string(), users(n), &mut out);
        }
        let begun = |n: u64| Effect::Watch {
            id: n.to_string(),
            users: users(n),
        };
        let overtaken = |n: u64| {
            let (id, users) = (Some(n.to_string()), vec![]);
            Effect::Write(ServerFrame::Presence { id, users })
        };
        assert_eq!(out, [begun(0), overtaken(1), overtaken(2)]);
        out.clear();
        watching.done(&mut out);
        assert_eq!(out, [begun(3)]);
        out.clear();
        watching.done(&mut out);
        assert_eq!(out, []);
        watching.wanted("5".into(), users(5), &mut out);
        assert_eq!(out, [begun(5)]);
    }
}

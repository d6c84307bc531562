//! What is subscribed to, and what the server is still to be told of it.
//!
//! A subscription is an entry in a map and nothing else. Its id is never used again, so that a
//! message that was on its way when its listener left finds nobody.

use std::collections::{HashMap, VecDeque};

/// What may wait to be told beside one line for each subscription: a server that lets more pile up
/// does not read at all.
const WAITING_MAX: usize = 1 << 16;

/// Subscriptions that were made together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::live) struct Line {
    /// The id of the first; the others follow.
    pub(in crate::live) first: u64,
    /// Passed once the server knows them all.
    pub(in crate::live) ticket: u64,
}

/// All subscriptions.
#[derive(Debug)]
pub(super) struct Table<T> {
    targets: HashMap<u64, T>,
    next: u64,
    tickets: u64,
    /// What to tell, in order; nothing is noted without a connection.
    waiting: VecDeque<Op>,
    online: bool,
}

/// Something that a server is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// A subscription is there.
    Sub(u64),
    /// It is gone.
    Unsub(u64),
    /// Once this was answered, all before is known: up to this ticket.
    Ask(u64),
}

impl<T: Clone> Table<T> {
    pub(super) fn new() -> Self {
        Self {
            targets: HashMap::new(),
            next: 1,
            tickets: 0,
            waiting: VecDeque::new(),
            online: false,
        }
    }

    /// Subscribes for whom `make` names, once it knows the line; answers both.
    pub(super) fn subscribe<const N: usize, R>(&mut self, make: impl FnOnce(Line) -> ([T; N], R)) -> R {
        let line = Line {
            first: self.next,
            ticket: self.tickets + 1,
        };
        let (targets, made) = make(line);
        for target in targets {
            self.targets.insert(self.next, target);
            self.tell(Op::Sub(self.next));
            self.next += 1;
        }
        self.ask();
        made
    }

    pub(super) fn unsubscribe(&mut self, first: u64, count: u64) {
        for sid in first..first + count {
            if self.targets.remove(&sid).is_some() {
                self.tell(Op::Unsub(sid));
            }
        }
    }

    /// A ticket for all that was done so far.
    pub(super) fn ask(&mut self) -> u64 {
        self.tickets += 1;
        self.tell(Op::Ask(self.tickets));
        self.tickets
    }

    fn tell(&mut self, op: Op) {
        if !self.online {
            return;
        }
        // One answer is enough for all that stands before it.
        if let (Op::Ask(ticket), Some(Op::Ask(last))) = (op, self.waiting.back_mut()) {
            *last = ticket;
            return;
        }
        self.waiting.push_back(op);
    }

    /// There is a connection: the server knows nothing yet and is to be told everything.
    pub(super) fn connected(&mut self) {
        self.online = true;
        self.waiting = self.targets.keys().copied().map(Op::Sub).collect();
        self.waiting.push_back(Op::Ask(self.tickets));
    }

    /// There is none: what comes meanwhile is told to the next one, with all the rest.
    pub(super) fn disconnected(&mut self) {
        self.online = false;
        self.waiting = VecDeque::new();
    }

    /// The next thing to tell; with its target, if it is a subscription that still exists.
    pub(super) fn next_op(&mut self) -> Option<(Op, Option<&T>)> {
        while let Some(op) = self.waiting.pop_front() {
            match op {
                // It has gone before it was told.
                Op::Sub(sid) if !self.targets.contains_key(&sid) => {}
                Op::Sub(sid) => return Some((op, self.targets.get(&sid))),
                op => return Some((op, None)),
            }
        }
        None
    }

    /// Whether more waits than a server that reads would let pile up.
    pub(super) fn is_stuck(&self) -> bool {
        self.waiting.len() > self.targets.len() + WAITING_MAX
    }

    pub(super) fn target(&self, sid: u64) -> Option<&T> {
        self.targets.get(&sid)
    }

    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What a server knows after it was told so.
    #[derive(Debug, Default)]
    struct Server {
        known: BTreeSet<u64>,
        passed: u64,
    }

    impl Server {
        fn hear(&mut self, table: &mut Table<u8>, count: usize) {
            for _ in 0..count {
                let Some((op, target)) = table.next_op() else {
                    return;
                };
                assert_eq!(matches!(op, Op::Sub(_)), target.is_some());
                match op {
                    Op::Sub(sid) => assert!(self.known.insert(sid), "told once"),
                    Op::Unsub(sid) => {
                        self.known.remove(&sid);
                    }
                    Op::Ask(ticket) => self.passed = ticket,
                }
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Come,
        Go(prop::sample::Index),
        Hear(usize),
        Connect,
        Disconnect,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Come),
            3 => any::<prop::sample::Index>().prop_map(Step::Go),
            4 => (0..6_usize).prop_map(Step::Hear),
            1 => Just(Step::Connect),
            1 => Just(Step::Disconnect),
        ]
    }

    proptest! {
        #[test]
        fn a_passed_ticket_proves_what_was_subscribed_before(steps in prop::collection::vec(any_step(), 0..60)) {
            let (mut table, mut server) = (Table::new(), Server::default());
            let mut lines: Vec<Line> = vec![];
            let mut online = false;
            for step in steps {
                match step {
                    Step::Come => lines.push(table.subscribe(|line| ([0, 1], line))),
                    Step::Go(index) => if !lines.is_empty() {
                        let line = lines.swap_remove(index.index(lines.len()));
                        table.unsubscribe(line.first, 2);
                    },
                    Step::Hear(count) => server.hear(&mut table, count),
                    Step::Connect => if !online {
                        (online, server) = (true, Server::default());
                        table.connected();
                    },
                    Step::Disconnect => {
                        online = false;
                        table.disconnected();
                    }
                }
                for line in lines.iter().filter(|line| online && line.ticket <= server.passed) {
                    prop_assert!((line.first..line.first + 2).all(|sid| server.known.contains(&sid)));
                }
            }
            if !online {
                server = Server::default();
                table.connected();
            }
            server.hear(&mut table, usize::MAX);
            let expected: BTreeSet<_> = lines.iter().flat_map(|line| [line.first, line.first + 1]).collect();
            prop_assert_eq!(server.known, expected);
            prop_assert_eq!(table.len(), lines.len() * 2);
            prop_assert!(lines.iter().all(|line| line.ticket <= server.passed));
        }
    }

    #[test]
    fn a_server_that_does_not_read_is_noticed() {
        let mut table = Table::new();
        table.connected();
        for _ in 0..WAITING_MAX {
            let line = table.subscribe(|line| ([0_u8], line));
            table.unsubscribe(line.first, 1);
        }
        assert!(table.is_stuck());
        table.disconnected();
        table.connected();
        assert!(!table.is_stuck());
    }
}

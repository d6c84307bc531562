//! Questions over the socket that wait for their answer.

use std::{collections::BTreeMap, time::Duration};

use natterjack_nats::{
    Conversation, UserId,
    wire::{ClientFrame, HistoryQuery},
};

/// No more are asked of one session at the same time; the server answers no more in parallel.
const ASKED_MAX: usize = 4;

/// No more of the application's questions wait.
const APPLICATION_MAX: usize = 64;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    History(HistoryQuery),
    Conversations(Option<String>),
    Token(String),
    Watch(Vec<UserId>),
}

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The application, by its ticket. The question survives a reconnect.
    Application(u64),
    /// The timeline, for the gap in a conversation.
    Repair(Conversation),
    /// The first connection of a new device: where do the conversations stand?
    Baseline,
    /// The fresh access token was handed in.
    Token,
    /// The people whose presence is shown.
    Watch,
}

#[derive(Debug)]
struct Request {
    purpose: Purpose,
    ask: Ask,
    until: Duration,
    asked: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Requests {
    last: u64,
    open: BTreeMap<u64, Request>,
}

impl Requests {
    /// Takes a question; `false` if too many of the application's wait.
    pub(crate) fn add(&mut self, purpose: Purpose, ask: Ask, until: Duration) -> bool {
        let applications = self
            .open
            .values()
            .filter(|request| request.purpose.is_application());
        if purpose.is_application() && applications.count() >= APPLICATION_MAX {
            return false;
        }
        self.last += 1;
        let request = Request {
            purpose,
            ask,
            until,
            asked: false,
        };
        self.open.insert(self.last, request);
        true
    }

    /// How many repairs are under way.
    pub(crate) fn repairs(&self) -> usize {
        let repair = |request: &&Request| matches!(request.purpose, Purpose::Repair(_));
        self.open.values().filter(repair).count()
    }

    /// The frames of those that may be asked now.
    pub(crate) fn pump(&mut self) -> Vec<ClientFrame> {
        let asked = self.open.values().filter(|request| request.asked).count();
        let room = ASKED_MAX.saturating_sub(asked);
        let waiting = self.open.iter_mut().filter(|(_, request)| !request.asked);
        let frame = |(id, request): (&u64, &mut Request)| {
            request.asked = true;
            let id = id.to_string();
            match request.ask.clone() {
                Ask::History(query) => ClientFrame::History { id, query },
                Ask::Conversations(page) => ClientFrame::Conversations { id, page },
                Ask::Token(token) => ClientFrame::Token { id, token },
                Ask::Watch(users) => ClientFrame::Watch { id, users },
            }
        };
        waiting.take(room).map(frame).collect()
    }

    /// The question that an answer of this id belongs to. An answer that does not fit the question
    /// is none: the question goes on waiting, and ends by its time if nothing better comes.
    pub(crate) fn answered(&mut self, id: &str, fits: impl FnOnce(&Ask) -> bool) -> Option<Purpose> {
        let id = id.parse().ok()?;
        let request = self.open.get(&id)?;
        if !(request.asked && fits(&request.ask)) {
            return None;
        }
        Some(self.open.remove(&id)?.purpose)
    }

    /// Drops those for that purpose which were not asked yet.
    pub(crate) fn forget(&mut self, purpose: Purpose) {
        self.open
            .retain(|_, request| request.asked || request.purpose != purpose);
    }

    /// Those without an answer for too long.
    pub(crate) fn expired(&mut self, now: Duration) -> Vec<Purpose> {
        self.take(|request| request.until <= now)
    }

    /// The connection is gone: the application's questions are asked again on the next one, the
    /// others have lost their sense.
    pub(crate) fn disconnected(&mut self) {
        self.open.retain(|_, request| request.purpose.is_application());
        for request in self.open.values_mut() {
            request.asked = false;
        }
    }

    /// All, for the end.
    pub(crate) fn drain(&mut self) -> Vec<Purpose> {
        self.take(|_| true)
    }

    /// When the next one expires.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.open.values().map(|request| request.until).min()
    }

    fn take(&mut self, which: impl Fn(&Request) -> bool) -> Vec<Purpose> {
        let taken = self.open.extract_if(.., |_, request| which(request));
        taken.map(|(_, request)| request.purpose).collect()
    }
}

impl Purpose {
    const fn is_application(&self) -> bool {
        matches!(self, Self::Application(_))
    }
}

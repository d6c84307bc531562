//! The session: what the person types and what happens, in one loop.

use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
    pin::Pin,
    time::Duration,
};

use anyhow::{anyhow, bail};
use natterjack_client::{Account, Api, Client, Draft, Events, StopReason};
use natterjack_nats::{
    Conversation, EdgeId, MessageId, UserId,
    wire::{Cursor, Device, Profile},
};
use natterjack_runtime::clock::Clock;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    board::Board,
    input::{Input, Typed},
    names::Names,
    presence::People,
    screen::Screen,
    state::State,
    text::clean_line,
};

/// How long leaving waits for what is not acknowledged.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the cursors are saved, so that little is shown twice after a crash.
const SAVE_INTERVAL: Duration = Duration::from_secs(10);

/// Whether the person goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goes {
    On,
    Away,
}

/// Whether the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Not yet, and nothing was said about it.
    New,
    Up,
    Down,
}

/// Something that is waited for beside everything else.
type Wait = Option<Pin<Box<dyn Future<Output = bool> + Send>>>;

pub(super) struct Session {
    pub(super) api: Api,
    pub(super) client: Client,
    pub(super) screen: Screen,
    pub(super) me: Profile,
    pub(super) names: Names,
    pub(super) board: Board,
    pub(super) clock: Clock,
    /// The chat that is open, and what it is called.
    pub(super) current: Option<(Conversation, String)>,
    /// Up to here history was printed, so that live messages before it are no news.
    pub(super) printed: HashMap<Conversation, u64>,
    /// Sent from here; taken out once it is printed and its live copy has come.
    pub(super) sent: HashMap<MessageId, (Draft, bool)>,
    /// One's own messages whose fate is watched.
    pub(super) own: HashMap<Conversation, BTreeSet<u64>>,
    /// What was said about how far others have got.
    pub(super) told: HashMap<(Conversation, UserId), Cursor>,
    pub(super) link: Link,
    /// The edge that holds the connection, or did last.
    pub(super) edge: Option<EdgeId>,
    /// Where the client said that it goes.
    pub(super) moving: Option<String>,
    pub(super) people: People,
    /// As they were listed last, for their numbers.
    pub(super) devices: Vec<Device>,
    /// Why no further event comes.
    pub(super) stopped: Option<StopReason>,
    state: State,
}

impl Session {
    pub(super) fn new(account: &Account, client: Client, screen: Screen, state: State) -> Self {
        let me = account.user().clone();
        let api = account.api();
        Self {
            names: Names::new(api.clone(), &me),
            api,
            client,
            screen,
            me,
            board: Board::default(),
            clock: Clock::system(),
            current: None,
            printed: HashMap::new(),
            sent: HashMap::new(),
            own: HashMap::new(),
            told: HashMap::new(),
            link: Link::New,
            edge: None,
            moving: None,
            people: People::default(),
            devices: Vec::new(),
            stopped: None,
            state,
        }
    }

    pub(super) async fn run(mut self, mut events: Events, mut input: Input) -> anyhow::Result<()> {
        let mut saving = interval(SAVE_INTERVAL);
        saving.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut leaving: Wait = None;
        // The first line is read when the first connection stands or is known not to, and in a
        // script each further one when the one before is on disk: what is printed between does not
        // depend on chance.
        let mut next_line: Wait = None;
        let mut asked = false;
        let flushed = loop {
            if !asked && self.link != Link::New {
                asked = true;
                input.ask(self.prompt());
            }
            let goes = tokio::select! {
                typed = input.typed(), if leaving.is_none() => match typed {
                    Typed::Key => self.key(),
                    Typed::Line(line) => {
                        let goes = self.line(&line).await;
                        if goes == Goes::On {
                            let patience = if self.screen.is_terminal() { Duration::ZERO } else { LEAVE_TIMEOUT };
                            next_line = self.flush(patience);
                        }
                        goes
                    }
                    Typed::End => Goes::Away,
                },
                event = events.next() => match event {
                    Some(event) => self.event(event).await,
                    None => break true,
                },
                _ = over(&mut next_line), if next_line.is_some() => {
                    next_line = None;
                    while let Some(event) = events.try_next() {
                        self.event(event).await;
                    }
                    input.ask(self.prompt());
                    Goes::On
                }
                _ = saving.tick() => self.save().await,
                signal = tokio::signal::ctrl_c() => { signal?; Goes::Away }
                flushed = over(&mut leaving), if leaving.is_some() => break flushed,
            };
            if goes == Goes::Away && leaving.is_none() {
                leaving = self.flush(LEAVE_TIMEOUT);
            }
        };
        if let Some(reason) = self.stopped.take() {
            return self.ended(reason, input, leaving.is_some()).await;
        }
        self.save().await;
        self.client.close().await;
        // What was on its way to the screen, acknowledgements above all.
        while let Some(event) = events.next().await {
            self.event(event).await;
        }
        if !flushed {
            bail!("the server has not acknowledged all that was written: some of it may be lost");
        }
        Ok(())
    }

    /// The server does not want this session any more.
    async fn ended(mut self, reason: StopReason, mut input: Input, leaving: bool) -> anyhow::Result<()> {
        let reason = clean_line(&reason.to_string());
        // The terminal is being edited: it gets back to normal with the end of the line.
        if self.screen.is_terminal() && !leaving {
            self.screen
                .note(&format!("the session has ended: {reason}. Press Enter to leave."));
            while input.typed().await == Typed::Key {}
        }
        Err(anyhow!("the session has ended: {reason}"))
    }

    /// Until everything is acknowledged, or not within that time.
    fn flush(&self, within: Duration) -> Wait {
        let client = self.client.clone();
        Some(Box::pin(async move { client.flush(within).await }))
    }

    fn prompt(&self) -> String {
        let me = self.me.handle.as_deref().unwrap_or("me");
        match &self.current {
            Some((_, name)) => format!("{me} → {name}> "),
            None => format!("{me}> "),
        }
    }

    fn key(&self) -> Goes {
        if let Some((conversation, _)) = &self.current {
            // Only a courtesy to the others.
            let _ = self.client.typing(*conversation, true);
        }
        Goes::On
    }

    async fn save(&mut self) -> Goes {
        // Before the first connection there is nothing to save, and an empty set would ask for
        // everything there ever was.
        if self.link != Link::New
            && let Ok(cursors) = self.client.cursors().await
            && let Err(error) = self.state.set_cursors(cursors)
        {
            self.screen.note(&format!("{error:#}"));
        }
        Goes::On
    }
}

async fn over(wait: &mut Wait) -> bool {
    match wait {
        Some(wait) => wait.as_mut().await,
        None => std::future::pending().await,
    }
}

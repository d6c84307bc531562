//! Named, supervised tasks: a task that ends when it should not is a failure of the whole.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::Shutdown;

/// How long tasks may take to end after the hard shutdown before they are aborted.
const HARD_GRACE: Duration = Duration::from_secs(1);
/// How long an aborted task may take to be gone: until its next await, so hardly any time.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// The tasks of one process, or of one role; cheap to clone.
#[derive(Debug, Clone)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Prefix of task names, empty at the root.
    path: String,
    parent: Option<Tasks>,
    shutdown: Shutdown,
    next_id: AtomicU64,
    /// Tasks that run: our own and those of our children.
    running: Mutex<BTreeMap<u64, Running>>,
    /// How many of them a drain waits for, and how many there are.
    running_count: watch::Sender<(usize, usize)>,
    failure: watch::Sender<Option<Arc<anyhow::Error>>>,
}

#[derive(Debug)]
struct Running {
    name: Arc<str>,
    span: Span,
    /// Absent for the moment in which it is spawned.
    handle: Option<AbortHandle>,
}

/// A task's place among those that run; it leaves when this is dropped, however the task ended.
#[derive(Debug)]
struct Seat {
    tasks: Tasks,
    id: u64,
    name: Arc<str>,
    span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    /// Until shutdown.
    Whole,
    /// As long as its work takes.
    Finite,
    /// Until the drain is over, which does not wait for it.
    Attending,
}

impl Tasks {
    /// No task yet, and no shutdown asked for.
    pub fn new() -> Self {
        Self::build(String::new(), None, Shutdown::new())
    }

    /// The shutdown that these tasks follow.
    pub fn shutdown(&self) -> &Shutdown {
        &self.inner.shutdown
    }

    /// A part that can be stopped alone, while stopping the parent stops it too. Its
    /// failure is a failure of the parent, and its tasks are named `<name>.<task>`.
    pub fn child(&self, name: impl AsRef<str>) -> Self {
        let path = format!("{}{}.", self.inner.path, name.as_ref());
        Self::build(path, Some(self.clone()), self.inner.shutdown.child())
    }

    /// Spawns a task that has to run until shutdown: ending earlier, even with `Ok`, is a
    /// failure of the whole, and so is a panic or an error at any time.
    pub fn spawn(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.launch(&name.into(), Span::Whole, future);
    }

    /// Spawns a task that may end with `Ok` whenever its work is done; a panic or an
    /// error is a failure of the whole.
    pub fn spawn_finite(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.launch(&name.into(), Span::Finite, future);
    }

    /// Spawns a task that attends the drain of the others: nobody waits for it, and it has to end once the drain
    /// is over ([`Shutdown::killed`]). Ending before the drain has begun is a failure of the whole, and so is a
    /// panic or an error at any time.
    pub fn spawn_attending(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.launch(&name.into(), Span::Attending, future);
    }

    /// The first failure, as an error that names the task; pends for ever if none fails.
    pub async fn failed(&self) -> anyhow::Error {
        let mut failure = self.inner.failure.subscribe();
        // The sender lives in `self`, so that waiting cannot fail.
        let _ = failure.wait_for(Option::is_some).await;
        match self.failure() {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }

    /// Asks for the drain, waits for it up to `drain_grace`, then ends it hard, and aborts
    /// and names what is left even then. An error if a task failed or had to be aborted.
    pub async fn stop(&self, drain_grace: Duration) -> anyhow::Result<()> {
        let shutdown = &self.inner.shutdown;
        shutdown.soft();
        tokio::select! {
            () = self.drained() => {}
            () = tokio::time::sleep(drain_grace) => {
                tracing::warn!(tasks = ?self.draining_names(), "still draining after the grace; ending hard");
            }
            // Asked for from elsewhere: a second signal, or the parent.
            () = shutdown.killed() => {}
        }
        shutdown.hard();
        let _ = tokio::time::timeout(HARD_GRACE, self.idle()).await;
        let stuck = self.abort_all();
        if !stuck.is_empty() {
            tracing::error!(tasks = ?stuck, "aborted tasks that did not stop");
            let _ = tokio::time::timeout(ABORT_GRACE, self.idle()).await;
        }
        if let Some(error) = self.failure() {
            return Err(error);
        }
        if !stuck.is_empty() {
            bail!("these tasks did not stop and were aborted: {}", stuck.join(", "));
        }
        Ok(())
    }

    fn build(path: String, parent: Option<Self>, shutdown: Shutdown) -> Self {
        Self {
            inner: Arc::new(Inner {
                path,
                parent,
                shutdown,
                next_id: AtomicU64::new(0),
                running: Mutex::default(),
                running_count: watch::Sender::new((0, 0)),
                failure: watch::Sender::new(None),
            }),
        }
    }

    fn launch(
        &self,
        name: &str,
        span: Span,
        future: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let name: Arc<str> = format!("{}{name}", self.inner.path).into();
        tracing::trace!(task = &*name, "starts");
        let seat = Seat::take(self, name, span);
        let (tasks, id) = (self.clone(), seat.id);
        // One task, and not a second one that waits for it: an edge has several for each connection.
        // Combinators, since an async block would have room for the future twice.
        let handle = tokio::spawn(AssertUnwindSafe(future).catch_unwind().map(move |outcome| {
            if let Some(error) = seat.judge(outcome) {
                seat.tasks.record(error);
            }
        }));
        for tasks in tasks.line() {
            if let Some(running) = tasks.running().get_mut(&id) {
                running.handle = Some(handle.abort_handle());
            }
        }
    }

    /// Ourselves and all that hold us.
    fn line(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |tasks| tasks.inner.parent.as_ref())
    }

    fn record(&self, error: anyhow::Error) {
        let error = Arc::new(error);
        for tasks in self.line() {
            tasks.inner.failure.send_if_modified(|first| {
                let is_first = first.is_none();
                if is_first {
                    *first = Some(Arc::clone(&error));
                } else {
                    tracing::warn!(error = format!("{error:#}"), "a further task failed");
                }
                is_first
            });
        }
    }

    fn failure(&self) -> Option<anyhow::Error> {
        let first = self.inner.failure.borrow();
        let first = first.as_ref()?;
        // Every caller gets an error of its own with the whole chain, outermost last.
        let mut chain = first.chain().map(ToString::to_string).collect::<Vec<_>>();
        let mut error = anyhow::Error::msg(chain.pop()?);
        while let Some(outer) = chain.pop() {
            error = error.context(outer);
        }
        Some(error)
    }

    /// Nothing runs that a drain waits for.
    async fn drained(&self) {
        let mut count = self.inner.running_count.subscribe();
        let _ = count.wait_for(|(awaited, _)| *awaited == 0).await;
    }

    /// Nothing runs.
    async fn idle(&self) {
        let mut count = self.inner.running_count.subscribe();
        let _ = count.wait_for(|(_, all)| *all == 0).await;
    }

    fn draining_names(&self) -> Vec<String> {
        self.running()
            .values()
            .filter(|running| running.span != Span::Attending)
            .map(|running| running.name.to_string())
            .collect()
    }

    fn abort_all(&self) -> Vec<String> {
        let running = self.running();
        for handle in running.values().filter_map(|running| running.handle.as_ref()) {
            handle.abort();
        }
        running.values().map(|running| running.name.to_string()).collect()
    }

    /// An id that is no other's, in all that hold us either.
    fn next_id(&self) -> u64 {
        let root = self.line().last().unwrap_or(self);
        root.inner.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Running>> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    fn take(tasks: &Tasks, name: Arc<str>, span: Span) -> Self {
        let id = tasks.next_id();
        for tasks in tasks.line() {
            let mut running = tasks.running();
            running.insert(
                id,
                Running {
                    name: Arc::clone(&name),
                    span,
                    handle: None,
                },
            );
            tasks.inner.running_count.send_modify(|(awaited, all)| {
                *all = running.len();
                *awaited += usize::from(span != Span::Attending);
            });
        }
        Self {
            tasks: tasks.clone(),
            id,
            name,
            span,
        }
    }

    /// What is wrong with how the task ended. One that was aborted does not come to this: `stop`
    /// names it.
    fn judge(&self, outcome: Result<anyhow::Result<()>, Box<dyn Any + Send>>) -> Option<anyhow::Error> {
        let name = &self.name;
        match outcome {
            Ok(Ok(())) if self.span == Span::Finite || self.tasks.inner.shutdown.is_draining() => None,
            Ok(Ok(())) => Some(anyhow!("task {name} ended although nobody asked it to")),
            Ok(Err(error)) => Some(error.context(format!("task {name} failed"))),
            Err(payload) => Some(anyhow!("task {name} panicked: {}", panic_message(&*payload))),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        for tasks in self.tasks.line() {
            let mut running = tasks.running();
            running.remove(&self.id);
            tasks.inner.running_count.send_modify(|(awaited, all)| {
                *all = running.len();
                *awaited -= usize::from(self.span != Span::Attending);
            });
        }
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "(no message)".to_owned())
}

#[cfg(test)]
mod tests;

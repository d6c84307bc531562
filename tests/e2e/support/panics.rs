//! A panic in any task of the servers fails the test, even where nobody joins that task.

use std::{
    panic,
    sync::{Mutex, Once, PoisonError},
    thread,
};

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Listens from now on. Panics of a test's own thread are that test's failure already.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current()
                .name()
                .is_some_and(|name| name.starts_with("tokio"))
            {
                HEARD
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(info.to_string());
            }
            before(info);
        }));
    });
}

/// Fails if there was one, in this test or in one that ran at the same time.
pub fn none() -> anyhow::Result<()> {
    let heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    anyhow::ensure!(heard.is_empty(), "a task panicked: {heard:?}");
    Ok(())
}

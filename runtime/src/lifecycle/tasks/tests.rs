//! The promises of the supervisor, one a test.

use std::time::Duration;

use anyhow::bail;

use super::Tasks;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

fn until_drain(tasks: &Tasks) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
    let shutdown = tasks.shutdown().clone();
    async move {
        shutdown.draining().await;
        Ok(())
    }
}

#[tokio::test]
async fn draining_tasks_end_well() -> anyhow::Result<()> {
    let tasks = Tasks::new();
    tasks.spawn("a", until_drain(&tasks));
    tasks.spawn_finite("b", async { Ok(()) });
    tasks.stop(LONG).await
}

#[tokio::test]
async fn an_early_end_an_error_and_a_panic_are_failures_with_a_name() {
    let tasks = Tasks::new();
    tasks.spawn("early", async { Ok(()) });
    assert_eq!(
        tasks.failed().await.to_string(),
        "task early ended although nobody asked it to"
    );

    let tasks = Tasks::new();
    tasks.spawn_finite("broken", async { bail!("no route") });
    assert_eq!(
        format!("{:#}", tasks.failed().await),
        "task broken failed: no route"
    );
    // It is still known later, to everyone who asks.
    assert!(tasks.stop(LONG).await.is_err());

    let tasks = Tasks::new();
    tasks.spawn("wild", async { panic!("out of luck") });
    assert_eq!(
        tasks.failed().await.to_string(),
        "task wild panicked: out of luck"
    );
}

#[tokio::test]
async fn what_ignores_both_shutdowns_is_aborted_and_named() {
    let tasks = Tasks::new();
    tasks.spawn("deaf", std::future::pending());
    let error = tasks.stop(SHORT).await.expect_err("it had to be aborted");
    assert!(error.to_string().ends_with(": deaf"), "{error}");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_ended_hard() -> anyhow::Result<()> {
    let tasks = Tasks::new();
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("slow", async move {
        shutdown.killed().await;
        Ok(())
    });
    tasks.stop(SHORT).await
}

#[tokio::test]
async fn a_child_stops_alone_and_fails_with_its_parent() -> anyhow::Result<()> {
    let root = Tasks::new();
    let (edge, store) = (root.child("edge"), root.child("store"));
    edge.spawn("listen", until_drain(&edge));
    store.spawn("write", until_drain(&store));
    edge.stop(LONG).await?;
    assert!(!root.shutdown().is_draining());
    assert!(!store.shutdown().is_draining());
    store.spawn_finite("consume", async { bail!("disk full") });
    assert_eq!(
        format!("{:#}", root.failed().await),
        "task store.consume failed: disk full"
    );
    assert!(root.stop(LONG).await.is_err());
    assert!(store.shutdown().is_draining());
    assert!(edge.stop(LONG).await.is_ok(), "the edge itself did not fail");
    Ok(())
}

#[tokio::test]
async fn a_stop_of_the_parent_waits_for_its_children() -> anyhow::Result<()> {
    let root = Tasks::new();
    let child = root.child("part");
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let shutdown = child.shutdown().clone();
    child.spawn("drain", async move {
        shutdown.draining().await;
        tokio::task::yield_now().await;
        let _ = sender.send(());
        Ok(())
    });
    root.stop(LONG).await?;
    receiver.await?;
    Ok(())
}

#[tokio::test]
async fn who_attends_the_drain_is_there_to_its_end_and_holds_up_nobody() -> anyhow::Result<()> {
    let (tasks, (say, mut heard)) = (Tasks::new(), tokio::sync::mpsc::channel(2));
    let part = tasks.child("part");
    let (shutdown, over) = (part.shutdown().clone(), say.clone());
    part.spawn_attending("attendant", async move {
        shutdown.killed().await;
        over.send("attended").await?;
        Ok(())
    });
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("work", async move {
        shutdown.draining().await;
        tokio::time::sleep(SHORT).await;
        say.send("worked").await?;
        Ok(())
    });
    // With a grace without end, waiting for the attendant would never end.
    tokio::time::timeout(LONG, tasks.stop(LONG * 60)).await??;
    assert_eq!(heard.recv().await, Some("worked"));
    assert_eq!(heard.recv().await, Some("attended"));

    let tasks = Tasks::new();
    tasks.spawn_attending("early", async { Ok(()) });
    assert!(tasks.failed().await.to_string().contains("early ended"));
    Ok(())
}

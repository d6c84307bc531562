//! Postgres's disk is lost while people talk. What its backup does not have comes back from the streams, and what
//! only it had is as old as the backup.

use anyhow::{Context, ensure};
use natterjack_client::Account;
use natterjack_nats::{
    Conversation,
    wire::{Cursor, HistoryQuery},
};

use super::{
    page,
    scene::{Scene, credentials, restart, say},
};

/// What nobody would have had to say twice: enough to be sure that something is on its way all the time.
const SOME: usize = 40;

/// It comes back by a base backup.
pub async fn from_a_base_backup(scene: &mut Scene) -> anyhow::Result<()> {
    scene.talk();
    scene.acknowledged(SOME).await?;
    scene.run(page::BASE_BACKUP).await?;
    let since = Since::the_backup(scene, "dave").await?;
    lost_while_people_talk(scene).await?;
    scene.run(page::PUT_BASE_BACKUP).await?;
    scene
        .fleet
        .ground()
        .postgres()
        .context("its own")?
        .restart()
        .await?;
    back(scene, since).await
}

/// It comes back by a dump, in a new Postgres.
pub async fn from_a_dump(scene: &mut Scene) -> anyhow::Result<()> {
    scene.talk();
    scene.acknowledged(SOME).await?;
    scene.run(page::DUMP).await?;
    let since = Since::the_backup(scene, "erin").await?;
    lost_while_people_talk(scene).await?;
    scene.empty_postgres().await?;
    scene.run(page::PUT_DUMP).await?;
    back(scene, since).await
}

async fn lost_while_people_talk(scene: &Scene) -> anyhow::Result<()> {
    scene.acknowledged(SOME).await?;
    scene.lose_postgres().await?;
    // Chat goes on without it.
    scene.acknowledged(SOME).await?;
    for persister in &scene.fleet.persisters {
        persister.stop().await?;
    }
    Ok(())
}

/// The rest of the page, and what it promises.
async fn back(scene: &mut Scene, since: Since) -> anyhow::Result<()> {
    let heard = scene.crowd.recorder.with_journal(|journal| journal.ack_count());
    let kept = count(scene, "select count(*) from messages").await?;
    ensure!(
        kept > 0 && kept + SOME < heard,
        "of {heard} messages the backup has {kept}: that proves nothing"
    );
    for persister in &scene.fleet.persisters {
        persister.restart().await?;
    }
    for edge in &scene.fleet.edges {
        restart(edge).await?;
    }
    scene.acknowledged(SOME).await?;
    scene.crowd.check().await?;
    since.was_lost(scene).await
}

async fn count(scene: &Scene, sql: &str) -> anyhow::Result<usize> {
    let url = scene.fleet.ground().database_url();
    let (database, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    let row = database.query_one(sql, &[]).await?;
    drop(database);
    connection.await??;
    Ok(usize::try_from(row.get::<_, i64>(0))?)
}

/// What happened after a backup was taken.
struct Since {
    handle: &'static str,
    /// Somebody signed up, and wrote to alice.
    newcomer: Account,
    letter: u64,
    /// Alice made a group, which has nothing but what she said.
    group: Conversation,
    name: String,
    /// Up to here bob has read what alice wrote.
    read: u64,
}

impl Since {
    async fn the_backup(scene: &Scene, handle: &'static str) -> anyhow::Result<Self> {
        let newcomer = Account::sign_up(&scene.api, credentials(handle)).await?;
        let letter = say(&newcomer, with(scene, &newcomer), "a letter").await?;
        let api = scene.alice.api();
        let name = api.me().await?.profile.name;
        api.set_name(&format!("known to {handle}")).await?;
        let group = api.create_group("a title", &[scene.bob.user().id]).await?;
        say(&scene.alice, group.conversation, "to nobody in the end").await?;
        let read = scene.say("read at once").await?;
        let cursor = Cursor {
            delivered: read,
            read,
        };
        scene.bob.api().receipt(scene.dm, cursor).await?;
        Ok(Self {
            handle,
            newcomer,
            letter,
            group: group.conversation,
            name,
            read,
        })
    }

    /// Of it there is what was said and read, and nothing else.
    async fn was_lost(self, scene: &Scene) -> anyhow::Result<()> {
        let Self {
            handle,
            newcomer,
            letter,
            group,
            name,
            read,
        } = self;
        let api = scene.alice.api();
        ensure!(api.me().await?.profile.name == name, "she has the name of before");
        let gone = api
            .conversation(group)
            .await
            .err()
            .context("the group is there")?;
        ensure!(gone.wire().is_some_and(|error| !error.retryable), "{gone:?}");
        let told = format!(
            "select count(*) from messages where text = '{}'",
            "to nobody in the end"
        );
        ensure!(count(scene, &told).await? > 0, "what was said is kept");

        let wrong = Account::log_in(&scene.api, credentials(handle)).await.err();
        let wrong = wrong.context("somebody whom the backup does not know logs in")?;
        ensure!(wrong.wire().is_some_and(|error| !error.retryable), "{wrong:?}");
        let again = Account::sign_up(&scene.api, credentials(handle)).await?;
        ensure!(again.user().id != newcomer.user().id, "as somebody new");

        let chat = scene.bob.api().conversation(scene.dm).await?;
        ensure!(chat.cursor.read == read, "{chat:?}");
        let query = HistoryQuery {
            conversation: with(scene, &newcomer),
            before: None,
            after: Some(0),
            around: None,
            at: None,
            limit: None,
        };
        let page = api.history(&query).await?;
        let seqs: Vec<u64> = page.messages.iter().map(|message| message.seq).collect();
        ensure!(seqs == [letter], "{page:?}");
        Ok(())
    }
}

fn with(scene: &Scene, other: &Account) -> Conversation {
    Conversation::dm(scene.alice.user().id, other.user().id)
}

//! Messages that cannot be written.

use anyhow::{Context, ensure};
use async_nats::jetstream::{self, message::PublishMessage};
use natterjack_nats::{
    MessageId,
    services::{call, history},
    wire::{Content, Stored},
};
use natterjack_runtime::clock::Clock;

use super::{AGAIN, PATIENCE, SECRET, Scene};

impl Scene {
    pub(super) async fn something_is_no_message(&mut self) -> anyhow::Result<()> {
        let context = jetstream::new(self.client.clone());
        let (_, subject) = self.shard();
        let letter = self.message(&format!("{SECRET}\0"));
        let message = PublishMessage::build()
            .message_id(letter.nats_msg_id())
            .payload(serde_json::to_vec(&letter)?.into());
        let ack = context.send_publish(subject, message).await?.await?;
        self.letter = Some((ack.sequence, letter));
        self.name("<letter>", ack.sequence);
        Ok(())
    }

    pub(super) async fn it_is_one_now(&mut self) -> anyhow::Result<()> {
        let (seq, mut letter) = self.letter.take().context("a letter")?;
        letter.text = Some(SECRET.to_owned());
        let letter = serde_json::to_vec(&letter)?;
        let mend = "update dead_letters set payload = $1";
        self.in_postgres(mend, &[&letter]).await?;
        // Its stream would take it for the first copy, and nobody would ever have it.
        let place = self.place(seq);
        let anew = history::Replay { place, anew: true };
        let in_vain = call(&self.client, &anew, PATIENCE).await?;
        let why = in_vain.failed.first().context("it was given away")?;
        ensure!(why.error.contains("try again later"), "{in_vain:?}");
        Ok(())
    }

    pub(super) async fn a_place_is_taken(&mut self) -> anyhow::Result<()> {
        let (stream, subject) = self.shard();
        let message = serde_json::to_vec(&self.message(AGAIN))?;
        let keep = "insert into dead_letters (stream, seq, subject, payload, error, at) \
                    values ($1, $2, $3, $4, 'another message has its place', 1)";
        self.in_postgres(keep, &[&stream, &self.seq.cast_signed(), &subject, &message])
            .await?;
        let replay = history::Replay {
            place: self.place(self.seq),
            anew: false,
        };
        let in_vain = call(&self.client, &replay, PATIENCE).await?;
        ensure!(in_vain.failed.len() == 1, "its place was free: {in_vain:?}");
        self.name("<letter>", self.seq);
        Ok(())
    }

    /// Of alice to bob, as edges store it.
    fn message(&self, text: &str) -> Stored {
        let now = Clock::system().now_ms();
        let content = Content::Text {
            text: text.to_owned(),
            reply_to: None,
        };
        Stored::new(
            self.dm,
            MessageId::generate(now),
            self.alice.user().id,
            now,
            content,
        )
    }

    async fn in_postgres(
        &self,
        statement: &str,
        values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> anyhow::Result<()> {
        let url = self.fleet.ground().database_url();
        let (database, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let rows = database.execute(statement, values).await?;
        drop(database);
        connection.await??;
        ensure!(rows == 1, "{rows} rows: {statement}");
        Ok(())
    }
}

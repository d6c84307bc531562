//! The verbs about pushes: where a device is reached, and how much users let them say.

use natterjack_nats::{
    UserId,
    services::{
        Done,
        accounts::{Chosen, RemovePush, SetPush, SetPushPreview, Settings},
    },
    wire::{Device, PushPreview},
};
use tokio_postgres::Row;

use super::{Accounts, errors::no_such_user};
use crate::{
    db::{DbError, Tx},
    failure::Failure,
};

impl Accounts {
    /// Registers a device for pushes; answers it.
    pub async fn set_push(&self, request: SetPush) -> Result<Device, Failure> {
        let SetPush {
            user,
            device,
            request,
        } = request;
        Ok(self.devices.set_push(user, device, request).await?)
    }

    /// Takes a registration back.
    pub async fn remove_push(&self, request: RemovePush) -> Result<Done, Failure> {
        let RemovePush { user, device, id } = request;
        self.devices.remove_push(user, device, id).await?;
        Ok(Done {})
    }

    /// How much pushes to a user may say.
    pub async fn set_push_preview(&self, request: SetPushPreview) -> Result<Chosen, Failure> {
        let SetPushPreview { user, preview } = request;
        let change = |tx: Tx| async move { choose(&tx, user, preview).await };
        let known = self.db.tx("accounts.set_push_preview", change).await?;
        let chosen = Chosen {
            push_preview: preview,
        };
        known.then_some(chosen).ok_or_else(no_such_user)
    }

    /// What a user has chosen.
    pub async fn settings(&self, request: Settings) -> Result<Chosen, Failure> {
        let user = request.user;
        let read = |tx: Tx| async move { chosen(&tx, user).await };
        let chosen = self.db.read("accounts.settings", read).await?;
        chosen.ok_or_else(no_such_user)
    }
}

/// Whether there is such a user.
async fn choose(tx: &Tx, user: UserId, preview: PushPreview) -> Result<bool, DbError> {
    let column: i16 = match preview {
        PushPreview::None => 0,
        PushPreview::Sender => 1,
        PushPreview::Full => 2,
    };
    let changed = tx
        .execute(
            "update users set push_preview = $2 where id = $1",
            &[&user.as_uuid(), &column],
        )
        .await?;
    Ok(changed == 1)
}

async fn chosen(tx: &Tx, user: UserId) -> Result<Option<Chosen>, DbError> {
    let row = tx
        .query_opt("select push_preview from users where id = $1", &[&user.as_uuid()])
        .await?;
    let chosen = |row: Row| {
        let push_preview = preview(&row, 0)?;
        Ok(Chosen { push_preview })
    };
    row.map(chosen).transpose()
}

/// From the column `users.push_preview`.
pub fn preview(row: &Row, column: usize) -> Result<PushPreview, DbError> {
    Ok(match row.try_get::<_, Option<i16>>(column)? {
        None => PushPreview::default(),
        Some(0) => PushPreview::None,
        Some(1) => PushPreview::Sender,
        Some(_) => PushPreview::Full,
    })
}

//! The verbs about people: profiles, search, one's own name and devices.

use natterjack_nats::{
    UserId,
    services::accounts::{Devices, FindUsers, Profiles, SetProfile},
    wire::{Code, Device, Profile},
};

use super::{Accounts, errors::no_such_user, names, users};
use crate::{db::Tx, failure::Failure};

/// Most profiles in one answer.
const PROFILES_MAX: usize = 100;
/// Most users that a search finds.
const FOUND_MAX: usize = 50;
/// Shortest and longest text to search for, in characters.
const PREFIX_CHARS: std::ops::RangeInclusive<usize> = 2..=100;

impl Accounts {
    /// Profiles by id; those that do not exist are left out.
    pub async fn profiles(&self, request: Profiles) -> Result<Vec<Profile>, Failure> {
        if request.users.len() > PROFILES_MAX {
            let told = format!("ask for at most {PROFILES_MAX} profiles at once");
            return Err(Failure::wire(Code::BadRequest, told));
        }
        let ids = &request.users;
        let read = |tx: Tx| async move { users::profiles(&tx, ids).await };
        Ok(self.db.read("accounts.profiles", read).await?)
    }

    /// One profile.
    pub async fn profile(&self, user: UserId) -> Result<Option<Profile>, Failure> {
        let read = |tx: Tx| async move { users::profiles(&tx, &[user]).await };
        Ok(self.db.read("accounts.profile", read).await?.pop())
    }

    /// Users whose handle or name starts with a text.
    pub async fn find(&self, request: FindUsers) -> Result<Vec<Profile>, Failure> {
        let prefix = request.prefix.trim();
        let chars = |text: &str| text.chars().count();
        if chars(prefix) < *PREFIX_CHARS.start()
            || chars(&request.prefix) > *PREFIX_CHARS.end()
            || request.prefix.chars().any(char::is_control)
        {
            let told = "search for 2 to 100 characters: the start of a handle or name";
            return Err(Failure::wire(Code::BadRequest, told));
        }
        let limit = i64::try_from(request.limit.clamp(1, FOUND_MAX)).map_err(Failure::internal)?;
        let find = |tx: Tx| async move { users::find(&tx, prefix, limit).await };
        Ok(self.db.read("accounts.find", find).await?)
    }

    /// A new name to show.
    pub async fn set_profile(&self, request: SetProfile) -> Result<Profile, Failure> {
        let (user, name) = (request.user, &names::shown("name", &request.name)?);
        let change = |tx: Tx| async move { users::set_name(&tx, user, name).await };
        let changed = self.db.tx("accounts.set_profile", change).await?;
        changed.ok_or_else(no_such_user)
    }

    /// One's own devices, the one that was here last first.
    pub async fn devices(&self, request: Devices) -> Result<Vec<Device>, Failure> {
        Ok(self.devices.list(request.user).await?)
    }
}

//! What the bucket `devices` keeps of a device.

use natterjack_nats::{
    DeviceId,
    wire::{Device, HelloDevice, PushRegistration},
};
use serde::{Deserialize, Serialize};

/// So many used refresh tokens of a device are known again.
const PREVIOUS_MAX: usize = 8;
/// So often the predecessor of a refresh token may be shown again: fewer than are known again, so that
/// whoever holds an old one cannot make the current one forgotten.
const REPEATS_MAX: u8 = 4;

/// What a refresh token is to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The one that is good.
    Current,
    /// The one that the current one was given for, and the current one was not used yet.
    Predecessor,
    /// Another one took its place.
    Used,
    /// It never was one of this device, or that is long ago.
    Unknown,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub name: String,
    pub platform: String,
    pub created_at: u64,
    pub refreshed_at: u64,
    /// Of the current refresh token; absent on devices of outside users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_hash: Option<String>,
    /// When it was connected last, noted by presence when the connection ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_seen: Option<u64>,
    /// Of the token that the current one was given for: good until the current one is used, since the
    /// answer may have been lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    predecessor_hash: Option<String>,
    /// How often the predecessor was shown again.
    #[serde(default, skip_serializing_if = "is_zero")]
    repeats: u8,
    /// Of the last few that the current one took the place of, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    used_hashes: Vec<String>,
    /// Where it is pushed ([`PushRegistration`]): decoded only where it is asked for, so that one of a
    /// newer version does not hide the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    push: Option<serde_json::Value>,
    /// What others keep here.
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

impl Record {
    /// A device that was not known before.
    pub fn new(hello: &HelloDevice, now_ms: u64) -> Self {
        Self {
            name: hello.name.clone(),
            platform: hello.platform.clone(),
            created_at: now_ms,
            refreshed_at: now_ms,
            refresh_hash: None,
            last_seen: None,
            predecessor_hash: None,
            repeats: 0,
            used_hashes: Vec::new(),
            push: None,
            more: serde_json::Map::new(),
        }
    }

    /// What a refresh token with that hash is to this device.
    pub fn standing(&self, hash: &str) -> Standing {
        if self.refresh_hash.as_deref() == Some(hash) {
            Standing::Current
        } else if self.predecessor_hash.as_deref() == Some(hash) && self.repeats < REPEATS_MAX {
            Standing::Predecessor
        } else if self.used_hashes.iter().any(|used| used == hash) {
            Standing::Used
        } else {
            Standing::Unknown
        }
    }

    /// The first refresh token of a login, in place of whatever was there.
    pub fn begin(&mut self, hash: String, now_ms: u64) {
        self.predecessor_hash = None;
        self.repeats = 0;
        self.replace(hash, now_ms);
    }

    /// Another refresh token, given for the current one.
    pub fn rotate(&mut self, hash: String, now_ms: u64) {
        self.predecessor_hash.clone_from(&self.refresh_hash);
        self.repeats = 0;
        self.replace(hash, now_ms);
    }

    /// Another refresh token, given for the predecessor once more: the current one did not arrive.
    pub fn rotate_again(&mut self, hash: String, now_ms: u64) {
        self.repeats += 1;
        self.replace(hash, now_ms);
    }

    fn replace(&mut self, hash: String, now_ms: u64) {
        if let Some(used) = self.refresh_hash.replace(hash) {
            self.used_hashes.insert(0, used);
            self.used_hashes.truncate(PREVIOUS_MAX);
        }
        self.refreshed_at = now_ms;
    }

    /// Where it is pushed.
    pub fn push(&self) -> Option<PushRegistration> {
        PushRegistration::deserialize(self.push.as_ref()?).ok()
    }

    /// It is pushed there, in place of where it was; or nowhere.
    pub fn set_push(&mut self, registration: Option<&PushRegistration>) -> serde_json::Result<()> {
        self.push = registration.map(serde_json::to_value).transpose()?;
        Ok(())
    }

    /// As its owner sees it.
    pub fn shown(self, id: DeviceId) -> Device {
        Device {
            id,
            push: self
                .push()
                .map(|registration| registration.request.target.channel()),
            name: self.name,
            platform: self.platform,
            created_at: self.created_at,
            refreshed_at: self.refreshed_at,
            // A login or a refresh is a sign of life too, for example of one that only polls.
            last_seen: self.refreshed_at.max(self.last_seen.unwrap_or_default()),
            // Known to others: who is connected, and who asks.
            online: false,
            current: false,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(number: &u8) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../../../nats/golden/kv.push_registration.json");

    #[test]
    fn what_others_keep_and_what_is_not_known_yet_stays() {
        let stored = serde_json::json!({
            "name": "phone", "platform": "android", "created_at": 1, "refreshed_at": 2, "last_seen": 3,
            "push": {"channel": "pigeon", "id": "x"}, "color": "green",
        });
        let record: Record = serde_json::from_value(stored.clone()).expect("decodes");
        assert_eq!(record.push(), None);
        assert_eq!(serde_json::to_value(&record).expect("encodes"), stored);
    }

    #[test]
    fn a_predecessor_is_good_until_its_successor_is_used() {
        let hello = HelloDevice {
            id: None,
            name: "phone".into(),
            platform: "web".into(),
        };
        let mut record = Record::new(&hello, 1);
        let of = |record: &Record, hashes: [&str; 4]| hashes.map(|hash| record.standing(hash));
        record.begin("a".into(), 2);
        record.rotate("b".into(), 3);
        use Standing::{Current, Predecessor, Unknown, Used};
        assert_eq!(
            of(&record, ["a", "b", "c", "d"]),
            [Predecessor, Current, Unknown, Unknown]
        );
        // The answer with b was lost: whoever shows it now has it from somewhere else.
        record.rotate_again("c".into(), 4);
        assert_eq!(
            of(&record, ["a", "b", "c", "d"]),
            [Predecessor, Used, Current, Unknown]
        );
        record.rotate("d".into(), 5);
        assert_eq!(
            of(&record, ["a", "b", "c", "d"]),
            [Used, Used, Predecessor, Current]
        );
        record.begin("e".into(), 6);
        assert_eq!(of(&record, ["a", "c", "d", "e"]), [Used, Used, Used, Current]);
    }

    #[test]
    fn who_shows_a_predecessor_often_does_not_make_the_current_token_forgotten() {
        let hello = HelloDevice {
            id: None,
            name: "phone".into(),
            platform: "web".into(),
        };
        let mut record = Record::new(&hello, 1);
        record.begin("old".into(), 2);
        record.rotate("owner's".into(), 3);
        let mut times = 0;
        while record.standing("old") == Standing::Predecessor {
            times += 1;
            record.rotate_again(format!("thief's {times}"), 3 + times);
        }
        assert_eq!(record.standing("old"), Standing::Used);
        assert_eq!(record.standing("owner's"), Standing::Used, "after {times}");
    }

    #[test]
    fn a_registration_is_kept_as_the_contract_has_it() {
        let registration: PushRegistration = serde_json::from_str(GOLDEN).expect("decodes");
        let hello = HelloDevice {
            id: None,
            name: "phone".into(),
            platform: "web".into(),
        };
        let mut record = Record::new(&hello, 1);
        record.set_push(Some(&registration)).expect("encodes");
        let stored = serde_json::to_value(&record).expect("encodes");
        let golden: serde_json::Value = serde_json::from_str(GOLDEN).expect("decodes");
        assert_eq!(stored["push"], golden);
        let back: Record = serde_json::from_value(stored).expect("decodes");
        assert_eq!(back.push(), Some(registration));
    }
}

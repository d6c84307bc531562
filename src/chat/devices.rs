//! One's own devices: which there are, and their end.

use anyhow::{Context as _, bail};
use natterjack_nats::wire::{Device, Privacy};

use super::{
    command::Ending,
    session::Session,
    text::{clean_line, date_and_time},
};

impl Session {
    pub(super) async fn devices(&mut self) -> anyhow::Result<()> {
        let devices = self.api.devices().await?;
        for (index, device) in devices.iter().enumerate() {
            self.screen
                .line(&format!("  {}  {}", index + 1, described(device)));
        }
        self.devices = devices;
        self.screen
            .note("/logout <number> ends one of them, /logout others all but this one");
        Ok(())
    }

    pub(super) async fn end_devices(&mut self, ending: Ending) -> anyhow::Result<()> {
        match ending {
            Ending::Others => {
                self.api.revoke_other_devices().await?;
                self.screen.note("all your other devices are logged out");
            }
            Ending::One(number) => {
                let index = number
                    .checked_sub(1)
                    .and_then(|index| usize::try_from(index).ok());
                let device = index.and_then(|index| self.devices.get(index));
                let device = device.context("no device of that number was listed: /devices lists them")?;
                if device.current {
                    bail!("that is this device: /quit leaves, and another device can log it out");
                }
                let name = clean_line(&device.name);
                self.api.revoke_device(device.id).await?;
                self.screen.note(&format!("{name} is logged out"));
            }
        }
        Ok(())
    }

    pub(super) async fn privacy(&mut self, privacy: Privacy) -> anyhow::Result<()> {
        self.api.set_privacy(privacy).await?;
        self.screen.note(match privacy {
            Privacy::Everyone => "everyone sees whether you are here",
            Privacy::Contacts => "those with whom you share a chat see whether you are here",
            Privacy::Nobody => "nobody sees whether you are here, and you do not see it of others",
        });
        Ok(())
    }
}

fn described(device: &Device) -> String {
    let seen = if device.current {
        "this one".to_owned()
    } else if device.online {
        "connected".to_owned()
    } else {
        format!("last here {}", date_and_time(device.last_seen))
    };
    let (name, platform) = (clean_line(&device.name), clean_line(&device.platform));
    let name = if name.is_empty() {
        "a device without a name".to_owned()
    } else {
        name
    };
    let platform = if platform.is_empty() {
        String::new()
    } else {
        format!(" ({platform})")
    };
    format!("{name}{platform}, {seen}")
}

#[cfg(test)]
mod tests {
    use natterjack_nats::DeviceId;

    use super::*;

    #[test]
    fn a_device_is_described_by_where_it_is() {
        let mut device = Device {
            id: DeviceId::from_parts(1, 1),
            name: "Ann's\u{1b}phone".into(),
            platform: "android".into(),
            created_at: 0,
            refreshed_at: 0,
            last_seen: 0,
            online: true,
            current: false,
            push: None,
        };
        assert_eq!(described(&device), r"Ann's\u{1b}phone (android), connected");
        device.current = true;
        assert!(described(&device).ends_with(", this one"));
        (device.current, device.online, device.name) = (false, false, String::new());
        assert!(described(&device).starts_with("a device without a name (android), last here "));
    }
}

//! What a person does not want to be pushed: mutes and previews.

use std::time::Duration;

use natterjack_nats::wire::{Mute, PushPreview};

use super::{session::Session, text::date_and_time};

impl Session {
    /// Mutes the chat that is open; mentions are pushed all the same.
    pub(super) async fn mute(&mut self, span: Option<Duration>) -> anyhow::Result<()> {
        let conversation = self.open_chat()?;
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let mute = Mute {
            until: span.map(|span| self.clock.now_ms().saturating_add(millis(span))),
            mentions: true,
        };
        let summary = self.api.mute(conversation, mute).await?;
        let name = self.names.learn_summary(&summary);
        let until = match summary.mute.and_then(|mute| mute.until) {
            Some(until) => format!(" until {}", date_and_time(until)),
            None => String::new(),
        };
        self.screen.note(&format!(
            "{name} is muted{until}: only what names you is pushed; /unmute takes it back"
        ));
        Ok(())
    }

    pub(super) async fn unmute(&mut self) -> anyhow::Result<()> {
        let summary = self.api.unmute(self.open_chat()?).await?;
        let name = self.names.learn_summary(&summary);
        self.screen.note(&format!("{name} is not muted"));
        Ok(())
    }

    pub(super) async fn previews(&mut self, preview: PushPreview) -> anyhow::Result<()> {
        self.api.set_push_preview(preview).await?;
        self.screen.note(match preview {
            PushPreview::Full => "pushes say who writes and what",
            PushPreview::Sender => "pushes say who writes, and not what",
            PushPreview::None => "pushes say that there is a message, and not more",
        });
        Ok(())
    }
}

/// As in the list of chats.
pub(super) fn mark(mute: Option<Mute>) -> String {
    match mute {
        None => String::new(),
        Some(Mute { until: None, .. }) => " (muted)".to_owned(),
        Some(Mute {
            until: Some(until), ..
        }) => {
            format!(" (muted until {})", date_and_time(until))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_shows_what_is_muted_and_until_when() {
        let mute = |until| {
            Some(Mute {
                until,
                mentions: true,
            })
        };
        assert_eq!(mark(None), "");
        assert_eq!(mark(mute(None)), " (muted)");
        let until = mark(mute(Some(1_732_320_000_000)));
        assert!(
            until.starts_with(" (muted until ") && until.ends_with(')'),
            "{until}"
        );
    }
}

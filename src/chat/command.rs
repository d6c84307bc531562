//! What a person types.

use std::time::Duration;

use natterjack_nats::wire::{Privacy, PushPreview, Role};

/// A line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Nothing,
    Say(String),
    To(String),
    List,
    History(usize),
    NewGroup {
        title: String,
        handles: Vec<String>,
    },
    Add(Vec<String>),
    Remove(String),
    Leave,
    Rename(String),
    Role(String, Role),
    Members,
    Reply(u32, String),
    Edit(u32, String),
    Delete(u32),
    Who,
    Devices,
    LogOut(Ending),
    Privacy(Privacy),
    /// For so long, or until it is taken back.
    Mute(Option<Duration>),
    Unmute,
    Previews(PushPreview),
    Name(String),
    Help,
    Quit,
}

/// Which devices are logged out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// That of this number in the list.
    One(u32),
    /// All but this one.
    Others,
}

pub(super) const HELP: &str = "\
/to <handle or group>            open a chat
/list                            your chats, with what is unread
/history [n]                     the last n messages (20)
/reply <#> <text>                answer message #
/edit <#> <text>                 give your message # another text
/delete <#>                      take the text of message #
/members                         who is in this chat
/group new <title> [handles…]    make a group (\"a title in quotes\" may have spaces)
/group add <handles…>            add people to this group
/group remove <handle>           remove somebody from this group
/group rename <title>            give this group another title
/group role <handle> <role>      make somebody member, admin or owner
/group leave                     leave this group
/me name <name>                  the name that others see
/who                             who and where you are
/devices                         your devices
/logout <number|others>          log out one of your devices, or all but this one
/privacy everyone|contacts|nobody  who may see whether you are here
/mute [1h|8h|2d|forever]         push nothing of this chat but what names you
/unmute                          push it again
/previews full|sender|none       how much pushes say
/quit                            leave
Anything else is sent to the chat that is open; //… sends a text that starts with a slash.";

/// Understands a line, or says what it should look like.
pub(super) fn parse(line: &str) -> Result<Command, String> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Command::Nothing);
    }
    let Some(command) = line.strip_prefix('/') else {
        return Ok(Command::Say(line.to_owned()));
    };
    if command.starts_with('/') {
        return Ok(Command::Say(command.to_owned()));
    }
    let (verb, rest) = word(command);
    match verb {
        "to" => some(rest, "/to <handle or group>").map(|name| Command::To(strip_at(unquoted(name)))),
        "list" => Ok(Command::List),
        "history" if rest.is_empty() => Ok(Command::History(20)),
        "history" => rest
            .parse()
            .map(Command::History)
            .map_err(|_| "/history [how many]".to_owned()),
        "group" => group(rest),
        "members" => Ok(Command::Members),
        "reply" => numbered(rest, "/reply <#> <text>").map(|(number, text)| Command::Reply(number, text)),
        "edit" => numbered(rest, "/edit <#> <text>").map(|(number, text)| Command::Edit(number, text)),
        "delete" => number(rest)
            .map(Command::Delete)
            .ok_or_else(|| "/delete <#>".to_owned()),
        "who" => Ok(Command::Who),
        "devices" => Ok(Command::Devices),
        "logout" if rest == "others" => Ok(Command::LogOut(Ending::Others)),
        "logout" => number(rest)
            .map(|number| Command::LogOut(Ending::One(number)))
            .ok_or_else(|| "/logout <number of /devices> or /logout others".to_owned()),
        "privacy" => match rest {
            "everyone" => Ok(Command::Privacy(Privacy::Everyone)),
            "contacts" => Ok(Command::Privacy(Privacy::Contacts)),
            "nobody" => Ok(Command::Privacy(Privacy::Nobody)),
            _ => Err("/privacy everyone|contacts|nobody".to_owned()),
        },
        "mute" => span(rest)
            .map(Command::Mute)
            .ok_or_else(|| "/mute [30m|1h|8h|2d|forever]".to_owned()),
        "unmute" => Ok(Command::Unmute),
        "previews" => match rest {
            "full" => Ok(Command::Previews(PushPreview::Full)),
            "sender" => Ok(Command::Previews(PushPreview::Sender)),
            "none" => Ok(Command::Previews(PushPreview::None)),
            _ => Err("/previews full|sender|none".to_owned()),
        },
        "me" => match word(rest) {
            ("name", name) if !name.is_empty() => Ok(Command::Name(unquoted(name).to_owned())),
            _ => Err("/me name <name>".to_owned()),
        },
        "help" | "h" | "?" => Ok(Command::Help),
        "quit" | "q" | "exit" => Ok(Command::Quit),
        _ => Err(format!("there is no command /{verb}: /help names them all")),
    }
}

fn group(rest: &str) -> Result<Command, String> {
    let (verb, rest) = word(rest);
    match verb {
        "new" => {
            let (title, handles) = title(some(rest, "/group new <title> [handles…]")?);
            Ok(Command::NewGroup {
                title: title.to_owned(),
                handles: words(handles),
            })
        }
        "add" => some(rest, "/group add <handles…>").map(|handles| Command::Add(words(handles))),
        "remove" => some(rest, "/group remove <handle>").map(|handle| Command::Remove(strip_at(handle))),
        "leave" => Ok(Command::Leave),
        "rename" => {
            some(rest, "/group rename <title>").map(|title| Command::Rename(unquoted(title).to_owned()))
        }
        "role" => {
            let (handle, role) = word(rest);
            let role = match role {
                "member" => Role::Member,
                "admin" => Role::Admin,
                "owner" => Role::Owner,
                _ => return Err("/group role <handle> member|admin|owner".to_owned()),
            };
            Ok(Command::Role(strip_at(handle), role))
        }
        _ => Err("/group new|add|remove|leave|rename|role: /help tells more".to_owned()),
    }
}

/// The first word and the rest.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace)
        .map_or((text, ""), |(first, rest)| (first, rest.trim()))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(strip_at).collect()
}

/// A title, in quotes if it has spaces, and the rest.
fn title(text: &str) -> (&str, &str) {
    let quoted = text.strip_prefix('"').and_then(|text| text.split_once('"'));
    quoted.map_or_else(|| word(text), |(title, rest)| (title.trim(), rest.trim()))
}

fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(text).trim()
}

/// People write handles with an @ out of habit.
fn strip_at(handle: &str) -> String {
    handle.strip_prefix('@').unwrap_or(handle).to_owned()
}

fn some<'a>(text: &'a str, usage: &str) -> Result<&'a str, String> {
    if text.is_empty() {
        Err(usage.to_owned())
    } else {
        Ok(text)
    }
}

/// A number of minutes, hours or days; `None` within is for ever.
fn span(text: &str) -> Option<Option<Duration>> {
    /// Longer than anybody means.
    const DAYS_MAX: u64 = 3_650;
    if matches!(text, "" | "forever") {
        return Some(None);
    }
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return None,
    };
    let minutes = number.parse::<u64>().ok()?.checked_mul(minutes)?;
    (1..=DAYS_MAX * 24 * 60)
        .contains(&minutes)
        .then(|| Some(Duration::from_mins(minutes)))
}

fn number(text: &str) -> Option<u32> {
    text.strip_prefix('#').unwrap_or(text).parse().ok()
}

fn numbered(text: &str, usage: &str) -> Result<(u32, String), String> {
    let (first, rest) = word(text);
    let number = number(first).filter(|_| !rest.is_empty());
    number
        .map(|number| (number, rest.to_owned()))
        .ok_or_else(|| usage.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn lines_are_understood() {
        let cases = [
            ("  ", Command::Nothing),
            ("hello  there", Command::Say(text("hello  there"))),
            ("//etc/hosts", Command::Say(text("/etc/hosts"))),
            ("/to @bob", Command::To(text("bob"))),
            ("/history 7", Command::History(7)),
            (
                "/reply #12 yes, of course",
                Command::Reply(12, text("yes, of course")),
            ),
            ("/edit 3 better", Command::Edit(3, text("better"))),
            ("/delete #3", Command::Delete(3)),
            ("/devices", Command::Devices),
            ("/logout 2", Command::LogOut(Ending::One(2))),
            ("/logout others", Command::LogOut(Ending::Others)),
            ("/privacy nobody", Command::Privacy(Privacy::Nobody)),
            ("/mute", Command::Mute(None)),
            ("/mute forever", Command::Mute(None)),
            ("/mute 8h", Command::Mute(Some(Duration::from_hours(8)))),
            ("/mute 2d", Command::Mute(Some(Duration::from_hours(48)))),
            ("/unmute", Command::Unmute),
            ("/previews none", Command::Previews(PushPreview::None)),
            (
                "/group rename Cinema on Friday",
                Command::Rename(text("Cinema on Friday")),
            ),
            ("/group role bob admin", Command::Role(text("bob"), Role::Admin)),
            ("/me name Alice A.", Command::Name(text("Alice A."))),
            (
                "/group new \"Book club\" bob @carol",
                Command::NewGroup {
                    title: text("Book club"),
                    handles: vec![text("bob"), text("carol")],
                },
            ),
            (
                "/group new Friends",
                Command::NewGroup {
                    title: text("Friends"),
                    handles: Vec::new(),
                },
            ),
        ];
        for (line, command) in cases {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_explained() {
        for line in [
            "/to",
            "/reply x hi",
            "/edit 3",
            "/delete",
            "/group",
            "/group role bob king",
            "/nonsense",
            "/logout",
            "/logout all",
            "/privacy some",
            "/mute 0h",
            "/mute h",
            "/mute 5é",
            "/mute 99999999999999999999h",
            "/mute 9999d",
            "/previews",
            "/me",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}

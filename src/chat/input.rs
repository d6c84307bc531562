//! Where lines come from: a thread of its own, because reading a terminal blocks.

use std::{borrow::Cow, sync::mpsc as blocking, thread};

use rustyline::{
    ColorMode, Config, Context, Editor, ExternalPrinter, Helper,
    completion::Completer,
    error::ReadlineError,
    highlight::{CmdKind, Highlighter},
    hint::Hinter,
    history::MemHistory,
    validate::Validator,
};
use tokio::sync::mpsc;

/// What the person does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    Line(String),
    /// A key of a line that will be a message.
    Key,
    /// Ctrl-D, Ctrl-C, or the end of the input.
    End,
}

/// Lines, one at a time: the next one is read when the one before has been dealt with, so that the
/// terminal is in its normal mode whenever the program ends.
pub(super) struct Input {
    prompts: blocking::Sender<String>,
    typed: mpsc::Receiver<Typed>,
}

type LineEditor = Editor<Keys, MemHistory>;

impl Input {
    pub(super) fn terminal() -> anyhow::Result<(Self, Box<dyn ExternalPrinter + Send>)> {
        let (sender, typed) = mpsc::channel(16);
        let mut editor = editor(Keys::Watched(sender.clone()), ColorMode::Disabled)?;
        let printer = editor.create_external_printer()?;
        let read = move |prompt: &str| match editor.readline(prompt) {
            Ok(line) => {
                // Only convenience: a line that is not remembered is still sent.
                let _ = editor.add_history_entry(line.as_str());
                Some(line)
            }
            Err(_) => None,
        };
        Ok((Self::spawn(sender, typed, read)?, Box::new(printer)))
    }

    pub(super) fn plain() -> anyhow::Result<Self> {
        let (sender, typed) = mpsc::channel(16);
        let read = |_: &str| {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line).unwrap_or_default();
            (read > 0).then_some(line)
        };
        Self::spawn(sender, typed, read)
    }

    fn spawn(
        sender: mpsc::Sender<Typed>,
        typed: mpsc::Receiver<Typed>,
        mut read: impl FnMut(&str) -> Option<String> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (prompts, wanted) = blocking::channel::<String>();
        thread::Builder::new().name("input".to_owned()).spawn(move || {
            while let Ok(prompt) = wanted.recv() {
                let typed = read(&prompt).map_or(Typed::End, Typed::Line);
                if sender.blocking_send(typed).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { prompts, typed })
    }

    /// Lets the person type the next line.
    pub(super) fn ask(&self, prompt: String) {
        // Without a thread that reads, the next `typed` says that it is over.
        let _ = self.prompts.send(prompt);
    }

    pub(super) async fn typed(&mut self) -> Typed {
        self.typed.recv().await.unwrap_or(Typed::End)
    }
}

/// Asks for a password, without showing it.
pub(super) fn password(prompt: &str) -> anyhow::Result<String> {
    match editor(Keys::Masked, ColorMode::Forced)?.readline(prompt) {
        Ok(line) => Ok(line),
        Err(ReadlineError::Eof | ReadlineError::Interrupted) => anyhow::bail!("no password was given"),
        Err(error) => Err(error.into()),
    }
}

/// Asks a question that is answered with yes or no.
pub(super) fn yes(question: &str) -> anyhow::Result<bool> {
    let answer = editor(Keys::Plain, ColorMode::Disabled)?.readline(&format!("{question} [y/N] "));
    Ok(answer.is_ok_and(|answer| matches!(answer.trim(), "y" | "Y" | "yes")))
}

fn editor(keys: Keys, color: ColorMode) -> anyhow::Result<LineEditor> {
    let config = Config::builder()
        .color_mode(color)
        .auto_add_history(false)
        .build();
    let mut editor = Editor::with_history(config, MemHistory::new())?;
    editor.set_helper(Some(keys));
    Ok(editor)
}

/// What happens with each key, besides the editing.
enum Keys {
    Plain,
    Masked,
    Watched(mpsc::Sender<Typed>),
}

impl Hinter for Keys {
    type Hint = String;
    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        if let Self::Watched(sender) = self
            && !line.trim().is_empty()
            && !line.starts_with('/')
        {
            // One of many; a full queue already says that somebody is writing.
            let _ = sender.try_send(Typed::Key);
        }
        None
    }
}

impl Highlighter for Keys {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        match self {
            Self::Masked => Cow::Owned("*".repeat(line.chars().count())),
            Self::Plain | Self::Watched(_) => Cow::Borrowed(line),
        }
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        matches!(self, Self::Masked)
    }
}

impl Completer for Keys {
    type Candidate = String;
}
impl Validator for Keys {}
impl Helper for Keys {}

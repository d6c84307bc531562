//! The real binary, as a person starts it: the plain run, and two who chat in terminals.

use std::{
    collections::HashMap,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use natterjack::fleet::Scratch;
use natterjack_runtime::servers::testing_tools_dir;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::support::{until, user::PASSWORD};

/// A debug binary on a busy machine starts two servers and may have to make a database.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program with its output.
pub struct Running {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    pub heard: Vec<String>,
}

impl Running {
    fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_with(arguments, ("NATTERJACK_NO_WEB", "true"))
    }

    pub fn start_with(arguments: &[&str], (name, value): (&str, &str)) -> anyhow::Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_natterjack"))
            .args(arguments)
            .env("NATTERJACK_PASSWORD", PASSWORD)
            .env(name, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("piped")?).lines();
        Ok(Self {
            input: child.stdin.take(),
            child,
            lines,
            heard: Vec::new(),
        })
    }

    /// The plain run on a data directory.
    fn plain(data: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let data = data.display().to_string();
        let tools = testing_tools_dir().display().to_string();
        let mut arguments = vec!["--data-dir", &data, "--tools-dir", &tools];
        if !more.contains(&"--listen") {
            arguments.extend(["--listen", "127.0.0.1:0"]);
        }
        arguments.extend(more);
        Self::start(&arguments)
    }

    /// The next line that holds this text.
    pub async fn line(&mut self, text: &str) -> anyhow::Result<String> {
        let next = async {
            while let Some(line) = self.lines.next_line().await? {
                self.heard.push(line.clone());
                if line.contains(text) {
                    return Ok(line);
                }
            }
            let mut errors = String::new();
            if let Some(mut stderr) = self.child.stderr.take() {
                stderr.read_to_string(&mut errors).await?;
            }
            anyhow::bail!("it ended without {text:?}: {errors}")
        };
        match timeout(PATIENCE, next).await {
            Ok(line) => line,
            Err(_) => anyhow::bail!("waited in vain for {text:?}; heard {:?}", self.heard),
        }
    }

    /// Where clients connect, from the block that it prints.
    pub async fn url(&mut self) -> anyhow::Result<String> {
        self.line("Natterjack is ready.").await?;
        let line = self.line("clients ").await?;
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        Ok(url.context(line.clone())?.to_owned())
    }

    /// The next line that reads like this one, times of day aside.
    async fn same_line(&mut self, wanted: &str) -> anyhow::Result<()> {
        while timeless(
            &self
                .line("")
                .await
                .with_context(|| format!("before {wanted:?}"))?,
        ) != timeless(wanted)
        {}
        Ok(())
    }

    async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("its input is open")?;
        input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.child.id().context("it runs")?;
        Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
    }

    /// Its end, and what it said on stderr.
    async fn end(mut self) -> anyhow::Result<(ExitStatus, String)> {
        drop(self.input.take());
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().context("not taken yet")?;
        let both = async { tokio::join!(self.child.wait(), stderr.read_to_string(&mut errors)) };
        let (status, read) = timeout(PATIENCE, both).await.context("it does not end")?;
        read?;
        Ok((status?, errors))
    }

    /// Ctrl-C, and a good end.
    pub async fn interrupt(self, data: &Path) -> anyhow::Result<()> {
        let children = [server_pid(data, "nats")?, server_pid(data, "postgres")?];
        self.signal(Signal::SIGINT)?;
        let (status, errors) = self.end().await?;
        ensure!(status.success(), "{status}: {errors}");
        ensure!(!children.into_iter().any(alive), "a server is left");
        Ok(())
    }
}

/// A line with its times of day (`10:01`) struck out.
fn timeless(line: &str) -> String {
    let is_time = |word: &&str| matches!(word.as_bytes(), [a, b, b':', c, d] if [a, b, c, d].iter().all(|b| b.is_ascii_digit()));
    let words = line
        .trim_end()
        .split(' ')
        .map(|word| if is_time(&word) { "--:--" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

fn server_pid(data: &Path, server: &str) -> anyhow::Result<i32> {
    let file = data.join(server).join("pid");
    Ok(std::fs::read_to_string(&file)
        .with_context(|| file.display().to_string())?
        .trim()
        .parse()?)
}

fn alive(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

#[tokio::test]
async fn it_starts_stops_and_starts_again_and_keeps_what_two_people_said() -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let data = scratch.path().join("data");
    let mut plain = Running::plain(&data, &[])?;
    let url = plain.url().await?;
    let hint = plain.line("chat --create --as alice").await?;
    ensure!(
        hint.contains(&url),
        "what to type next works with this address: {hint}"
    );
    let chat = |who: &str, more: &[&str]| {
        let state = scratch.path().join(who).display().to_string();
        let mut arguments = vec![
            "chat",
            "--as",
            who,
            "--server",
            url.as_str(),
            "--state-dir",
            state.as_str(),
        ];
        arguments.extend(more);
        Running::start(&arguments)
    };
    // As the README has it.
    let mut alice = chat("alice", &["--create"])?;
    alice.line("you are alice").await?;
    let mut bob = chat("bob", &["--create"])?;
    bob.line("you are bob").await?;
    bob.say("/to alice").await?;
    bob.line("alice").await?;
    bob.say("Hello!").await?;
    bob.line("bob: Hello!").await?;
    alice.line("bob: Hello!").await?;
    alice.say("/to bob").await?;
    alice.say("Hi bob, good to see you").await?;
    alice.line("alice: Hi bob, good to see you").await?;
    bob.line("alice: Hi bob, good to see you").await?;
    // What is typed last is on disk before it leaves.
    bob.say("bye").await?;
    let (status, errors) = bob.end().await?;
    ensure!(status.success(), "bob: {status} {errors}");
    alice.line("bob: bye").await?;
    alice.say("/quit").await?;
    let (status, errors) = alice.end().await?;
    ensure!(status.success(), "alice: {status} {errors}");
    // Somebody without an account is told what to add.
    let (status, errors) = chat("carol", &[])?.end().await?;
    ensure!(
        !status.success() && errors.contains("--create"),
        "carol: {status} {errors}"
    );

    plain.interrupt(&data).await?;
    let port = url.rsplit(':').next().context(url.clone())?;
    let mut plain = Running::plain(&data, &["--listen", &format!("127.0.0.1:{port}")])?;
    ensure!(plain.url().await? == url);
    let mut bob = chat("bob", &[])?;
    bob.line("you are bob").await?;
    bob.say("/to alice").await?;
    for text in ["bob: Hello!", "alice: Hi bob, good to see you", "bob: bye"] {
        bob.line(text).await?;
    }
    // What he does not want to be pushed.
    for (typed, told) in [
        ("/mute 8h", "alice is muted until "),
        ("/list", "alice"),
        ("/unmute", "alice is not muted"),
        ("/previews sender", "pushes say who writes, and not what"),
        ("/mute soon", "/mute ["),
    ] {
        bob.say(typed).await?;
        let line = bob.line(told).await?;
        ensure!(typed != "/list" || line.contains("(muted until "), "{line}");
    }
    bob.say("/quit").await?;
    bob.end().await?;
    plain.interrupt(&data).await?;
    // And where there is no server, it says how to start one.
    let (status, errors) = chat("dora", &["--create"])?.end().await?;
    ensure!(
        !status.success() && errors.contains("cargo run"),
        "at the end: {status} {errors}"
    );
    scratch.remove()
}

#[tokio::test]
async fn what_is_in_the_way_of_a_start_is_named() -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let data = scratch.path().join("data");
    let mut plain = Running::plain(&data, &[])?;
    let url = plain.url().await?;
    // The same directory again.
    let (status, errors) = Running::plain(&data, &[])?.end().await?;
    ensure!(
        !status.success() && errors.contains("is in use") && errors.contains("--data-dir"),
        "{errors}"
    );
    // A taken port, with a directory of its own.
    let taken = url.replace("http://", "");
    let other = scratch.path().join("other");
    let (status, errors) = Running::plain(&other, &["--listen", &taken])?.end().await?;
    ensure!(
        !status.success() && errors.contains("--listen") && errors.contains(&taken),
        "{errors}"
    );
    for server in ["nats", "postgres"] {
        ensure!(
            !server_pid(&other, server).is_ok_and(alive),
            "{server} of the failed start is left"
        );
    }
    let port = taken.rsplit(':').next().context("a port")?;
    let (status, errors) = Running::plain(&other, &["--nats-port", port])?.end().await?;
    ensure!(
        !status.success() && errors.contains("--nats-port") && errors.contains(port),
        "{errors}"
    );
    plain.interrupt(&data).await?;
    scratch.remove()
}

#[tokio::test]
async fn a_server_that_dies_ends_it_with_the_last_lines_of_the_log() -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let data = scratch.path().join("data");
    let mut plain = Running::plain(&data, &[])?;
    plain.url().await?;
    let (nats, postgres) = (server_pid(&data, "nats")?, server_pid(&data, "postgres")?);
    kill(Pid::from_raw(nats), Signal::SIGKILL)?;
    let (status, errors) = plain.end().await?;
    ensure!(!status.success(), "{errors}");
    ensure!(
        errors.contains("nats-server ended") && errors.contains("Server is ready"),
        "{errors}"
    );
    until("postgres is gone", async || Ok((!alive(postgres)).then_some(()))).await?;
    // The next start finds everything in order.
    let mut plain = Running::plain(&data, &[])?;
    plain.url().await?;
    plain.interrupt(&data).await?;
    scratch.remove()
}

#[tokio::test]
async fn a_nats_server_that_is_too_old_is_refused() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("nats://{}", listener.local_addr()?);
    tokio::spawn(async move {
        const INFO: &str =
            r#"INFO {"server_id":"X","version":"2.10.29","proto":1,"max_payload":1048576,"headers":true}"#;
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                socket.write_all(format!("{INFO}\r\n").as_bytes()).await?;
                let (read, mut write) = socket.split();
                let mut lines = BufReader::new(read).lines();
                while let Some(line) = lines.next_line().await? {
                    if line.starts_with("PING") {
                        write.write_all(b"PONG\r\n").await?;
                    }
                }
                anyhow::Ok(())
            });
        }
    });
    let database = "postgres://nobody@127.0.0.1:1/none";
    for arguments in [
        vec!["provision", "--nats-url", &url],
        vec!["edge", "--nats-url", &url, "--listen", "127.0.0.1:0"],
        vec!["persister", "--nats-url", &url, "--database-url", database],
    ] {
        let (status, errors) = Running::start(&arguments)?.end().await?;
        ensure!(!status.success(), "{arguments:?}");
        ensure!(
            errors.contains("2.10.29") && errors.contains("2.15 or newer"),
            "{errors}"
        );
    }
    Ok(())
}

/// The transcripts of the README: whose terminal, and what stands in it.
fn transcripts() -> Vec<(&'static str, Vec<&'static str>)> {
    include_str!("../../README.md")
        .split("<!-- transcript: ")
        .skip(1)
        .filter_map(|part| {
            let (who, rest) = part.split_once(" -->\n```\n")?;
            Some((who, rest.split("\n```").next()?.lines().collect()))
        })
        .collect()
}

#[tokio::test]
async fn two_people_talk_as_the_readme_shows_it() -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let data = scratch.path().join("data");
    let mut plain = Running::plain(&data, &[])?;
    let url = plain.url().await?;
    let mut people: HashMap<&str, Running> = HashMap::new();
    let transcripts = transcripts();
    ensure!(
        transcripts.len() == 3,
        "the README shows three stretches of two terminals"
    );
    for (who, lines) in transcripts {
        for line in lines {
            if let Some(command) = line.strip_prefix("$ ./target/release/natterjack ") {
                let state = scratch.path().join(who).display().to_string();
                let mut arguments: Vec<&str> = command.split(' ').collect();
                arguments.extend(["--server", url.as_str(), "--state-dir", state.as_str()]);
                people.insert(who, Running::start(&arguments)?);
                continue;
            }
            let person = people.get_mut(who).context("started before")?;
            let prompt = line
                .split_once("> ")
                .filter(|(prompt, _)| prompt.starts_with(who));
            if let Some((_, typed)) = prompt {
                person.say(typed).await?;
            } else if !line.starts_with("password of ") {
                person.same_line(line).await?;
            }
        }
    }
    for (_, person) in people {
        person.end().await?;
    }
    plain.interrupt(&data).await
}

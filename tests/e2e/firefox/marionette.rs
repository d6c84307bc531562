//! Firefox's remote control: Marionette, JSON over TCP with a length in front
//! (<https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html>).

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::support::{PATIENCE, within};

/// More than any answer here has: a screenshot.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// A session.
pub struct Marionette {
    stream: BufReader<TcpStream>,
    next: u64,
}

impl Marionette {
    /// Connects, and begins a session.
    pub async fn connect(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut marionette = Self {
            stream: BufReader::new(stream),
            next: 0,
        };
        let greeting = marionette.read().await?;
        ensure!(greeting["marionetteProtocol"] == 3, "{greeting}");
        let patience_ms = u64::try_from(PATIENCE.as_millis())?;
        let capabilities =
            json!({"alwaysMatch": {"timeouts": {"script": patience_ms, "pageLoad": patience_ms}}});
        marionette
            .call("WebDriver:NewSession", json!({"capabilities": capabilities}))
            .await?;
        Ok(marionette)
    }

    /// A setting of the running browser.
    pub async fn set_preference(&mut self, name: &str, value: bool) -> anyhow::Result<()> {
        self.call("Marionette:SetContext", json!({"value": "chrome"}))
            .await?;
        let script = "Services.prefs.setBoolPref(arguments[0], arguments[1])";
        self.call(
            "WebDriver:ExecuteScript",
            json!({"script": script, "args": [name, value]}),
        )
        .await?;
        self.call("Marionette:SetContext", json!({"value": "content"}))
            .await?;
        Ok(())
    }

    /// Opens a page.
    pub async fn open(&mut self, url: &str) -> anyhow::Result<()> {
        self.call("WebDriver:Navigate", json!({"url": url})).await?;
        Ok(())
    }

    /// Calls an async function of the page, and hands back what it comes to.
    pub async fn run(&mut self, function: &str, arguments: &[&str]) -> anyhow::Result<Value> {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const given = Array.from(arguments).slice(0, -1);
             Promise.resolve({function}(...given))
               .then((value) => done(JSON.stringify({{value}})), (error) => done(JSON.stringify({{error: String(error)}})));"
        );
        let answer = self
            .call(
                "WebDriver:ExecuteAsyncScript",
                json!({"script": script, "args": arguments}),
            )
            .await?;
        let text = answer["value"].as_str().with_context(|| format!("{answer}"))?;
        let answer: Value = serde_json::from_str(text)?;
        if let Some(error) = answer["error"].as_str() {
            bail!("{function}: {error}");
        }
        Ok(answer["value"].clone())
    }

    /// The page as PNG.
    pub async fn screenshot(&mut self) -> anyhow::Result<Vec<u8>> {
        let answer = self
            .call("WebDriver:TakeScreenshot", json!({"full": true, "hash": false}))
            .await?;
        let text = answer["value"].as_str().context("no picture")?;
        Ok(BASE64_STANDARD.decode(text)?)
    }

    /// Has the browser end.
    pub async fn quit(&mut self) -> anyhow::Result<()> {
        self.call("Marionette:Quit", json!({"flags": ["eForceQuit"]}))
            .await?;
        Ok(())
    }

    async fn call(&mut self, command: &str, parameters: Value) -> anyhow::Result<Value> {
        let id = self.next;
        self.next += 1;
        let message = json!([0, id, command, parameters]).to_string();
        let framed = format!("{}:{message}", message.len());
        self.stream.get_mut().write_all(framed.as_bytes()).await?;
        // The browser's own limits are as long; it says more than we could.
        let answer = tokio::time::timeout(2 * PATIENCE, self.read())
            .await
            .with_context(|| format!("no answer to {command}"))??;
        ensure!(answer[0] == 1 && answer[1] == id, "{command}: {answer}");
        ensure!(answer[2].is_null(), "{command}: {}", answer[2]);
        Ok(answer[3].clone())
    }

    async fn read(&mut self) -> anyhow::Result<Value> {
        let mut length = 0;
        loop {
            match within("a message of Marionette's", self.stream.read_u8()).await?? {
                b':' => break,
                digit => {
                    ensure!(digit.is_ascii_digit(), "no length");
                    length = length * 10 + usize::from(digit - b'0');
                }
            }
            ensure!(length <= ANSWER_BYTES_MAX, "{length} bytes are too many");
        }
        let mut message = vec![0; length];
        self.stream.read_exact(&mut message).await?;
        Ok(serde_json::from_slice(&message)?)
    }
}

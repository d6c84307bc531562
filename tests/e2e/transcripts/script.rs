//! A transcript as data: its steps, and the variables in them.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

pub const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/nats/golden/transcripts");

/// One line. See the README beside the files.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// The application does something with its client.
    App(Value),
    /// The client is given an access token.
    Token(Value),
    /// The client connects there.
    Connect(Value),
    Client(Value),
    Server(Value),
    /// The server closes with a code.
    Close(u16),
    /// The same, unless the client leaves before.
    CloseUnlessLeft(u16),
    /// The connection breaks.
    Cut(Done),
    /// The connection stands and nothing passes.
    Silence(Done),
    /// The client ends the connection.
    Leave(Done),
    /// The application has heard of something.
    Told(Value),
    /// What others do at the server meanwhile.
    Peer(Value),
}

/// `true`: of what happens without any detail.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "bool")]
pub struct Done;

impl TryFrom<bool> for Done {
    type Error = &'static str;
    fn try_from(done: bool) -> Result<Self, Self::Error> {
        done.then_some(Self).ok_or("it happens, or is not a step")
    }
}

/// A file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub title: String,
    /// What it teaches, for readers.
    #[serde(rename = "why")]
    _why: String,
    /// Why a real edge cannot be brought to it.
    pub edge: Option<String>,
    pub vars: Vars,
    pub steps: Vec<Step>,
}

impl Script {
    pub fn read(name: &str) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(Path::new(DIR).join(format!("{name}.json")))?;
        serde_json::from_str(&text).with_context(|| name.to_owned())
    }
}

/// Values by name; a name that has none gets the one that it meets first.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Vars(BTreeMap<String, Value>);

impl Vars {
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All names of `template` that have no value yet.
    pub fn open(&self, template: &Value) -> Vec<String> {
        match template {
            Value::String(text) => {
                let name = text
                    .strip_prefix('$')
                    .filter(|name| !["any", "absent"].contains(name));
                let open = name.filter(|name| !self.0.contains_key(*name));
                open.map(str::to_owned).into_iter().collect()
            }
            Value::Array(items) => items.iter().flat_map(|item| self.open(item)).collect(),
            Value::Object(fields) => fields.values().flat_map(|field| self.open(field)).collect(),
            _ => Vec::new(),
        }
    }

    /// `template` with values for its names. `$absent` leaves the field out, and so does `$any`.
    pub fn fill(&self, template: &Value) -> anyhow::Result<Value> {
        Ok(match template {
            Value::String(text) => match text.strip_prefix('$') {
                Some(name) => self
                    .0
                    .get(name)
                    .with_context(|| format!("${name} has no value"))?
                    .clone(),
                None => template.clone(),
            },
            Value::Array(items) => items
                .iter()
                .map(|item| self.fill(item))
                .collect::<Result<_, _>>()?,
            Value::Object(fields) => {
                let mut filled = serde_json::Map::new();
                for (key, field) in fields {
                    if field != "$absent" && field != "$any" {
                        filled.insert(self.key(key)?, self.fill(field)?);
                    }
                }
                Value::Object(filled)
            }
            _ => template.clone(),
        })
    }

    /// Compares, and gives names without a value the one that stands in their place. Fields that the
    /// template does not name are not looked at.
    pub fn meet(&mut self, template: &Value, actual: &Value) -> anyhow::Result<()> {
        let mut met = self.clone();
        met.compare(template, actual)?;
        *self = met;
        Ok(())
    }

    fn compare(&mut self, template: &Value, actual: &Value) -> anyhow::Result<()> {
        match (template, actual) {
            (Value::String(text), _) if text.starts_with('$') => match self.0.get(&text[1..]) {
                _ if text == "$any" => Ok(()),
                Some(value) => {
                    ensure!(value == actual, "{text} is {value}, and not {actual}");
                    Ok(())
                }
                None => {
                    self.set(&text[1..], actual.clone());
                    Ok(())
                }
            },
            (Value::Object(fields), Value::Object(actual)) => {
                for (key, field) in fields {
                    let key = self.key(key)?;
                    match actual.get(&key) {
                        None if field == "$absent" || field == "$any" => {}
                        Some(_) if field == "$absent" => bail!("{key} is there"),
                        Some(value) => self.compare(field, value).with_context(|| key.clone())?,
                        None => bail!("{key} is missing in {actual:?}"),
                    }
                }
                Ok(())
            }
            (Value::Array(items), Value::Array(actual)) => {
                ensure!(items.len() == actual.len(), "{items:?} is not {actual:?}");
                let mut pairs = items.iter().zip(actual);
                pairs.try_for_each(|(item, actual)| self.compare(item, actual))
            }
            _ => {
                ensure!(template == actual, "{template} is not {actual}");
                Ok(())
            }
        }
    }

    fn key(&self, key: &str) -> anyhow::Result<String> {
        let Some(name) = key.strip_prefix('$') else {
            return Ok(key.to_owned());
        };
        let value = self.0.get(name).and_then(Value::as_str);
        Ok(value.with_context(|| format!("{key} has no value"))?.to_owned())
    }
}

//! The examples of `nats/golden/` with something wrong in them: what a fuzzer needs to get past the
//! first brace. Every crate with a fuzz target over JSON includes this file.

use std::{path::Path, sync::OnceLock};

use bolero::generator::*;
use serde_json::{Value, json};

/// One example and what is done to it.
#[derive(Debug, Clone, TypeGenerator)]
pub struct Spoiled {
    which: u8,
    #[generator(produce::<Vec<Change>>().with().len(0..4_usize))]
    changes: Vec<Change>,
}

#[derive(Debug, Clone, TypeGenerator)]
enum Change {
    /// Another value in the place of one.
    Set { place: u8, value: Odd },
    /// A value less.
    Remove { place: u8 },
    /// A field twice.
    Double { place: u8, value: Odd },
    /// The text ends early.
    Cut { at: u16 },
    /// A byte too many; it need not be UTF-8 afterwards.
    Insert { at: u16, byte: u8 },
    /// Another byte.
    Flip { at: u16, bits: u8 },
}

/// Values at the edges of what JSON and the types behind it can hold.
#[derive(Debug, Clone, TypeGenerator)]
enum Odd {
    Null,
    Bool(bool),
    Whole(u64),
    Negative(i64),
    Fraction(f64),
    /// 2^53, give or take one, where JavaScript stops counting.
    Brink(u8),
    Text(String),
    Long(u16),
    Nul,
    LoneSurrogate,
    Deep(u8),
    Array,
    Object,
    Example(u8),
}

/// In the place of what `serde_json` itself would never write.
const SURROGATE: &str = "@lone surrogate@";

impl Odd {
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Whole(value) => json!(value),
            Self::Negative(value) => json!(value),
            Self::Fraction(value) => json!(value),
            Self::Brink(offset) => json!((1_u64 << 53) - 1 + u64::from(offset % 3)),
            Self::Text(text) => json!(text),
            Self::Long(length) => json!("x".repeat(usize::from(*length))),
            Self::Nul => json!("a\0b"),
            Self::LoneSurrogate => json!(SURROGATE),
            Self::Deep(depth) => (0..*depth).fold(json!([]), |inner, _| json!([inner])),
            Self::Array => json!([]),
            Self::Object => json!({}),
            Self::Example(which) => example(*which).clone(),
        }
    }
}

fn examples() -> &'static [Value] {
    static EXAMPLES: OnceLock<Vec<Value>> = OnceLock::new();
    EXAMPLES.get_or_init(|| {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nats/golden");
        let mut files: Vec<_> = std::fs::read_dir(&dir)
            .expect("nats/golden")
            .map(|file| file.expect("readable").path())
            // Beside them: the transcripts.
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        let read = |path| std::fs::read_to_string(path).expect("readable");
        let json = |text: String| serde_json::from_str(&text).expect("JSON");
        files.into_iter().map(read).map(json).collect()
    })
}

fn example(which: u8) -> &'static Value {
    &examples()[usize::from(which) % examples().len()]
}

impl Spoiled {
    /// The bytes that travel.
    pub fn bytes(&self) -> Vec<u8> {
        let mut value = example(self.which).clone();
        let mut doubled = vec![];
        for change in &self.changes {
            match change {
                Change::Set { place, value: odd } => set(&mut value, *place, Some(odd.value())),
                Change::Remove { place } => set(&mut value, *place, None),
                Change::Double { place, value: odd } => {
                    if let Some(object) = value.as_object().filter(|object| !object.is_empty())
                        && let Some(key) = object.keys().nth(usize::from(*place) % object.len())
                    {
                        doubled.push(format!("{}:{}", json!(key), odd.value()));
                    }
                }
                _ => {}
            }
        }
        let mut text = value.to_string();
        for field in doubled {
            if text.starts_with("{\"") {
                text.insert_str(1, &format!("{field},"));
            }
        }
        let mut bytes = text.replace(SURROGATE, "\\ud800").into_bytes();
        for change in &self.changes {
            let length = bytes.len();
            match change {
                Change::Cut { at } => bytes.truncate(usize::from(*at) % (length + 1)),
                Change::Insert { at, byte } => bytes.insert(usize::from(*at) % (length + 1), *byte),
                Change::Flip { at, bits } => {
                    if let Some(byte) = bytes.get_mut(usize::from(*at) % length.max(1)) {
                        *byte ^= bits;
                    }
                }
                _ => {}
            }
        }
        bytes
    }
}

/// Changes the n-th value of all, or takes it out.
fn set(root: &mut Value, place: u8, to: Option<Value>) {
    let mut pointers = vec![];
    walk(root, &mut String::new(), &mut pointers);
    let pointer = &pointers[usize::from(place) % pointers.len()];
    match (to, pointer.rsplit_once('/')) {
        (Some(value), _) => {
            if let Some(found) = root.pointer_mut(pointer) {
                *found = value;
            }
        }
        (None, Some((parent, key))) => match root.pointer_mut(parent) {
            Some(Value::Object(object)) => drop(object.remove(key)),
            Some(Value::Array(array)) => drop(array.pop()),
            _ => {}
        },
        (None, None) => {}
    }
}

fn walk(value: &Value, pointer: &mut String, pointers: &mut Vec<String>) {
    pointers.push(pointer.clone());
    let length = pointer.len();
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                walk(value, pointer, pointers);
                pointer.truncate(length);
            }
        }
        Value::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                walk(value, pointer, pointers);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

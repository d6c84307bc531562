//! `docs/protocol.md` says what the code says: its examples are the goldens, its tables the code's.

use std::{collections::BTreeSet, path::Path};

use natterjack_nats::{
    limits,
    wire::{CloseCode, Code, Limits},
};
use serde_json::Value;

const CLOSE_CODES: [CloseCode; 9] = [
    CloseCode::Shutdown,
    CloseCode::TokenExpired,
    CloseCode::Slow,
    CloseCode::NoPong,
    CloseCode::Unavailable,
    CloseCode::BadToken,
    CloseCode::BadRequest,
    CloseCode::Revoked,
    CloseCode::TooManyConnections,
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn protocol() -> String {
    read("../docs/protocol.md")
}

/// The cells of the rows of the table that follows the comment.
fn table(name: &str) -> Vec<Vec<String>> {
    let page = protocol();
    let marker = format!("<!-- table: {name} -->\n");
    let (_, table) = page.split_once(&marker).unwrap_or_else(|| panic!("no {marker}"));
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    rows.skip(2)
        .map(|row| {
            let cells = row.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().replace('`', "")).collect()
        })
        .collect()
}

#[test]
fn the_error_table_is_the_code() {
    let documented: Vec<Vec<String>> = table("errors").into_iter().map(|row| row[..3].to_vec()).collect();
    let expected: Vec<Vec<String>> = Code::ALL
        .iter()
        .map(|code| {
            let retryable = if code.retryable() { "yes" } else { "no" };
            vec![code.as_str().into(), code.status().to_string(), retryable.into()]
        })
        .collect();
    assert_eq!(documented, expected);
}

#[test]
fn the_close_codes_are_the_code() {
    let documented: Vec<Vec<String>> = table("close codes")
        .into_iter()
        .map(|row| row[..2].to_vec())
        .collect();
    let expected: Vec<Vec<String>> = CLOSE_CODES
        .iter()
        .map(|close| vec![close.code().to_string(), close.reason().into()])
        .collect();
    assert_eq!(documented, expected);
}

#[test]
fn the_limits_are_the_code() {
    let told = serde_json::to_value(Limits::new(100, 64)).expect("plain");
    let documented = table("limits");
    for row in &documented {
        let (name, _) = row[0].split_once(':').expect("name: meaning");
        assert_eq!(told[name].to_string(), row[1], "{name}");
    }
    // All of them but the two that an operator chooses.
    assert_eq!(documented.len() + 2, told.as_object().expect("an object").len());
    assert_eq!(limits::TEXT_CHARS_MAX, 100_000);
}

#[test]
fn the_examples_are_the_goldens() {
    let page = protocol();
    let mut shown = BTreeSet::new();
    for part in page.split("<!-- golden: ").skip(1) {
        let (name, rest) = part.split_once(" -->\n```json\n").expect("a block of JSON");
        let (block, _) = rest.split_once("\n```").expect("the end of the block");
        let json = |text: &str| {
            serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        assert_eq!(json(block), json(&read(&format!("golden/{name}.json"))), "{name}");
        shown.insert(name.to_owned());
    }
    let frames = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")).expect("goldens");
    for file in frames {
        let path = file.expect("readable").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8");
        let frame = name.starts_with("client.") || name.starts_with("server.") || name.starts_with("event.");
        assert!(
            !frame || shown.contains(name) || name == "client.hello_new_device",
            "docs/protocol.md does not show {name}"
        );
    }
}

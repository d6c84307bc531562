//! The examples in `nats/golden/`: each decodes into its type and encodes to the same JSON, and
//! every frame, kind and event has one. Other languages read the same files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use natterjack_nats::{
    services::{
        accounts::{LogIn, Refresh, SignUp, Tokens},
        conversations::ListPage,
    },
    wire::{
        ClientFrame, ConversationSummary, DeadPush, Device, DeviceSession, EdgeInfo, Event, Kind, Lease, Me,
        Member, Message, Mute, Notice, Page, PresenceRecord, Profile, PushChannels, PushJob,
        PushRegistration, PushRequest, PushTrace, ReceiptBatch, ServerFrame, Stored, SyncPage, UserPresence,
        Void, WireError,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

fn goldens() -> BTreeMap<String, Value> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let files = std::fs::read_dir(&dir).expect("nats/golden");
    files
        .map(|file| file.expect("readable").path())
        // Beside them: the transcripts, which their players read.
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8");
            let text = std::fs::read_to_string(&path).expect("readable");
            let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name.to_owned(), json)
        })
        .collect()
}

fn round_trip<T: Serialize + DeserializeOwned>(name: &str, json: &Value) -> T {
    let value: T = serde_json::from_value(json.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let again = serde_json::to_value(&value).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(&again, json, "{name}");
    value
}

fn check(name: &str, json: &Value) {
    match name.split('.').next().unwrap_or_default() {
        "client" => drop(round_trip::<ClientFrame>(name, json)),
        "server" => drop(round_trip::<ServerFrame>(name, json)),
        "message" | "event" => drop(round_trip::<Message>(name, json)),
        "stored" if name == "stored.void" => drop(round_trip::<Void>(name, json)),
        "stored" => drop(round_trip::<Stored>(name, json)),
        "error" => drop(round_trip::<WireError>(name, json)),
        "receipts_batch" => drop(round_trip::<ReceiptBatch>(name, json)),
        "summary" => drop(round_trip::<ConversationSummary>(name, json)),
        "member" => drop(round_trip::<Member>(name, json)),
        "device" => drop(round_trip::<Device>(name, json)),
        "profile" => drop(round_trip::<Profile>(name, json)),
        "page" => drop(round_trip::<Page>(name, json)),
        "push" => drop(round_trip::<Notice>(name, json)),
        "push_trace" => drop(round_trip::<PushTrace>(name, json)),
        "push_dead" => drop(round_trip::<DeadPush>(name, json)),
        "sync" => drop(round_trip::<SyncPage>(name, json)),
        "http" => http(name, json),
        "kv" => kv(name, json),
        _ => panic!("{name}: no type is known for this file"),
    }
}

fn http(name: &str, json: &Value) {
    match name {
        "http.signup" => drop(round_trip::<SignUp>(name, json)),
        "http.login" => drop(round_trip::<LogIn>(name, json)),
        "http.refresh" => drop(round_trip::<Refresh>(name, json)),
        "http.tokens" => drop(round_trip::<Tokens>(name, json)),
        "http.me" => drop(round_trip::<Me>(name, json)),
        "http.push_webpush" | "http.push_fcm" => drop(round_trip::<PushRequest>(name, json)),
        "http.push_channels" => drop(round_trip::<PushChannels>(name, json)),
        "http.mute" => drop(round_trip::<Mute>(name, json)),
        "http.presence" => drop(round_trip::<Vec<UserPresence>>(name, json)),
        "http.edges" => drop(round_trip::<Vec<EdgeInfo>>(name, json)),
        "http.conversations" => drop(round_trip::<ListPage>(name, json)),
        _ => panic!("{name}: no type is known for this file"),
    }
}

fn kv(name: &str, json: &Value) {
    match name {
        "kv.presence" => drop(round_trip::<PresenceRecord>(name, json)),
        "kv.session" => drop(round_trip::<DeviceSession>(name, json)),
        "kv.push" | "kv.push_sent" => drop(round_trip::<PushJob>(name, json)),
        "kv.push_registration" => drop(round_trip::<PushRegistration>(name, json)),
        "kv.lease" => drop(round_trip::<Lease>(name, json)),
        _ => panic!("{name}: no type is known for this file"),
    }
}

#[test]
fn every_golden_decodes_and_encodes_to_itself() {
    for (name, json) in goldens() {
        check(&name, &json);
    }
}

/// The tags of all variants of an enum, as serde itself names them when it meets an unknown one.
fn variants<T: DeserializeOwned>(unknown: &Value) -> BTreeSet<String> {
    let Err(error) = serde_json::from_value::<T>(unknown.clone()) else {
        panic!("an unknown variant was taken");
    };
    let error = error.to_string();
    let (_, list) = error
        .split_once("expected")
        .unwrap_or_else(|| panic!("no list in: {error}"));
    list.split('`').skip(1).step_by(2).map(Into::into).collect()
}

fn tags(prefix: &str, tag: &[&str]) -> BTreeSet<String> {
    goldens()
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .filter_map(|(_, json)| {
            let tag = tag.iter().try_fold(json, |json, key| json.get(key))?;
            tag.as_str().map(Into::into)
        })
        .collect()
}

#[test]
fn every_variant_has_a_golden() {
    let unknown = serde_json::json!({"type": "no such"});
    assert_eq!(variants::<ClientFrame>(&unknown), tags("client.", &["type"]));
    assert_eq!(variants::<ServerFrame>(&unknown), tags("server.", &["type"]));
    assert_eq!(variants::<Event>(&unknown), tags("event.", &["event", "type"]));
    let mut kinds = tags("message.", &["kind"]);
    kinds.extend(tags("event.", &["kind"]));
    assert_eq!(variants::<Kind>(&"no such".into()), kinds);
}

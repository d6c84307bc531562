"""The examples of nats/golden/ against the schemas of docs/openapi.json: each is valid, and holds no
field that the schema does not name."""

import json
import os
from pathlib import Path

import jsonschema_rs
import requests

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = requests.get(os.environ["NATTERJACK_URL"] + "/v1/openapi.json", timeout=30).json()
assert DOCUMENT == json.loads((ROOT / "docs/openapi.json").read_text()), "the edge serves another document"

SCHEMAS = {
    "device": "Device",
    "error": "Error",
    "event": "Message",
    "http.conversations": "ConversationPage",
    "http.edges": "EdgeList",
    "http.login": "LogIn",
    "http.me": "Me",
    "http.mute": "Mute",
    "http.presence": "PresenceList",
    "http.push_channels": "PushChannels",
    "http.push_fcm": "PushRequest",
    "http.push_webpush": "PushRequest",
    "http.refresh": "Refresh",
    "http.signup": "SignUp",
    "http.tokens": "Tokens",
    "member": "Member",
    "message": "Message",
    "page": "Page",
    "profile": "Profile",
    "summary": "ConversationSummary",
    "sync": "SyncPage",
}
# Frames of the socket, what push services carry, and what only NATS sees are not part of the HTTP API.
ELSEWHERE = ("client", "server", "push", "push_dead", "push_trace", "stored", "receipts_batch", "kv")
# What stands in the examples for texts that would only be noise.
PLACEHOLDERS = {"<page>": "A" * 32}


def strict(schema):
    """The same schema, but closed: what it does not name is not allowed."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    if "properties" in schema and isinstance(schema["properties"], dict) and schema.get("type") == "object":
        closed["additionalProperties"] = False
    return closed


def filled(value):
    if isinstance(value, dict):
        return {key: filled(part) for key, part in value.items()}
    if isinstance(value, list):
        return [filled(part) for part in value]
    return PLACEHOLDERS.get(value, value) if isinstance(value, str) else value


components = {"schemas": strict(DOCUMENT["components"]["schemas"])}
seen = set()
for path in sorted((ROOT / "nats/golden").glob("*.json")):
    if path.name.split(".")[0] in ELSEWHERE:
        continue
    name = path.stem if path.stem in SCHEMAS else path.name.split(".")[0]
    schema = {"$ref": f"#/components/schemas/{SCHEMAS[name]}", "components": components}
    validator = jsonschema_rs.Draft202012Validator(schema)
    errors = [f"{path.name}: {error.message}" for error in validator.iter_errors(filled(json.loads(path.read_text())))]
    assert not errors, "\n".join(errors)
    seen.add(name)
assert seen == set(SCHEMAS), f"no example of {set(SCHEMAS) - seen}"
print(f"{len(seen)} schemas hold their examples")

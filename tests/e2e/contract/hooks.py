"""What schemathesis needs to know to go deep: people, groups and messages that exist.

They are made over the API itself when this module is loaded, against the edge that the variable
NATTERJACK_URL names, so that the same files fuzz any edge that has no rate limits.
"""

import base64
import os
import time
import uuid

import requests
import schemathesis
from hypothesis import strategies as st

URL = os.environ["NATTERJACK_URL"]
PASSWORD = "correct horse battery staple"
CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
RUN = f"{time.time_ns():x}"[-9:]


def call(method, path, body=None, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = requests.request(method, URL + path, json=body, headers=headers, timeout=30)
    answer.raise_for_status()
    return answer.json()


def message_id():
    """A UUID of version 7, of now."""
    value = int(time.time() * 1000) << 80 | uuid.uuid4().int & ~(-1 << 80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def log_in(handle):
    device = {"name": "throwaway", "platform": "test"}
    return call("POST", "/v1/login", {"handle": handle, "password": PASSWORD, "device": device})


def sign_up(name):
    device = {"name": "fuzz", "platform": "test"}
    body = {"handle": f"{name}-{RUN}", "password": PASSWORD, "name": name.title(), "device": device}
    return call("POST", "/v1/signup", body)


def dm(one, other):
    return "dm." + ".".join(sorted([one, other]))


def say(token, conversation, text):
    body = {"id": message_id(), "text": text}
    return call("POST", f"/v1/conversations/{conversation}/messages", body, token)["seq"]


ME, BOB, CAROL = sign_up("alice"), sign_up("bob"), sign_up("carol")
HANDLE = ME["user"]["handle"]
TOKEN, BOBS_TOKEN, CAROLS_TOKEN = (who["access_token"] for who in (ME, BOB, CAROL))
IDS = [who["user"]["id"] for who in (ME, BOB, CAROL)]
A, B, C = IDS


def group(token, members):
    return call("POST", "/v1/groups", {"title": "fuzzed", "members": members}, token)["conversation"]


# Some of one's own, since a fuzzer also leaves groups; one as a member only; one of others.
OWN = [group(TOKEN, [B, C]) for _ in range(6)]
AS_MEMBER, OF_OTHERS = group(BOBS_TOKEN, [A, C]), group(BOBS_TOKEN, [C])
MINE = [dm(A, B), dm(A, A), dm(A, C), *OWN, AS_MEMBER]
for conversation in MINE:
    for text in ("one", "two", "three"):
        say(TOKEN, conversation, text)
say(BOBS_TOKEN, dm(A, B), "from bob")
CURSOR = call("GET", "/v1/sync", token=TOKEN)["cursor"]
SHARDS = CURSOR.count("-")


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unknown_id():
    first = st.sampled_from("01234567")
    return st.tuples(first, st.text(CROCKFORD, min_size=25, max_size=25)).map("".join)


def base36(number):
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        if number == 0:
            return digits


users = st.sampled_from(IDS) | unknown_id()
groups = st.sampled_from([name.removeprefix("group.") for name in (*OWN, AS_MEMBER, OF_OTHERS)])
conversations = (
    st.sampled_from(MINE)
    | st.sampled_from([f"user.{A}", f"user.{B}", dm(B, C), OF_OTHERS])
    | unknown_id().map(lambda user: dm(A, user))
    | unknown_id().map("group.".__add__)
)
# Ids of now, of long ago and of the far future; a few again and again.
message_ids = (
    st.builds(message_id)
    | st.sampled_from([message_id() for _ in range(3)])
    | st.integers(0, 2**48 - 1).map(lambda ms: str(uuid.UUID(int=ms << 80 | 0x7 << 76 | 0x2 << 62)))
)
page_tokens = st.binary(min_size=24, max_size=24).map(lambda place: base64.urlsafe_b64encode(place).decode())
sequence = st.integers(0, 50) | st.integers(0, 2**53 - 1)
cursors = st.just(CURSOR) | st.lists(sequence, min_size=SHARDS, max_size=SHARDS).map(
    lambda sequences: "-".join(["1", *map(base36, sequences)])
)
# Nothing is sent there, and an address needs no look-up.
endpoints = st.integers(1, 3).map(lambda n: f"https://192.0.2.{n}/send/{RUN}")
# Where a browser's key is on its curve, no schema can say: these are (the generator of the group, SEC 2 section
# 2.4.2, and its inverse).
X = bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
Y = int("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5", 16)
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
points = st.sampled_from([base64url(b"\4" + X + y.to_bytes(32, "big")) for y in (Y, P - Y)])
secrets = st.binary(min_size=16, max_size=16).map(base64url)
for name, strategy in [
    ("user-id", users),
    ("device-id", st.just(ME["device"]) | unknown_id()),
    ("group-id", groups | unknown_id()),
    ("conversation", conversations),
    ("message-id", message_ids),
    ("page-token", page_tokens),
    ("sync-cursor", cursors),
    ("push-endpoint", endpoints),
    ("p256-point", points),
    ("push-secret", secrets),
]:
    schemathesis.openapi.format(name, strategy)


@schemathesis.auth()
class Bearer:
    def get(self, case, context):
        return TOKEN

    def set(self, case, token, context):
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Whatever logs a device out gets one to throw away, not the one of all other requests."""
    operation = case.operation.definition.raw.get("operationId")
    if operation == "logOut" and case.headers.get("Authorization") == f"Bearer {TOKEN}":
        case.headers["Authorization"] = f"Bearer {log_in(HANDLE)['access_token']}"
    if operation == "revokeDevice" and (case.path_parameters or {}).get("id") == ME["device"]:
        case.path_parameters["id"] = log_in(HANDLE)["device"]
    if operation == "sync" and case.query:
        # A long poll is right to wait; a fuzzer has no time for it.
        if str(case.query.get("wait", "")).isdecimal() and int(case.query["wait"]) > 0:
            case.query["wait"] = 0

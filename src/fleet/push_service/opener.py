"""Opens Web Pushes as a browser would, with http_ece: a line of JSON in, a line of JSON out."""

import base64
import json
import sys

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec


def raw(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


for line in sys.stdin:
    asked = json.loads(line)
    try:
        key = ec.derive_private_key(int.from_bytes(raw(asked["private_key"]), "big"), ec.SECP256R1())
        plain = http_ece.decrypt(
            raw(asked["body"]),
            private_key=key,
            auth_secret=raw(asked["auth"]),
            version="aes128gcm",
        )
        answer = {"plain": base64.urlsafe_b64encode(plain).decode().rstrip("=")}
    except Exception as error:  # Whatever it is, it is the answer.
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)

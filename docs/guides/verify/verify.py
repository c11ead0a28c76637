#!/usr/bin/env python3
"""Is a request one that lockstep signed?

Usage: WEBHOOK_SECRET=whsec_... verify.py ID TIMESTAMP SIGNATURES < body
Exit code 0: it is. 1: it is not, and stderr says why.
"""

import base64
import binascii
import hashlib
import hmac
import os
import sys
import time

TOLERANCE_S = 300


def verify(secret, message_id, timestamp, signatures, body, now=None):
    """None for a genuine request, else the reason. `body` are the bytes as they came, before any parsing."""
    if not secret.startswith("whsec_"):
        return "the secret does not begin with whsec_"
    if not (timestamp.isascii() and timestamp.isdigit()):
        return "the timestamp is no number"
    now = time.time() if now is None else now
    # Without this a request that somebody recorded could be played back for ever.
    if abs(now - int(timestamp)) > TOLERANCE_S:
        return "the request is too old, or a clock is wrong"
    key = base64.b64decode(secret[len("whsec_"):])
    signed = message_id.encode() + b"." + timestamp.encode() + b"." + body
    expected = hmac.new(key, signed, hashlib.sha256).digest()
    # Several signatures while a secret is being changed: one that fits is enough.
    for one in signatures.split(" "):
        version, _, code = one.partition(",")
        if version != "v1":
            continue
        try:
            given = base64.b64decode(code, validate=True)
        except binascii.Error:
            continue
        if hmac.compare_digest(given, expected):
            return None
    return "no signature fits"


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    # `sys.exit` with a text prints it and ends with 1; with None it ends with 0.
    sys.exit(verify(os.environ["WEBHOOK_SECRET"], *sys.argv[1:4], sys.stdin.buffer.read()))

"""The baseline of the callout's rows: the least that answers a server. Whoever asks gets the same permissions.

`python -m tests.bench.callout_minimal` reads one JSON object from standard input: the server's URL, the
service's creds, the seeds of the callout's account and of its curve key, and the seed and key of the account
that users are placed in. It says `ready` and answers until it is ended.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import nats
from nacl.public import Box, PrivateKey, PublicKey
from nacl.signing import SigningKey
from nats.aio.msg import Msg

HEADER = "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ"
SUBJECT = "$SYS.REQ.USER.AUTH"
LIMITS = {"subs": -1, "data": -1, "payload": -1}


def raw(key: str, prefix: int) -> bytes:
    """The 32 bytes in a key or seed as NATS writes it."""
    padded = key + "=" * (-len(key) % 8)
    return base64.b32decode(padded)[prefix : prefix + 32]


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims: dict[str, Any], key: SigningKey) -> str:
    body = f"{HEADER}.{encoded(json.dumps(claims).encode())}"
    return f"{body}.{encoded(key.sign(body.encode()).signature)}"


async def main() -> None:
    told = json.loads(sys.stdin.readline())
    account_key = SigningKey(raw(told["account_seed"], 2))
    place_key = SigningKey(raw(told["place_seed"], 2))
    curve = PrivateKey(raw(told["curve_seed"], 2)) if told["curve_seed"] else None

    async def answer(message: Msg) -> None:
        data = message.data
        box = None
        if curve is not None:
            sender = (message.headers or {})["Nats-Server-Xkey"]
            box = Box(curve, PublicKey(raw(sender, 1)))
            data = box.decrypt(data[4:])
        payload = data.split(b".")[1]
        request = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
        now = int(time.time())
        user = {
            "sub": request["nats"]["user_nkey"],
            "iss": told["place"],
            "iat": now,
            "exp": now + 3600,
            "jti": hashlib.sha256(payload).hexdigest()[:32],
            "name": "user",
            "nats": {
                "pub": {"deny": [">"]},
                "sub": {"allow": ["grid.>", "_INBOX.>"]},
                "type": "user",
                "version": 2,
                **LIMITS,
            },
        }
        response = {
            "sub": request["nats"]["user_nkey"],
            "aud": request["nats"]["server_id"]["id"],
            "iss": told["account"],
            "iat": now,
            "nats": {"jwt": signed(user, place_key), "type": "authorization_response", "version": 2},
        }
        said = signed(response, account_key).encode()
        await message.respond(said if box is None else b"xkv1" + bytes(box.encrypt(said)))

    client = await nats.connect(told["url"], user_credentials=Path(told["creds"]))
    await client.subscribe(SUBJECT, queue="minimal", cb=answer, pending_msgs_limit=65_536)
    await client.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())

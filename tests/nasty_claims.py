"""Claims nobody would write, made from a seed: to compare what we and others say about them."""

from __future__ import annotations

import random
from typing import Any

from issuer.keys.nkeys import Role, Seed

Plain = dict[str, Any]

OPERATOR, OPERATOR_KEY = (Seed.from_raw(Role.OPERATOR, bytes([n]) * 32) for n in (1, 2))
ACCOUNT, ACCOUNT_KEY, ROLE_KEY, OTHER_ACCOUNT = (
    Seed.from_raw(Role.ACCOUNT, bytes([n]) * 32) for n in (3, 4, 5, 11)
)
USER, OTHER_USER = (Seed.from_raw(Role.USER, bytes([n]) * 32) for n in (6, 12))
SERVER = Seed.from_raw(Role.SERVER, bytes([7]) * 32)
CURVE = Seed.from_raw(Role.CURVE, bytes([9]) * 32)
SEEDS = (
    OPERATOR,
    OPERATOR_KEY,
    ACCOUNT,
    ACCOUNT_KEY,
    ROLE_KEY,
    OTHER_ACCOUNT,
    USER,
    OTHER_USER,
    SERVER,
    CURVE,
)

LONG_AGO, FAR_AHEAD = 1, 2**40
TEXTS = (
    "",
    "x",
    "a b",
    'quo"te',
    "back\\slash",
    "tab\t",
    "line\nend",
    "<&>",
    "é",
    "\u2028",
    "\x7f",
    "\x01",
    "😀",
    "\u200b",
)
TOKENS = ("a", "b", "c", "*", ">", "$1", "$2", "$0", "$-1", "$x", "", "a*", "b>", "x y", "\t", "é")
URLS = (
    "", "nats://h:4222", "tls://h", "ws://h/", "wss://h/p", "NATS://h", "http://h", "https://h:80/x",
    "h:4222", "127.0.0.1:4222", "localhost", "nats://u@h", "nats://u:p@h:1", "nats://h:x", "nats://[::1]:4222",
    "nats://[::1", "nats://h:99999", "nats://h?q=1", "nats://h#f", ":", "://h", "//h", "/p", "nats:", "nats://",
    "nats://h%zz", "nats://%41", "a b://h", "nats://a b", "nats://h\x01", "http://h/%zz", "http://h#%zz",
    "nats://é", "1nats://h", "nats://u%@h", "http://[fe80::1%25en0]:80/",
)  # fmt: skip
VERSIONS = (
    "",
    "2.10.0",
    "2.10",
    "v2.1.0",
    "2.10.0-beta",
    "+1.2.3",
    "1.-2.3",
    "1.2.99999999999999999999",
    "..",
    " 1.2.3",
)
NETWORKS = (
    "10.0.0.0/8", "10.1.2.3/8", "1.2.3.4", "1.2.3.4/33", "::/0", "01.2.3.4/8", "::1/129", "fe80::1%e/64",
    "1.2.3.4/08", "x/8", "1.2.3.4/255.0.0.0", "::ffff:1.2.3.4/96", "",
)  # fmt: skip
TIMES = (
    "08:00:00",
    "8:00:00",
    "24:00:00",
    "08:60:00",
    "08:00:60",
    "08:00:00.5",
    "08:00",
    "",
    "8:0:0",
    "08:00:00Z",
    "é",
)
ZONES = ("", "UTC", "Local", "Europe/Berlin", "Mars/Olympus", "../etc", "/etc/passwd", "europe/berlin")


class Maker:
    """Draws claims; one seed, one sequence."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tokens: tuple[str, ...] = ("",)

    def one(self, *options: Any) -> Any:
        return self.random.choice(options)

    def rarely(self, value: Any, usual: Any = None, *, odds: float = 0.25) -> Any:
        return value if self.random.random() < odds else usual

    def some(self, make: Any, most: int = 3) -> list[Any]:
        return [make() for _ in range(self.random.randint(0, most))]

    def text(self) -> str:
        return "".join(self.random.choices(TEXTS, k=self.random.randint(0, 3)))

    def subject(self) -> str:
        if self.random.random() < 0.6:
            return ".".join(self.random.choices(TOKENS[:5], k=self.random.randint(1, 3)))
        return ".".join(self.random.choices(TOKENS, k=self.random.randint(0, 4)))

    def entry(self) -> str:
        return " ".join(
            [self.subject(), *self.rarely([self.subject()], []), *self.rarely(["z"], [], odds=0.1)]
        )

    def key(self, *roles: Role) -> str:
        fitting = [seed for seed in SEEDS if seed.role in roles]
        if fitting and self.random.random() < 0.7:
            return str(self.one(*fitting).public)
        public = str(self.one(*SEEDS).public)
        return str(self.one(public, public[:-1], public[:-1] + "A", public.lower(), self.text()))

    def number(self) -> int:
        return int(self.one(0, 0, 1, 2, -1, -2, 100, 101, 2**63 - 1, -(2**63)))

    def limit(self) -> int:
        return int(self.one(-1, -1, 0, 1, 2, -2))

    def permission(self) -> Plain:
        return pruned({"allow": self.some(self.entry), "deny": self.some(self.entry, 2)})

    def response(self) -> Plain | None:
        return self.rarely({"max": self.number(), "ttl": self.number()})  # type: ignore[no-any-return]

    def connecting(self) -> Plain:
        return pruned(
            {
                "pub": self.permission(),
                "sub": self.permission(),
                "resp": self.response(),
                "src": self.some(lambda: self.one(*NETWORKS)),
                "times": self.some(lambda: pruned({"start": self.one(*TIMES), "end": self.one(*TIMES)}), 2),
                "times_location": self.one(*ZONES),
                "subs": self.number(),
                "data": self.number(),
                "payload": self.number(),
                "bearer_token": self.rarely(True),
                "proxy_required": self.rarely(True),
                "allowed_connection_types": self.some(self.text, 2),
            }
        )

    def export(self) -> Plain:
        kind = self.one("", "stream", "service", "service")
        return pruned(
            {
                "name": self.text(),
                "subject": self.subject(),
                "type": kind,
                "token_req": self.rarely(True),
                "revocations": self.rarely({self.key(Role.ACCOUNT): self.number(), "*": 5}),
                "response_type": self.one("", "", "Singleton", "Stream", "Chunked", "singleton", 'q"'),
                "response_threshold": self.rarely(self.number()),
                "service_latency": self.rarely(
                    {"sampling": self.one(0, 1, 100, "headers", "HEADERS"), "results": self.subject()}
                ),
                "account_token_position": self.one(0, 0, 1, 2, 9),
                "allow_trace": self.rarely(True),
                "description": self.rarely("d" * self.one(8192, 8193), odds=0.05),
                "info_url": self.one(*URLS),
            }
        )

    def imported(self) -> Plain:
        return pruned(
            {
                "name": self.text(),
                "subject": self.subject(),
                "account": self.one("", OTHER_ACCOUNT.public, OTHER_ACCOUNT.public, ACCOUNT_KEY.public, 'q"'),
                "token": self.rarely(self.one(*self.tokens, "no token", "a.b.c")),
                "to": self.rarely(self.subject()),
                "local_subject": self.rarely(self.subject(), odds=0.5),
                "type": self.one("", "stream", "service", "service"),
                "share": self.rarely(True),
                "allow_trace": self.rarely(True),
            }
        )

    def jetstream(self) -> Plain:
        names = ("mem_storage", "disk_storage", "streams", "consumer", "max_ack_pending")
        return pruned(
            {**{name: self.rarely(self.limit()) for name in names}, "max_bytes_required": self.rarely(True)}
        )

    def limits(self) -> Plain:
        names = ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
        return pruned(
            {
                **self.rarely({name: self.limit() for name in names}, {}, odds=0.7),
                "wildcards": self.one(True, False),
                "disallow_bearer": self.rarely(True),
                **self.rarely(self.jetstream(), {}),
                "tiered_limits": self.rarely({self.one("", "R1", "R3"): self.jetstream()}),
            }
        )

    def mapping(self) -> Plain:
        made = {
            "subject": self.subject(),
            "weight": self.one(0, 50, 51, 100, 101, 255),
            "cluster": self.one("", "", "c"),
        }
        return {name: value for name, value in made.items() if name == "subject" or value}

    def scope(self) -> str | Plain:
        key = self.key(Role.ACCOUNT)
        if self.random.random() < 0.5:
            return key
        return {
            "kind": "user_scope",
            "key": key,
            "role": self.text(),
            "template": self.connecting(),
            "description": "",
        }

    def account_body(self) -> Plain:
        return pruned({
            "imports": self.some(self.imported, 4),
            "exports": self.some(self.export, 4),
            "limits": self.limits(),
            "signing_keys": self.some(self.scope, 2),
            "revocations": self.rarely({self.key(Role.USER): self.number()}),
            "default_permissions": pruned(
                {"pub": self.permission(), "sub": self.permission(), "resp": self.response()}
            ),
            "mappings": self.rarely({self.subject(): self.some(self.mapping, 4)}, odds=0.5),
            "authorization": self.rarely(pruned({
                "auth_users": self.some(lambda: self.key(Role.USER), 2),
                "allowed_accounts": self.some(lambda: self.one("*", self.key(Role.ACCOUNT)), 2),
                "xkey": self.rarely(self.key(Role.CURVE)),
            })),
            "trace": self.rarely(pruned({"dest": self.subject(), "sampling": self.one(0, 1, 100, 101, -1)})),
            "cluster_traffic": self.one("", "", "system", "owner", 'x"y'),
            "description": self.rarely("é" * self.one(4096, 4097), odds=0.05),
            "info_url": self.rarely(self.one(*URLS)),
        })  # fmt: skip

    def operator_body(self) -> Plain:
        return pruned(
            {
                "signing_keys": self.some(lambda: self.key(Role.OPERATOR), 2),
                "account_server_url": self.one(*URLS),
                "operator_service_urls": self.some(lambda: self.one(*URLS)),
                "system_account": self.rarely(self.key(Role.ACCOUNT)),
                "assert_server_version": self.one(*VERSIONS),
                "strict_signing_key_usage": self.rarely(True),
            }
        )

    def body(self, kind: str) -> Plain:
        if kind == "operator":
            return self.operator_body()
        if kind == "account":
            return self.account_body()
        if kind == "user":
            return pruned({**self.connecting(), "issuer_account": self.rarely(self.key(Role.ACCOUNT))})
        if kind == "activation":
            return pruned(
                {
                    "subject": self.subject(),
                    "kind": self.one("", "stream", "service"),
                    "issuer_account": self.rarely(self.key(Role.ACCOUNT)),
                }
            )
        if kind == "authorization_request":
            return {
                "server_id": {"name": self.text(), "host": "h", "id": SERVER.public},
                "user_nkey": self.one("", self.key(Role.USER)),
                "client_info": {},
                "connect_opts": {"protocol": 1},
            }
        return pruned(
            {
                "jwt": self.one("", "eyJ"),
                "error": self.one("", "no"),
                "issuer_account": self.rarely(self.key(Role.ACCOUNT)),
            }
        )

    def claims(self, kind: str) -> Plain:
        """Plain claims of a kind, whole: what a token of it may hold."""
        subjects = {"operator": Role.OPERATOR, "account": Role.ACCOUNT, "activation": Role.ACCOUNT}
        issuers = {
            "operator": (Role.OPERATOR,),
            "account": (Role.OPERATOR, Role.ACCOUNT),
            "authorization_request": (Role.SERVER,),
        }.get(kind, (Role.ACCOUNT,))
        return pruned(
            {
                "aud": self.one("", SERVER.public, USER.public),
                "exp": self.one(0, 0, LONG_AGO, FAR_AHEAD, -1),
                "iss": self.key(*issuers),
                "name": self.text(),
                "nbf": self.one(0, 0, LONG_AGO, FAR_AHEAD, -1),
                "sub": self.key(subjects.get(kind, Role.USER)),
                "nats": {**self.body(kind), "tags": self.some(self.text, 2), "type": kind, "version": 2},
            }
        )


def pruned(members: Plain) -> Plain:
    """Without what Go leaves out; the structures it always writes come back when claims are read."""
    return {name: value for name, value in members.items() if value not in (None, "", 0, False, [])}

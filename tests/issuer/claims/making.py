"""Claims to try things on: hypothesis strategies for plain JSON, nice and nasty."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from issuer.keys.nkeys import Role, Seed

SEEDS = {role: [Seed.from_raw(role, bytes([n]) * 32) for n in (1, 2, 3)] for role in Role}
KEYS = {role: [seed.public for seed in seeds] for role, seeds in SEEDS.items()}
OPERATOR, ACCOUNT, USER, SERVER = (
    KEYS[role][0] for role in (Role.OPERATOR, Role.ACCOUNT, Role.USER, Role.SERVER)
)

Plain = st.SearchStrategy[dict[str, Any]]

# What quoting, escaping and splitting stumble over.
NASTY = 'a.>b <&>" \\ \x00\x07\x1b\x7f\t\n\v é\u200b\u2028\u2029\ufeff\ue000 日 𝄞 \U000e0001'
nasty = st.text(st.sampled_from(NASTY), max_size=12)
texts = st.one_of(st.just(""), st.sampled_from(["x", "y z", "é", "日本"]), nasty)
tokens = st.sampled_from(["a", "b", "foo", "*", ">", "$1", "$2", "$0", "$-1", "$x", "$", "a*", "", " ", "é"])
good_subjects = st.sampled_from(
    ["a", "a.b", "a.*", "a.>", "*", ">", "a.*.c", "a.*.*", "foo.>", "foo.a", "$SYS.>", "_INBOX.>", "q.*.>"]
)
subjects = st.one_of(
    good_subjects, good_subjects, st.lists(tokens, min_size=1, max_size=4).map(".".join), nasty
)
entries = st.one_of(
    subjects,
    st.tuples(good_subjects, subjects).map(" ".join),
    st.lists(subjects, min_size=3, max_size=4).map(" ".join),
    st.sampled_from(["foo ", " foo", "foo  q", "{{name()}}", "{{ name() }}", "a.{{tag(x)}}.>"]),
)
int64 = st.one_of(
    st.sampled_from([-1, 0, 1, 2, 100, 101, -2, 2**53 + 1, 2**63 - 1, -(2**63)]), st.integers(-5, 200)
)
seconds = st.sampled_from([0, 1, -1, 1_000_000_000, 4_000_000_000, 2**62])


def keys(*roles: Role) -> st.SearchStrategy[str]:
    """Mostly keys of these roles; else another role's, a broken one or none at all."""
    sound = [key for role in roles for key in KEYS[role]]
    others = [KEYS[role][0] for role in Role]
    broken = ["", "*", "x", sound[0].lower(), sound[0][:-1], sound[0][:-1] + "A", 'q"uote', "é"]
    return st.one_of(st.sampled_from(sound), st.sampled_from(sound), st.sampled_from(others + broken))


def some(required: dict[str, Any] | None = None, /, **optional: Any) -> Plain:
    """An object with these members, the optional ones now and then."""
    return st.fixed_dictionaries(required or {}, optional=optional)


def listed(of: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, max_size=most)


permission = some(allow=listed(entries), deny=listed(entries))
response = some({"max": int64, "ttl": int64})
times = st.one_of(
    st.sampled_from(
        ["", "08:00:00", "8:00:00", "23:59:59", "24:00:00", "08:00", "08:00:60", "08:00:00.5", "8:0:0",
         "08:00:00,123456789012", "08:00:00.", " 08:00:00", "08:00:00Z", "-1:00:00", "٠٨:00:00"]
    ),
    nasty,
)  # fmt: skip
networks = st.one_of(
    st.sampled_from(
        ["10.0.0.0/8", "10.1.2.3/8", "1.2.3.4", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/08", "1.2.3.4/255.0.0.0",
         "01.2.3.4/8", "::1/128", "::/0", "fe80::1%eth0/64", "::ffff:1.2.3.4/96", "::1/129", "/8", "1.2.3/8",
         "1.2.3.4/+8", "1.2.3.4/-1", "1.2.3.4/8/9", "1:2:3:4:5:6:7::/64", "1::2::3/4", "::1.2.3.4/1", "",
         " 10.0.0.0/8", "\uff11.2.3.4/8", "1.2.3.4/00000000008", "1.2.3.4/99999999"]
    ),
    nasty,
)  # fmt: skip
zones = st.sampled_from(
    ["", "UTC", "Local", "Europe/Berlin", "America/New_York", "europe/berlin", "Nowhere/Land",
     "../etc/passwd",
     "/etc/localtime", "\\x", "Etc/GMT+5", "a..b", 'quo"te', "GMT", "é"]
)  # fmt: skip
connecting = {
    "pub": permission,
    "sub": permission,
    "resp": response,
    "src": listed(networks),
    "times": listed(some(start=times, end=times)),
    "times_location": zones,
    "subs": int64,
    "data": int64,
    "payload": int64,
    "bearer_token": st.booleans(),
    "proxy_required": st.booleans(),
    "allowed_connection_types": listed(st.sampled_from(["STANDARD", "mqtt", "NOPE"])),
}
tags = listed(st.sampled_from(["a", "b:c", "Mixed:Case", "x y", "é"]))
urls = st.one_of(
    st.sampled_from(
        ["", "https://example.com", "http://h", "https://h:99999/x?y=1#z", "https://", "https:///p",
         "nats://h:4222",
         "ws://h", "wss://h/", "tls://h:x", "NATS://h", "nats://u@h", "nats://u:p@h:1", "nats://@h", "h:4222",
         "127.0.0.1:4222", "localhost", "http//x", ":x", "nats://h/%zz", "nats://h%", "nats://h%41",
         "nats://h%25",
         "nats://[::1]:4222", "nats://[::1", "nats://[1.2.3.4]", "nats://[::1%25eth0]:1", "nats://a[b]",
         "nats://h h",
         "nats://h\\x", "nats://[x]", "nats://[::1]x", "http://a:1:2", "nats://a:1:2", "nats://u%zz@h",
         "nats://u u@h",
         "//h/p", "///p", "/p", "*", "nats:h", "nats:/p", "nats://h?q", "nats://h#f", "nats://h#%zz",
         "nats://é:1",
         "http://:80", "http://[::]:80", "ht!tp://x", "1http://x", "a b:c", "http://h/a b", "x\x7f",
         "nats://h\t",
         "nats://[]", "nats://[::1]:", "nats://h:", "nats://h:-1", 'nats://h"q', "nats://h<>",
         "nats://h|", "nats://h^",
         "%", "a%2", "http://h/%2f%", "nats://a@b@c", "?x", "#", "nats://%e9"]
    ),
    nasty.map(lambda text: "nats://" + text),
    st.text(st.sampled_from("ab:/?#@[]%1.-"), max_size=10),
)  # fmt: skip
versions = st.one_of(
    st.sampled_from(["", "2.10.0", "+1.2.3", "v2.1.0", "2.10.0-beta", "1.2", "1.2.3.4", "-1.2.3",
                     "1.-2.3", "1..3",
                     "1_0.2.3", "1.2.99999999999999999999", "9223372036854775807.0.0", "01.2.3",
                     "1.2. 3", "+.1.2",
                     "000000000000000000000001.2.3", "٣.1.2"]),
    nasty,
)  # fmt: skip
operator_body = some(
    signing_keys=listed(keys(Role.OPERATOR)),
    account_server_url=urls,
    operator_service_urls=listed(urls),
    system_account=keys(Role.ACCOUNT),
    assert_server_version=versions,
    strict_signing_key_usage=st.booleans(),
    tags=tags,
)
user_body = some(**connecting, issuer_account=keys(Role.ACCOUNT), tags=tags)
revocations = st.dictionaries(st.one_of(keys(Role.USER), nasty), int64, max_size=3)
share = st.sampled_from(["stream", "service"])
latency = some({"sampling": st.one_of(st.just("headers"), st.integers(1, 100))}, results=subjects)
export = some(
    {"type": share, "subject": subjects},
    name=texts,
    token_req=st.booleans(),
    revocations=revocations,
    response_type=st.sampled_from(["Singleton", "Stream", "Chunked", "stream", "x", ""]),
    response_threshold=int64,
    service_latency=latency,
    account_token_position=st.integers(0, 6),
    advertise=st.booleans(),
    allow_trace=st.booleans(),
    description=texts,
    info_url=urls,
)
import_ = some(
    {"type": share, "subject": subjects},
    name=texts,
    account=keys(Role.ACCOUNT),
    token=st.sampled_from(["", "x.y.z", "http://x"]),
    to=subjects,
    local_subject=subjects,
    share=st.booleans(),
    allow_trace=st.booleans(),
)
jetstream = {
    **dict.fromkeys(
        ("mem_storage", "disk_storage", "streams", "consumer", "max_ack_pending", "mem_max_stream_bytes",
         "disk_max_stream_bytes"), int64
    ),
    "max_bytes_required": st.booleans(),
}  # fmt: skip
limits = some(
    **dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), int64),
    wildcards=st.booleans(),
    disallow_bearer=st.booleans(),
    **jetstream,
)
tiered = some(
    imports=int64,
    exports=int64,
    tiered_limits=st.dictionaries(st.sampled_from(["R1", "R3", "", "é"]), some(**jetstream), max_size=2),
)
# Go reads roles by way of floats, which beyond 2^53 lose what we keep; and it never writes a limit
# of 0 or leaves one out.
exact = st.integers(-(2**53), 2**53)
limit = st.one_of(st.integers(-5, -1), st.integers(1, 2**53))
unlisted = {name: of for name, of in connecting.items() if name not in {"subs", "data", "payload", "resp"}}
template = some(
    dict.fromkeys(("subs", "data", "payload"), limit), resp=some({"max": exact, "ttl": exact}), **unlisted
)
scope = some(
    {
        "kind": st.just("user_scope"),
        "key": keys(Role.ACCOUNT),
        "role": texts,
        "template": template,
        "description": texts,
    }
)


def key_of(entry: Any) -> str:
    return str(entry["key"] if isinstance(entry, dict) else entry)


clusters = st.sampled_from(["", "c", "é"])
account_body = some(
    imports=listed(import_, 4),
    exports=listed(export, 4),
    limits=st.one_of(limits, tiered),
    signing_keys=st.lists(st.one_of(keys(Role.ACCOUNT), scope), max_size=3, unique_by=key_of),
    revocations=revocations,
    default_permissions=some(pub=permission, sub=permission, resp=response),
    mappings=st.dictionaries(
        subjects,
        listed(
            some({"subject": subjects}, weight=st.integers(0, 255), cluster=st.sampled_from(["", "c", "é"]))
        ),
        max_size=2,
    ),
    authorization=some(
        auth_users=listed(keys(Role.USER)), allowed_accounts=listed(keys(Role.ACCOUNT)), xkey=keys(Role.CURVE)
    ),
    trace=some({"dest": subjects}, sampling=int64),
    cluster_traffic=st.sampled_from(["", "system", "owner", "Owner", 'x"']),
    description=texts,
    info_url=urls,
    tags=tags,
)
activation_body = some(kind=share, subject=subjects, issuer_account=keys(Role.ACCOUNT), tags=tags)
server_id = some({"name": texts, "host": texts, "id": keys(Role.SERVER)}, version=texts, tags=tags)
request_body = some(
    {"server_id": server_id, "user_nkey": keys(Role.USER)},
    client_info=some(host=texts, id=st.integers(0, 2**62), user=texts, name=texts, kind=texts, nonce=texts),
    connect_opts=some({"protocol": st.integers(0, 1)}, **{"jwt": texts, "user": texts, "pass": texts}),
    client_tls=some(version=texts, cipher=texts, certs=listed(texts), verified_chains=listed(listed(texts))),
    request_nonce=texts,
    tags=tags,
)
response_body = some(jwt=texts, error=texts, issuer_account=keys(Role.ACCOUNT), tags=tags)

BODIES = {
    "operator": operator_body,
    "account": account_body,
    "user": user_body,
    "activation": activation_body,
    "authorization_request": request_body,
    "authorization_response": response_body,
}
SUBJECT = {
    "operator": Role.OPERATOR,
    "account": Role.ACCOUNT,
    "user": Role.USER,
    "activation": Role.ACCOUNT,
    "authorization_request": Role.ACCOUNT,
    "authorization_response": Role.USER,
}
ISSUER = {
    "operator": Role.OPERATOR,
    "account": Role.OPERATOR,
    "user": Role.ACCOUNT,
    "activation": Role.ACCOUNT,
    "authorization_request": Role.SERVER,
    "authorization_response": Role.ACCOUNT,
}


def sound_claims(kind: str) -> Plain:
    """Claims as they may be encoded: any body, but a subject of the right role."""
    return some(
        {"sub": st.sampled_from(KEYS[SUBJECT[kind]]), "nats": BODIES[kind]},
        aud=st.one_of(texts, st.just(SERVER)),
        exp=seconds,
        name=texts,
        nbf=seconds,
    )


def any_claims(kind: str) -> Plain:
    """Claims as they may stand in a wish to be validated: any subject, any issuer."""
    return some(
        {"sub": keys(SUBJECT[kind]), "nats": BODIES[kind]},
        aud=st.one_of(texts, keys(Role.SERVER)),
        exp=seconds,
        iss=st.one_of(keys(Role.ACCOUNT), keys(Role.OPERATOR)),
        name=texts,
        nbf=seconds,
    )

"""Keys of the real server that do nothing here, and why: known, so that they are no mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ONE_SERVER = "this is one server by itself"
_NO_JETSTREAM = "there is no JetStream"
_LOG = "the log goes to standard error or to log_file"

UNSUPPORTED: Final[Mapping[str, str]] = {
    "cluster": _ONE_SERVER,
    "gateway": _ONE_SERVER,
    "leafnodes": "no leaf node can connect",
    "leaf": "no leaf node can connect",
    "jetstream": _NO_JETSTREAM,
    "store_dir": _NO_JETSTREAM,
    "storedir": _NO_JETSTREAM,
    "default_js_domain": _NO_JETSTREAM,
    "allow_non_tls": "with tls, every client must use it",
    "ocsp": "certificates are not stapled",
    "ocsp_cache": "certificates are not stapled",
    "proxy_protocol": "connections say nothing of an address before their own",
    "syslog": _LOG,
    "remote_syslog": _LOG,
    "prof_port": "there is nothing of Go to profile",
    "prof_block_rate": "there is nothing of Go to profile",
    "no_header_support": "messages may always have headers",
    "feature_flags": "there are no features to switch",
}
"""What somebody may miss: each is a warning."""

IGNORED: Final = frozenset({
    "connect_error_reports",
    "reconnect_error_reports",
    "disable_sublist_cache",
    "no_sublist_cache",
    "no_fast_producer_stall",
})  # fmt: skip
"""What nobody can tell from outside."""

"""A house from the command line alone: a store, a server of either kind, `callout enable` and `callout serve`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from issuer.keys.creds import parse_creds
from tests.processes import wait_until
from tests.system.broker.callout.scene import Server, Which

ACCREDIT = str(Path(sys.executable).with_name("accredit"))
SECONDS = 30


class Front:
    """A data folder, the command line on it, and a server that trusts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.server: Server | None = None

    def run(self, *words: str, code: int = 0, told: str = "") -> str:
        """What the command says; it must end as expected."""
        done = subprocess.run(
            [ACCREDIT, "-H", str(self.folder), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            input=told,
        )
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def document(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code))

    def creds(self, user: str, account: str = "CALLOUT") -> str:
        return str(self.folder / "creds" / "GRID" / account / f"{user}.creds")

    def let_guests_in(self) -> None:
        """The sentinel in the server's own configuration: clients show a name and a password, and nothing else."""
        assert self.server is not None
        token, _ = parse_creds(Path(self.creds("sentinel")).read_text())
        self.server.reload(f"default_sentinel: {token}")

    def write(self, name: str, document: Any) -> str:
        """A file beside the data folder; JSON is YAML."""
        path = self.folder.parent / name
        path.write_text(json.dumps(document), encoding="utf-8")
        return str(path)

    @contextmanager
    def serving(self, callout: Any, *more: str) -> Iterator[dict[str, Any]]:
        """`callout serve` with this configuration; what its ready file says."""
        ready = self.folder.parent / f"ready-{len(list(self.folder.parent.iterdir()))}"
        process = subprocess.Popen(
            [
                ACCREDIT, "-H", str(self.folder), "callout", "serve", self.write("callout.yaml", callout),
                "--http-port", "0", "--ready-file", str(ready), *more,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ,
            text=True,
        )  # fmt: skip
        try:
            wait_until(
                lambda: ready.exists() or process.poll() is not None, seconds=SECONDS, what="the ready file"
            )
            assert process.poll() is None, process.communicate()[0]
            said = json.loads(ready.read_text()) | {"process": process.pid}
            yield said
        finally:
            process.send_signal(signal.SIGTERM)
            words = process.communicate(timeout=SECONDS)[0]
        assert process.returncode == 0, words
        said["log"] = words


@contextmanager
def front(which: Which, folder: Path) -> Iterator[Front]:
    """An operator GRID with an account APP and its role `reader`, on a server that runs."""
    made = Front(folder / "data")
    made.run("init", "GRID")
    made.run("add", "account", "APP")
    made.run(
        "edit", "signing-key", "-a", "APP", "--sk", "generate", "--role", "reader",
        "--allow-sub", "grid.>", "--allow-pubsub", "_INBOX.>",
    )  # fmt: skip
    config = made.run("generate", "config", "--nats-resolver")
    with Server(which, config) as server:
        made.server = server
        made.url = f"nats://127.0.0.1:{server.port}"
        made.run("edit", "operator", "--service-url", made.url)
        made.run("push", "-A")
        yield made

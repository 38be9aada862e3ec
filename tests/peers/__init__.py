"""Other people's implementations, unmodified, to compare ours with: npm packages and Go libraries.

Ask `tests.components.require` first whether they are there.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests import components
from tests.reaper import REAPER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NODE_SCRIPTS = Path(__file__).parent / "node"


class PeerFault(RuntimeError):
    """A peer itself broke down; what it refuses is an answer, not this."""


def _ask(command: list[str | Path], given: str, *, cwd: Path, seconds: float) -> str:
    done = subprocess.run(
        command, cwd=cwd, input=given, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode != 0:
        raise PeerFault(f"{command[-1]} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def node(script: str, payload: Mapping[str, Any], *, seconds: float = 120) -> dict[str, Any]:
    """Run tests/peers/node/<script>.mjs with a JSON document, and read the one it answers."""
    command: list[str | Path] = [components.path_of("node"), NODE_SCRIPTS / f"{script}.mjs"]
    answer: dict[str, Any] = json.loads(
        _ask(command, json.dumps(payload) + "\n", cwd=NODE_SCRIPTS, seconds=seconds)
    )
    return answer


def node_tokens(*acts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What @nats-io/nkeys and @nats-io/jwt answer to each act (node/tokens.mjs lists them)."""
    done: list[dict[str, Any]] = node("tokens", {"do": list(acts)})["done"]
    return done


def go_oracle(questions: Iterable[Mapping[str, Any]], *, seconds: float = 120) -> list[dict[str, Any]]:
    """What the Go libraries answer to each question (go/oracle/oracle.go lists them): `ok`, or `error`."""
    asked = "".join(json.dumps(q) + "\n" for q in questions)
    answers = _ask([components.path_of("go") / "oracle"], asked, cwd=NODE_SCRIPTS, seconds=seconds)
    return [json.loads(line) for line in answers.splitlines()]


class PeerMissing(LookupError):
    """The peer is not on this machine; the message is the recorded reason."""


def go_bench(rounds: int, *, seconds: float = 300) -> dict[str, Any]:
    """How long the Go library takes for one user token: `encode_ns`, `decode_ns` (go/bench/bench.go)."""
    reason = components.missing("go")
    if reason is not None:
        raise PeerMissing(reason)
    command: list[str | Path] = [components.path_of("go") / "bench", "-n", str(rounds)]
    measured: dict[str, Any] = json.loads(_ask(command, "", cwd=NODE_SCRIPTS, seconds=seconds))
    return measured


class NodeProcess:
    """A peer script that stays, for example the client in node/client.mjs; tells what happens as it does."""

    def __init__(self, script: str, payload: Mapping[str, Any]) -> None:
        self._child = subprocess.Popen(
            [components.path_of("node"), NODE_SCRIPTS / f"{script}.mjs"],
            cwd=NODE_SCRIPTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        REAPER.watch(self._child.pid)
        self.events: list[dict[str, Any]] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(payload) + "\n")
        self._child.stdin.flush()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_for(self, *wanted: str, seconds: float = 30) -> dict[str, Any]:
        """The next event of one of these kinds; those before it are kept in `events`."""
        while True:
            try:
                line = self._lines.get(timeout=seconds)
            except queue.Empty:
                raise PeerFault(f"no {wanted} within {seconds:g} s, only {self.events}") from None
            if line is None:
                raise PeerFault(f"ended without {wanted}: {self.events}")
            try:
                event: dict[str, Any] = json.loads(line)
            except ValueError:
                event = {"event": "output", "text": line.rstrip()}
            self.events.append(event)
            if event.get("event") in wanted:
                return event

    def close(self) -> None:
        """End it, politely at first."""
        self._child.terminate()
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(5)
        REAPER.forget(self._child.pid)
        self._reader.join(5)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()

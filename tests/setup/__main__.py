"""Brings in the outside components the tests use, and records which are there: `make setup-test`.

Each is looked for, then installed by its ordinary client (apt-get as root, npm, go). One that cannot
be had is recorded with its reason; it never fails the set-up, unless ACCREDIT_REQUIRE_COMPONENTS=1 and
this machine has all it takes to install it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests import components, servers
from tests.system.callout import samba, slapd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT: Final = components.ROOT
NODE_PEERS: Final = ROOT / "tests" / "peers" / "node"
GO_PEERS: Final = ROOT / "tests" / "peers" / "go"
PEER_BIN: Final = ROOT / "build" / "peers" / "bin"
NSC: Final = "github.com/nats-io/nsc/v2"
NSC_PEER: Final = ROOT / "tests" / "peers" / "nsc"
# The Go toolchain that is there, and no other one fetched behind our back.
THIS_TOOLCHAIN: Final[dict[str, str]] = {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
WITHOUT_QUESTIONS: Final[dict[str, str]] = {"DEBIAN_FRONTEND": "noninteractive"}
OLDEST_NODE: Final = 20
MINUTES: Final = 60
POLICY: Final = Path("/usr/sbin/policy-rc.d")
"""Says whether packages may start services (Debian policy §9.3.3.1)."""
SAMBA_PACKAGES: Final = (
    "samba-ad-dc",
    "samba-ad-provision",
    "samba-dsdb-modules",
    "samba-vfs-modules",
    "winbind",
    "python3-samba",
)


class Absent(Exception):
    """Why a component cannot be had; `required` when this machine has all it takes to install it."""

    def __init__(self, reason: str, *, required: bool) -> None:
        super().__init__(reason)
        self.required = required


@dataclass(frozen=True, slots=True)
class Found:
    """One line of the record."""

    available: bool
    path: str | None
    reason: str
    required: bool
    made_from: str = ""  # hash of what it was built from, so that a second run has nothing to do


def run(
    *command: str | Path,
    cwd: Path = ROOT,
    seconds: int = 10 * MINUTES,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Run it, quietly; failing is a RuntimeError with the last words it said."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{command[0]} did not finish in {seconds} s") from None
    if done.returncode != 0:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise RuntimeError(f"{command[0]} failed: " + " / ".join(said[-3:])[-600:])
    return done.stdout


def has_apt() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


_lists_are_fresh: list[bool] = []


def apt_install(*packages: str) -> None:
    """The first of these that Debian knows."""
    apt_update()
    known = [package for package in packages if has_candidate(package)]
    if not known:
        raise RuntimeError(f"Debian's lists have none of {', '.join(packages)}")
    run("apt-get", "install", "-y", "-q", "--no-install-recommends", known[0], environ=WITHOUT_QUESTIONS)


def apt_install_unstarted(*packages: str) -> None:
    """All of these; the services that they bring are not started: the tests start their own."""
    apt_update()
    fresh = not POLICY.exists()
    if fresh:
        POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        POLICY.chmod(0o755)
    try:
        run("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages, environ=WITHOUT_QUESTIONS)
    finally:
        if fresh:
            POLICY.unlink()


def apt_update() -> None:
    if not _lists_are_fresh:
        run("apt-get", "update", "-q")
        _lists_are_fresh.append(True)


def has_candidate(package: str) -> bool:
    said = run("apt-cache", "policy", package)
    return "Candidate:" in said and "Candidate: (none)" not in said


def fingerprint(*files: Path) -> str:
    digest = sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def nats_server(before: dict[str, Any]) -> Found:
    try:
        return Found(True, str(servers.nats_server_binary()), "", True)
    except servers.ServerError as e:
        raise Absent(str(e), required=True) from e


def postgres(before: dict[str, Any]) -> Found:
    found = servers.postgres_binaries()
    if found is None:
        if not has_apt():
            raise Absent("not installed, and only root can install it by apt-get", required=False)
        try:
            apt_install("postgresql-15", "postgresql")
        except RuntimeError as e:
            raise Absent(str(e), required=True) from e
        found = servers.postgres_binaries()
    if found is None:
        raise Absent("Debian's package brought no initdb", required=True)
    return Found(True, str(found), "", True)


def openldap(before: dict[str, Any]) -> Found:
    if slapd.missing_part():
        if not has_apt():
            raise Absent("not installed, and only root can install it by apt-get", required=False)
        try:
            apt_install_unstarted("slapd", "ldap-utils")
        except RuntimeError as e:
            raise Absent(str(e), required=True) from e
    if part := slapd.missing_part():
        raise Absent(f"Debian's packages brought no {part}", required=True)
    return Found(True, str(slapd.slapd_binary()), "", True)


def samba_ad(before: dict[str, Any]) -> Found:
    """A domain controller. Never required: it needs root and the ports of a real one."""
    if samba.missing_part():
        if not has_apt():
            raise Absent("not installed, and only root can install it by apt-get", required=False)
        try:
            apt_install_unstarted(*SAMBA_PACKAGES)
        except RuntimeError as e:
            raise Absent(str(e), required=False) from e
    if part := samba.missing_part():
        raise Absent(f"Debian's packages brought no {part}", required=False)
    return Found(True, str(samba.samba_binary()), "", False)


def node_too_old() -> str | None:
    """Why the Node.js on PATH will not do."""
    binary = shutil.which("node")
    if binary is None:
        return "Node.js is not installed"
    version = run(binary, "--version").strip()
    return f"Node.js {version} is too old" if int(version[1:].split(".")[0]) < OLDEST_NODE else None


def node(before: dict[str, Any]) -> Found:
    if (fault := node_too_old()) or shutil.which("npm") is None:
        if not has_apt():
            raise Absent(fault or "npm is not installed", required=False)
        try:
            apt_install("nodejs")
            apt_install("npm")
        except RuntimeError as e:
            raise Absent(str(e), required=True) from e
        if fault := node_too_old():
            raise Absent(fault, required=False)
    binary = shutil.which("node")
    made_from = fingerprint(NODE_PEERS / "package.json", NODE_PEERS / "package-lock.json")
    if not (before.get("made_from") == made_from and (NODE_PEERS / "node_modules").is_dir()):
        try:
            run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=NODE_PEERS)
        except RuntimeError as e:
            raise Absent(str(e), required=True) from e
    return Found(True, binary, "", True, made_from)


def go(before: dict[str, Any]) -> Found:
    if shutil.which("go") is None:
        raise Absent("there is no Go toolchain", required=False)
    made_from = fingerprint(*(p for p in sorted(GO_PEERS.rglob("*")) if p.is_file()))
    if not (before.get("made_from") == made_from and (PEER_BIN / "oracle").exists()):
        PEER_BIN.mkdir(parents=True, exist_ok=True)
        try:
            run("go", "build", "-o", f"{PEER_BIN}/", "./...", cwd=GO_PEERS, environ=THIS_TOOLCHAIN)
        except RuntimeError as e:
            too_old = "requires go" in str(e)
            raise Absent(str(e), required=not too_old) from e
    return Found(True, str(PEER_BIN), "", True, made_from)


def nsc(before: dict[str, Any]) -> Found:
    """The real nsc, at the version pinned with its hashes in tests/peers/nsc."""
    named = os.environ.get("ACCREDIT_NSC") or shutil.which("nsc")
    if named:
        return Found(True, named, "", False)
    if shutil.which("go") is None:
        raise Absent("there is no Go toolchain to build it with, and no nsc on PATH", required=False)
    binary, made_from = PEER_BIN / "nsc", fingerprint(*sorted(NSC_PEER.iterdir()))
    if binary.exists() and before.get("made_from") == made_from:
        return Found(True, str(binary), "", True, made_from)
    PEER_BIN.mkdir(parents=True, exist_ok=True)
    try:
        run("go", "build", "-o", binary, NSC, cwd=NSC_PEER, environ=THIS_TOOLCHAIN)
    except RuntimeError as e:
        raise Absent(str(e), required=True) from e
    return Found(True, str(binary), "", True, made_from)


def chromium(before: dict[str, Any]) -> Found:
    """A browser for tests that log in as people do; Playwright drives it, and brings none of its own."""
    try:
        import playwright  # noqa: F401
    except ImportError as e:
        raise Absent("the Python package playwright is not installed", required=True) from e
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        if not has_apt():
            raise Absent("not installed, and only root can install it by apt-get", required=False)
        try:
            apt_install("chromium")
        except RuntimeError as e:
            raise Absent(str(e), required=False) from e
        found = shutil.which("chromium")
    if found is None:
        raise Absent("Debian's package brought no chromium", required=False)
    return Found(True, found, "", True)


COMPONENTS: Final[dict[str, Callable[[dict[str, Any]], Found]]] = {
    "nats-server": nats_server,
    "postgres": postgres,
    "node": node,
    "go": go,
    "nsc": nsc,
    "slapd": openldap,
    "samba-ad": samba_ad,
    "chromium": chromium,
}


def main() -> int:
    before = components.record()
    found: dict[str, Found] = {}
    for name, set_up in COMPONENTS.items():
        try:
            found[name] = set_up(before.get(name, {}))
        except Absent as e:
            found[name] = Found(False, None, str(e), e.required)
        line = found[name]
        print(f"{name:<12} {line.path if line.available else 'skipped: ' + line.reason}", flush=True)
    components.RECORD.parent.mkdir(parents=True, exist_ok=True)
    components.RECORD.write_text(
        json.dumps({name: asdict(line) for name, line in found.items()}, indent=2) + "\n", encoding="utf-8"
    )
    lacking = [name for name, line in found.items() if not line.available and components.must_have(name)]
    if lacking:
        print(f"this machine could have {', '.join(lacking)} but has not", file=sys.stderr)
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())

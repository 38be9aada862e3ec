"""A real Active Directory domain controller for tests: Samba, on its fixed ports, one at a time on a machine.

Needs root. Its ports (389, 636, 3268, 3269) cannot be moved, so whoever starts one takes a lock.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Self

from tests.processes import HOST, Folder, Process, ServerError, wait_until
from tests.system.callout.slapd import make_certificates

REALM = "AD.EXAMPLE.TEST"
DOMAIN = "ADX"
BASE = "DC=ad,DC=example,DC=test"
USERS = f"CN=Users,{BASE}"
ADMIN_PASSWORD = "Passw0rd!x"
HOST_NAME = "dc1"
LOCK = Path(tempfile.gettempdir()) / "accredit-samba.lock"
LOCK_SECONDS = 240.0
PROVISION = Path("/usr/share/samba/setup/provision.ldif")
PORTS = (389, 636, 3268, 3269)


def samba_binary() -> Path | None:
    found = shutil.which("samba", path="/usr/sbin:/usr/bin:/sbin")
    return Path(found) if found else None


def missing_part() -> str | None:
    """What is not installed of what is needed."""
    if samba_binary() is None:
        return "samba"
    if shutil.which("samba-tool") is None:
        return "samba-tool"
    return None if PROVISION.exists() else str(PROVISION)


def ports_taken() -> list[int]:
    """Which of its ports somebody else listens on."""
    taken = []
    for port in PORTS:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((HOST, port)) == 0:
                taken.append(port)
    return taken


class BusyError(ServerError):
    """It cannot run here now: we are not root, or somebody else has its ports."""


class Samba:
    """Runs from `with` to its end.

    Raises:
        BusyError: on entering.
    """

    def __init__(self, binary: Path | None = None) -> None:
        found = binary or samba_binary()
        if found is None:
            raise ServerError("there is no samba")
        self._binary = found
        self._folder = Folder(None, "accredit-samba-")
        self.directory = self._folder.path
        self.domain = self.directory / "ad"
        self._process = Process("samba", self.directory / "samba.log")
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._take_lock()
            self._provision()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def plain(self) -> str:
        return f"ldap://{HOST}"

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def tls(self) -> str:
        return f"ldaps://{HOST}"

    def _take_lock(self) -> None:
        if os.geteuid() != 0:
            raise BusyError("only root can run a domain controller")
        self._lock = LOCK.open("wb")
        try:
            wait_until(self._locked, seconds=LOCK_SECONDS)
        except ServerError:
            raise BusyError(f"another test run holds {LOCK}") from None
        if taken := ports_taken():
            raise BusyError(f"somebody listens on {taken}, and a domain controller has no other ports")

    def _locked(self) -> bool:
        if self._lock is None:
            return False
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _provision(self) -> None:
        self.tool(
            "domain",
            "provision",
            f"--targetdir={self.domain}",
            f"--realm={REALM}",
            f"--domain={DOMAIN}",
            "--server-role=dc",
            "--dns-backend=NONE",
            f"--adminpass={ADMIN_PASSWORD}",
            f"--host-name={HOST_NAME}",
            f"--host-ip={HOST}",
            "--option=interfaces=lo",
            "--option=bind interfaces only=yes",
            "--option=server services=ldap",
            configured=False,
        )
        make_certificates(self.directory)
        # Samba takes no key that others may read.
        (self.directory / "server.key").chmod(0o600)
        file = self.domain / "etc" / "smb.conf"
        above = (
            file.read_text(encoding="utf-8").split("[sysvol]")[0].split("[netlogon]")[0].split("[homes]")[0]
        )
        kept = [line for line in above.splitlines() if "server services" not in line]
        for name in ("run", "ncalrpc"):
            (self.domain / name).mkdir(exist_ok=True)
        kept += [
            "\tserver services = ldap",
            f"\ttls certfile = {self.directory / 'server.crt'}",
            f"\ttls keyfile = {self.directory / 'server.key'}",
            f"\ttls cafile = {self.ca_file}",
            f"\tpid directory = {self.domain / 'run'}",
            f"\tncalrpc dir = {self.domain / 'ncalrpc'}",
        ]
        file.write_text("\n".join(kept) + "\n", encoding="utf-8")

    def start(self) -> None:
        self._process.start(
            [self._binary, "-i", "-M", "single", "-s", self.domain / "etc" / "smb.conf"],
            cwd=self.directory,
            account=None,
        )
        wait_until(self._ready, seconds=60, what="samba to listen")

    def _ready(self) -> bool:
        if not self._process.alive():
            raise self._process.fault("stopped while starting")
        return 389 in (taken := ports_taken()) and 636 in taken

    def close(self) -> None:
        self._process.end(signal.SIGTERM)
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        self._folder.remove()

    # As its administrator

    def tool(self, *words: str, configured: bool = True) -> str:
        """samba-tool, on the files below the server."""
        where = ["-H", str(self.domain / "private" / "sam.ldb"), "-s", str(self.domain / "etc" / "smb.conf")]
        done = subprocess.run(
            ["samba-tool", *words, *(where if configured else [])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise ServerError(f"samba-tool {words[0]} {words[1]}: {done.stderr.strip()[-800:]}")
        return done.stdout

    def modify(self, ldif: str) -> None:
        """A change written as LDIF."""
        file = self.directory / "change.ldif"
        file.write_text(ldif, encoding="utf-8")
        program = (
            "import sys\nfrom samba.samdb import SamDB\nfrom samba.param import LoadParm\n"
            "from samba.auth import system_session\n"
            "lp = LoadParm()\nlp.load(sys.argv[2])\n"
            "SamDB(url=sys.argv[1], session_info=system_session(), lp=lp).modify_ldif(open(sys.argv[3]).read())\n"
        )
        done = subprocess.run(
            [
                _system_python(),
                "-c",
                program,
                str(self.domain / "private" / "sam.ldb"),
                str(self.domain / "etc" / "smb.conf"),
                str(file),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise ServerError(done.stderr.strip()[-800:])


def _system_python() -> str:
    """Debian's: it alone has Samba's modules."""
    found = "/usr/bin/python3"
    return found if Path(found).exists() else sys.executable

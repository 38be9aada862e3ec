"""A real identity provider for tests: the npm package oidc-provider, and a person at its login pages."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import signal
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc.jwk import KeySet, RSAKey

from tests.components import ROOT
from tests.processes import HOST, Folder, Process, free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = ROOT / "tests" / "peers" / "node" / "oidc-provider" / "provider.mjs"
AUDIENCE = "urn:nats:callout"
SERVICE = ("svc-app", "svc-secret-0123456789-0123456789")
REDIRECT = "http://127.0.0.1/done"
USERS: dict[str, dict[str, Any]] = {
    "alice": {
        "groups": ["grid-operators", "Everyone"],
        "preferred_username": "Alice A.",
        "email": "alice@example.test",
        "email_verified": True,
    },
    "omar": {"groups": [f"group-{number}" for number in range(100)]},
}


def new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


class OidcProvider:
    """One issuer on a loopback port it keeps over `restart`."""

    def __init__(
        self, node: Path, *, keys: list[Any], algorithm: str = "RS256", calls_itself: str = "", **more: Any
    ) -> None:
        """`calls_itself` is another issuer's name than its own address."""
        self._node = node
        self._folder = Folder(None, "accredit-oidc-")
        self._port = free_port()
        self._process = Process("oidc-provider", self._folder.path / "provider.log")
        self.issuer = f"http://{HOST}:{self._port}"
        self._wish = {
            "issuer": calls_itself or self.issuer,
            "port": self._port,
            "algorithm": algorithm,
            "users": USERS,
            **more,
        }
        self._keys = keys

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.remove()

    def start(self) -> None:
        wish = self._folder.path / "wish.json"
        wish.write_text(json.dumps({**self._wish, "jwks": KeySet(self._keys).as_dict(private=True)}))
        before = self._process.log_text().count("ready")
        self._process.start([self._node, SCRIPT, wish], cwd=SCRIPT.parent, account=None)

        def ready() -> bool:
            if not self._process.alive():
                raise self._process.fault("ended")
            return self._process.log_text().count("ready") > before

        wait_until(ready, what="oidc-provider")

    def stop(self) -> None:
        self._process.end(signal.SIGTERM)

    def restart(self, *, keys: list[Any]) -> None:
        self.stop()
        self._keys = keys
        self.start()

    def service_token(self) -> str:
        """An access token by client credentials."""
        answer = httpx.post(
            f"{self.issuer}/token",
            data={"grant_type": "client_credentials", "scope": "nats.connect"},
            auth=SERVICE,
            trust_env=False,
        )
        return str(answer.raise_for_status().json()["access_token"])

    def log_in(
        self, user: str, *, client: str = "console", nonce: str = "n-1", acr: str = ""
    ) -> dict[str, Any]:
        """What the token endpoint answers when a person has logged in (authorization code with PKCE)."""
        verifier = "v" * 64
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        with httpx.Client(trust_env=False) as browser:
            page = browser.get(
                f"{self.issuer}/auth",
                params={
                    "client_id": client,
                    "response_type": "code",
                    "redirect_uri": REDIRECT,
                    "scope": "openid email nats.connect",
                    "nonce": nonce,
                    "code_challenge": challenge.decode(),
                    "code_challenge_method": "S256",
                    "max_age": "300",
                    **({"acr_values": acr} if acr else {}),
                },
            )
            code = self._follow(browser, page, user)
            answer = browser.post(
                f"{self.issuer}/token",
                data={
                    "grant_type": "authorization_code",
                    "code": code,
                    "redirect_uri": REDIRECT,
                    "client_id": client,
                    "code_verifier": verifier,
                },
            )
            found: dict[str, Any] = answer.raise_for_status().json()
            return found

    def _follow(self, browser: httpx.Client, page: httpx.Response, user: str) -> str:
        """Fill in whatever page comes until the code is there."""
        for _ in range(12):
            if page.is_redirect:
                place = str(page.url.join(page.headers["location"]))
                if place.startswith(REDIRECT):
                    answer = parse_qs(urlsplit(place).query)
                    assert "code" in answer, answer
                    return answer["code"][0]
                page = browser.get(place)
                continue
            assert page.status_code == 200, (page.status_code, page.text[:2000])
            action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
            prompt = re.search(r'name="prompt" value="([^"]+)"', page.text)
            assert action is not None, page.text[:2000]
            assert prompt is not None, page.text[:2000]
            form = {"prompt": prompt[1]} | (
                {"login": user, "password": "any"} if prompt[1] == "login" else {}
            )
            page = browser.post(str(page.url.join(html.unescape(action[1]))), data=form)
        raise AssertionError("the login pages did not end")

"""The describing members that accounts and exports share (claims spec §4.4)."""

from __future__ import annotations

from typing import Final

from issuer.findings.finding import Findings, error
from issuer.findings.urls import UrlError, parse_url

MAX_INFO_BYTES: Final = 8192  # the reference library's limit for either


def info(description: str, info_url: str, at: str) -> Findings:
    if _size(description) > MAX_INFO_BYTES:
        yield error("info.description", "Description is too long", at + "/description")
    if not info_url:
        return
    if _size(info_url) > MAX_INFO_BYTES:
        yield error("info.url", "Info URL is too long", at + "/info_url")
    try:
        url = parse_url(info_url)
        fault = "" if url.hostname() and url.scheme else "no hostname or scheme"
    except UrlError as broken:
        fault = str(broken)
    if fault:
        yield error("info.url", f"error parsing info url: {fault}", at + "/info_url")


def _size(text: str) -> int:
    # Half a surrogate pair is refused when the claims are written, not here.
    return len(text.encode("utf-8", "surrogatepass"))

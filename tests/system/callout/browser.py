"""A person at a browser: a headless Chromium that goes through the pages of an identity provider."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, Route, sync_playwright

PATIENCE_MS = 15_000
MOST_PAGES = 8


@contextmanager
def browser(executable: Path) -> Iterator[Page]:
    """A page that loads from this machine alone."""
    with sync_playwright() as driver:
        # The sandbox needs rights that root in a container has not; only our own provider is visited.
        chromium = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = chromium.new_page()
        page.set_default_timeout(PATIENCE_MS)

        def here_only(route: Route) -> None:
            if route.request.url.startswith("http://127.0.0.1:"):
                route.continue_()
            else:
                route.abort()  # the provider's pages ask for fonts from elsewhere

        page.route("**/*", here_only)
        try:
            yield page
        finally:
            chromium.close()


def log_in(page: Page, address: str, code: str, user: str) -> None:
    """Type the code, say who one is, and consent."""
    _at_code(page, address, code)
    for _ in range(MOST_PAGES):
        if page.locator("input[name=login]").count():
            page.fill("input[name=login]", user)
            page.fill("input[name=password]", "any")
        elif page.get_by_text(re.compile("sign-in success", re.IGNORECASE)).count():
            return
        with page.expect_navigation():
            page.locator("button[type=submit]").first.click()
    raise AssertionError(f"the login pages did not end: {page.content()[:2000]}")


def refuse(page: Page, address: str, code: str) -> None:
    """Type the code, and then abort."""
    _at_code(page, address, code)
    with page.expect_navigation():
        page.locator("button[name=abort]").click()


def _at_code(page: Page, address: str, code: str) -> None:
    page.goto(address)
    page.fill("input[name=user_code]", code)
    with page.expect_navigation():
        page.locator("button[type=submit]").first.click()

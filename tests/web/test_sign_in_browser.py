"""Signing in with a real browser and a keyboard, in both themes, with axe looking on; T18 in a browser."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pyotp
import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Page
from werkzeug.serving import make_server

from stewardship.app import create_app
from stewardship.domain.people import Role
from tests.api.conftest import SETTINGS
from tests.web.people import PASSWORD, somebody

SCRIPT = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def live(library, sessions) -> Iterator[tuple[Flask, str]]:
    """The service over real HTTP, by the real clock, which codes of an app go by."""
    app = create_app(SETTINGS, library=library, sessions=sessions)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield app, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def open_page(chromium):
    """A page of a new browser; what it complained of is checked afterwards."""
    contexts, complaints = [], []

    def make(theme: str = "light", width: int = 1000) -> Page:
        context = chromium.new_context(color_scheme=theme, viewport={"width": width, "height": 700})
        contexts.append(context)
        page = context.new_page()
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda m: complaints.append(m.text) if "Content Security" in m.text else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def looks_right(page: Page) -> None:
    """axe finds nothing, and nothing is wider than the window."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_prescriber_signs_in_and_out_by_keyboard(live, open_page, theme):
    app, base = live
    account, page = somebody(app.test_client()), open_page(theme)
    page.goto(f"{base}/account")
    looks_right(page)
    page.wait_for_selector("#name:focus")
    page.keyboard.type(account.login)
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    page.wait_for_selector("#message")
    looks_right(page)
    # The name is kept and the password is next.
    page.wait_for_selector("#password:focus")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base}/account")
    looks_right(page)
    held = {cookie["name"]: cookie["httpOnly"] for cookie in page.context.cookies()}
    assert held["stewardship-session"]
    assert held["stewardship-forms"]
    page.get_by_role("button", name="Sign out").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base}/signed-out")
    looks_right(page)
    page.goto(f"{base}/account")
    assert page.url.startswith(f"{base}/sign-in")


@pytest.mark.parametrize(("theme", "width"), [("light", 320), ("dark", 1000)], ids=["narrow", "dark"])
def test_a_pharmacist_sets_up_a_second_factor(live, open_page, theme, width):
    app, base = live
    account, page = somebody(app.test_client(), Role.PHARMACIST), open_page(theme, width)
    page.goto(f"{base}/sign-in")
    page.wait_for_selector("#name:focus")
    page.keyboard.type(account.login)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#secret")
    looks_right(page)
    secret = re.sub(r"\s", "", page.inner_text("#secret"))
    page.focus("#code")
    page.keyboard.type(pyotp.TOTP(secret).now())
    page.keyboard.press("Enter")
    page.wait_for_selector("#recovery-codes")
    looks_right(page)
    (code, *_) = page.locator("#recovery-codes code").all_inner_texts()
    page.get_by_role("link", name="go on").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base}/")
    page.context.clear_cookies()
    page.goto(f"{base}/sign-in?next=/account")
    page.wait_for_selector("#name:focus")
    page.keyboard.type(account.login)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#code")
    looks_right(page)
    page.wait_for_selector("#code:focus")
    page.keyboard.type(code)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base}/account")
    assert "9 recovery codes are left" in page.inner_text("main")
    looks_right(page)


def test_t18_what_is_typed_runs_nowhere(live, open_page):
    _, base = live
    page = open_page()
    page.goto(f"{base}/sign-in")
    page.fill("#name", SCRIPT)
    page.fill("#password", "x")
    page.keyboard.press("Enter")
    page.wait_for_selector("#message")
    assert page.input_value("#name") == SCRIPT

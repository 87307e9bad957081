"""A patient answers a questionnaire on the narrowest of phones, by touch or by keyboard, in either theme."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import insert
from werkzeug.serving import make_server

from stewardship.app import create_app
from stewardship.config import Environment, Settings
from stewardship.db import AuditKeys, connect, migrate, tables, transaction
from stewardship.declarations import load
from stewardship.domain.people import Principal, Role
from stewardship.runtime import utc_now
from stewardship.services import links, organisations
from tests.browser.axe import violations

SETTINGS = Settings(
    environment=Environment.TEST,
    secret_key="only-for-the-tests-0123456789abcdef",
    audit_key="only-for-the-audit-0123456789abcdef",
)
PRESCRIBER = Principal("u-1", "org-1", Role.PRESCRIBER)


@pytest.fixture(scope="module")
def address(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Makes addresses of new links, on a service of their own."""
    file = tmp_path_factory.mktemp("questionnaire") / "served.db"
    sessions = connect(f"sqlite:///{file}", audit_keys=AuditKeys.single(SETTINGS.audit_key.encode()))
    migrate.upgrade(sessions.kw["bind"])
    library, now = load(), utc_now()
    person = {"organisation_id": "org-1", "id": "1", "ehr_id": "m-1", "sex": "", "deceased": False}
    with transaction(sessions) as session:
        organisations.ensure(session, "org-1", name="Riverside Pain Clinic", by=PRESCRIBER, now=now)
        session.execute(insert(tables.Patient.__table__), person | {"recorded_at": now})
    server = make_server("127.0.0.1", 0, create_app(SETTINGS, library=library, sessions=sessions))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()

    def made() -> str:
        with transaction(sessions) as session:
            _, token = links.issue(
                session, library, "m-1", "peg", secret=SETTINGS.secret_key, by=PRESCRIBER, now=now
            )
        return f"http://127.0.0.1:{server.server_port}/questionnaire/{token}"

    yield made
    server.shutdown()
    serving.join()
    server.server_close()
    sessions.kw["bind"].dispose()


@pytest.fixture(params=["light", "dark"])
def phone(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 320, "height": 640}, color_scheme=request.param, java_script_enabled=True
    )
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda m: refused.append(m.text) if "Content Security Policy" in m.text else None)
    yield page
    context.close()
    assert refused == []


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_from_the_link_to_thank_you(phone: Page, address: Callable[[], str], picture: Callable[..., Path]):
    link = address()
    phone.goto(link)
    assert violations(phone) == []
    assert fits(phone)
    # One question is forgotten: it is named, what was answered stays, and the link is still good.
    for question in range(2):
        phone.get_by_role("group").nth(question).get_by_text("7", exact=True).click()
    phone.get_by_role("button", name="Send my answers").click()
    assert violations(phone) == []
    assert fits(phone)
    picture(phone, "questionnaire-forgotten")
    phone.get_by_role("link", name="Question 3").click()
    assert phone.get_by_role("radio", name="7", exact=True).nth(0).is_checked()
    # The rest by keyboard alone.
    phone.get_by_role("group").nth(2).get_by_role("radio", name="0", exact=True).focus()
    phone.keyboard.press("Space")
    phone.keyboard.press("ArrowRight")
    phone.keyboard.press("Tab")
    phone.keyboard.press("Enter")
    phone.wait_for_url("**/questionnaire/thank-you*")
    assert violations(phone) == []
    phone.goto(link)
    assert phone.get_by_role("heading", level=1).inner_text() == "Your answers have arrived"
    assert violations(phone) == []

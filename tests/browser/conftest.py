"""A real browser before the real service: the demonstration's clinic, served by one process, and Chromium.

Without Chromium on the machine every test here is skipped, and says so. Pictures of the pages go to the
folder that the variable ``SCREENSHOTS`` names, else to a temporary one; never into the project.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import select

from stewardship.db import AuditKeys, connect, transaction
from stewardship.db.tables import Decision
from stewardship.declarations import load
from stewardship.demo.house import House
from stewardship.demo.opening import ORGANISATION, open_clinic
from stewardship.domain.people import Principal, Role
from stewardship.services import passwords, users

ROOT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "tangerine orbit mosaic"
SECOND_PHARMACIST = "beside@clinic.example"
_KEEP_IN = os.environ.get("SCREENSHOTS", "")


@dataclass(frozen=True)
class Served:
    """The running service, the names of people who can sign in, by role, and the id of a decision that was
    made in the past."""

    base: str
    logins: dict[Role, str]
    decision: str


@dataclass
class Seen:
    """A page in a browser, with everything that the browser complained about."""

    page: Page
    served: Served
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a page of the service and wait until it stands."""
        self.page.goto(self.served.base + path)

    def sign_in(self, role: Role = Role.PRESCRIBER) -> None:
        """Sign in with name and password, as a person does."""
        self.go("/sign-in")
        self.page.get_by_label("Name").fill(self.served.logins[role])
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(self.served.base + "/")

    def patient(self, number: str) -> str:
        """Find a patient by the record number; the path of the page."""
        self.go("/patients")
        self.page.get_by_label("Record number").fill(number)
        self.page.get_by_role("button", name="Find", exact=True).click()
        self.page.get_by_role("link", name=f"Patient {number}", exact=True).click()
        self.page.wait_for_url("**/patients/*")
        return self.page.url.removeprefix(self.served.base)


@pytest.fixture(scope="session")
def served(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demonstration's clinic over HTTP, with a person for each role who signs in with ``PASSWORD``."""
    house = House.at(tmp_path_factory.mktemp("clinic"))
    keys, library, now = house.keys(), load(), datetime.now(UTC)
    sessions = connect(house.database_url, audit_keys=AuditKeys.single(keys["audit_key"].encode()))
    open_clinic(house, sessions, library, now=now)
    setup = Principal("tests", ORGANISATION, Role.ADMIN)
    logins = {}
    with transaction(sessions) as session:
        decision = session.scalars(select(Decision.id).where(Decision.order_id.is_not(None)).limit(1)).one()
        for role in (Role.PRESCRIBER, Role.PHARMACIST, Role.COMPLIANCE):
            logins[role] = f"{role.value}@clinic.example"
            hashed = passwords.hashed(PASSWORD, terms=library.identity.hashing)
            users.add(
                session, login=logins[role], role=role, by=setup, now=now, password_hash=hashed,
                user_id=f"{role.value}-browsing",
            )  # fmt: skip
        # Somebody else at the same queue.
        users.add(
            session, login=SECOND_PHARMACIST, role=Role.PHARMACIST, by=setup, now=now, password_hash=hashed,
            user_id="pharmacist-beside",
        )  # fmt: skip
    sessions.kw["bind"].dispose()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "STEWARDSHIP_ENV": "demo",
        "STEWARDSHIP_DATABASE_URL": house.database_url,
        "STEWARDSHIP_SECRET_KEY": keys["secret_key"],
        "STEWARDSHIP_AUDIT_KEY": keys["audit_key"],
        "STEWARDSHIP_PUBLIC_URL": base,
    }
    command = [sys.executable, "-c", "from stewardship.cli import main; main()"]
    log = (house.folder / "served.log").open("w")
    server = subprocess.Popen(
        [*command, "serve", "--port", str(port), "--workers", "1"],
        cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        _wait_for(base, server, house.folder / "served.log")
        yield Served(base, logins, decision)
    finally:
        server.terminate()
        server.wait(timeout=20)
        log.close()


@pytest.fixture(scope="session")
def browser(chromium: Browser) -> Browser:
    """The one of the worker."""
    return chromium


@pytest.fixture
def opened(chromium: Browser, served: Served) -> Iterator[Callable[..., Seen]]:
    """Opens a fresh browser (``theme``, ``width``, ``zone``, ``scripts``). When the test ends, nothing may
    have been refused by the content-security policy, thrown, or missing."""
    contexts: list[BrowserContext] = []
    seen: list[Seen] = []

    def opening(
        *, theme: str = "light", width: int = 1280, zone: str = "America/New_York", scripts: bool = True
    ) -> Seen:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,  # type: ignore[arg-type]
            timezone_id=zone,
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        contexts.append(context)
        one = Seen(context.new_page(), served)
        one.page.set_default_timeout(15_000)
        one.page.on("console", lambda m: one.complaints.append(m.text) if m.type == "error" else None)
        one.page.on("pageerror", lambda error: one.complaints.append(str(error)))
        one.page.on("dialog", lambda dialog: (one.complaints.append(dialog.message), dialog.dismiss()))
        seen.append(one)
        return one

    yield opening
    for context in contexts:
        context.close()
    assert [complaint for one in seen for complaint in one.complaints] == []


@pytest.fixture
def picture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Page, str], Path]:
    """Keeps a picture of a whole page."""
    folder = Path(_KEEP_IN) if _KEEP_IN else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)

    def keeping(page: Page, name: str) -> Path:
        path = folder / f"{name}.png"
        page.screenshot(path=path, full_page=True)
        return path

    return keeping


def _wait_for(base: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"{base}/readyz", timeout=2) as answer:  # noqa: S310 - our own address
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"the service did not come up: {log.read_text()[-2000:]}")

"""Fifty pharmacists click at once, on two workers: nobody sees an error, and no word of anybody is lost."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from sqlalchemy import select

from stewardship import browsers
from stewardship.config import Settings
from stewardship.db import Sessions, charts, flag_tables, migrate, transaction
from stewardship.db.patients import ensure_patient
from stewardship.declarations import load
from stewardship.domain.flags import Flag
from stewardship.domain.identity import Method, Stage
from stewardship.domain.people import Principal, Role
from stewardship.services import browser_sessions, flags, organisations, users
from stewardship.witness import open_database

PEOPLE, FLAGS, HERE = 50, 10, "clinic"
KIND = "opioid-with-benzodiazepine"
SETUP = Principal("setup", HERE, Role.ADMIN)


@dataclass(frozen=True)
class Clinic:
    """A served clinic: its address, what a browser of each person sends, the flags, and the database."""

    address: str
    cookies: list[dict[str, str]]
    flags: list[str]
    sessions: Sessions


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Clinic]:
    folder = tmp_path_factory.mktemp("many")
    environ = {
        "PATH": os.environ["PATH"],
        "STEWARDSHIP_ENV": "demo",
        "STEWARDSHIP_DATABASE_URL": f"sqlite:///{folder / 'many.db'}",
        "STEWARDSHIP_SECRET_KEY": "mW2c0xq9zQbLr7VtUe4yKp1sHd8fGj3n",
        "STEWARDSHIP_AUDIT_KEY": "Zk8vT1nR5uXo2bYw7qJc4eLh9mPf6gDs",
    }
    settings = Settings.from_env(environ)
    sessions = open_database(settings)
    migrate.upgrade(sessions.kw["bind"])
    now = datetime.now(UTC)
    cookies, raised = _people(sessions, settings, now), _flags(sessions, now)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from stewardship.cli import main; main()"),
            *("serve", "--port", str(port), "--workers", "2"),
        ],
        cwd=root, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address)
        yield Clinic(address, cookies, raised, sessions)
    finally:
        process.terminate()
        process.wait(timeout=30)
        sessions.kw["bind"].dispose()


def _people(sessions: Sessions, settings: Settings, now: datetime) -> list[dict[str, str]]:
    terms = load().identity.session
    made = []
    with transaction(sessions) as session:
        organisations.ensure(session, HERE, name="Clinic", by=SETUP, now=now)
        for number in range(PEOPLE):
            who = Principal(f"pharmacist-{number}", HERE, Role.PHARMACIST)
            login = f"{who.user_id}@clinic.example"
            users.add(session, login=login, role=who.role, by=SETUP, now=now, user_id=who.user_id)
            token = browser_sessions.begin(
                session, who, stage=Stage.WHOLE, method=Method.PASSWORD, agent="tests", terms=terms, now=now
            )
            made.append({browsers.cookie_name(settings): token})
    return made


def _flags(sessions: Sessions, now: datetime) -> list[str]:
    library = load()
    made: list[str] = []
    with transaction(sessions) as session:
        for number in range(FLAGS):
            known = charts.known_patient(session, organisation_id=HERE, patient_id=f"p-{number}")
            patient = ensure_patient(session, known, known.patient, organisation_id=HERE, now=now)
            found = [Flag(KIND, "s-1", now.date(), now.date(), ("s-1",), {"overlap_days": 3})]
            changes = flags.reconcile(
                session, library, patient, found, kinds=[KIND], source="watch", by=SETUP, now=now
            )
            made += changes.opened
    return made


def _wait(address: str) -> None:
    for _ in range(600):
        try:
            if requests.get(f"{address}/readyz", timeout=5).status_code == 200:
                return
        except requests.RequestException:
            pass
        time.sleep(0.2)
    raise AssertionError("the service did not start")


def _field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    return found[1] if found else ""


def test_fifty_people_click_at_once(clinic: Clinic) -> None:
    """Each looks at the queue and at a flag, tries to take it, and writes a note about it."""

    def click(number: int) -> tuple[list[int], bool, str]:
        flag = clinic.flags[number % FLAGS]
        place = f"{clinic.address}/queue/{flag}"
        words = f"note of person {number}"
        with requests.Session() as browser:
            browser.cookies.update(clinic.cookies[number])
            answers = [browser.get(f"{clinic.address}/queue", timeout=120)]
            page = browser.get(place, timeout=120)
            typed = {"csrf_token": _field(page.text, "csrf_token")}
            claimed = browser.post(
                f"{place}/claim",
                data=typed | {"version": _field(page.text, "version")},
                allow_redirects=False,
                timeout=120,
            )
            noted = browser.post(
                f"{place}/notes", data=typed | {"words": words}, allow_redirects=False, timeout=120
            )
            answers += [page, claimed, noted]
        kept = noted.status_code == 303
        assert kept or words in noted.text
        return [a.status_code for a in answers], claimed.status_code == 303, words if kept else ""

    with ThreadPoolExecutor(PEOPLE) as pool:
        found = list(pool.map(click, range(PEOPLE)))
    seen = Counter(code for codes, _, _ in found for code in codes)
    assert set(seen) <= {200, 303, 409}, seen
    events = flag_tables.FlagEvent.__table__
    with transaction(clinic.sessions, write=False) as session:
        kept = session.execute(select(events.c.event, events.c.words, events.c.flag_id)).all()
    assert sorted(row.words for row in kept if row.event == "noted") == sorted(w for *_, w in found if w)
    claims = Counter(row.flag_id for row in kept if row.event == "claimed")
    assert claims == dict.fromkeys(clinic.flags, 1)
    assert sum(won for _, won, _ in found) == FLAGS

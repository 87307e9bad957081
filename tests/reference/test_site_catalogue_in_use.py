"""What an organisation loads is what its orders are read by, through every face; and nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from stewardship.app import create_app
from stewardship.cli import main
from stewardship.config import Environment, Settings
from stewardship.db import AuditKeys, Sessions, connect, migrate, transaction
from stewardship.declarations import load
from stewardship.domain.chart import Chart, Patient
from stewardship.domain.codes import RXNORM, Coding
from stewardship.domain.drugs import Medication
from stewardship.domain.orders import Supply, SupplyKind
from stewardship.domain.people import Principal, Role
from stewardship.intake.strict_json import dumps, loads
from stewardship.runtime import LOOKED_FOR, runtime
from stewardship.services import history, organisations, tokens
from tests.builders import NOW
from tests.cds_hooks.requests import SERVICES, a_draft, a_hook, a_new_patient
from tests.intake.fhir import concept
from tests.reference.newer_lists import a_release

HERE, ELSEWHERE = "org-here", "org-elsewhere"
NEW = "9000001"
AUDIT_KEY = "only-for-the-audit-0123456789abcdef"


class Site:
    """A service with two organisations, whose clock stands still until it is told to go on."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'site.db'}"
        self.release = a_release(folder / "release")
        self.now = NOW
        self.sessions: Sessions = connect(self.url, audit_keys=AuditKeys.single(AUDIT_KEY.encode()))
        migrate.upgrade(self.sessions.kw["bind"])
        self.tokens: dict[tuple[str, Role], str] = {}
        with transaction(self.sessions) as session:
            for organisation in (HERE, ELSEWHERE):
                by = Principal("setup", organisation, Role.ADMIN)
                organisations.ensure(session, organisation, name=organisation, by=by, now=NOW)
                for role in (Role.PRESCRIBER, Role.EHR):
                    self.tokens[organisation, role] = tokens.issue(
                        session,
                        organisation_id=organisation,
                        role=role,
                        scopes=(),
                        expires_at=NOW + timedelta(days=1),
                        by=by,
                        now=NOW,
                    )
        self.app = self.start()

    def start(self) -> Flask:
        """A process of the service."""
        settings = Settings(
            environment=Environment.TEST, secret_key="s" * 32, audit_key=AUDIT_KEY, time_budget=60
        )
        return create_app(settings, library=load(), sessions=self.sessions, clock=self.clock)

    def clock(self) -> datetime:
        return self.now

    def load(self) -> None:
        """Load the newer list for one of the organisations, as its operator does."""
        words = ["catalogue", "load", "--rxnorm", str(self.release), "--organisation", HERE]
        environment = {"STEWARDSHIP_DATABASE_URL": self.url, "STEWARDSHIP_AUDIT_KEY": AUDIT_KEY}
        done = CliRunner().invoke(main, words, env=environment)
        assert done.exit_code == 0, done.output

    def ask(self, path: str, body: Any = None, *, organisation: str, role: Role = Role.PRESCRIBER) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[organisation, role]}"}
        client = self.app.test_client()
        answer = (
            client.get(path, headers=headers)
            if body is None
            else client.post(path, data=dumps(body), content_type="application/json", headers=headers)
        )
        return loads(answer.get_data(), max_bytes=10_000_000)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.sessions.kw["bind"].dispose()


Face = Callable[[Site, str], bool]


def by_the_api(path: str) -> Face:
    def is_recognised(site: Site, organisation: str) -> bool:
        order = {"medicine": {"rxcui": NEW}, "days_supply": 10, "pain": {"phase": "acute"}}
        body = {"patient": {"id": a_new_patient()}, "order": order, "history": {}}
        return _told(site.ask(path, body, organisation=organisation)["findings"])

    return is_recognised


def by_cds_hooks(site: Site, organisation: str) -> bool:
    patient = a_new_patient()
    draft = a_draft(patient, length=10, medicationCodeableConcept=concept(NEW, display="Neucodon"))
    path = f"/cds-services/{SERVICES['order-sign']}"
    answer = site.ask(path, a_hook(patient, draft), organisation=organisation, role=Role.EHR)
    return _told(answer["extension"]["stewardship"]["findings"])


def by_the_look_up(site: Site, organisation: str) -> bool:
    return "ingredients" in site.ask(f"/api/v1/drugs/rxnorm/{NEW}", organisation=organisation)


def by_suggestions(site: Site, organisation: str) -> bool:
    found = site.ask("/api/v1/drugs?q=neucodon", organisation=organisation)["drugs"]
    return NEW in {drug["code"] for drug in found}


def _told(findings: list[dict[str, Any]]) -> bool:
    """Whether ten days of it are seen to be too long; the only other answer is that nobody can tell."""
    (outcome,) = {f["outcome"] for f in findings if f["policy"] == "short-course"}
    assert outcome in {"breach", "cannot-tell"}
    return bool(outcome == "breach")


FACES = [
    pytest.param(by_the_api("/api/v1/orders/screen"), id="screen"),
    pytest.param(by_the_api("/api/v1/orders"), id="submit"),
    pytest.param(by_cds_hooks, id="CDS Hooks"),
    pytest.param(by_the_look_up, id="look-up"),
    pytest.param(by_suggestions, id="suggestions"),
]


@pytest.mark.parametrize("is_recognised", FACES)
def test_a_loaded_product_is_recognised_here_and_nowhere_else(site: Site, is_recognised: Face) -> None:
    assert not is_recognised(site, HERE)
    site.load()
    site.now += LOOKED_FOR
    assert is_recognised(site, HERE)
    assert not is_recognised(site, ELSEWHERE)


def test_a_process_that_starts_later_knows_it_at_once(site: Site) -> None:
    site.load()
    site.app = site.start()
    assert by_cds_hooks(site, HERE)


def test_what_was_supplied_before_the_load_is_recognised_after_it(site: Site) -> None:
    patient = a_new_patient()
    written = Medication((Coding(RXNORM, NEW),), "Neucodon")
    earlier = Supply(
        "rx-1", SupplyKind.DISPENSING, written, None, NOW.date() - timedelta(days=9), days_supply=Decimal(5)
    )
    by = Principal("setup", HERE, Role.ADMIN)
    with transaction(site.sessions) as session:
        history.record(session, Chart(Patient(patient), NOW, (earlier,)), by=by, now=NOW)
    order = {"medicine": {"rxcui": "1049621"}, "days_supply": 5, "pain": {"phase": "acute"}}
    body = {"patient": {"id": patient}, "order": order, "history": {}}

    def earlier_days() -> tuple[str, int]:
        findings = site.ask("/api/v1/orders/screen", body, organisation=HERE)["findings"]
        (found,) = [f for f in findings if f["policy"] == "short-course"]
        return found["outcome"], found["facts"]["earlier_days"]

    assert earlier_days() == ("cannot-tell", 0)
    site.load()
    site.now += LOOKED_FOR
    assert earlier_days() == ("breach", 5)


def test_the_database_is_not_asked_again_for_every_order(site: Site) -> None:
    with site.app.app_context():
        first = runtime().library_of(HERE)
        site.load()
        assert runtime().library_of(HERE) is first
        site.now += LOOKED_FOR
        assert runtime().library_of(HERE) is not first

"""The API over the real declarations, on a database of its own, with two organisations and a fixed day."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from stewardship.app import create_app
from stewardship.config import Environment, Settings
from stewardship.db import AuditKeys, Sessions, connect, migrate, transaction
from stewardship.declarations import Library, load
from stewardship.domain.people import Principal, Role
from stewardship.intake.strict_json import dumps, loads
from stewardship.services import organisations, tokens
from tests.builders import NOW

HERE, ELSEWHERE = "org-here", "org-elsewhere"
SETTINGS = Settings(
    environment=Environment.TEST,
    secret_key="only-for-the-tests-0123456789abcdef",
    audit_key="only-for-the-audit-0123456789abcdef",
)
_patients = count(1)


@dataclass
class Clock:
    """A clock that stands still until it is told to go on."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Caller:
    """Somebody with a token."""

    app: Flask
    token: str | None = field(repr=False)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.app.test_client().get(path, headers=self._headers(more), **more)

    def post(self, path: str, body: Any = None, **more: Any) -> TestResponse:
        data = body if isinstance(body, bytes) else dumps(body)
        content_type = more.pop("content_type", "application/json")
        return self.app.test_client().post(
            path, data=data, content_type=content_type, headers=self._headers(more), **more
        )

    def form(self, path: str, parts: dict[str, Any]) -> TestResponse:
        return self.app.test_client().post(
            path, data=parts, content_type="multipart/form-data", headers=self._headers({})
        )

    def fill(self, path: str, fields: dict[str, Any]) -> TestResponse:
        """Send a form of a page."""
        return self.app.test_client().post(path, data=fields, headers=self._headers({}))

    def _headers(self, more: dict[str, Any]) -> dict[str, str]:
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return own | more.pop("headers", {})


def json(response: TestResponse) -> Any:
    """The body of an answer, read exactly."""
    return loads(response.get_data(), max_bytes=10_000_000)


@pytest.fixture(scope="session")
def library() -> Library:
    return load()


@pytest.fixture(scope="session")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    path = tmp_path_factory.mktemp("api") / "api.db"
    keys = AuditKeys.single(SETTINGS.audit_key.encode())
    made = connect(f"sqlite:///{path}", audit_keys=keys)
    migrate.upgrade(made.kw["bind"])
    yield made
    made.kw["bind"].dispose()


@pytest.fixture(scope="session")
def stopped_clock() -> Clock:
    return Clock()


@pytest.fixture
def clock(stopped_clock: Clock) -> Iterator[Clock]:
    """The application's clock; a test that moves it finds it moved back afterwards."""
    yield stopped_clock
    stopped_clock.at = NOW


@pytest.fixture(scope="session")
def issued(sessions: Sessions) -> dict[tuple[str, Role], str]:
    """A token for every role in both organisations."""
    made = {}
    with transaction(sessions) as session:
        for organisation in (HERE, ELSEWHERE):
            by = Principal("setup", organisation, Role.ADMIN)
            organisations.ensure(session, organisation, name=organisation, by=by, now=NOW - timedelta(days=1))
            for role in Role:
                made[organisation, role] = a_token(session, organisation, role)
    return made


def a_token(session: Any, organisation: str, role: Role, *, scopes: tuple[str, ...] = (), **more: Any) -> str:
    """A token that is good around the tests' day."""
    return tokens.issue(
        session,
        organisation_id=organisation,
        role=role,
        scopes=scopes,
        expires_at=NOW + timedelta(days=30),
        by=Principal("setup", organisation, Role.ADMIN),
        now=NOW - timedelta(days=1),
        **more,
    )


@pytest.fixture(scope="session")
def app(library: Library, sessions: Sessions, stopped_clock: Clock) -> Flask:
    return create_app(SETTINGS, library=library, sessions=sessions, clock=stopped_clock)


@pytest.fixture
def caller(app: Flask, issued: dict[tuple[str, Role], str]) -> Callable[..., Caller]:
    """Whoever has that role, here or elsewhere."""

    def with_role(role: Role | str, organisation: str = HERE) -> Caller:
        return Caller(app, issued[organisation, Role(role)])

    return with_role


@pytest.fixture
def another(app: Flask, sessions: Sessions) -> Callable[..., Caller]:
    """A further person of a role."""

    def make(role: Role | str, organisation: str = HERE, **more: Any) -> Caller:
        with transaction(sessions) as session:
            return Caller(app, a_token(session, organisation, Role(role), **more))

    return make


@pytest.fixture
def nobody(app: Flask) -> Caller:
    """Somebody without a token."""
    return Caller(app, None)


def known(**more: Any) -> dict[str, Any]:
    """A history in which the monitoring program was looked at and a treatment without opioids was tried."""
    return {
        "procedures": [
            {"code": {"system": "snomed-ct", "code": code}, "on": "2026-11-20"}
            for code in ("461621000124108", "91251008")
        ],
        **more,
    }


def a_case(*, days: Any = 3, patient: str | None = None, history: Any = ..., **order: Any) -> dict[str, Any]:
    """Three days of oxycodone 5 mg for acute pain, for a patient nobody knows yet, with a known history."""
    case: dict[str, Any] = {
        "patient": {"id": patient or f"p-{next(_patients)}", "birth_date": "1980-05-01", "sex": "female"},
        "order": {
            "medicine": {"rxcui": "1049621"},
            "dosage": [{"dose": 1, "unit": "tablet", "frequency": 4, "period": 1, "period_unit": "d"}],
            "quantity": 12,
            "quantity_unit": "tablet",
            "refills": 0,
            "setting": "outpatient",
            "pain": {"phase": "acute"},
            **order,
        },
        "history": {} if history is ... else history,
    }
    if days is not None:
        case["order"]["days_supply"] = days
    if history is None:
        del case["history"]
    return case

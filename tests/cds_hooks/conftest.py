"""The CDS Hooks services over the real declarations, on a database of their own and a fixed day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
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
from tests.cds_hooks.requests import SERVICES

ORGANISATION = "org-here"
ALLOWED = "https://ehr.example"
SETTINGS = Settings(
    environment=Environment.TEST,
    secret_key="only-for-the-tests-0123456789abcdef",
    audit_key="only-for-the-audit-0123456789abcdef",
    cds_allowed_origins=(ALLOWED,),
    # A machine that is busy with other tests may take long; the tests of the time budget set their own.
    time_budget=60,
)


@dataclass
class Ehr:
    """An electronic health record with a token."""

    app: Flask
    token: str | None = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict)

    def post(self, request: Any, *, service: str | None = None, **headers: str) -> TestResponse:
        """Call the service of the request's hook, or the one given."""
        body = request if isinstance(request, bytes) else dumps(request)
        named = service or SERVICES[request["hook"]]
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return self.app.test_client().post(
            f"/cds-services/{named}", data=body, content_type="application/json", headers=own | headers
        )

    def ask(self, request: Any) -> dict[str, Any]:
        """The answer of a call that must succeed."""
        response = self.post(request)
        assert response.status_code == 200, response.get_data(as_text=True)
        return read(response)


def read(response: TestResponse) -> dict[str, Any]:
    """The body of an answer, read exactly."""
    document = loads(response.get_data(), max_bytes=10_000_000)
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="session")
def library() -> Library:
    """The declarations as published."""
    return load()


@pytest.fixture(scope="session")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    path = tmp_path_factory.mktemp("cds") / "cds.db"
    made = connect(f"sqlite:///{path}", audit_keys=AuditKeys.single(SETTINGS.audit_key.encode()))
    migrate.upgrade(made.kw["bind"])
    yield made
    made.kw["bind"].dispose()


@pytest.fixture(scope="session")
def issued(sessions: Sessions) -> dict[Role, str]:
    """A token for every role."""
    by = Principal("setup", ORGANISATION, Role.ADMIN)
    before = NOW - timedelta(days=1)
    with transaction(sessions) as session:
        organisations.ensure(session, ORGANISATION, name=ORGANISATION, by=by, now=before)
        return {
            role: tokens.issue(
                session,
                organisation_id=ORGANISATION,
                role=role,
                scopes=(),
                expires_at=NOW + timedelta(days=30),
                by=by,
                now=before,
            )
            for role in Role
        }


@pytest.fixture(scope="session")
def app(library: Library, sessions: Sessions) -> Flask:
    return create_app(SETTINGS, library=library, sessions=sessions, clock=lambda: NOW)


@pytest.fixture
def ehr(app: Flask, issued: dict[Role, str]) -> Ehr:
    return Ehr(app, issued[Role.EHR])

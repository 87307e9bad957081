"""A clinic with reviews on both databases, and a clock that goes only when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from stewardship.config import Environment, Settings
from stewardship.db import Sessions, function_tables, job_tables, outreach_tables, tables, transaction
from stewardship.declarations import Library, load
from stewardship.domain.people import Principal, Role
from stewardship.runtime import Runtime
from stewardship.services import contacts, job_runs, organisations

ORGANISATION, OTHER = "org-1", "org-2"
#: Noon of a Saturday where the clinic is, which keeps UTC until a test says otherwise.
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ADMIN = Principal("u-admin", ORGANISATION, Role.ADMIN)
SCHEDULER = job_runs.scheduler(ORGANISATION)
SETTINGS = Settings(
    environment=Environment.TEST,
    secret_key="only-for-the-tests-0123456789abcdef",
    audit_key="only-for-the-audit-0123456789abcdef",
    public_url="https://stewardship.example",
)


@dataclass
class Clock:
    """A clock that stands still until it is told to go on."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **more: float) -> None:
        """Let time pass; or, with a negative number, set the clock back."""
        self.at += timedelta(**more)


@pytest.fixture(scope="session")
def library() -> Library:
    return load()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clinic(database: Sessions) -> Sessions:
    """A database with one organisation."""
    with transaction(database) as session:
        organisations.ensure(session, ORGANISATION, name="One", by=ADMIN, now=NOW - timedelta(days=800))
    return database


@pytest.fixture
def running(clinic: Sessions, library: Library, clock: Clock) -> Runtime:
    return Runtime(SETTINGS, library, clinic, clock)


@pytest.fixture
def with_mail(running: Runtime) -> Callable[[str], Runtime]:
    """The same with a server for mail."""

    def served_by(url: str) -> Runtime:
        settings = replace(running.settings, smtp_url=url, mail_from="reviews@clinic.example")
        return replace(running, settings=settings)

    return served_by


def in_zone(clinic: Sessions, name: str) -> None:
    """Move the organisation to another place."""
    with transaction(clinic) as session:
        session.execute(update(tables.Organisation.__table__).values(time_zone=name))


def some_reviews(
    clinic: Sessions,
    number: int,
    *,
    due_on: date,
    clinician: str = "dr-1",
    first: int = 0,
    planned_at: datetime = NOW - timedelta(days=700),
    **more: Any,
) -> list[str]:
    """Patients with a planned review each; the ids of the reviews."""
    of = {"organisation_id": ORGANISATION}
    people, reviews = [], []
    for place in range(first, first + number):
        people.append(
            of
            | {"id": f"p-{place}", "ehr_id": f"ehr-{place}", "sex": "", "deceased": False}
            | {"recorded_at": planned_at}
        )
        reviews.append(
            of
            | {"id": f"r-{place:05}", "patient_id": f"p-{place}", "interval": "long-term"}
            | {"exact_on": due_on, "due_on": due_on, "since": due_on - timedelta(days=90)}
            | {"state": "planned", "clinician": clinician, "assigned": False, "planned_at": planned_at}
            | {"opened_late_days": 0, "excused": False, "reason": "", "note": ""}
            | more
        )
    with transaction(clinic) as session:
        session.execute(insert(tables.Patient.__table__), people)
        session.execute(insert(function_tables.Reassessment.__table__), reviews)
    return [row["id"] for row in reviews]


def a_contact(clinic: Sessions, person: str = "dr-1", *, escalations: bool = False) -> None:
    """Say where somebody gets mail."""
    with transaction(clinic) as session:
        email = f"{person}@clinic.example"
        contacts.keep(session, person, email=email, escalations=escalations, by=ADMIN, now=NOW)


def states(clinic: Sessions) -> dict[str, int]:
    """How many reviews are in which state."""
    table: Any = function_tables.Reassessment.__table__
    with transaction(clinic, write=False) as session:
        asked = select(table.c.state, func.count()).group_by(table.c.state)
        return {row[0]: row[1] for row in session.execute(asked)}


def runs(clinic: Sessions, job: str | None = None) -> list[Any]:
    """The runs on record, in the order of their moments."""
    table: Any = job_tables.JobRun.__table__
    with transaction(clinic, write=False) as session:
        asked = select(table).order_by(table.c.slot)
        return list(session.execute(asked if job is None else asked.where(table.c.job == job)))


def messages(clinic: Sessions) -> list[Any]:
    """What is in the outbox."""
    table: Any = outreach_tables.OutboxMessage.__table__
    with transaction(clinic, write=False) as session:
        return list(session.execute(select(table).order_by(table.c.recipient, table.c.kind, table.c.id)))


def audited(clinic: Sessions, action: str) -> list[Any]:
    """The audit entries of one action."""
    table: Any = tables.AuditEvent.__table__
    with transaction(clinic, write=False) as session:
        return list(session.execute(select(table).where(table.c.action == action).order_by(table.c.seq)))

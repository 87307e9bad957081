"""The demonstration's last three months: checked through the services, replayable, something to report on."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from stewardship import exporting
from stewardship.db import connect, migrate, tables, transaction
from stewardship.declarations import load
from stewardship.demo import past, recipes
from stewardship.demo.clinic import make
from stewardship.domain.people import Principal, Role
from stewardship.exporting import Format
from stewardship.reports.listed import REPORTS
from stewardship.reports.reporting import Asked
from stewardship.services import organisations, replay, verification
from tests.postgres import AUDIT_KEYS

NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)
BY = Principal("demo-setup", "demo-clinic", Role.COMPLIANCE)


@pytest.fixture(scope="module")
def library():
    return load()


@pytest.fixture(scope="module")
def worked(library, tmp_path_factory):
    sessions = connect(f"sqlite:///{tmp_path_factory.mktemp('past') / 'past.db'}", audit_keys=AUDIT_KEYS)
    migrate.upgrade(sessions.kw["bind"])
    clinic = make(recipes.read(), library, now=NOW)
    with transaction(sessions) as session:
        organisations.ensure(session, BY.organisation_id, name="Clinic", by=BY, now=NOW)
        past.make(session, clinic, library, recipes.read(), by=BY, now=NOW)
    return sessions


def test_orders_of_three_months_were_checked_and_none_after_today(worked):
    decision = tables.Decision.__table__
    with transaction(worked, write=False) as session:
        asked = select(func.count(), func.min(decision.c.as_of), func.max(decision.c.as_of))
        count, first, last = session.connection().execute(asked.select_from(decision)).one()
    assert count > 100
    assert first.date() == (NOW - timedelta(days=90)).date()
    assert last <= NOW


@pytest.mark.parametrize("table", ["overrides", "exception_requests", "countersignatures", "card_feedback"])
def test_people_did_something_about_what_was_found(worked, table):
    counted = tables.Base.metadata.tables[table]
    with transaction(worked, write=False) as session:
        assert session.connection().execute(select(func.count()).select_from(counted)).scalar()


def test_every_decision_of_the_past_replays_equal(worked, library):
    with transaction(worked, write=False) as session:
        for decision in replay.all_of(session, by=BY):
            found = replay.replay(session, library, decision, by=BY)
            assert found.same, (decision, found.differences)


def test_the_trail_of_the_past_verifies(worked):
    with transaction(worked, write=False) as session:
        found = verification.verify(session, organisation_id=BY.organisation_id, checkpoints=[], public=False)
    assert found.fault is None


@pytest.mark.parametrize("report_id", list(REPORTS))
def test_every_report_of_the_past_can_be_read_on_paper(worked, library, report_id):
    since, until = exporting.period(None, None, now=NOW)
    with transaction(worked, write=False) as session:
        asked = Asked(BY.organisation_id, since, until)
        made = exporting.made(session, library, report_id, asked, by=BY, now=NOW)
        to = io.BytesIO()
        exporting.write(made, Format.PDF, to)
    assert to.getvalue().startswith(b"%PDF")
    assert made.report.definition

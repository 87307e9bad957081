"""The night's look at tapers: flags come and go with the record, and the next step is the next one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from stewardship.db import Sessions, transaction
from stewardship.domain.chart import Chart, Patient
from stewardship.domain.people import Principal, Role
from stewardship.scheduler import JOBS
from stewardship.services import history, tapers
from stewardship.services.taper_flags import look
from tests.builders import NOW, TODAY, a_supply
from tests.plans.tapering import OXYCODONE_5, declared
from tests.plans.test_tapers_service import WANTED, begin
from tests.services.declared import ORGANISATION, PHARMACIST, PRESCRIBER

WATCH = Principal("watch", ORGANISATION, Role.ADMIN)


def looked(database: Sessions, *, days: int = 0) -> Any:
    with transaction(database) as session:
        return look(session, declared(), by=WATCH, now=NOW + timedelta(days))


def flags(database: Sessions) -> list[str]:
    with transaction(database, write=False) as session:
        asked = text("SELECT status FROM flags WHERE kind = 'taper-faster-than-planned' ORDER BY id")
        return list(session.execute(asked).scalars())


@pytest.fixture
def halved(clinic: Sessions) -> Sessions:
    """A taper that begins today, and a fill of today that holds a quarter of it."""
    begin(clinic, replace(WANTED, starts_on=TODAY), taper_id="t-1")
    drug = declared().catalogue.by_rxcui(OXYCODONE_5)
    quarter = a_supply(id="s-0", start=TODAY, days=30, drug=drug, quantity=90)
    with transaction(clinic) as session:
        history.record(session, Chart(Patient("p-1"), NOW, (quarter,)), by=PRESCRIBER, now=NOW)
    return clinic


def test_a_fall_that_is_too_fast_is_flagged_once(halved: Sessions) -> None:
    assert (looked(halved).changed, looked(halved).changed) == (1, 0)
    assert flags(halved) == ["open"]


def test_when_the_taper_is_over_so_is_its_flag(halved: Sessions) -> None:
    looked(halved)
    with transaction(halved) as session:
        tapers.stop(session, "t-1", on=TODAY, reason="the patient's wish", version=1, by=PRESCRIBER, now=NOW)
    assert looked(halved).changed == 1
    assert flags(halved) == ["resolved"]


def test_the_next_step_moves_on_with_the_days(halved: Sessions) -> None:
    second = TODAY + timedelta(35)
    looked(halved)
    with transaction(halved, write=False) as session:
        assert [t.taper.id for t in tapers.due(session, by=PHARMACIST, until=second)] == ["t-1"]
    looked(halved, days=36)
    with transaction(halved, write=False) as session:
        assert tapers.due(session, by=PHARMACIST, until=second) == ()
        assert len(tapers.due(session, by=PHARMACIST, until=second + timedelta(35))) == 1


def test_portions_come_to_an_end(halved: Sessions) -> None:
    with transaction(halved) as session:
        first = look(session, declared(), by=WATCH, now=NOW, limit=1)
        assert first.position is not None
        assert look(session, declared(), by=WATCH, now=NOW, after=first.position, limit=1).position is None


def test_it_is_a_job_of_every_night() -> None:
    assert "watch-tapers" in {job.name for job in JOBS}

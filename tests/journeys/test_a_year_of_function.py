"""A year of a clinic, day by day: what is due is opened once, and every worklist is what it ought to be.

Some patients of a year are run with the suite. ``FUNCTION_YEAR_PATIENTS=1000`` runs a clinic of a thousand.
The year has a leap day and both changes of the clocks; the clinic closes its day at half past nine in the
evening, when it is the next day in UTC.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import Sessions, function_tables, tables, transaction
from stewardship.declarations import Library, load
from stewardship.domain.chart import Chart, Condition, Patient, Procedure
from stewardship.domain.codes import CPT, ICD10CM, Coding
from stewardship.domain.orders import Supply
from stewardship.domain.people import Principal, Role
from stewardship.domain.workdays import Calendar
from stewardship.services import (
    calendars,
    clock_passes,
    history,
    measurements,
    organisations,
    reassessments,
)
from tests.builders import a_supply
from tests.journeys.naive_clinic import DAY, DIAGNOSES, Fill, Somebody, Wanted, Working, clinic, wanted

PATIENTS = int(os.environ.get("FUNCTION_YEAR_PATIENTS", "30"))
FIRST, LAST = date(2027, 10, 1), date(2028, 9, 30)
ZONE = ZoneInfo("America/New_York")
BY = Principal("clinic", "org-1", Role.PRESCRIBER)


@dataclass
class Year:
    """The clinic as the service knows it, and as it ought to be."""

    sessions: Sessions
    library: Library
    people: list[Somebody]
    working: Working = field(default_factory=lambda: Working("US", "NY"))
    asked: int = 0
    held: dict[str, Wanted | None] = field(default_factory=dict)
    was: dict[str, str] = field(default_factory=dict)
    openings: list[tuple[str, str, date, date]] = field(default_factory=list)
    spent: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def day(self, today: date) -> None:
        """One day of the clinic: what is dispensed and said, who comes, and what the scheduler does."""
        self.do(today, self.arrive, self.visit, self.schedule)

    def do(self, today: date, *what: Callable[[Session, date, datetime], None]) -> None:
        """Some of it, as one transaction: a year has many days."""
        with transaction(self.sessions) as session:
            for step in what:
                began = time.process_time()
                step(session, today, evening(today))
                self.spent[step.__name__] += time.process_time() - began

    def arrive(self, session: Session, today: date, now: datetime) -> None:
        charts = [c for who in self.people if (c := self.news(who, today, now)) is not None]
        if charts:
            history.store(session, charts, source="year", by=BY, now=now)

    def news(self, who: Somebody, today: date, now: datetime) -> Chart | None:
        """What is new of a patient on a day; on the first, all that was before."""
        fresh = (lambda day: day <= today) if today == FIRST else (lambda day: day == today)
        supplies = tuple(self.supply(who, f) for f in who.fills if fresh(f.start))
        conditions = tuple(
            Condition(f"c-{said}", (Coding(ICD10CM, DIAGNOSES[said]),), active=True, recorded_on=day)
            for said, day in who.diagnoses.items()
            if fresh(day)
        )
        done = ()
        if who.ablation is not None and fresh(who.ablation):
            done = (Procedure("ablation", (Coding(CPT, "64635"),), on=who.ablation, status="completed"),)
        if not (supplies or conditions or done):
            return None
        return Chart(Patient(who.id), now, supplies, conditions, procedures=done)

    def supply(self, who: Somebody, fill: Fill) -> Supply:
        return a_supply(
            id=f"{fill.drug}-{fill.start}",
            start=fill.start,
            days=fill.days,
            drug=self.library.catalogue.by_rxcui(fill.drug),
            quantity=fill.days * fill.per_day,
            prescriber=f"dr-{int(who.id[2:]) % 7}",
        )

    def visit(self, session: Session, today: date, now: datetime) -> None:
        """Function is measured at every visit; the review that is open is completed on it."""
        answers = dict.fromkeys(("pain", "enjoyment", "activity"), Decimal(5))
        act: dict[str, Any] = {"by": BY, "now": now}
        for who in (who for who in self.people if today in who.visits):
            measured = measurements.record(
                session, self.library, who.id, "peg", answers, taken_at=now, source="clinician", **act
            )
            for one in reassessments.of_patient(session, who.id, by=BY):
                if one.closed_at is None and one.review.since < today:
                    reassessments.complete(
                        session, self.library, one.id, measurements=[measured.id], on=today, **act
                    )

    def schedule(self, session: Session, today: date, now: datetime) -> None:
        """What the scheduler does: ask where the answer may differ, and open what is due."""
        act: dict[str, Any] = {"today": today, "by": BY, "now": now}
        position: str | None = ""
        while position is not None:
            passed = clock_passes.ask_portion(
                session, self.library, BY.organisation_id, after=position, limit=200, **act
            )
            position, self.asked = passed.position, self.asked + passed.asked
        while reassessments.open_due(session, self.library, BY.organisation_id, limit=100, **act):
            pass

    # --- as it ought to be ---------------------------------------------------------------------------

    def ought(self, today: date) -> set[tuple[str, str, date, str, int]]:
        """The worklist of a day from nothing but what happened; and what is opened on it is noted."""
        found = set()
        for who in self.people:
            known = any(f.start <= today for f in who.fills)
            asks = wanted(who, today, self.working) if known or who.ablation else None
            state = "" if asks is None else asks.state(today)
            if asks is not None and state in ("due", "missed"):
                found.add((who.id, asks.interval, asks.due_on, state, max(0, (today - asks.due_on).days)))
                before = self.held.get(who.id)
                same = before is not None and _key(before) == _key(asks)
                if not same or self.was[who.id] == "planned":
                    self.openings.append((who.id, asks.interval, asks.exact_on, today))
            self.held[who.id], self.was[who.id] = asks, state
        return found

    def worklist(self, today: date) -> set[tuple[str, str, date, str, int]]:
        with transaction(self.sessions, write=False) as session:
            items = reassessments.worklist(session, BY.organisation_id, today=today)
        listed = [(i.patient_id, i.interval, i.due_on, i.state.value, i.late_days) for i in items]
        assert len(set(listed)) == len(listed)
        return set(listed)

    def opened(self) -> list[tuple[str, str, date, date]]:
        """What the service opened: each row once, on the day it says."""
        review, patient = function_tables.Reassessment.__table__, tables.Patient.__table__
        asked = select(patient.c.ehr_id, review.c.interval, review.c.exact_on, review.c.opened_at).where(
            review.c.patient_id == patient.c.id, review.c.opened_at.is_not(None)
        )
        with transaction(self.sessions, write=False) as session:
            rows = session.connection().execute(asked).all()
        return [(r.ehr_id, r.interval, r.exact_on, r.opened_at.astimezone(ZONE).date()) for r in rows]


def evening(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 21, 30, tzinfo=ZONE).astimezone(UTC)


def _key(one: Wanted) -> tuple[str, date]:
    return one.interval, one.exact_on


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


@pytest.fixture
def year(database: Sessions, library: Library) -> Year:
    now = datetime(FIRST.year, FIRST.month, FIRST.day, 12, tzinfo=UTC)
    with transaction(database) as session:
        organisations.ensure(session, "org-1", name="One", by=BY, now=now)
        calendars.change(session, library, Calendar("America/New_York", "US", "NY"), by=BY, now=now)
    return Year(database, library, clinic(PATIENTS, FIRST, LAST, seed=20271001))


def test_a_year_of_a_clinic(year: Year, record_property: pytest.RecordProperty) -> None:
    began = time.perf_counter()
    today = FIRST
    seen: Counter[str] = Counter()
    while today <= LAST:
        year.day(today)
        found, ought = year.worklist(today), year.ought(today)
        assert found == ought, f"{today}: not there {ought - found}, not right {found - ought}"
        seen.update(interval for _, interval, _, _, _ in found)
        seen.update(state for _, _, _, state, _ in found)
        today += DAY
    opened = year.opened()
    assert Counter(opened) == Counter(year.openings)
    # A year in which nothing happened would prove nothing.
    assert min(seen["due"], seen["missed"]) > PATIENTS
    assert len(opened) > PATIENTS
    lines = {interval.id for interval in year.library.clock.intervals} - {"stimulation-trial"}
    assert PATIENTS < 200 or lines <= set(seen)
    told = f"{PATIENTS} patients, {len(opened)} reviews opened, {year.asked} askings, "
    told += f"{time.perf_counter() - began:.0f} s: "
    told += ", ".join(f"{name} {seconds:.0f} s" for name, seconds in year.spent.items())
    record_property("year", told)
    logging.getLogger("year").info(told)


def test_the_clock_is_asked_far_less_often_than_every_patient_every_day(year: Year) -> None:
    for n in range(60):
        year.day(FIRST + n * DAY)
    assert year.asked < 60 * PATIENTS / 4
    assert year.opened()


def test_whoever_was_away_finds_the_same_worklist(year: Year) -> None:
    """A scheduler that is down for ten days opens at its next start what fell due meanwhile."""
    for n in range(40):
        today = FIRST + n * DAY
        year.do(today, year.arrive, year.visit)
        if n % 10 == 9:
            year.do(today, year.schedule)
            assert year.worklist(today) == year.ought(today)


def test_daylight_saving_and_the_leap_day_are_in_the_year() -> None:
    offsets = {
        datetime(FIRST.year, FIRST.month, FIRST.day, 21, 30, tzinfo=ZONE).utcoffset(),
        datetime(2028, 1, 1, 21, 30, tzinfo=ZONE).utcoffset(),
    }
    assert offsets == {timedelta(hours=-4), timedelta(hours=-5)}
    assert FIRST < date(2028, 2, 29) < LAST

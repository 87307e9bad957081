"""The demonstration's function on a clock: what was measured, goals, and the reviews that follow from it all.

A few patients beside the made clinic have answers to the PEG on record here, so that trends can be seen: one
that improved, one that did not while the dose went up. The clock is asked about everybody, and what is due or
missed on the first day is opened as the scheduler would.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
from sqlalchemy.orm import Session

from stewardship.declarations import Library
from stewardship.demo.prescribers import npi
from stewardship.demo.recipes import Recipes, Said
from stewardship.domain.chart import Chart, Condition, Patient
from stewardship.domain.dosage import DosageInstruction, Quantity
from stewardship.domain.measurements import Reporter
from stewardship.domain.orders import Setting, Supply, SupplyKind
from stewardship.domain.people import Principal
from stewardship.domain.workdays import Calendar
from stewardship.services import (
    calendars,
    clock_passes,
    goals,
    history,
    measurements,
    reassessments,
)

_FILE = Path(__file__).parent / "function.toml"
CALENDAR = Calendar("America/New_York", "US", "NY")
_FILL_DAYS = 30
_PORTION = 200
_ITEMS = ("pain", "enjoyment", "activity")
_BORN = date(1968, 4, 12)


class _Fills(Said, frozen=True):
    """Fills of thirty days, one after the other."""

    days_ago: int
    per_day: int
    times: int


class _Peg(Said, frozen=True):
    """Answers to the PEG: pain, enjoyment, activity."""

    days_ago: int
    answers: tuple[int, int, int]
    by_patient: bool = False


class _Goal(Said, frozen=True):
    """A goal, set on the first day."""

    activity: str
    baseline: str
    target: str
    in_days: int
    reached: bool = False


class _Person(Said, frozen=True):
    """A patient whose function is on record here."""

    id: str
    story: str
    diagnosis: str
    drug: str
    prescriber: int
    fills: list[_Fills]
    peg: list[_Peg]
    goals: tuple[_Goal, ...] = ()


class _Function(Said, frozen=True):
    """The whole of ``function.toml``."""

    patient: list[_Person]


def read() -> list[_Person]:
    """The patients, as shipped."""
    return msgspec.toml.decode(_FILE.read_bytes(), type=_Function).patient


def make(
    session: Session,
    library: Library,
    recipes: Recipes,
    *,
    setup: Principal,
    prescriber: Principal,
    now: datetime,
) -> None:
    """Put function on record, on the first day of the demonstration. ``setup`` sets the calendar and acts as
    the scheduler would, ``prescriber`` measures and sets goals."""
    calendars.change(session, library, CALENDAR, by=setup, now=now)
    today = calendars.there(now, CALENDAR).date()
    people = read()
    charts = [_chart(person, library, recipes, today, now) for person in people]
    history.store(session, charts, source="demonstration", by=setup, now=now)
    for person in people:
        _measure(session, library, person, by=prescriber, now=now)
        _set_goals(session, library, person, today, by=prescriber, now=now)
    _ask(session, library, today, by=setup, now=now)
    while reassessments.open_due(
        session, library, setup.organisation_id, today=today, now=now, by=setup, limit=_PORTION
    ):
        pass
    # Of those whose review was missed: what was supplied since is flagged.
    _ask(session, library, today, by=setup, now=now)


def _ask(session: Session, library: Library, today: date, *, by: Principal, now: datetime) -> None:
    position: str | None = ""
    while position is not None:
        position = clock_passes.ask_portion(
            session,
            library,
            by.organisation_id,
            today=today,
            now=now,
            by=by,
            after=position,
            limit=_PORTION,
        ).position


def _chart(person: _Person, library: Library, recipes: Recipes, today: date, now: datetime) -> Chart:
    pain = recipes.diagnosed(person.diagnosis)
    since = today - timedelta(max(f.days_ago for f in person.fills) + 400)
    return Chart(
        patient=Patient(person.id, _BORN, "female"),
        as_of=now,
        supplies=tuple(_supplies(person, library, recipes, today)),
        conditions=(
            Condition(
                f"{person.id}-condition",
                (pain,),
                active=True,
                onset=since,
                recorded_on=since,
                category="problem-list-item",
            ),
        ),
        # As of everybody else's, the clinic's pharmacies report everything.
        data_as_of=now,
    )


def _supplies(person: _Person, library: Library, recipes: Recipes, today: date) -> Iterator[Supply]:
    product = recipes.drug[person.drug]
    pain = recipes.diagnosed(person.diagnosis)
    for fills in person.fills:
        for n in range(fills.times):
            day = today - timedelta(fills.days_ago - n * _FILL_DAYS)
            yield Supply(
                id=f"{person.id}-fill-{day:%Y%m%d}",
                kind=SupplyKind.DISPENSING,
                medication=product.medication,
                drug=library.catalogue.recognise(product.medication),
                start_on=day,
                dosage=(
                    DosageInstruction(
                        sequence=1,
                        text=f"1 {product.unit} {fills.per_day} times a day",
                        dose_low=Decimal(1),
                        dose_high=Decimal(1),
                        dose_unit=product.unit,
                        frequency=Decimal(fills.per_day),
                        period=Decimal(1),
                        period_unit="d",
                    ),
                ),
                quantity=Quantity(Decimal(fills.per_day * _FILL_DAYS), product.unit),
                days_supply=Decimal(_FILL_DAYS),
                fill=0,
                status="completed",
                prescriber=npi(person.prescriber),
                pharmacy="pharmacy-2",
                setting=Setting.OUTPATIENT,
                reasons=(pain,),
            )


def _measure(session: Session, library: Library, person: _Person, *, by: Principal, now: datetime) -> None:
    for peg in person.peg:
        measurements.record(
            session,
            library,
            person.id,
            "peg",
            {item: Decimal(value) for item, value in zip(_ITEMS, peg.answers, strict=True)},
            taken_at=now - timedelta(peg.days_ago),
            source=Reporter.PATIENT if peg.by_patient else Reporter.CLINICIAN,
            by=by,
            now=now,
        )


def _set_goals(
    session: Session, library: Library, person: _Person, today: date, *, by: Principal, now: datetime
) -> None:
    for wanted in person.goals:
        made = goals.set_goal(
            session,
            library,
            person.id,
            activity=wanted.activity,
            baseline=wanted.baseline,
            target=wanted.target,
            due_on=today + timedelta(wanted.in_days),
            by=by,
            now=now,
        )
        if wanted.reached:
            goals.reach(session, library, made.id, version=1, by=by, now=now)

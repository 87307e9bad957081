"""Histories on record for the watch's tests, and what the watch makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import delete, insert, select

from stewardship.db import Sessions, tables, transaction
from stewardship.domain.codes import CodeSets
from stewardship.domain.drugs import Drug, Medication
from stewardship.domain.flags import Flags
from stewardship.domain.orders import Supply
from stewardship.services import history, watch
from stewardship.services.watch import Progress
from tests.builders import NOW, TODAY, a_supply
from tests.domain.flagging import CARISOPRODOL, DIAZEPAM, HYDROCODONE, OXYCODONE, OXYCODONE_ER, TRAMADOL
from tests.flags.raising import PATIENT, WATCH, library
from tests.population.generator import DRUGS
from tests.services.declared import ORGANISATION

_ALL = [OXYCODONE, OXYCODONE_ER, HYDROCODONE, TRAMADOL, DIAZEPAM, CARISOPRODOL, *DRUGS]


@dataclass(frozen=True)
class Knows:
    """A catalogue of the products that the tests use."""

    by_code: dict[str, Drug] = field(default_factory=lambda: {d.code.code: d for d in _ALL if d is not None})

    def recognise(self, medication: Medication) -> Drug | None:
        """The product of the first coding."""
        return self.by_code.get(medication.codings[0].code) if medication.codings else None


@dataclass(frozen=True)
class Declared:
    """A library of flags and products."""

    flags: Flags
    catalogue: Knows = field(default_factory=Knows)
    code_sets: CodeSets = field(default_factory=lambda: CodeSets({}, {}))


@cache
def declared() -> Declared:
    """The flags as the project ships them, and the tests' products."""
    return Declared(library().flags)


def ago(days: int) -> date:
    """So many days before today."""
    return TODAY - timedelta(days)


def fill(on: int, days: int = 30, **more: Any) -> Supply:
    """A dispensing that many days ago: a month of oxycodone 5 mg, two a day."""
    more.setdefault("quantity", days * 2)
    return a_supply(start=ago(on), days=days, **more)


def put(
    sessions: Sessions, patient: str, *supplies: Supply, now: datetime = NOW, organisation: str = ORGANISATION
) -> None:
    """Put supplies on a patient's record; one of the same id is replaced."""
    table = tables.Supply.__table__
    with transaction(sessions) as session:
        for supply in supplies:
            row = history.supply_row(supply) | {
                "organisation_id": organisation, "patient_id": patient, "recorded_at": now,
            }  # fmt: skip
            take(session, patient, [supply.id], organisation)
            session.execute(insert(table), row)


def take(session: Any, patient: str, ids: Iterable[str], organisation: str = ORGANISATION) -> None:
    """Take supplies out of a patient's record."""
    table = tables.Supply.__table__.c
    session.execute(
        delete(tables.Supply).where(
            table.organisation_id == organisation, table.patient_id == patient, table.source_id.in_(list(ids))
        )
    )


def remove(sessions: Sessions, *supplies: Supply, patient: str = PATIENT) -> None:
    """As a void does."""
    with transaction(sessions) as session:
        take(session, patient, [one.id for one in supplies])


def watched(sessions: Sessions, *, now: datetime = NOW, portion: int = 200, by: Any = WATCH) -> Progress:
    """One whole watch."""
    while True:
        with transaction(sessions, late=True) as session:
            progress = watch.step(session, declared(), by=by, now=now, portion=portion)
        if progress.done:
            return progress


def in_queue(sessions: Sessions) -> list[tuple[Any, ...]]:
    """Everything about the flags that does not depend on when and how often they were looked at."""
    table = tables.Base.metadata.tables["flags"]
    names = ("patient_id", "kind", "key", "first_on", "last_on", "evidence", "status", "resolution")
    asked = select(*(table.c[name] for name in names)).order_by(table.c.patient_id, table.c.key)
    with transaction(sessions, write=False) as session:
        return [tuple(row) for row in session.connection().execute(asked)]

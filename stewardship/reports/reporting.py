"""What a report is: tables of counted things with a definition, a period, and what it rests on.

A report holds values, not text: every renderer shows the same ones. A count so small that it could point
at a person is withheld (``suppression``), and says so where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session


class Kind(StrEnum):
    """How the values of a column are read."""

    TEXT = "text"
    ID = "id"
    COUNT = "count"
    NUMBER = "number"
    SHARE = "share"  # per cent, with one digit
    DATE = "date"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Withheld:
    """Stands where a number would point at a few people."""

    def __str__(self) -> str:
        return "withheld"


WITHHELD = Withheld()
Value = str | int | Decimal | date | datetime | Withheld | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name for programs, its title for people, and the unit of its numbers. ``of`` names the
    columns that a share is told from, all counts unless it is given: it is withheld with one of them."""

    name: str
    title: str
    kind: Kind = Kind.TEXT
    unit: str = ""
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Rows under columns. ``rows`` may be an iterable that is read once: a list of a million rows is never
    in memory. ``empty`` is what it means that there are none. ``people`` names the columns that count
    patients: small numbers in them are withheld, and with ``totals`` so that no gap can be filled in;
    ``parts`` are pairs of a part and its whole, whose difference may be as small."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: Iterable[Sequence[Value]]
    empty: str = "Nothing of the kind in this period."
    note: str = ""
    people: tuple[str, ...] = ()
    totals: bool = False
    parts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Picture:
    """Bars beside a table that holds the same values: one for each label and series. ``None`` is a gap, never
    a zero. One of a table with ``people`` names it: its first column are the labels, its columns' titles the
    series."""

    title: str
    labels: tuple[str, ...]
    series: Mapping[str, tuple[Decimal | None, ...]]
    unit: str = ""
    of_table: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: whose, from which day on, before which day, and what it is narrowed to. ``now`` is
    when; what waits is as old as it was then, or at the end of a period that is over."""

    organisation_id: str
    since: date
    until: date
    unit: str = ""
    prescriber: str = ""
    policy: str = ""
    now: datetime | None = None
    decision: str = ""
    measure: str = ""
    patient: str = ""

    @property
    def as_of(self) -> datetime:
        """The moment that ages are told at (UTC)."""
        end = datetime.combine(self.until, time(), tzinfo=UTC)
        return end if self.now is None else min(end, self.now)

    @property
    def filters(self) -> dict[str, str]:
        """What it is narrowed to, for the record and the head of the report."""
        named = {
            "unit": self.unit,
            "prescriber": self.prescriber,
            "policy": self.policy,
            "decision": self.decision,
            "measure": self.measure,
            "patient": self.patient,
        }
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True)
class Report:
    """A report: what it counts (``definition``), over what, and what it shows. ``limits`` are what it cannot
    say; ``withheld`` how many values were too small to show."""

    id: str
    title: str
    definition: str
    asked: Asked
    tables: tuple[Table, ...]
    picture: Picture | None = None
    limits: tuple[str, ...] = ()
    withheld: int = 0


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who made a report, when, how current its data are, and a witness: the audit trail's last checkpoint."""

    made_by: str
    made_at: datetime
    currency: str = ""
    checkpoint: str = ""


@dataclass(frozen=True)
class Made:
    """A report with its stamp: what renderers are given."""

    report: Report
    stamp: Stamp


#: Makes a report from the database; ``library`` holds what is declared.
Maker = Callable[[Session, Any, Asked], Report]


@dataclass(frozen=True)
class Listed:
    """A report that can be asked for."""

    id: str
    title: str
    about: str
    make: Maker
    filters: frozenset[str] = frozenset()


def share(part: int, whole: int) -> Decimal | None:
    """Per cent with one digit; of nothing there is none."""
    return None if whole == 0 else (Decimal(part) * 100 / Decimal(whole)).quantize(Decimal("0.1"))

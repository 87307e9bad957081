"""What every kind of rule has: a name for the policy files, parameters, and one question to answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import date
from typing import ClassVar

from stewardship.domain.chart import Chart
from stewardship.domain.drugs import Drug
from stewardship.domain.orders import Order
from stewardship.domain.policy import Answer, CannotTell, NotApplicable

KINDS: dict[str, type[OrderRule] | type[ChartRule]] = {}


class _Kind:
    """What every kind of rule has: a name that policy files use."""

    kind: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        if cls.kind:
            KINDS[cls.kind] = cls  # type: ignore[assignment]


class ChartRule(_Kind, ABC):
    """Base of the rules that are asked about a patient, with or without an order."""

    def check(self, order: Order | None, chart: Chart) -> Answer:
        """Judge the chart; rules that also read the order say so."""
        return self.look(chart)

    @abstractmethod
    def look(self, chart: Chart) -> Answer:
        """The rule itself, for the chart alone."""


class OrderRule(_Kind, ABC):
    """Base of the rules about an order: sets aside a missing order or an unrecognised drug."""

    def check(self, order: Order | None, chart: Chart) -> Answer:
        """Judge the order by its facts and the chart's."""
        if order is None:
            return NotApplicable("asked about an order only")
        if order.drug is None:
            return CannotTell(("order.drug",), {"medicine": order.medication.label})
        return self.judge(order, order.drug, chart)

    @abstractmethod
    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        """The rule itself, for an order whose drug is recognised."""


def signed_on(order: Order, chart: Chart) -> date:
    """The day to which the age of a record counts: today, or the date of issue when that lies ahead. A
    draft that was begun long ago is signed today all the same."""
    return max(order.written_on, chart.today)


def latest(days: Iterable[date | None]) -> date | None:
    """The last of the dates that are known."""
    return max((d for d in days if d is not None), default=None)


def recorded(chart: Chart, names: tuple[str, ...]) -> date | None:
    """The last day with a record of one of the sets: a procedure that was done, or an observation."""
    key = ("recorded", names)
    if key not in chart.kept:
        sets = frozenset(names)
        chart.kept[key] = latest(
            [p.on for p in chart.procedures if p.done and p.sets & sets]
            + [o.on for o in chart.observations if o.sets & sets]
        )
    found: date | None = chart.kept[key]
    return found

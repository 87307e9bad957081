"""What policies did month by month: how often each objected, could not tell, was overridden or excepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from stewardship.db import tables
from stewardship.domain.people import Principal
from stewardship.domain.policy import Enforcement, Outcome

_decisions: Any = tables.Decision.__table__
_findings: Any = tables.Finding.__table__
_overrides: Any = tables.Override.__table__
_requests: Any = tables.ExceptionRequest.__table__


@dataclass(frozen=True, slots=True)
class Month:
    """One month of a policy (UTC, by the day of the decision or of the act). ``objected`` and ``untold`` are
    findings that were shown."""

    first: date
    objected: int = 0
    untold: int = 0
    overridden: int = 0
    excepted: int = 0


def months_of(
    session: Session, policy_id: str, *, months: int, by: Principal, now: datetime
) -> tuple[Month, ...]:
    """The last so many months of a policy, this one last; months without anything are there with zeros."""
    firsts = _firsts(now.astimezone(UTC).date(), months)
    findings = (
        select(_month(_decisions.c.as_of, firsts), _findings.c.outcome, func.count())
        .join(
            _decisions,
            (_decisions.c.organisation_id == _findings.c.organisation_id)
            & (_decisions.c.id == _findings.c.decision_id),
        )
        .where(
            _findings.c.organisation_id == by.organisation_id,
            _findings.c.policy_id == policy_id,
            _findings.c.enforcement != Enforcement.SILENT.value,
            _decisions.c.as_of >= _start(firsts[0]),
        )
        .group_by("place", _findings.c.outcome)
    )
    found = {(place, outcome): n for place, outcome, n in session.connection().execute(findings)}
    overridden = _acts(session, _overrides, policy_id, firsts, by)
    excepted = _acts(session, _requests, policy_id, firsts, by)
    return tuple(
        Month(
            first,
            found.get((place, Outcome.BREACH.value), 0),
            found.get((place, Outcome.CANNOT_TELL.value), 0),
            overridden.get(place, 0),
            excepted.get(place, 0),
        )
        for place, first in enumerate(firsts)
    )


def _acts(
    session: Session, table: Any, policy_id: str, firsts: Sequence[date], by: Principal
) -> dict[int, int]:
    asked = (
        select(_month(table.c.at, firsts), func.count().label("acts"))
        .where(
            table.c.organisation_id == by.organisation_id,
            table.c.policy_id == policy_id,
            table.c.at >= _start(firsts[0]),
        )
        .group_by("place")
    )
    return {row.place: row.acts for row in session.connection().execute(asked)}


def _month(moment: Any, firsts: Sequence[date]) -> Any:
    """Which of the months a moment is in, by its place; written out, for databases have no word in common."""
    from_the_last = [(moment >= _start(first), place) for place, first in reversed(list(enumerate(firsts)))]
    return case(*from_the_last, else_=-1).label("place")


def _firsts(today: date, months: int) -> list[date]:
    number = today.year * 12 + today.month - 1
    return [date(n // 12, n % 12 + 1, 1) for n in range(number - months + 1, number + 1)]


def _start(first: date) -> datetime:
    return datetime(first.year, first.month, 1, tzinfo=UTC)

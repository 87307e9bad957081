"""Unchecked: what policies could not tell about orders, for want of which facts, and cards that said so."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from stewardship.db import documents, tables
from stewardship.domain.policy import Outcome
from stewardship.reports.decided import decided, period
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Picture, Report, Table, Value, share

_cards: Any = tables.Card.__table__
_events: Any = tables.AuditEvent.__table__

DEFINITION = (
    "Orders that were last checked in the period and about which a policy could not tell: a fact it asks "
    "for was not there. Not checked is not the same as in order. Calls that got no check at all are cards "
    "without a decision; checks that were not made are counted by why, from the audit trail."
)
BY_POLICY = (
    Column("policy", "Policy", Kind.ID),
    Column("orders", "Orders it was about", Kind.COUNT),
    Column("untold", "Could not be checked", Kind.COUNT),
    Column("share", "Share", Kind.SHARE),
)
BY_FACT = (
    Column("fact", "Missing fact", Kind.ID),
    Column("policy", "Policy", Kind.ID),
    Column("orders", "Orders", Kind.COUNT),
)
WHOLE = (Column("what", "What"), Column("count", "Count", Kind.COUNT))


def unchecked(session: Session, _library: Any, asked: Asked) -> Report:
    """The report."""
    about: Counter[str] = Counter()
    untold: Counter[str] = Counter()
    facts: Counter[tuple[str, str]] = Counter()
    orders = doubtful = 0
    for order in decided(session, asked):
        orders += 1
        found = [
            said
            for said in order.findings
            if asked.policy in ("", said.policy) and said.outcome is not Outcome.NOT_APPLICABLE
        ]
        open_ones = [said for said in found if said.outcome is Outcome.CANNOT_TELL]
        doubtful += bool(open_ones)
        about.update(said.policy for said in found)
        untold.update(said.policy for said in open_ones)
        facts.update((fact, said.policy) for said in open_ones for fact in said.missing)
    rows: list[tuple[Value, ...]] = [
        (policy, about[policy], n, share(n, about[policy]))
        for policy, n in sorted(untold.items(), key=lambda each: (-each[1], each[0]))
    ]
    whole: list[tuple[Value, ...]] = [
        ("Orders checked", orders),
        ("Orders with something that could not be told", doubtful),
    ]
    if not asked.filters:
        whole.append(("Calls without any check", _without(session, asked)))
        whole += [(_REFUSED.get(code, code), n) for code, n in sorted(_unmade(session, asked).items())]
    by_fact = sorted(facts.items(), key=lambda each: (-each[1], each[0]))
    return Report(
        id="unchecked",
        title="Orders that could not be checked",
        definition=DEFINITION,
        asked=asked,
        tables=(
            Table("whole", "All orders", WHOLE, whole),
            Table("policies", "By policy", BY_POLICY, rows, empty="Every policy could tell."),
            Table("facts", "What was missing", BY_FACT, [(fact, policy, n) for (fact, policy), n in by_fact]),
        ),
        picture=Picture(
            "Could not be checked, by policy",
            tuple(str(row[0]) for row in rows),
            {"Orders": tuple(Decimal(untold[str(row[0])]) for row in rows)},
        )
        if rows
        else None,
        limits=(
            "An order that nobody sent here for a check is not in it.",
            "A call that got no check is nobody's: such calls are counted where nothing is narrowed.",
            "Checks not made while the database was away are in the log alone of a process that ended then.",
        ),
    )


#: Why a whole check was not made, as the table says it; another code stands for itself.
_REFUSED = {
    "patient-mismatch": "Checks not made: parts about different patients",
    "foreign-server": "Checks not made: sent for a server that is not registered",
    "timeout": "Checks not made: no answer in time",
    "unavailable": "Checks not made: records could not be reached",
    "fault": "Checks not made: a fault of the service",
    "unusable-id": "Checks not made: an id that cannot be kept",
}


def _unmade(session: Session, asked: Asked) -> Counter[str]:
    """Checks that were not made, by why, as the trail has them."""
    since, until = period(asked)
    c = _events.c
    details = session.connection().execute(
        select(c.detail).where(
            c.organisation_id == asked.organisation_id,
            c.action == "order.not-checked",
            c.at >= since,
            c.at < until,
        )
    )
    return Counter(str(documents.decode_shown(detail)["code"]) for detail in details.scalars())


def _without(session: Session, asked: Asked) -> int:
    since, until = period(asked)
    c = _cards.c
    count: int = (
        session.connection()
        .execute(
            select(func.count())
            .select_from(_cards)
            .where(
                c.organisation_id == asked.organisation_id,
                c.decision_id.is_(None),
                c.shown_at >= since,
                c.shown_at < until,
            )
        )
        .scalar_one()
    )
    return count


LISTED = Listed(
    "unchecked",
    "Orders that could not be checked",
    "What policies could not tell, and for want of which facts.",
    unchecked,
    frozenset({"unit", "prescriber", "policy"}),
)

"""Reports about what one policy looks for: how often it came up, month by month, and what became of it.

Lost prescriptions, long-acting starts, high doses, sedatives beside opioids and naloxone are the same report
of different policies: what differs is declared in ``ABOUT``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import tables
from stewardship.domain.policy import Enforcement, Outcome
from stewardship.reports.decided import Decided, Said, decided, months, period
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Picture, Report, Table, Value, share

_overrides: Any = tables.Override.__table__
_requests: Any = tables.ExceptionRequest.__table__


_AMOUNT = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class About:
    """One such report. ``split`` tells the kinds of case apart, ``by_size`` that they are amounts, which
    stand in their own order, not the commonest first. ``cases`` is what a breach is called, and ``covered``
    is set where what matters is the share in which the policy found what it asks for."""

    id: str
    policy: str
    title: str
    about: str
    definition: str
    cases: str
    split: Callable[[Decided, Said], str] | None = None
    split_title: str = ""
    by_size: bool = False
    covered: str = ""
    limits: tuple[str, ...] = ()


def _loss(order: Decided, _said: Said) -> str:
    return order.ordered.replaces.loss if order.ordered.replaces else "not stated"


def _product(order: Decided, _said: Said) -> str:
    return order.ordered.drug.name if order.ordered.drug else "not recognised"


def _band(_order: Decided, said: Said) -> str:
    """By the total that the policy states with the order, as it says it."""
    return str(said.facts.get("after", "not told"))


ABOUT = (
    About(
        "lost-prescriptions",
        "no-lost-refills",
        "Lost, stolen and destroyed prescriptions",
        "Orders that replace a prescription that was lost, stolen or destroyed.",
        "Orders that were last checked in the period and make good an earlier prescription. By policy they "
        "are blocked; an exception takes two other people and a note on withdrawal.",
        "Requests",
        _loss,
        "What happened",
        limits=("A replacement that nobody called one is not in it; early refills are flags.",),
    ),
    About(
        "long-acting-starts",
        "no-long-acting",
        "Long-acting starts",
        "Orders that would start a long-acting opioid.",
        "Orders that were last checked in the period and would have started a long-acting or "
        "extended-release opioid in somebody who was not established on one.",
        "Starts",
        _product,
        "Product",
    ),
    About(
        "high-dose",
        "high-dose-review",
        "High dose",
        "Orders that bring the daily dose to where the guideline asks for a second look.",
        "Orders that were last checked in the period and bring the patient's daily total (MME, under the "
        "factor set that the policy names) to its threshold or over it.",
        "Orders",
        _band,
        "Daily total with the order",
        by_size=True,
        limits=("A threshold is a reason to look, not a limit; no target dose is implied.",),
    ),
    About(
        "opioid-with-sedative",
        "benzodiazepine-overlap",
        "Opioid with benzodiazepine or another sedative",
        "Orders by which an opioid and a sedating medicine would be taken together.",
        "Orders that were last checked in the period and would be taken on the same days as a "
        "benzodiazepine or another medicine that slows the central nervous system.",
        "Orders",
        _product,
        "Product ordered",
    ),
    About(
        "naloxone-coverage",
        "naloxone-offer",
        "Naloxone coverage",
        "Of the orders for patients at risk, how many had naloxone on record.",
        "Orders that were last checked in the period for patients in whom the policy found a reason to offer "
        "naloxone, or naloxone (or a dated refusal) on record.",
        "Orders without naloxone on record",
        covered="Orders with naloxone, or nothing that asks for it",
        limits=("Not on record is not the same as not at home.",),
    ),
)
BY_MONTH = (
    Column("month", "Month", Kind.ID),
    Column("checked", "Orders checked for it", Kind.COUNT),
    Column("cases", "Cases", Kind.COUNT),
    Column("share", "Share", Kind.SHARE),
    Column("untold", "Could not be checked", Kind.COUNT),
)
OUTCOMES = (
    Column("outcome", "What became of the case"),
    Column("cases", "Cases", Kind.COUNT),
    Column("share", "Share", Kind.SHARE),
)


@dataclass
class _Counted:
    checked: Counter[str]
    cases: Counter[str]
    untold: Counter[str]
    kinds: Counter[str]
    became: Counter[str]


def of_policy(about: About) -> Callable[[Session, Any, Asked], Report]:
    """What makes the report."""

    def make(session: Session, _library: Any, asked: Asked) -> Report:
        counted = _count(session, about, asked)
        rows = [_month(month, counted) for month in months(asked)]
        cases = sum(counted.cases.values())
        found: list[Table] = [Table("months", f"{about.cases} by month", BY_MONTH, rows)]
        if about.split is not None:
            columns = (Column("kind", about.split_title), Column("cases", about.cases, Kind.COUNT))
            order = _by_size if about.by_size else _commonest
            kinds = sorted(counted.kinds.items(), key=order)
            found.append(Table("kinds", f"{about.cases} by {about.split_title.lower()}", columns, kinds))
        became: list[tuple[Value, ...]] = [(k, n, share(n, cases)) for k, n in counted.became.most_common()]
        found.append(Table("outcomes", "What became of them", OUTCOMES, became))
        return Report(
            id=about.id,
            title=about.title,
            definition=about.definition,
            asked=asked,
            tables=tuple(found),
            picture=Picture(
                f"{about.cases} by month",
                months(asked),
                {about.cases: tuple(Decimal(counted.cases[month]) for month in months(asked))},
            ),
            limits=about.limits,
        )

    return make


def _commonest(kind: tuple[str, int]) -> tuple[int, str]:
    return -kind[1], kind[0]


def _by_size(kind: tuple[str, int]) -> tuple[bool, list[Decimal], str]:
    """By the amounts that it names; what names none is last."""
    amounts = [Decimal(digits) for digits in _AMOUNT.findall(kind[0])]
    return not amounts, amounts, kind[0]


def _count(session: Session, about: About, asked: Asked) -> _Counted:
    made = _Counted(Counter(), Counter(), Counter(), Counter(), Counter())
    lifted = _lifted(session, about.policy, asked)
    for order in decided(session, asked):
        said = order.of(about.policy)
        if said is None or said.outcome is Outcome.NOT_APPLICABLE:
            continue
        month = f"{order.at:%Y-%m}"
        made.checked[month] += 1
        if said.outcome is Outcome.CANNOT_TELL:
            made.untold[month] += 1
        elif said.outcome is Outcome.BREACH:
            made.cases[month] += 1
            made.became[_became(order, said, lifted)] += 1
            if about.split is not None:
                made.kinds[about.split(order, said)] += 1
    return made


def _became(order: Decided, said: Said, lifted: dict[str, str]) -> str:
    known = lifted.get(order.id)
    if known is not None:
        return known
    return {
        Enforcement.HARD_STOP: "blocked",
        Enforcement.SOFT_STOP: "not overridden",
        Enforcement.INFORM: "shown",
        Enforcement.SILENT: "recorded, not shown",
    }[said.enforcement]


def _lifted(session: Session, policy: str, asked: Asked) -> dict[str, str]:
    """What people did about the policy's findings, by decision."""
    since, _ = period(asked)
    c = _overrides.c
    mine = (c.organisation_id == asked.organisation_id, c.policy_id == policy, c.at >= since)
    made = {
        row.decision_id: "overridden"
        for row in session.connection().execute(select(c.decision_id).where(*mine))
    }
    r = _requests.c
    requests = select(r.decision_id, r.status).where(
        r.organisation_id == asked.organisation_id, r.policy_id == policy, r.at >= since
    )
    for row in session.connection().execute(requests.order_by(r.at)):
        made[row.decision_id] = f"exception {row.status}"
    return made


def _month(month: str, counted: _Counted) -> tuple[Value, ...]:
    checked, cases = counted.checked[month], counted.cases[month]
    return month, checked, cases, share(cases, checked - counted.untold[month]), counted.untold[month]


LISTED = tuple(
    Listed(about.id, about.title, about.about, of_policy(about), frozenset({"unit", "prescriber"}))
    for about in ABOUT
)

"""Alert burden: how much a prescriber is told about each opioid order, and what became of it.

Counted are findings that are shown; findings of one problem make one card. Before grouping every shown
finding would be a card of its own. An order counts when its product is an opioid for pain, or is not
recognised and may be one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from stewardship.db import documents, findings, tables
from stewardship.domain.drugs import DrugClass
from stewardship.domain.orders import Order
from stewardship.domain.policy import LOUDNESS, Enforcement, Finding, Outcome, Severity
from stewardship.domain.problems import problems

if TYPE_CHECKING:
    from stewardship.services import feedback

_decisions: Any = tables.Decision.__table__
_findings: Any = tables.Finding.__table__

#: Orders of so many days or more are counted apart, as they are for the published implementation: its
#: split of acute from chronic orders is expectedSupplyDuration of 28 days.
_LONG_SUPPLY_DAYS = 28


@dataclass(frozen=True, slots=True)
class Told:
    """What was found about one order. ``kind`` groups orders in a report; ``days`` is the order's supply."""

    findings: tuple[Finding, ...]
    kind: str = ""
    days: int | None = None


@dataclass
class Counts:
    """Orders of a group: how many, how many cards for them, and how many without a card or with a stop."""

    orders: int = 0
    ungrouped: int = 0
    cards: int = 0
    quiet: int = 0
    stopped: int = 0
    blocked: int = 0

    def add(self, told: Told) -> None:
        """Count one more order."""
        shown = [f for f in told.findings if LOUDNESS[f.enforcement]]
        applied = {f.enforcement for f in shown}
        self.orders += 1
        self.ungrouped += len(shown)
        self.cards += len(problems(shown))
        self.quiet += not shown
        self.stopped += bool(applied & {Enforcement.SOFT_STOP, Enforcement.HARD_STOP})
        self.blocked += Enforcement.HARD_STOP in applied


@dataclass
class Answered:
    """What became of the cards that a policy was behind; ``ignored``: nobody reported anything."""

    shown: int = 0
    accepted: int = 0
    overridden: int = 0
    ignored: int = 0


@dataclass
class Burden:
    """The report. ``findings`` are counted by policy, enforcement and outcome, ``leads`` by topic of the
    problem and by the policy that leads it; ``snoozed`` by policy."""

    all: Counts = field(default_factory=Counts)
    long: Counts = field(default_factory=Counts)
    by_kind: dict[str, Counts] = field(default_factory=dict)
    findings: Counter[tuple[str, Enforcement, Outcome]] = field(default_factory=Counter)
    leads: Counter[tuple[str, str]] = field(default_factory=Counter)
    snoozed: Counter[str] = field(default_factory=Counter)
    answered: dict[str, Answered] | None = None


def is_counted(order: Order) -> bool:
    """Whether an order is one of those that the report is about."""
    return order.drug is None or order.drug.is_a(DrugClass.OPIOID_ANALGESIC)


def count(orders: Iterable[Told]) -> Burden:
    """The burden of a stream of orders."""
    burden = Burden()
    for told in orders:
        burden.all.add(told)
        if told.days is not None and told.days >= _LONG_SUPPLY_DAYS:
            burden.long.add(told)
        if told.kind:
            burden.by_kind.setdefault(told.kind, Counts()).add(told)
        for finding in told.findings:
            if LOUDNESS[finding.enforcement]:
                burden.findings[finding.policy, finding.enforcement, finding.outcome] += 1
            if finding.snoozed_until is not None:
                burden.snoozed[finding.policy] += 1
        for problem in problems(told.findings):
            burden.leads[problem.topic, problem.lead.policy] += 1
    return burden


# --- decisions that are on record -------------------------------------------------------------------


def stored(
    session: Session, *, organisation_id: str, since: datetime | None = None, until: datetime | None = None
) -> Burden:
    """The burden of an organisation's decisions about opioid orders, from ``since`` on, before ``until``."""
    asked = (
        select(
            _decisions.c.id,
            _decisions.c.channel,
            _decisions.c.order_document,
            _decisions.c.silent_document,
            _findings.c.document,
        )
        .outerjoin(
            _findings,
            and_(
                _findings.c.organisation_id == _decisions.c.organisation_id,
                _findings.c.decision_id == _decisions.c.id,
            ),
        )
        .where(_decisions.c.organisation_id == organisation_id, _decisions.c.order_document.is_not(None))
        .order_by(_decisions.c.id)
    )
    if since is not None:
        asked = asked.where(_decisions.c.as_of >= since)
    if until is not None:
        asked = asked.where(_decisions.c.as_of < until)
    return count(_told(session.connection().execution_options(yield_per=1000).execute(asked)))


def _told(rows: Iterable[Any]) -> Iterable[Told]:
    for _, several in groupby(rows, key=attrgetter("id")):
        of_decision = list(several)
        decision = of_decision[0]
        order = documents.decode(decision.order_document, Order)
        if is_counted(order):
            aloud = [row.document for row in of_decision if row.document is not None]
            said = findings.all_of(decision.silent_document, aloud)
            yield Told(tuple(_finding(one) for one in said), decision.channel, order.days)


def _finding(said: Mapping[str, Any]) -> Finding:
    """What the report needs of a finding on record."""
    rests = said.get("snoozed_until")
    return Finding(
        policy=said["policy"],
        version=said["version"],
        outcome=Outcome(said["outcome"]),
        enforcement=Enforcement(said["enforcement"]),
        severity=Severity(said["severity"]),
        topic=said["topic"],
        snoozed_until=rests and datetime.fromisoformat(rests).date(),
    )


def answers(outcomes: Iterable[feedback.Outcome]) -> dict[str, Answered]:
    """What became of cards, by policy: a card counts for every policy behind it."""
    found: dict[str, Answered] = {}
    for outcome in outcomes:
        for policy in outcome.card.policies:
            of_policy = found.setdefault(policy, Answered())
            of_policy.shown += 1
            ended = outcome.status.value
            setattr(of_policy, ended, getattr(of_policy, ended) + 1)
    return dict(sorted(found.items()))


# --- as figures -------------------------------------------------------------------------------------


def per(part: int, whole: int, *, times: int = 1) -> Decimal:
    """``part`` of ``whole``, times so many, to two decimals; nothing of nothing is 0."""
    if not whole:
        return Decimal(0)
    return (Decimal(part * times) / whole).quantize(Decimal("0.01"), ROUND_HALF_UP)


def as_json(burden: Burden) -> dict[str, Any]:
    """The report for programs."""
    said: dict[str, Any] = {
        **_counts_json(burden.all),
        f"orders_of_{_LONG_SUPPLY_DAYS}_days_or_more": _counts_json(burden.long),
        "findings": [
            {
                "policy": policy,
                "enforcement": enforcement.value,
                "outcome": outcome.value,
                "count": number,
                "per_100_orders": per(number, burden.all.orders, times=100),
            }
            for (policy, enforcement, outcome), number in sorted(burden.findings.items())
        ],
        "cards": [
            {
                "topic": topic,
                "lead": lead,
                "count": number,
                "per_100_orders": per(number, burden.all.orders, times=100),
            }
            for (topic, lead), number in burden.leads.most_common()
        ],
        "kinds": {kind: _counts_json(counts) for kind, counts in sorted(burden.by_kind.items())},
        "snoozed": dict(sorted(burden.snoozed.items())),
    }
    if burden.answered is not None:
        said["answers"] = {
            policy: {
                "shown": one.shown,
                "accepted": one.accepted,
                "overridden": one.overridden,
                "ignored": one.ignored,
            }
            for policy, one in burden.answered.items()
        }
    return said


def _counts_json(counts: Counts) -> dict[str, Any]:
    return {
        "orders": counts.orders,
        "cards_per_order_ungrouped": per(counts.ungrouped, counts.orders),
        "cards_per_order": per(counts.cards, counts.orders),
        "percent_without_card": per(counts.quiet, counts.orders, times=100),
        "percent_with_stop": per(counts.stopped, counts.orders, times=100),
        "percent_blocked": per(counts.blocked, counts.orders, times=100),
    }


_HEAD = " ".join(
    [f"{'':34}", f"{'orders':>7}", "cards each", " ungrouped", " no card", "   stop", " blocked"]
)
_FINDINGS_HEAD = " ".join(
    [f"{'findings shown per 100 orders':34}", "  inform", " soft-stop", " hard-stop", " not checked"]
)


def lines(burden: Burden) -> list[str]:
    """The report as a text table."""
    whole = burden.all
    kinds = sorted(burden.by_kind.items(), key=lambda pair: -pair[1].orders)
    told = [
        f"{whole.orders:,} opioid orders. Cards each: one a problem; ungrouped: one a finding.",
        "",
        _HEAD,
        _counts_line("all", whole),
        _counts_line(f"of {_LONG_SUPPLY_DAYS} days or more", burden.long),
        *(_counts_line(f"  {kind}", counts) for kind, counts in kinds),
        "",
        _FINDINGS_HEAD,
        *_finding_lines(burden),
        "",
        f"{'cards per 100 orders, by topic':34} {'':>8}  led by",
        *(
            f"{topic:34} {per(number, whole.orders, times=100):>8}  {lead}"
            for (topic, lead), number in burden.leads.most_common()
        ),
    ]
    if burden.snoozed:
        told += ["", "findings at rest (snoozed)"]
        told += [f"{policy:34} {number:>8}" for policy, number in sorted(burden.snoozed.items())]
    if burden.answered is not None:
        told += ["", f"{'cards':34} {'shown':>8} {'accepted':>9} {'overridden':>11} {'ignored':>8}"]
        told += [
            f"{policy:34} {one.shown:>8} {one.accepted:>9} {one.overridden:>11} {one.ignored:>8}"
            for policy, one in burden.answered.items()
        ]
    return told


def _counts_line(name: str, counts: Counts) -> str:
    orders = counts.orders
    return (
        f"{name:34} {orders:>7,} {per(counts.cards, orders):>10} {per(counts.ungrouped, orders):>10} "
        f"{per(counts.quiet, orders, times=100):>7}% {per(counts.stopped, orders, times=100):>6}% "
        f"{per(counts.blocked, orders, times=100):>7}%"
    )


def _finding_lines(burden: Burden) -> Iterable[str]:
    """A line a policy, the loudest first: breaches by enforcement, then what could not be checked."""
    totals: Counter[str] = Counter()
    for (policy, _, _), number in burden.findings.items():
        totals[policy] += number
    orders = burden.all.orders
    for policy, _ in totals.most_common():
        found = {
            enforcement: burden.findings[policy, enforcement, Outcome.BREACH]
            for enforcement in (Enforcement.INFORM, Enforcement.SOFT_STOP, Enforcement.HARD_STOP)
        }
        unchecked = sum(
            number
            for (name, _, outcome), number in burden.findings.items()
            if name == policy and outcome is Outcome.CANNOT_TELL
        )
        columns = [per(number, orders, times=100) for number in (*found.values(), unchecked)]
        yield f"{policy:34} {columns[0]:>8} {columns[1]:>10} {columns[2]:>10} {columns[3]:>12}"

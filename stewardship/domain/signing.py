"""Orders that are signed together: each is judged with the others beside it, and without its own record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from stewardship.domain.chart import Chart
from stewardship.domain.errors import PatientMismatch
from stewardship.domain.orders import Order, Supply, SupplyKind
from stewardship.domain.policy import Decision, Policy, decide


@dataclass(frozen=True, slots=True)
class Judged:
    """An order, the chart on which it was judged, and what was decided. ``order`` is ``None`` when only
    the chart was looked at."""

    order: Order | None
    chart: Chart
    decision: Decision


def judge(policies: Iterable[Policy], orders: Sequence[Order], chart: Chart) -> tuple[Judged, ...]:
    """Judge each selected order on its own chart, in which the other drafts count as supply.

    When none is selected all are judged, for an order that nobody looked at must not come back as clear.
    Without orders the chart alone is looked at.
    """
    if any(order.patient_id != chart.patient.id for order in orders):
        raise PatientMismatch("the order and what came with it speak of different patients")
    policies = tuple(policies)
    if not orders:
        return (Judged(None, chart, decide(policies, None, chart)),)
    judged = []
    for order in [o for o in orders if o.selected] or orders:
        own = _own_chart(order, [o for o in orders if o is not order], chart)
        judged.append(Judged(order, own, decide(policies, order, own)))
    return tuple(judged)


def _own_chart(order: Order, others: Sequence[Order], chart: Chart) -> Chart:
    """An order that is signed again is not its own history; what is signed with it is."""
    drafts = tuple(as_supply(other, SupplyKind.DRAFT) for other in others)
    supplies = tuple(s for s in chart.supplies if s.id != order.id or s.kind is not SupplyKind.PRESCRIPTION)
    if not drafts and len(supplies) == len(chart.supplies):
        return chart
    return replace(chart, supplies=supplies + drafts)


def as_supply(order: Order, kind: SupplyKind) -> Supply:
    """An order seen as a supply: a prescription once it was submitted, a draft beside another order."""
    return Supply(
        id=order.id,
        kind=kind,
        medication=order.medication,
        drug=order.drug,
        start_on=order.starts_on,
        dosage=order.dosage,
        quantity=order.quantity,
        days_supply=order.days_supply,
        refills=order.refills,
        status="active",
        prescription=order.id,
        prescriber=order.prescriber,
        replaces=order.replaces,
        setting=order.setting,
        reasons=order.pain.reasons,
        reason_sets=order.pain.reason_sets,
    )

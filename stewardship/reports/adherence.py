"""Policy adherence: of the orders that a policy was about, how many kept to it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy.orm import Session

from stewardship.domain.policy import Outcome
from stewardship.reports.decided import decided
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Picture, Report, Table, share

DEFINITION = (
    "Orders that were last checked in the period, each counted once for every policy that was about it. An "
    "order keeps to a policy when the policy found nothing to object; adherence is the share of those among "
    "the orders that could be checked and were not exempt. An order that was changed after a finding counts "
    "as it was last checked."
)
COLUMNS = (
    Column("policy", "Policy", Kind.ID),
    Column("about", "Orders it was about", Kind.COUNT),
    Column("kept", "Kept to", Kind.COUNT),
    Column("breached", "Not kept to", Kind.COUNT),
    Column("exempt", "Exempt", Kind.COUNT),
    Column("untold", "Could not be checked", Kind.COUNT),
    Column("adherence", "Adherence", Kind.SHARE),
)


def adherence(session: Session, _library: Any, asked: Asked) -> Report:
    """The report."""
    counts: Counter[tuple[str, Outcome]] = Counter()
    orders = 0
    for order in decided(session, asked):
        orders += 1
        for found in order.findings:
            if not asked.policy or found.policy == asked.policy:
                counts[found.policy, found.outcome] += 1
    rows = [_row(policy, counts) for policy in sorted({policy for policy, _ in counts})]
    rows = [row for row in rows if row[1]]
    return Report(
        id="adherence",
        title="Policy adherence",
        definition=DEFINITION,
        asked=asked,
        tables=(
            Table(
                "policies",
                "Orders by policy",
                COLUMNS,
                rows,
                note=f"{orders} orders were checked in the period.",
            ),
        ),
        picture=Picture(
            "Adherence by policy",
            tuple(str(row[0]) for row in rows),
            {"Adherence": tuple(row[6] for row in rows)},
            "%",
        )
        if rows
        else None,
        limits=(
            "It says whether orders kept to policies, not whether patients did well.",
            "An order that nobody sent here for a check is not in it.",
        ),
    )


def _row(policy: str, counts: Counter[tuple[str, Outcome]]) -> tuple[Any, ...]:
    kept, breached = counts[policy, Outcome.PASS], counts[policy, Outcome.BREACH]
    exempt, untold = counts[policy, Outcome.EXEMPT], counts[policy, Outcome.CANNOT_TELL]
    about = kept + breached + exempt + untold
    return policy, about, kept, breached, exempt, untold, share(kept, kept + breached)


LISTED = Listed(
    "adherence",
    "Policy adherence",
    "Of the orders that a policy was about, how many kept to it.",
    adherence,
    frozenset({"unit", "prescriber", "policy"}),
)

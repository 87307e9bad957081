"""Alert usefulness: what became of the cards that were shown, and rules that nobody heeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from stewardship.db import documents, tables
from stewardship.db.tables import CardOutcome
from stewardship.reports.decided import period
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Picture, Report, Table, Value, share

_cards: Any = tables.Card.__table__
_feedback: Any = tables.CardFeedback.__table__

DEFINITION = (
    "Cards that were shown in the period; a card counts for each policy behind it. Accepted or overridden is "
    "what the record system reported last about it; ignored means that nothing was reported. Heeded is the "
    "share accepted of those that were answered."
)
COLUMNS = (
    Column("policy", "Policy", Kind.ID),
    Column("shown", "Shown", Kind.COUNT),
    Column("accepted", "Accepted", Kind.COUNT),
    Column("overridden", "Overridden", Kind.COUNT),
    Column("ignored", "Ignored", Kind.COUNT),
    Column("heeded", "Heeded", Kind.SHARE),
)
UNHEEDED = (Column("policy", "Policy", Kind.ID), Column("answered", "Times answered", Kind.COUNT))


def usefulness(session: Session, _library: Any, asked: Asked) -> Report:
    """The report."""
    became = _became(session, asked)
    shown: Counter[str] = Counter()
    ended: Counter[tuple[str, str]] = Counter()
    for card in _shown(session, asked):
        for policy in documents.decode(card.policies, tuple[str, ...]):
            if asked.policy in ("", policy):
                shown[policy] += 1
                ended[policy, became.get(card.id, "ignored")] += 1
    rows: list[tuple[Value, ...]] = []
    unheeded: list[tuple[Value, ...]] = []
    for policy in sorted(shown):
        yes, no = ended[policy, CardOutcome.ACCEPTED.value], ended[policy, CardOutcome.OVERRIDDEN.value]
        rows.append((policy, shown[policy], yes, no, ended[policy, "ignored"], share(yes, yes + no)))
        if no and not yes:
            unheeded.append((policy, no))
    return Report(
        id="alert-usefulness",
        title="Alert usefulness",
        definition=DEFINITION,
        asked=asked,
        tables=(
            Table("policies", "Cards by policy", COLUMNS, rows),
            Table(
                "unheeded",
                "Rules that nobody heeded",
                UNHEEDED,
                unheeded,
                empty="Every rule whose cards were answered was heeded by somebody.",
            ),
        ),
        picture=Picture(
            "Cards shown, and those accepted",
            tuple(str(row[0]) for row in rows),
            {
                "Shown": tuple(Decimal(shown[str(row[0])]) for row in rows),
                "Accepted": tuple(Decimal(ended[str(row[0]), "accepted"]) for row in rows),
            },
        )
        if rows
        else None,
        limits=(
            "A card that was ignored may have been read; record systems report what was clicked.",
            "A rule that is seldom heeded may be wrong, or may be one that has to be said all the same.",
        ),
    )


def _shown(session: Session, asked: Asked) -> Iterator[Row[Any]]:
    since, until = period(asked)
    c = _cards.c
    mine = select(c.id, c.policies).where(
        c.organisation_id == asked.organisation_id, c.shown_at >= since, c.shown_at < until
    )
    return iter(session.connection().execution_options(yield_per=1000).execute(mine.order_by(c.id)))


def _became(session: Session, asked: Asked) -> dict[str, str]:
    """What was last reported about each card."""
    since, until = period(asked)
    f, c = _feedback.c, _cards.c
    same = (c.organisation_id == f.organisation_id) & (c.id == f.card_id)
    reported = (
        select(f.card_id, f.outcome)
        .join(_cards, same)
        .where(f.organisation_id == asked.organisation_id, c.shown_at >= since, c.shown_at < until)
    )
    rows = session.connection().execute(reported.order_by(f.at, f.outcome))
    return {row.card_id: row.outcome for row in rows}


LISTED = Listed(
    "alert-usefulness",
    "Alert usefulness",
    "Cards shown, accepted, overridden and ignored; rules that nobody heeds.",
    usefulness,
    frozenset({"policy"}),
)

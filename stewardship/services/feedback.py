"""Cards that were shown, and what prescribers did about them as their EHR reports it.

A card has one of three outcomes: accepted, overridden, or ignored, which is what no report means. A card
may be reported several times; all reports are kept, and the one about the latest moment counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import documents, tables
from stewardship.db.patients import insert_once
from stewardship.db.prepared import Prepared
from stewardship.db.tables import CardOutcome
from stewardship.domain.errors import NotFound
from stewardship.domain.people import Principal
from stewardship.services import audit

__all__ = ["CardOutcome", "CardStatus", "Outcome", "Report", "ShownCard", "cards_shown", "give", "outcomes"]

_cards: Any = tables.Card.__table__
_feedback: Any = tables.CardFeedback.__table__
_INSERT_CARD = Prepared.insert(_cards)


@dataclass(frozen=True, slots=True)
class ShownCard:
    """A card that goes out. ``policies`` are those behind it, the leading one first; ``decision_id`` is
    ``None`` for a card that says that something was not checked."""

    uuid: str
    decision_id: str | None
    policies: tuple[str, ...]
    enforcement: str
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody did about a card at a moment, by the EHR's clock. ``accepted`` are the ids of the
    suggestions that were taken; reason and comment are those of an override."""

    card: str
    outcome: CardOutcome
    accepted: tuple[str, ...] = ()
    reason_code: str = ""
    reason_system: str = ""
    comment: str = ""
    at: datetime = field(kw_only=True)


class CardStatus(StrEnum):
    """How a card ended."""

    ACCEPTED = "accepted"
    OVERRIDDEN = "overridden"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A card that was shown, how it ended, and the report that says so (``None`` for an ignored one)."""

    card: ShownCard
    shown_at: datetime
    status: CardStatus
    report: Report | None = None


def cards_shown(session: Session, cards: Sequence[ShownCard], *, by: Principal, now: datetime) -> None:
    """Keep which cards an answer shows. The audit entries of their decisions vouch for what they say."""
    if not cards:
        return
    _INSERT_CARD.run(
        session,
        [
            {
                "organisation_id": by.organisation_id,
                "id": card.uuid,
                "decision_id": card.decision_id,
                "policies": documents.encode(card.policies),
                "topic": card.topic,
                "enforcement": card.enforcement,
                "shown_at": now.astimezone(UTC),
                "by_user": by.user_id,
            }
            for card in cards
        ],
    )


def give(session: Session, *, service: str, reports: Sequence[Report], by: Principal, now: datetime) -> int:
    """Keep what an EHR reports; how many of the reports are new.

    A report of the same card and moment as an earlier one changes nothing. Raises ``NotFound`` when one of
    the cards is unknown in the organisation, and then none of the reports is kept.
    """
    _refuse_unknown(session, {report.card for report in reports}, by)
    kept = 0
    for report in reports:
        row = {
            "organisation_id": by.organisation_id,
            "card_id": report.card,
            "at": report.at.astimezone(UTC),
            "outcome": CardOutcome(report.outcome).value,
            "accepted": documents.encode(report.accepted),
            "reason_code": report.reason_code,
            "reason_system": report.reason_system,
            "comment": report.comment,
            "service": service,
            "by_user": by.user_id,
            "by_role": by.role.value,
            "received_at": now.astimezone(UTC),
        }
        if not insert_once(session, _feedback, row):
            continue
        kept += 1
        detail = {
            "outcome": row["outcome"],
            "reported_for": row["at"],
            "accepted": report.accepted,
            "reason": report.reason_code,
            "comment": audit.keyed_hash(session, report.comment),
        }
        audit.record(session, "card.feedback", subject=report.card, by=by, now=now, detail=detail)
    return kept


def outcomes(
    session: Session, *, organisation_id: str, since: datetime | None = None, until: datetime | None = None
) -> tuple[Outcome, ...]:
    """How the cards ended that were shown from ``since`` on and before ``until``, in the order shown."""
    asked = select(_cards).where(_cards.c.organisation_id == organisation_id)
    reported = (
        select(_feedback)
        .join(
            _cards,
            (_cards.c.organisation_id == _feedback.c.organisation_id) & (_cards.c.id == _feedback.c.card_id),
        )
        .where(_feedback.c.organisation_id == organisation_id)
    )
    if since is not None:
        asked, reported = (one.where(_cards.c.shown_at >= since) for one in (asked, reported))
    if until is not None:
        asked, reported = (one.where(_cards.c.shown_at < until) for one in (asked, reported))
    latest = _latest(session.connection().execute(reported))
    rows = session.connection().execute(asked.order_by(_cards.c.shown_at, _cards.c.id))
    return tuple(_outcome(row, latest.get(row.id)) for row in rows)


def _latest(rows: Iterable[Any]) -> dict[str, Any]:
    """The report that counts, by card. A moment that the EHR's clock has ahead of ours is when we heard."""
    found: dict[str, Any] = {}
    for row in sorted(rows, key=lambda r: (min(r.at, r.received_at), r.received_at, r.at)):
        found[row.card_id] = row
    return found


def _outcome(row: Any, said: Any | None) -> Outcome:
    policies = documents.decode(row.policies, list[str])
    card = ShownCard(row.id, row.decision_id, tuple(policies), row.enforcement, row.topic)
    if said is None:
        return Outcome(card, row.shown_at, CardStatus.IGNORED)
    report = Report(
        card=row.id,
        outcome=CardOutcome(said.outcome),
        accepted=tuple(documents.decode(said.accepted, list[str])),
        reason_code=said.reason_code,
        reason_system=said.reason_system,
        comment=said.comment,
        at=said.at,
    )
    return Outcome(card, row.shown_at, CardStatus(said.outcome), report)


def _refuse_unknown(session: Session, cards: set[str], by: Principal) -> None:
    asked = select(_cards.c.id).where(_cards.c.organisation_id == by.organisation_id, _cards.c.id.in_(cards))
    if len(session.connection().execute(asked).all()) != len(cards):
        raise NotFound("there is no such card")

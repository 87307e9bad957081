"""Requests for exceptions as people countersign them: what is against the order, who may sign, who did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import tables
from stewardship.db.tables import ExceptionStatus
from stewardship.domain.people import Principal
from stewardship.services import standing
from stewardship.services.standing import ExceptionState

#: The most requests of a kind that are told at once.
MOST_LISTED = 100

_requests: Any = tables.ExceptionRequest.__table__
_decisions: Any = tables.Decision.__table__
_patients: Any = tables.Patient.__table__


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with what it is about. ``said`` is the finding in its words, ``path`` the exception path of
    its policy's version: who signs. ``number`` is the EHR's id of the patient."""

    state: ExceptionState
    number: str
    order: str | None
    said: Mapping[str, Any]
    path: Mapping[str, Any]

    def bar(self, by: Principal) -> str:
        """Why this person cannot sign it, in a code; empty when he can."""
        if self.state.requested_by == by.user_id:
            return "own-request"
        if by.role.value not in self.path["roles"]:
            return "role"
        if any(one.by_user == by.user_id for one in self.state.signatures):
            return "already-signed"
        return ""


def listed(session: Session, *, waiting: bool, by: Principal, limit: int = MOST_LISTED) -> tuple[Asked, ...]:
    """The requests that wait for signatures, the oldest first; or those that are settled, the last first."""
    is_open = _requests.c.status == ExceptionStatus.OPEN.value
    order = _requests.c.at if waiting else _requests.c.closed_at.desc()
    asked = (
        select(_requests, _decisions.c.order_id, _patients.c.ehr_id)
        .join(
            _decisions,
            (_decisions.c.organisation_id == _requests.c.organisation_id)
            & (_decisions.c.id == _requests.c.decision_id),
        )
        .join(
            _patients,
            (_patients.c.organisation_id == _decisions.c.organisation_id)
            & (_patients.c.id == _decisions.c.patient_id),
        )
        .where(_requests.c.organisation_id == by.organisation_id, is_open if waiting else ~is_open)
        .order_by(order, _requests.c.id)
        .limit(min(limit, MOST_LISTED))
    )
    return tuple(_asked(session, row, by) for row in session.connection().execute(asked).all())


def _asked(session: Session, row: Any, by: Principal) -> Asked:
    stored = standing.read(session, row.decision_id, by=by)
    (found,) = [one for one in stored.findings if one.policy == row.policy_id]
    path = standing.exception_path(session, row)
    return Asked(standing.state_of(session, row), row.ehr_id, row.order_id, found.said, path)

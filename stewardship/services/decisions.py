"""What people do about a decision: override a soft stop, ask for an exception, countersign another's."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, update
from sqlalchemy.orm import Session

from stewardship.db import tables
from stewardship.db.engine import new_id
from stewardship.db.patients import insert_once
from stewardship.db.tables import ExceptionStatus
from stewardship.domain.errors import Conflict, Fault, Forbidden, InvalidInput
from stewardship.domain.identity import OverrideTerms
from stewardship.domain.people import Principal, Role
from stewardship.domain.policy import Enforcement
from stewardship.services import answers, audit, override_watch, policy_versions, prescribers
from stewardship.services.standing import (
    ExceptionState,
    OverrideRecord,
    StoredDecision,
    exception_json,
    exception_path,
    finding_row,
    read,
    read_exception,
    request_row,
    rows_of,
    signatures,
    state_of,
    still_missing,
    stored_json,
)

__all__ = [
    "ExceptionState",
    "OverrideRecord",
    "StoredDecision",
    "countersign",
    "exception_json",
    "override",
    "read",
    "read_exception",
    "request_exception",
    "stored_json",
]

#: Characters of a comment or note, and of a reason in words, at the most; as long as their columns.
LONGEST_NOTE = 4000
LONGEST_REASON = 500

_overrides: Any = tables.Override.__table__
_requests: Any = tables.ExceptionRequest.__table__
_signatures: Any = tables.Countersignature.__table__


# --- overriding ----------------------------------------------------------------------------------


def override(
    session: Session,
    decision_id: str,
    policy_id: str,
    *,
    reason: str,
    comment: str = "",
    terms: OverrideTerms | None = None,
    by: Principal,
    now: datetime,
) -> OverrideRecord:
    """Override a soft stop with one of its policy version's coded reasons.

    By the terms, overrides that come too fast are on record as an incident; without terms nobody counts.
    Raises ``Forbidden`` for anybody but a prescriber, ``Conflict`` when it is no soft stop or was overridden
    before (the text names by whom and when), ``InvalidInput`` for a reason that is not one of the policy's.
    """
    found = finding_row(session, decision_id, policy_id, by)
    only_prescribers(by, "override a soft stop")
    if found.enforcement != Enforcement.SOFT_STOP.value:
        raise Conflict(
            f"{policy_id} is no soft stop of this decision: there is nothing to override", code="no-stop"
        )
    refuse_uncoded(reason, policy_versions.words_of_finding(session, found)["override_reasons"])
    comment = _words(comment, "/comment")
    row = {
        "organisation_id": by.organisation_id,
        "decision_id": decision_id,
        "policy_id": policy_id,
        "reason": reason,
        "comment": comment,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }
    if not insert_once(session, _overrides, row):
        first = _finding_of(session, _overrides, row)[0]
        raise Conflict(
            f"{policy_id} was overridden by {first.by_user} at {answers.instant_json(first.at)}",
            code="already-overridden",
        )
    detail = {"policy": policy_id, "reason": reason, "comment": audit.keyed_hash(session, comment)}
    audit.record(session, "finding.overridden", subject=decision_id, by=by, now=now, detail=detail)
    if terms is not None:
        override_watch.look(session, terms=terms, by=by, now=now)
    return OverrideRecord(policy_id, reason, comment, by.user_id, now)


# --- exceptions ----------------------------------------------------------------------------------


def request_exception(
    session: Session,
    decision_id: str,
    policy_id: str,
    *,
    reason: str,
    note: str = "",
    by: Principal,
    now: datetime,
) -> str:
    """Ask that a hard stop be lifted, along the exception path of its policy; the request's id.

    The reason is one of the policy's coded reasons where it has any. Raises ``Conflict`` when the policy
    has no such path, or a request is open or approved already.
    """
    found = finding_row(session, decision_id, policy_id, by)
    only_prescribers(by, "ask for an exception")
    if found.enforcement != Enforcement.HARD_STOP.value:
        raise Conflict(f"{policy_id} is no hard stop of this decision", code="no-stop")
    words = policy_versions.words_of_finding(session, found)
    if words["exception"] is None:
        raise Conflict(f"{policy_id} has no exception path: change the order", code="no-exception")
    prescribers.refuse_unqualified(session, words["exception"], as_a="requester", by=by, on=now.date())
    if words["override_reasons"]:
        refuse_uncoded(reason, words["override_reasons"])
    elif not visible(reason):
        raise invalid("/reason", "required", "say why")
    reason = _words(reason, "/reason", LONGEST_REASON)
    note = _words(note, "/note")
    wanted = words["exception"]["requires_note"]
    if wanted and not visible(note):
        raise invalid("/note", "required", f"this exception needs a note: {wanted}")
    row = {
        "organisation_id": by.organisation_id,
        "id": new_id(now),
        "decision_id": decision_id,
        "policy_id": policy_id,
        "reason": reason,
        "note": note,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
        "status": ExceptionStatus.OPEN.value,
    }
    if not insert_once(session, _requests, row):
        asked = _finding_of(session, _requests, row)
        standing = next(one for one in asked if one.status != ExceptionStatus.DECLINED.value)
        raise Conflict(
            f"an exception to {policy_id} was asked for by {standing.by_user} at "
            f"{answers.instant_json(standing.at)} and is {standing.status}",
            code="already-requested",
        )
    detail = {
        "exception": row["id"],
        "policy": policy_id,
        "reason": audit.keyed_hash(session, reason),
        "note": audit.keyed_hash(session, note),
    }
    audit.record(session, "exception.requested", subject=decision_id, by=by, now=now, detail=detail)
    return str(row["id"])


def countersign(
    session: Session,
    exception_id: str,
    *,
    approve: bool = True,
    note: str = "",
    by: Principal,
    now: datetime,
) -> ExceptionState:
    """Say yes or no to another person's request, once.

    It is approved when enough people of the path's roles have said yes, among them one of each role that
    must be included; one no declines it. Raises ``Forbidden`` for the requester and for other roles,
    ``Conflict`` for a second signature of one person or a request that is closed.
    """
    request = request_row(session, exception_id, by, lock=True)
    path = exception_path(session, request)
    if by.user_id == request.by_user:
        raise Forbidden("nobody countersigns a request of their own", code="own-request")
    if by.role.value not in path["roles"]:
        raise Forbidden(f"this exception is countersigned by: {', '.join(path['roles'])}", code="role")
    if approve and by.role is Role.PRESCRIBER:
        prescribers.refuse_unqualified(session, path, as_a="countersigner", by=by, on=now.date())
    if request.status != ExceptionStatus.OPEN.value:
        closed = answers.instant_json(request.closed_at)
        raise Conflict(f"the request was {request.status} at {closed}", code="closed")
    note = _words(note, "/note")
    row = {
        "organisation_id": by.organisation_id,
        "exception_id": exception_id,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "approve": approve,
        "note": note,
        "at": now,
    }
    if not insert_once(session, _signatures, row):
        raise Conflict("you have signed this request already", code="already-signed")
    status = _close(session, request, path, approve=approve, now=now)
    detail = {
        "exception": exception_id,
        "policy": request.policy_id,
        "approve": approve,
        "status": status.value,
        "note": audit.keyed_hash(session, note),
    }
    audit.record(
        session, "exception.countersigned", subject=request.decision_id, by=by, now=now, detail=detail
    )
    return state_of(session, request_row(session, exception_id, by))


def _close(
    session: Session, request: Row[Any], path: Mapping[str, Any], *, approve: bool, now: datetime
) -> ExceptionStatus:
    """Where the request stands after a signature; written down when that closes it."""
    missing, roles = still_missing(path, signatures(session, request))
    if approve and (missing or roles):
        return ExceptionStatus.OPEN
    status = ExceptionStatus.APPROVED if approve else ExceptionStatus.DECLINED
    session.connection().execute(
        update(_requests)
        .where(_requests.c.organisation_id == request.organisation_id, _requests.c.id == request.id)
        .values(status=status.value, closed_at=now)
    )
    return status


# --- what is refused -----------------------------------------------------------------------------


def visible(text: str) -> bool:
    """Whether a person would see anything of it: not blank, not only zero-width or control characters."""
    return any(unicodedata.category(character)[0] not in "CZM" for character in text)


def _words(text: str, pointer: str, longest: int = LONGEST_NOTE) -> str:
    """Free text as it is kept: trimmed; refused when it is too long or holds what cannot be stored."""
    trimmed = text.strip()
    if len(trimmed) > longest or "\x00" in trimmed:
        raise invalid(pointer, "text", f"write at most {longest} characters, none of them NUL")
    return trimmed


def refuse_uncoded(reason: str, reasons: Iterable[Mapping[str, str]]) -> None:
    """Refuse a reason that is not one of the policy's coded ones."""
    codes = [one["code"] for one in reasons]
    if reason not in codes:
        raise invalid(
            "/reason", "reason", f"give one of the policy's reasons: {', '.join(codes) or 'it has none'}"
        )


def invalid(pointer: str, code: str, message: str) -> InvalidInput:
    """What is wrong at one place of the input."""
    return InvalidInput(message, faults=(Fault(pointer, code, message),))


def only_prescribers(by: Principal, what: str) -> None:
    """Refuse anybody but a prescriber."""
    if by.role is not Role.PRESCRIBER:
        raise Forbidden(f"only a prescriber may {what}", code="role")


def _finding_of(session: Session, table: Any, row: Mapping[str, Any]) -> list[Row[Any]]:
    """What a table already holds about the finding that a row is about."""
    return rows_of(session, table, {n: row[n] for n in ("organisation_id", "decision_id", "policy_id")})

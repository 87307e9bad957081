"""Findings put to rest: with a coded reason, an owner and a last day, for one policy, patient and drug.

Nothing is edited: a snooze is a row, and so is its end before the day. Compliance sees them all. What a
snooze rests is decided by the domain, which never rests a hard stop or a finding louder than the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Row, and_, or_, select
from sqlalchemy.orm import Session

from stewardship.db import documents, tables
from stewardship.db.engine import new_id
from stewardship.db.findings import FindingRow
from stewardship.db.patients import insert_once
from stewardship.domain.errors import Conflict, Forbidden, NotFound
from stewardship.domain.orders import Order
from stewardship.domain.people import Principal, Role
from stewardship.domain.policy import Enforcement, Outcome
from stewardship.services import answers, audit, policy_versions
from stewardship.services.decisions import invalid, only_prescribers, refuse_uncoded
from stewardship.services.standing import finding_row, rows_of

#: Who may end a snooze before its day: its kind of owner, and who looks after all of them.
_MAY_END = (Role.PRESCRIBER, Role.COMPLIANCE)
_MAY_REST = (Enforcement.INFORM.value, Enforcement.SOFT_STOP.value)

_snoozes: Any = tables.Snooze.__table__
_ends: Any = tables.SnoozeEnd.__table__
_patients: Any = tables.Patient.__table__


class Limits(Protocol):
    """The part of the library that says how long a snooze may be."""

    @property
    def snooze_days(self) -> int:
        """Days, at the most."""
        ...


@dataclass(frozen=True)
class SnoozeRecord:
    """A snooze with its owner, and who ended it before its day if anybody did.

    ``patient_id`` is the EHR's; ``drug`` the opioid ingredients of the order, ``""`` for every order.
    ``until`` is the last day of rest.
    """

    id: str
    policy: str
    patient_id: str
    drug: str
    decision_id: str
    enforcement: Enforcement
    reason: str
    from_on: date
    until: date
    by_user: str
    by_role: str
    at: datetime
    ended_by: str | None = None
    ended_at: datetime | None = None


def snooze(
    session: Session,
    library: Limits,
    decision_id: str,
    policy_id: str,
    *,
    reason: str,
    until: date,
    by: Principal,
    now: datetime,
) -> SnoozeRecord:
    """Put a finding of a decision to rest until a day, that day included.

    It rests the policy's later findings about the patient and the ordered drug, as loud as this one or
    softer; about any order when the finding was about the chart alone. Raises ``Forbidden`` for anybody but
    a prescriber, ``Conflict`` for a finding that cannot rest or was put to rest before (the text names by
    whom and when), ``InvalidInput`` for a reason that is not the policy's and a day that is not allowed.
    """
    found = finding_row(session, decision_id, policy_id, by)
    only_prescribers(by, "snooze a finding")
    _refuse_restless(found, policy_id)
    refuse_uncoded(reason, policy_versions.words_of_finding(session, found)["override_reasons"])
    today, last = now.date(), now.date() + timedelta(days=library.snooze_days)
    if not today < until <= last:
        words = f"give a day after {today}, and {last} at the latest"
        raise invalid("/until", "until", words)
    decision = _decision(session, decision_id, by)
    row = {
        "organisation_id": by.organisation_id,
        "id": new_id(now),
        "patient_id": decision.patient_id,
        "decision_id": decision_id,
        "policy_id": policy_id,
        "drug": _drug_of(decision),
        "enforcement": found.enforcement,
        "reason": reason,
        "from_on": today,
        "until": until,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }
    if not insert_once(session, _snoozes, row):
        mine = {n: row[n] for n in ("organisation_id", "decision_id", "policy_id")}
        (first,) = rows_of(session, _snoozes, mine)
        raise Conflict(
            f"{policy_id} was snoozed by {first.by_user} at {answers.instant_json(first.at)}",
            code="already-snoozed",
        )
    detail = {
        "snooze": row["id"],
        "policy": policy_id,
        "reason": reason,
        "until": until,
        "drug": row["drug"],
        "enforcement": row["enforcement"],
    }
    audit.record(session, "finding.snoozed", subject=decision_id, by=by, now=now, detail=detail)
    return read(session, str(row["id"]), by=by)


def end(session: Session, snooze_id: str, *, by: Principal, now: datetime) -> SnoozeRecord:
    """End a snooze now: its finding speaks again. By a prescriber or compliance.

    Raises ``Conflict`` when it is over already.
    """
    known = read(session, snooze_id, by=by)
    if by.role not in _MAY_END:
        raise Forbidden(f"a snooze is ended by: {', '.join(_MAY_END)}", code="role")
    if known.until < now.date():
        raise Conflict(f"the snooze was over after {known.until}", code="ended")
    row = {
        "organisation_id": by.organisation_id,
        "snooze_id": snooze_id,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }
    if not insert_once(session, _ends, row):
        first = read(session, snooze_id, by=by)
        at = first.ended_at and answers.instant_json(first.ended_at)
        raise Conflict(f"the snooze was ended by {first.ended_by} at {at}", code="ended")
    detail = {"snooze": snooze_id, "policy": known.policy}
    audit.record(session, "snooze.ended", subject=known.decision_id, by=by, now=now, detail=detail)
    return read(session, snooze_id, by=by)


def read(session: Session, snooze_id: str, *, by: Principal) -> SnoozeRecord:
    """One snooze of the caller's organisation."""
    row = session.connection().execute(_asked(by).where(_snoozes.c.id == snooze_id)).first()
    if row is None:
        raise NotFound("there is no such snooze")
    return _record(row)


def listed(session: Session, *, by: Principal, active_on: date | None = None) -> tuple[SnoozeRecord, ...]:
    """All snoozes of the caller's organisation, the newest first; or those at rest at the end of a day."""
    asked = _asked(by)
    if active_on is not None:
        next_day = datetime.combine(active_on, datetime.min.time(), UTC) + timedelta(days=1)
        asked = asked.where(
            _snoozes.c.from_on <= active_on,
            _snoozes.c.until >= active_on,
            or_(_ends.c.at.is_(None), _ends.c.at >= next_day),
        )
    rows = session.connection().execute(asked.order_by(_snoozes.c.at.desc(), _snoozes.c.id.desc()))
    return tuple(_record(row) for row in rows)


def snooze_json(record: SnoozeRecord) -> dict[str, Any]:
    """A snooze in words for the API and compliance."""
    ended = None
    if record.ended_at is not None:
        ended = {"by": record.ended_by, "at": answers.instant_json(record.ended_at)}
    return {
        "id": record.id,
        "policy": record.policy,
        "patient_id": record.patient_id,
        "drug": record.drug,
        "decision": record.decision_id,
        "enforcement": record.enforcement.value,
        "reason": record.reason,
        "since": record.from_on.isoformat(),
        "until": record.until.isoformat(),
        "by": record.by_user,
        "role": record.by_role,
        "at": answers.instant_json(record.at),
        "ended": ended,
    }


# --- what can rest, and for which drug -------------------------------------------------------------


def _refuse_restless(found: FindingRow, policy_id: str) -> None:
    if found.enforcement == Enforcement.HARD_STOP.value:
        raise Conflict(f"{policy_id} is a hard stop: it cannot be put to rest", code="hard-stop")
    if found.enforcement not in _MAY_REST:
        raise Conflict(f"{policy_id} says nothing here that could be put to rest", code="silent")
    if found.outcome != Outcome.BREACH.value:
        # Silence about what was not checked would read as approval.
        raise Conflict(f"{policy_id} could not be checked: that is never put to rest", code="not-checked")


def _drug_of(decision: Row[Any]) -> str:
    """The opioid ingredients that the snooze is for; ``""``, every order, only for a look at the chart."""
    if decision.order_document is None:
        return ""
    drug = documents.decode(decision.order_document, Order).drug
    if drug is None or not drug.opioid_codes:
        # Any narrower mark is missing here, and one for every order would rest too much.
        raise Conflict(
            "only a finding about an order of a recognised opioid, or about the chart, is put to rest: "
            "override it instead",
            code="no-opioid",
        )
    return drug.opioid_codes


def _decision(session: Session, decision_id: str, by: Principal) -> Row[Any]:
    mine = {"organisation_id": by.organisation_id, "id": decision_id}
    (row,) = rows_of(session, tables.Decision.__table__, mine)
    return row


def _asked(by: Principal) -> Any:
    return (
        select(
            _snoozes,
            _patients.c.ehr_id,
            _ends.c.by_user.label("ended_by"),
            _ends.c.at.label("ended_at"),
        )
        .join(
            _patients,
            and_(
                _patients.c.organisation_id == _snoozes.c.organisation_id,
                _patients.c.id == _snoozes.c.patient_id,
            ),
        )
        .outerjoin(
            _ends,
            and_(_ends.c.organisation_id == _snoozes.c.organisation_id, _ends.c.snooze_id == _snoozes.c.id),
        )
        .where(_snoozes.c.organisation_id == by.organisation_id)
    )


def _record(row: Row[Any]) -> SnoozeRecord:
    return SnoozeRecord(
        id=row.id,
        policy=row.policy_id,
        patient_id=row.ehr_id,
        drug=row.drug,
        decision_id=row.decision_id,
        enforcement=Enforcement(row.enforcement),
        reason=row.reason,
        from_on=row.from_on,
        until=row.until,
        by_user=row.by_user,
        by_role=row.by_role,
        at=row.at,
        ended_by=row.ended_by,
        ended_at=row.ended_at,
    )

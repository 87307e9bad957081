"""Where a decision stands: as it was made, and what people did about it since.

Findings are never edited. What may happen to an order now is computed: the strongest enforcement among
the findings that no override and no approved exception has lifted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from stewardship.db import documents, findings, tables
from stewardship.db.findings import FindingRow
from stewardship.db.tables import ExceptionStatus
from stewardship.domain.chart import Gap
from stewardship.domain.currency import PharmacyData, pharmacy_data
from stewardship.domain.errors import NotFound
from stewardship.domain.people import Principal
from stewardship.domain.policy import Disposition, Enforcement
from stewardship.services import answers, policy_versions

_decisions: Any = tables.Decision.__table__
_patients: Any = tables.Patient.__table__
_findings: Any = tables.Finding.__table__
_overrides: Any = tables.Override.__table__
_requests: Any = tables.ExceptionRequest.__table__
_signatures: Any = tables.Countersignature.__table__


@dataclass(frozen=True)
class OverrideRecord:
    """Who overrode the soft stop of which policy, when, and with which coded reason."""

    policy: str
    reason: str
    comment: str
    by_user: str
    at: datetime


@dataclass(frozen=True)
class Signature:
    """One person's yes or no to an exception."""

    by_user: str
    by_role: str
    approve: bool
    note: str
    at: datetime


@dataclass(frozen=True)
class ExceptionState:
    """A request for an exception, who signed it, and what it still needs.

    ``missing_signatures`` counts the approvals still wanted, ``missing_roles`` names the roles of which
    one person has yet to approve; both are empty of meaning once ``status`` is not open.
    """

    id: str
    decision_id: str
    policy: str
    reason: str
    note: str
    requested_by: str
    requested_at: datetime
    status: ExceptionStatus
    closed_at: datetime | None
    signatures: tuple[Signature, ...]
    missing_signatures: int
    missing_roles: tuple[str, ...]


@dataclass(frozen=True)
class StoredFinding:
    """A finding as it was made, and what people did about it. ``said`` is its canonical JSON."""

    policy: str
    enforcement: Enforcement
    said: Mapping[str, Any]
    override: OverrideRecord | None = None
    exceptions: tuple[ExceptionState, ...] = ()

    @property
    def lifted(self) -> bool:
        """Whether its stop no longer stands."""
        if self.enforcement is Enforcement.SOFT_STOP:
            return self.override is not None
        return any(request.status is ExceptionStatus.APPROVED for request in self.exceptions)


@dataclass(frozen=True, slots=True)
class _Currency:
    """What of a stored chart tells how current it was."""

    data_as_of: datetime | None = None
    gaps: tuple[Gap, ...] = ()

    @property
    def pharmacy_data(self) -> PharmacyData | None:
        return pharmacy_data(self.data_as_of, ((gap.code, gap.about) for gap in self.gaps))


@dataclass(frozen=True)
class StoredDecision:
    """A decision as it was made (``disposition``) and as it stands now (``effective``)."""

    id: str
    order_id: str | None
    patient_id: str
    as_of: datetime
    channel: str
    by_user: str
    by_role: str
    disposition: Disposition
    findings: tuple[StoredFinding, ...]
    pharmacy_data: PharmacyData | None
    policies: tuple[tuple[str, int, str], ...]

    @property
    def effective(self) -> Disposition:
        """What may happen to the order now."""
        applied = {found.enforcement for found in self.findings if not found.lifted}
        if Enforcement.HARD_STOP in applied:
            return Disposition.BLOCKED
        if Enforcement.SOFT_STOP in applied:
            return Disposition.NEEDS_REASON
        shown = any(found.enforcement is not Enforcement.SILENT for found in self.findings)
        return Disposition.ADVISED if shown else Disposition.CLEAR


# --- reading -------------------------------------------------------------------------------------


def read(session: Session, decision_id: str, *, by: Principal) -> StoredDecision:
    """A decision of the caller's organisation with everything that was done about it since."""
    row = _decision_row(session, decision_id, by)
    mine = {"organisation_id": by.organisation_id, "decision_id": decision_id}
    overrides = {o.policy_id: _override(o) for o in rows_of(session, _overrides, mine)}
    requests: dict[str, list[ExceptionState]] = {}
    for request in rows_of(session, _requests, mine, _requests.c.at):
        requests.setdefault(request.policy_id, []).append(state_of(session, request))
    words = policy_versions.words_of(session, row)
    aloud = [found.document for found in rows_of(session, _findings, mine)]
    found = tuple(
        StoredFinding(
            policy=said["policy"],
            enforcement=Enforcement(said["enforcement"]),
            said=said | _without_file(words[said["policy"]]),
            override=overrides.get(said["policy"]),
            exceptions=tuple(requests.get(said["policy"], ())),
        )
        for said in findings.all_of(row.silent_document, aloud)
    )
    return StoredDecision(
        id=row.id,
        order_id=row.order_id,
        patient_id=row.ehr_id,
        as_of=row.as_of,
        channel=row.channel,
        by_user=row.by_user,
        by_role=row.by_role,
        disposition=Disposition(row.disposition),
        findings=found,
        pharmacy_data=documents.decode(row.chart_document, _Currency).pharmacy_data,
        policies=tuple(
            (policy_id, version, words[policy_id]["file"])
            for policy_id, version, _ in policy_versions.references(row.policies_document)
        ),
    )


def read_exception(session: Session, exception_id: str, *, by: Principal) -> ExceptionState:
    """A request for an exception in the caller's organisation, as it stands now."""
    return state_of(session, request_row(session, exception_id, by))


# --- in words ------------------------------------------------------------------------------------


def stored_json(stored: StoredDecision) -> dict[str, Any]:
    """The decision as it was made, its ``effective`` disposition now, and what people did in between."""
    said = answers.envelope(
        decision_id=stored.id,
        order_id=stored.order_id,
        patient_id=stored.patient_id,
        as_of=stored.as_of,
        disposition=stored.disposition.value,
        findings=[found.said for found in stored.findings],
        pharmacy_data=stored.pharmacy_data,
    )
    return said | {
        "effective": stored.effective.value,
        "channel": stored.channel,
        "by": stored.by_user,
        "role": stored.by_role,
        "policies": [{"id": i, "version": v, "sha256": h} for i, v, h in stored.policies],
        "overrides": [override_json(found.override) for found in stored.findings if found.override],
        "exceptions": [exception_json(request) for found in stored.findings for request in found.exceptions],
    }


def override_json(record: OverrideRecord) -> dict[str, Any]:
    """An override: of which policy, why, by whom and when."""
    return {
        "policy": record.policy,
        "reason": record.reason,
        "comment": record.comment,
        "by": record.by_user,
        "at": answers.instant_json(record.at),
    }


def exception_json(state: ExceptionState) -> dict[str, Any]:
    """A request for an exception, who has signed it, and what it still needs while it is open."""
    return {
        "id": state.id,
        "decision": state.decision_id,
        "policy": state.policy,
        "status": state.status.value,
        "reason": state.reason,
        "note": state.note,
        "by": state.requested_by,
        "at": answers.instant_json(state.requested_at),
        "closed_at": state.closed_at and answers.instant_json(state.closed_at),
        "missing": {"signatures": state.missing_signatures, "roles": list(state.missing_roles)},
        "countersignatures": [
            {
                "by": one.by_user,
                "role": one.by_role,
                "approve": one.approve,
                "note": one.note,
                "at": answers.instant_json(one.at),
            }
            for one in state.signatures
        ],
    }


# --- rows ----------------------------------------------------------------------------------------


def rows_of(session: Session, table: Any, mine: Mapping[str, str], *order: Any) -> list[Row[Any]]:
    asked = select(table).where(*(table.c[name] == value for name, value in mine.items())).order_by(*order)
    return list(session.connection().execute(asked))


def _decision_row(session: Session, decision_id: str, by: Principal) -> Row[Any]:
    asked = (
        select(_decisions, _patients.c.ehr_id)
        .join(
            _patients,
            (_patients.c.organisation_id == _decisions.c.organisation_id)
            & (_patients.c.id == _decisions.c.patient_id),
        )
        .where(_decisions.c.organisation_id == by.organisation_id, _decisions.c.id == decision_id)
    )
    row = session.connection().execute(asked).first()
    if row is None:
        raise NotFound("there is no such decision")
    return row


def finding_row(session: Session, decision_id: str, policy_id: str, by: Principal) -> FindingRow:
    """One finding of a decision, whether it has a row of its own or is among the silent ones."""
    mine = {"organisation_id": by.organisation_id, "decision_id": decision_id, "policy_id": policy_id}
    for row in rows_of(session, _findings, mine):
        return FindingRow(**mine, outcome=row.outcome, enforcement=row.enforcement)
    for decision in rows_of(session, _decisions, {"organisation_id": by.organisation_id, "id": decision_id}):
        for said in findings.all_of(decision.silent_document, ()):
            if said["policy"] == policy_id:
                return FindingRow(**mine, outcome=said["outcome"], enforcement=said["enforcement"])
    raise NotFound("there is no such finding")


def request_row(session: Session, exception_id: str, by: Principal, *, lock: bool = False) -> Row[Any]:
    asked = select(_requests).where(
        _requests.c.organisation_id == by.organisation_id, _requests.c.id == exception_id
    )
    # Two people who sign at once are taken one after the other, so that the last one sees both.
    row = session.connection().execute(asked.with_for_update() if lock else asked).first()
    if row is None:
        raise NotFound("there is no such request for an exception")
    return row


def exception_path(session: Session, request: Row[Any]) -> Mapping[str, Any]:
    """The exception path of the policy version that made the finding."""
    path: Mapping[str, Any] = policy_versions.words_of_finding(session, request)["exception"]
    return path


def signatures(session: Session, request: Row[Any]) -> tuple[Signature, ...]:
    mine = {"organisation_id": request.organisation_id, "exception_id": request.id}
    rows = rows_of(session, _signatures, mine, _signatures.c.at, _signatures.c.by_user)
    return tuple(Signature(r.by_user, r.by_role, r.approve, r.note, r.at) for r in rows)


def state_of(session: Session, request: Row[Any]) -> ExceptionState:
    signed = signatures(session, request)
    missing, roles = still_missing(exception_path(session, request), signed)
    return ExceptionState(
        id=request.id,
        decision_id=request.decision_id,
        policy=request.policy_id,
        reason=request.reason,
        note=request.note,
        requested_by=request.by_user,
        requested_at=request.at,
        status=ExceptionStatus(request.status),
        closed_at=request.closed_at,
        signatures=signed,
        missing_signatures=missing,
        missing_roles=roles,
    )


def _without_file(words: Mapping[str, Any]) -> dict[str, Any]:
    return {name: said for name, said in words.items() if name != "file"}


def _override(row: Row[Any]) -> OverrideRecord:
    return OverrideRecord(row.policy_id, row.reason, row.comment, row.by_user, row.at)


def still_missing(path: Mapping[str, Any], signed: Iterable[Signature]) -> tuple[int, tuple[str, ...]]:
    """How many approvals a path still wants, and of which roles."""
    approved = [one.by_role for one in signed if one.approve]
    roles = tuple(role for role in path["including"] if role not in approved)
    return max(0, path["countersignatures"] - len(approved)), roles

"""Orders with a check that could not be made, and voids that wait for what they take back: each is a flag.

What a policy could not tell about an order that is being signed is shown to the prescriber, who may sign; a
pharmacist closes the gap afterwards. The flag is raised with the decision, and the watch looks again, so that
none is lost and one whose order was checked since ends by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from stewardship.db import documents, flag_tables, import_tables, tables
from stewardship.db.charts import known_patient
from stewardship.db.patients import ensure_patient
from stewardship.domain.chart import Patient
from stewardship.domain.dispensings import Reporting
from stewardship.domain.flags import Flag, Work
from stewardship.domain.flags.kinds import Status
from stewardship.domain.people import Principal
from stewardship.domain.policy import Enforcement, Outcome
from stewardship.domain.wording import FactValue
from stewardship.services.flag_raising import EVERYTHING, Changes, Library, Looked, reconcile
from stewardship.services.orders import Checked

UNCHECKED_ORDER, VOID_PENDING = "unchecked-order", "void-pending"
#: Looks at drafts before anybody signs: what they could not tell is asked again when the order is signed.
DRAFTS = frozenset({"cds-hooks/order-select", "cds-hooks/patient-view"})

_decisions: Any = tables.Decision.__table__
_findings: Any = tables.Finding.__table__
_flags: Any = flag_tables.Flag.__table__
_reports: Any = import_tables.DispensingReport.__table__
_identities: Any = import_tables.Identity.__table__


def raise_for(
    session: Session, library: Library, checked: Iterable[Checked], *, by: Principal, now: datetime
) -> Changes:
    """Flag what these decisions could not tell, in the transaction that keeps them. Decisions about drafts
    and about a chart alone raise nothing."""
    doubtful = [
        one.decision_id
        for one in checked
        if one.decision_id is not None
        and any(
            f.outcome is Outcome.CANNOT_TELL and f.enforcement is not Enforcement.SILENT
            for f in one.decision.findings
        )
    ]
    raised = Changes()
    for patient_id, flags in _of_decisions(session, doubtful, by=by).items():
        changes = _raised(session, library, patient_id, flags, by=by, now=now)
        raised.opened += changes.opened
        raised.updated += changes.updated
    return raised


def raise_unmade(
    session: Session,
    library: Library,
    patient: Patient,
    order_ids: Iterable[str],
    *,
    channel: str,
    code: str,
    asked_at: datetime,
    by: Principal,
    now: datetime,
) -> Changes:
    """Flag orders of which no check was made, for what ``code`` says (``timeout``). Such a flag ends like the
    others: by a pharmacist, or when the order is checked after all. Drafts raise nothing."""
    wanted = tuple(order_ids)
    if channel in DRAFTS or not wanted:
        return Changes()
    own = by.organisation_id
    known = known_patient(session, organisation_id=own, patient_id=patient.id)
    patient_id = ensure_patient(session, known, patient, organisation_id=own, now=now)
    day = asked_at.date()
    facts: dict[str, FactValue] = {"policies": ("all",), "missing": ("check",), "code": code}
    flags = [Flag(UNCHECKED_ORDER, name, day, day, (name,), facts, complete=False) for name in wanted]
    return _raised(session, library, patient_id, flags, by=by, now=now)


def _raised(
    session: Session,
    library: Library,
    patient_id: str,
    flags: Iterable[Flag],
    *,
    by: Principal,
    now: datetime,
) -> Changes:
    """Raise these, beside whatever stands of the patient."""
    kinds = [UNCHECKED_ORDER]
    return reconcile(
        session, library, patient_id, flags, kinds=kinds, source="order", kept=EVERYTHING, by=by, now=now
    )


def unchecked_orders(session: Session, work: Work, *, by: Principal, now: datetime) -> dict[str, Looked]:
    """What the latest decision about each order could not tell, by patient: of the days that are looked back,
    and of every patient who has such a flag. A flag about an order that was not checked since stays."""
    floor = _first_id(now - timedelta(days=work.unchecked_days))
    since = (_decisions.c.organisation_id == by.organisation_id, _decisions.c.id >= floor)
    untold = (
        select(_findings.c.decision_id)
        .where(
            _findings.c.organisation_id == by.organisation_id,
            _findings.c.decision_id >= floor,
            _findings.c.outcome == Outcome.CANNOT_TELL.value,
            _findings.c.enforcement != Enforcement.SILENT.value,
        )
        .distinct()
    )
    doubtful = set(session.connection().execute(untold).scalars())
    waiting = _flagged(session, UNCHECKED_ORDER, by)
    if not doubtful and not waiting:
        return {}
    latest: dict[tuple[str, str], str] = {}
    asked = select(_decisions.c.id, _decisions.c.patient_id, _decisions.c.order_id).where(
        *since, _decisions.c.order_id.is_not(None), _decisions.c.channel.not_in(sorted(DRAFTS))
    )
    for row in session.connection().execute(asked.order_by(_decisions.c.id)):
        latest[row.patient_id, row.order_id] = row.id
    found = _of_decisions(session, [d for d in latest.values() if d in doubtful], by=by)
    checked = {
        patient: {f"{UNCHECKED_ORDER}:{order}" for p, order in latest if p == patient} for patient in waiting
    }
    return {
        patient: Looked(
            tuple(found.get(patient, ())),
            kept={key for key in waiting.get(patient, ()) if key not in checked.get(patient, set())},
        )
        for patient in found.keys() | waiting.keys()
    }


def pending_voids(session: Session, work: Work, *, by: Principal, now: datetime) -> dict[str, Looked]:
    """The voids that wait too long for the dispensing that they take back, by patient; and every patient who
    has such a flag."""
    news = _reports.alias()
    reported = select(news.c.seq).where(
        news.c.organisation_id == _reports.c.organisation_id,
        news.c.dispensing_id == _reports.c.dispensing_id,
        news.c.reporting == Reporting.NEW.value,
    )
    asked = (
        select(
            _reports.c.dispensing_id,
            _reports.c.import_id,
            _reports.c.line,
            _reports.c.received_at,
            _identities.c.patient_id,
        )
        .join(
            _identities,
            and_(
                _identities.c.organisation_id == _reports.c.organisation_id,
                _identities.c.id == _reports.c.identity_id,
            ),
        )
        .where(
            _reports.c.organisation_id == by.organisation_id,
            _reports.c.reporting == Reporting.VOID.value,
            # The index of corrections holds what is not new.
            _reports.c.reporting != Reporting.NEW.value,
            _reports.c.received_at < now - timedelta(hours=work.void_hours),
            _identities.c.patient_id.is_not(None),
            ~reported.exists(),
        )
        .order_by(_reports.c.received_at, _reports.c.dispensing_id)
    )
    found: dict[str, dict[str, Flag]] = {}
    for row in session.connection().execute(asked):
        day = row.received_at.date()
        facts: dict[str, FactValue] = {"import": row.import_id, "line": row.line, "received_on": day}
        flag = Flag(VOID_PENDING, row.dispensing_id, day, day, (row.dispensing_id,), facts)
        found.setdefault(row.patient_id, {}).setdefault(flag.key, flag)
    waiting = _flagged(session, VOID_PENDING, by)
    return {p: Looked(tuple(found.get(p, {}).values())) for p in found.keys() | waiting.keys()}


def _flagged(session: Session, kind: str, by: Principal) -> Mapping[str, set[str]]:
    """The keys of the flags of a kind that are not resolved, by patient."""
    asked = select(_flags.c.patient_id, _flags.c.key).where(
        _flags.c.organisation_id == by.organisation_id,
        _flags.c.kind == kind,
        _flags.c.status != Status.RESOLVED.value,
    )
    found: dict[str, set[str]] = {}
    for row in session.connection().execute(asked):
        found.setdefault(row.patient_id, set()).add(row.key)
    return found


_TOGETHER = 500


def _of_decisions(session: Session, decision_ids: Sequence[str], *, by: Principal) -> dict[str, list[Flag]]:
    """The flags of decisions that could not tell something about an order, by patient."""
    found: dict[str, dict[str, tuple[Any, dict[str, tuple[str, ...]]]]] = {}
    for start in range(0, len(decision_ids), _TOGETHER):
        asked = (
            select(
                _decisions.c.id,
                _decisions.c.patient_id,
                _decisions.c.order_id,
                _decisions.c.as_of,
                _findings.c.policy_id,
                _findings.c.document,
            )
            .join(
                _findings,
                and_(
                    _findings.c.organisation_id == _decisions.c.organisation_id,
                    _findings.c.decision_id == _decisions.c.id,
                ),
            )
            .where(
                _decisions.c.organisation_id == by.organisation_id,
                _decisions.c.id.in_(decision_ids[start : start + _TOGETHER]),
                _decisions.c.order_id.is_not(None),
                _decisions.c.channel.not_in(sorted(DRAFTS)),
                _findings.c.outcome == Outcome.CANNOT_TELL.value,
                _findings.c.enforcement != Enforcement.SILENT.value,
            )
            .order_by(_decisions.c.id, _findings.c.policy_id)
        )
        for row in session.connection().execute(asked):
            missing = documents.decode_shown(row.document).get("missing", ())
            orders = found.setdefault(row.patient_id, {})
            _, policies = orders.setdefault(row.order_id, (row, {}))
            policies[row.policy_id] = tuple(str(name) for name in missing)
    return {
        patient: [_unchecked(row, policies) for row, policies in orders.values()]
        for patient, orders in found.items()
    }


def _unchecked(row: Any, policies: Mapping[str, tuple[str, ...]]) -> Flag:
    day = row.as_of.date()
    missing = dict.fromkeys(name for names in policies.values() for name in names)
    facts: dict[str, FactValue] = {
        "policies": tuple(policies),
        "missing": tuple(missing),
        "decision": row.id,
    }
    return Flag(UNCHECKED_ORDER, row.order_id, day, day, (row.id,), facts, complete=False)


def _first_id(moment: datetime) -> str:
    """No id that was made from the moment on is smaller (``engine.new_id``)."""
    return f"{int(moment.timestamp() * 1000):012x}"

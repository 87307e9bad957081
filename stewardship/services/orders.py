"""Orders: screened without a trace, checked for an EHR, or submitted.

All three judge an order alike, on what the database knows of the patient joined with what the request
brought. They differ in what is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Protocol

from sqlalchemy import and_, bindparam, insert, select
from sqlalchemy.orm import Session

from stewardship.db import charts, documents, findings, tables
from stewardship.db.columns import ID_LENGTH
from stewardship.db.engine import begin_writing, new_id, sent_together
from stewardship.db.patients import ensure_patient, hold_patient
from stewardship.db.prepared import Prepared
from stewardship.domain.chart import Chart, Patient
from stewardship.domain.errors import Conflict, Fault, InvalidInput
from stewardship.domain.orders import Order
from stewardship.domain.people import Principal
from stewardship.domain.policy import Decision, Enforcement, Policy
from stewardship.domain.signing import Judged, judge
from stewardship.services import answers, audit, policy_versions


class Library(charts.Meanings, Protocol):
    """What is declared: products, code sets and policies."""

    def in_force(self, on: date, /) -> tuple[Policy, ...]:
        """The policies in force on a day."""
        ...


@dataclass(frozen=True)
class Checked:
    """An order and what was decided about it, on which ``chart``. ``decision_id`` is ``None`` when nothing
    was stored, ``order`` when only the chart was looked at.
    ``documents`` are the findings of a check as they were stored."""

    decision_id: str | None
    order: Order | None
    patient_id: str
    decision: Decision
    chart: Chart | None = field(default=None, repr=False, compare=False)
    documents: tuple[str, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class _One:
    """One decision: what is told of it, its row, and the rows of its findings that speak."""

    checked: Checked
    decision: dict[str, Any]
    aloud: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Weighed:
    """Orders that were judged and are not kept yet, about a patient as known here and as brought."""

    known: charts.KnownPatient
    patient: Patient
    policies: tuple[Policy, ...]
    each: tuple[_One, ...]

    @property
    def checked(self) -> tuple[Checked, ...]:
        """What is told of each, once it is kept."""
        return tuple(one.checked for one in self.each)


def screen(
    session: Session,
    library: Library,
    orders: Sequence[Order],
    brought: Chart,
    *,
    by: Principal,
    now: datetime,
) -> list[Checked]:
    """Judge orders and keep nothing. Without orders the chart alone is looked at."""
    _refuse_unfit(orders, brought)
    known = charts.known_patient(session, organisation_id=by.organisation_id, patient_id=brought.patient.id)
    judged = _judge(session, library, known, orders, brought, by=by, now=now)
    return [Checked(None, one.order, brought.patient.id, one.decision, one.chart) for one in judged]


def check(
    session: Session,
    library: Library,
    orders: Sequence[Order],
    brought: Chart,
    *,
    channel: str,
    by: Principal,
    now: datetime,
) -> list[Checked]:
    """Judge draft orders and keep each decision with its findings and audit event.

    A draft never counts as a supply later. Without orders the chart alone is looked at. Runs well in a
    ``late`` transaction: a decision holds the chart that it was made on, whatever is written meanwhile.
    """
    weighed = weigh(session, library, orders, brought, channel=channel, by=by, now=now)
    begin_writing(session)
    keep(session, weighed, by=by, now=now)
    return list(weighed.checked)


def weigh(
    session: Session,
    library: Library,
    orders: Sequence[Order],
    brought: Chart,
    *,
    channel: str,
    by: Principal,
    now: datetime,
) -> Weighed:
    """The first half of a check, which only looks: judge, and write down what is to be kept."""
    _refuse_unfit(orders, brought)
    known = charts.known_patient(session, organisation_id=by.organisation_id, patient_id=brought.patient.id)
    judged = _judge(session, library, known, orders, brought, by=by, now=now)
    return _written(library, known, brought.patient, judged, channel=channel, by=by, now=now)


def keep(session: Session, weighed: Weighed, *, by: Principal, now: datetime) -> None:
    """The second half, in any later transaction: keep the decisions with their findings and audit events."""
    organisation = by.organisation_id
    patient = ensure_patient(session, weighed.known, weighed.patient, organisation_id=organisation, now=now)
    _keep(session, weighed, patient, action="order.checked", by=by, now=now)


def submit(
    session: Session,
    library: Library,
    order: Order,
    brought: Chart,
    *,
    channel: str = "submit",
    by: Principal,
    now: datetime,
) -> Checked:
    """Judge an order that is being signed, and keep it with its decision.

    It counts as a prescription in later charts when nothing stops it, or once every stop was lifted. The
    same order submitted again gets its first answer; a different one under its id is a ``Conflict``.
    """
    order = replace(order, id=order.id or new_id(now), selected=True)
    _refuse_unfit([order], brought)
    known = charts.known_patient(session, organisation_id=by.organisation_id, patient_id=brought.patient.id)
    patient = ensure_patient(session, known, brought.patient, organisation_id=by.organisation_id, now=now)
    # One order of a patient at a time: two that are signed at once must not overlook each other.
    hold_patient(session, patient, organisation_id=by.organisation_id)
    known = replace(known, id=patient)
    earlier = _submitted(session, patient, order, brought, by=by)
    if earlier is not None:
        return earlier
    judged = _judge(session, library, known, [order], brought, by=by, now=now)
    row = {
        "organisation_id": by.organisation_id,
        "patient_id": patient,
        "id": order.id,
        "submitted_at": now,
        "by_user": by.user_id,
    }
    weighed = _written(library, known, brought.patient, judged, channel=channel, by=by, now=now)
    _keep(session, weighed, patient, action="order.submitted", by=by, now=now)
    checked = weighed.each[0].checked
    session.connection().execute(insert(_orders), {**row, "decision_id": checked.decision_id})
    return checked


# --- judging -------------------------------------------------------------------------------------


def _judge(
    session: Session,
    library: Library,
    known: charts.KnownPatient,
    orders: Sequence[Order],
    brought: Chart,
    *,
    by: Principal,
    now: datetime,
) -> tuple[Judged, ...]:
    chart = charts.chart_of(session, library, known, organisation_id=by.organisation_id, as_of=now)
    return judge(library.in_force(now.date()), orders, charts.join(chart, brought))


def _refuse_unfit(orders: Sequence[Order], brought: Chart) -> None:
    """Refuse ids that cannot be kept, before anything is asked of the database."""
    written = [("/patient_id", brought.patient.id or "\n"), *(("/order/id", order.id) for order in orders)]
    faults = tuple(
        Fault(pointer, "id", f"an id has at most {ID_LENGTH} characters, none of them a control character")
        for pointer, text in written
        if len(text) > ID_LENGTH or not text.isprintable()
    )
    if faults:
        raise InvalidInput("an id cannot be used", faults=faults)


# --- keeping -------------------------------------------------------------------------------------

_decisions: Any = tables.Decision.__table__
_findings: Any = tables.Finding.__table__
_orders: Any = tables.Order.__table__
_INSERT_DECISION = Prepared.insert(_decisions)
_INSERT_FINDING = Prepared.insert(_findings)


def _written(
    library: Library,
    known: charts.KnownPatient,
    patient: Patient,
    judged: Sequence[Judged],
    *,
    channel: str,
    by: Principal,
    now: datetime,
) -> Weighed:
    """What was judged as the rows that keep it, but for what only the one who writes knows."""
    each = []
    for one in judged:
        decision_id = new_id(now)
        said = tuple([documents.encode_shown(finding) for finding in one.decision.findings])
        aloud = [
            {
                "organisation_id": by.organisation_id,
                "decision_id": decision_id,
                "policy_id": finding.policy,
                "version": finding.version,
                "outcome": finding.outcome.value,
                "enforcement": finding.enforcement.value,
                "severity": finding.severity.value,
                "document": document,
            }
            for finding, document in zip(one.decision.findings, said, strict=True)
            if finding.enforcement is not Enforcement.SILENT
        ]
        silent = (
            document
            for finding, document in zip(one.decision.findings, said, strict=True)
            if finding.enforcement is Enforcement.SILENT
        )
        row = {
            "organisation_id": by.organisation_id,
            "id": decision_id,
            "order_id": one.decision.order_id,
            "channel": channel,
            "disposition": one.decision.disposition.value,
            "as_of": one.decision.as_of.astimezone(UTC),
            "by_user": by.user_id,
            "by_role": by.role.value,
            "order_document": None if one.order is None else documents.encode(one.order),
            "chart_document": documents.encode(one.chart),
            "silent_document": findings.together(silent),
        }
        checked = Checked(decision_id, one.order, patient.id, one.decision, one.chart, said)
        each.append(_One(checked, row, aloud))
    return Weighed(known, patient, library.in_force(now.date()), tuple(each))


def _keep(
    session: Session, weighed: Weighed, patient: str, *, action: str, by: Principal, now: datetime
) -> None:
    """Write decisions, findings and audit events."""
    in_force = policy_versions.keep(session, weighed.policies, organisation_id=by.organisation_id)
    here = {"patient_id": patient, "policies_document": in_force}
    decisions = [one.decision | here for one in weighed.each]
    aloud = [finding for one in weighed.each for finding in one.aloud]
    with sent_together(session):
        _INSERT_DECISION.run(session, decisions)
        _INSERT_FINDING.run(session, aloud)
        for decision, one in zip(decisions, weighed.each, strict=True):
            detail = {
                "channel": decision["channel"],
                "disposition": decision["disposition"],
                "order": decision["order_id"],
                "sha256": content_digest(decision, one.aloud),
            }
            audit.record(session, action, subject=decision["id"], by=by, now=now, detail=detail)


_DIGESTED = (
    "patient_id",
    "order_id",
    "channel",
    "disposition",
    "by_user",
    "by_role",
    "order_document",
    "chart_document",
    "policies_document",
)


def content_digest(decision: Mapping[str, Any], aloud: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over everything that a decision rests on and says; its audit event holds it. ``aloud`` are
    the rows of its findings."""
    parts: list[str | None] = [decision[name] for name in _DIGESTED]
    parts.append(decision["as_of"].isoformat())
    if decision["silent_document"] is not None:
        parts.append(decision["silent_document"])
    for finding in aloud:
        parts += [finding[name] for name in ("policy_id", "outcome", "enforcement", "severity", "document")]
        parts.append(str(finding["version"]))
    return documents.digest(*parts)


def _submitted(
    session: Session, patient: str, order: Order, brought: Chart, *, by: Principal
) -> Checked | None:
    """The answer that this very order got before; ``None`` when it was not submitted yet."""
    mine = {"organisation": by.organisation_id, "patient": patient, "order": order.id}
    row = session.connection().execute(_EARLIER, mine).first()
    if row is None:
        return None
    if row.order_document != documents.encode(order):
        raise Conflict(
            f"an order of this id was submitted before and has decision {row.id}: "
            "give the changed order an id of its own"
        )
    of_decision = {"organisation": by.organisation_id, "decision": row.id}
    rows = session.connection().execute(_FINDINGS, of_decision).scalars()
    found = tuple(answers.finding_of(said) for said in findings.all_of(row.silent_document, rows))
    chart = documents.decode(row.chart_document, Chart)
    return Checked(row.id, order, brought.patient.id, Decision(order.id, row.as_of, found), chart)


_EARLIER = (
    select(
        _decisions.c.id,
        _decisions.c.as_of,
        _decisions.c.order_document,
        _decisions.c.chart_document,
        _decisions.c.silent_document,
    )
    .join(
        _orders,
        and_(
            _orders.c.organisation_id == _decisions.c.organisation_id,
            _orders.c.decision_id == _decisions.c.id,
        ),
    )
    .where(
        _orders.c.organisation_id == bindparam("organisation"),
        _orders.c.patient_id == bindparam("patient"),
        _orders.c.id == bindparam("order"),
    )
)
_FINDINGS = select(_findings.c.document).where(
    _findings.c.organisation_id == bindparam("organisation"),
    _findings.c.decision_id == bindparam("decision"),
)

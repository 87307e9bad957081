"""Why one order was decided as it was: the order, the facts then known, what was found and what people did.

What deciding it again gave is handed in; it is a service's work. Ids, codes and numbers alone: who the
patient is stands in the chart, not here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from stewardship.db import documents, findings, tables
from stewardship.reports.reporting import Asked, Column, Kind, Report, Table, Value

_decisions: Any = tables.Decision.__table__
_findings: Any = tables.Finding.__table__
_overrides: Any = tables.Override.__table__
_requests: Any = tables.ExceptionRequest.__table__
_signatures: Any = tables.Countersignature.__table__
_events: Any = tables.AuditEvent.__table__

ID = "why"
DEFINITION = (
    "One decision as it stands on record: the order and how much of the chart was known, the policy versions "
    "in force that day with what each found, what people did about it, the entries of the audit trail that "
    "speak of it, and whether deciding it again from the same facts gives the same."
)
FACTS = (Column("fact", "What was known"), Column("value", "As it stood"))
FOUND = (
    Column("policy", "Policy", Kind.ID),
    Column("version", "Version", Kind.NUMBER),
    Column("outcome", "Found", Kind.ID),
    Column("enforcement", "Applied", Kind.ID),
    Column("summary", "In words"),
)
DONE = (
    Column("at", "When", Kind.INSTANT),
    Column("what", "What"),
    Column("policy", "Policy", Kind.ID),
    Column("reason", "Reason, note or answer"),
    Column("who", "Who", Kind.ID),
)
TRAIL = (
    Column("seq", "Entry", Kind.NUMBER),
    Column("at", "When", Kind.INSTANT),
    Column("action", "Action", Kind.ID),
    Column("who", "Who", Kind.ID),
    Column("mac", "Chained as", Kind.ID),
)
PROOF = (Column("what", "Decided again"), Column("value", "Came out"))
_KINDS_OF_FACT = (
    "supplies",
    "conditions",
    "observations",
    "procedures",
    "plans",
    "goals",
    "encounters",
    "gaps",
    "snoozes",
)
_SHOWN_OF_MAC = 16


@dataclass(frozen=True, slots=True)
class Again:
    """What deciding again gave: how many findings were made again, and everything that came out otherwise
    or could not be made again, in words."""

    compared: int
    otherwise: tuple[str, ...] = ()


def why(session: Session, organisation_id: str, decision_id: str, again: Again) -> Report:
    """The report. The decision is one of the organisation's; raises ``LookupError`` when it is not."""
    c = _decisions.c
    asked = select(_decisions).where(c.organisation_id == organisation_id, c.id == decision_id)
    row = session.connection().execute(asked).first()
    if row is None:
        raise LookupError(decision_id)
    day = row.as_of.date()
    return Report(
        id=ID,
        title="Why an order was decided as it was",
        definition=DEFINITION,
        asked=Asked(organisation_id, day, day + timedelta(days=1), decision=decision_id),
        tables=(
            Table("order", "The order and the facts then known", FACTS, _facts(row)),
            Table("findings", "Policies in force, and what each found", FOUND, _found(session, row)),
            Table(
                "people", "What people did about it", DONE, _done(session, row), empty="Nobody did anything."
            ),
            Table("again", "Decided again from the same facts", PROOF, _again(again)),
            Table("trail", "Entries of the audit trail", TRAIL, _trail(session, row)),
        ),
        limits=(
            "It says what was known here at that moment, not what was true of the patient.",
            "An entry's chain value is shown by its beginning; `stewardship audit verify` checks all of it.",
        ),
    )


def _facts(row: Row[Any]) -> list[tuple[Value, ...]]:
    order = documents.decode_shown(row.order_document) if row.order_document else {}
    chart = documents.decode_shown(row.chart_document)
    drug = order.get("drug") or {}
    told: list[tuple[str, Any]] = [
        ("Decision", row.id),
        ("Decided", f"{row.as_of:%d %B %Y, %H:%M} UTC"),
        ("Disposition", row.disposition),
        ("Asked by", f"{row.by_user} ({row.by_role}), {row.channel}"),
        ("Patient, by our own id", row.patient_id),
        ("Order", row.order_id or "none: the chart alone was looked at"),
        ("Product", drug.get("name") or order.get("medication", {}).get("text") or "not recognised"),
        ("Written on", order.get("written_on")),
        ("Prescriber", order.get("prescriber") or "not named"),
        ("Quantity", _quantity(order.get("quantity"))),
        ("Days of supply", order.get("days_supply")),
        ("Refills", order.get("refills")),
        ("Setting", order.get("setting")),
        ("Phase of pain", (order.get("pain") or {}).get("phase")),
        ("Dispensings known up to", chart.get("data_as_of") or "not told"),
        *((f"Chart: {kind}", len(chart.get(kind) or ())) for kind in _KINDS_OF_FACT),
    ]
    return [(name, "not stated" if value is None else str(value)) for name, value in told]


def _quantity(quantity: Mapping[str, Any] | None) -> str | None:
    return None if not quantity else f"{quantity['value']} {quantity['unit']}"


def _found(session: Session, row: Row[Any]) -> list[tuple[Value, ...]]:
    asked = select(_findings.c.document).where(
        _findings.c.organisation_id == row.organisation_id, _findings.c.decision_id == row.id
    )
    aloud = list(session.connection().execute(asked).scalars())
    said = sorted(findings.all_of(row.silent_document, aloud), key=lambda one: str(one["policy"]))
    return [
        (one["policy"], one["version"], one["outcome"], one["enforcement"], one.get("summary") or "")
        for one in said
    ]


def _done(session: Session, row: Row[Any]) -> list[tuple[Value, ...]]:
    def about(table: Any) -> Iterable[Row[Any]]:
        mine = (table.c.organisation_id == row.organisation_id, table.c.decision_id == row.id)
        return session.connection().execute(select(table).where(*mine)).all()

    done: list[tuple[Any, ...]] = [
        (one.at, "Overridden", one.policy_id, one.reason, one.by_user) for one in about(_overrides)
    ]
    for one in about(_requests):
        words = one.reason if not one.note else f"{one.reason}; {one.note}"
        done.append((one.at, f"Exception asked for ({one.status})", one.policy_id, words, one.by_user))
        mine = (
            _signatures.c.organisation_id == row.organisation_id,
            _signatures.c.exception_id == one.id,
        )
        for signed in session.connection().execute(select(_signatures).where(*mine)):
            what = "Countersigned: yes" if signed.approve else "Countersigned: no"
            done.append((signed.at, what, one.policy_id, signed.note, signed.by_user))
    return sorted(done, key=lambda each: each[0])


def _again(again: Again) -> list[tuple[Value, ...]]:
    if not again.otherwise:
        return [("All findings", f"{again.compared}, every one the same")]
    counted = Counter({"Findings made again": again.compared, "Came out otherwise": len(again.otherwise)})
    return [
        *((name, str(n)) for name, n in counted.items()),
        *(("Otherwise", one) for one in again.otherwise),
    ]


def _trail(session: Session, row: Row[Any]) -> list[tuple[Value, ...]]:
    c = _events.c
    asked = select(c.seq, c.at, c.action, c.by_user, c.mac).where(
        c.organisation_id == row.organisation_id, c.subject == row.id
    )
    return [
        (one.seq, one.at, one.action, one.by_user, one.mac[:_SHOWN_OF_MAC])
        for one in session.connection().execute(asked.order_by(c.seq))
    ]

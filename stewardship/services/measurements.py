"""Measurements: answers to an instrument, kept as they were given; scores are made from them on reading.

A measurement is never changed. One that was a mistake gets a row that says so, and counts for nothing from
then on. The same measurement sent again under its id is the same one; another under that id is a conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import Row, and_, bindparam, exists, select
from sqlalchemy.orm import Session

from stewardship.db import documents, function_tables, tables
from stewardship.db.charts import KnownPatient, known_patient
from stewardship.db.engine import new_id
from stewardship.db.function_facts import measured_of
from stewardship.db.patients import ensure_patient, insert_once
from stewardship.db.prepared import Prepared
from stewardship.domain.chart import Patient
from stewardship.domain.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound
from stewardship.domain.instruments import Instrument, score
from stewardship.domain.measurements import Measured, Reporter, Trend, measures_function, trends
from stewardship.domain.people import Principal, Role
from stewardship.services import audit, calendars
from stewardship.services.calendars import Calendars

_measurements: Any = function_tables.Measurement.__table__
_errors: Any = function_tables.MeasurementError.__table__
_looked_at: Any = function_tables.ReassessmentMeasurement.__table__
_patients: Any = tables.Patient.__table__

#: A clock that is a little ahead is no reason to refuse an answer; the day is then still today.
_AHEAD = timedelta(minutes=5)
_MAY_CORRECT = (Role.PRESCRIBER, Role.PHARMACIST, Role.EHR)


class Measures(Calendars, Protocol):
    """The part of the library that measuring needs."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """All instruments, by id."""
        ...


def record(
    session: Session,
    library: Measures,
    patient_id: str,
    instrument_id: str,
    answers: Mapping[str, Decimal | None],
    *,
    taken_at: datetime,
    source: Reporter | str,
    by: Principal,
    now: datetime,
    measurement_id: str = "",
) -> Measured:
    """Keep the answers of a patient (the EHR's id) to an instrument, and say what they score.

    ``source`` says who gave them. Answers without a score are kept too: that items were left open is part
    of the record. ``measurement_id`` is the client's, for a retry. Raises ``InvalidInput`` for answers that
    the instrument does not take, none at all, or a time to come; ``NotFound`` for an instrument that is not
    known; ``Conflict`` when the id is another measurement's.
    """
    instrument = library.instruments.get(instrument_id)
    if instrument is None:
        raise NotFound("there is no such instrument")
    # Refuses what the instrument does not take. The sex matters to no instrument of function.
    counted = measures_function(instrument, score(instrument, answers))
    given = {name: answer for name, answer in answers.items() if answer is not None}
    if not given:
        raise _invalid("/answers", "empty", "Answer at least one item.")
    if taken_at > now + _AHEAD:
        raise _invalid("/taken_at", "in-the-future", "A measurement was taken before it is recorded.")
    calendar = calendars.of(session, library, by.organisation_id)
    known = known_patient(session, organisation_id=by.organisation_id, patient_id=patient_id)
    row = {
        "organisation_id": by.organisation_id,
        "id": measurement_id or new_id(now),
        "patient_id": ensure_patient(
            session, known, Patient(patient_id), organisation_id=by.organisation_id, now=now
        ),
        "instrument_id": instrument.id,
        "version": instrument.version,
        "answers": documents.encode({name: given[name] for name in sorted(given)}),
        "satisfies_review": counted,
        "reported_by": Reporter(source).value,
        "taken_at": taken_at,
        "taken_on": calendars.there(taken_at, calendar).date(),
        "by_user": by.user_id,
        "by_role": by.role.value,
        "recorded_at": now,
    }
    if not insert_once(session, _measurements, row):
        return _again(session, library, row, by)
    detail = {
        "measurement": row["id"],
        "instrument": instrument.known_as,
        "taken_at": taken_at,
        "reported_by": row["reported_by"],
    }
    audit.record(session, "measurement.recorded", subject=str(row["id"]), by=by, now=now, detail=detail)
    return read(session, library, str(row["id"]), by=by)


def enter_in_error(
    session: Session, library: Measures, measurement_id: str, *, reason: str, by: Principal, now: datetime
) -> Measured:
    """Say that a measurement was a mistake. It stays on record and counts for nothing from now on.

    Raises ``Conflict`` when a review looked at it: that was decided on it, and stays so.
    """
    known = read(session, library, measurement_id, by=by)
    if by.role not in _MAY_CORRECT:
        raise Forbidden(f"a measurement is corrected by: {', '.join(_MAY_CORRECT)}", code="role")
    if not reason.strip():
        raise _invalid("/reason", "required", "Say why it was a mistake.")
    if known.reviewed:
        raise Conflict("a review rests on this measurement; record another one beside it", code="reviewed")
    row = {
        "organisation_id": by.organisation_id,
        "measurement_id": measurement_id,
        "reason": reason.strip(),
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }
    if insert_once(session, _errors, row):
        detail = {"measurement": measurement_id, "reason": audit.keyed_hash(session, reason.strip())}
        audit.record(
            session, "measurement.entered-in-error", subject=measurement_id, by=by, now=now, detail=detail
        )
    return read(session, library, measurement_id, by=by)


def read(session: Session, library: Measures, measurement_id: str, *, by: Principal) -> Measured:
    """One measurement of the caller's organisation."""
    asked = _asked(by.organisation_id).where(_measurements.c.id == measurement_id)
    row = session.connection().execute(asked).first()
    if row is None:
        raise NotFound("there is no such measurement")
    return _measured(row, library.instruments)


def of_patient(
    session: Session, library: Measures, patient_id: str, *, by: Principal
) -> tuple[Measured, ...]:
    """All measurements of a patient (the EHR's id), mistakes too, in order of time; none of one who is not
    known."""
    known = known_patient(session, organisation_id=by.organisation_id, patient_id=patient_id)
    if known.id is None:
        return ()
    return of_known(session, library, known, organisation_id=by.organisation_id)


def of_known(
    session: Session, library: Measures, known: KnownPatient, *, organisation_id: str
) -> tuple[Measured, ...]:
    """The same of a patient whose row was read already."""
    rows = _OF_PATIENT.rows(session, {"organisation": organisation_id, "patient": known.id})
    return tuple(_measured(row, library.instruments, known.patient.sex) for row in rows)


def trend(
    session: Session, library: Measures, patient_id: str, *, by: Principal, now: datetime
) -> tuple[Trend, ...]:
    """What became of a patient: a trend for each instrument and its parts, never one across them. What was
    taken after ``now`` is left out."""
    found = of_patient(session, library, patient_id, by=by)
    return trends(library.instruments, (one for one in found if one.taken_at <= now + _AHEAD))


def named(
    session: Session, library: Measures, ids: Iterable[str], *, by: Principal
) -> tuple[tuple[Measured, str], ...]:
    """Measurements by id, each with our own id of its patient; raises ``NotFound`` when one is missing."""
    wanted = list(dict.fromkeys(ids))
    asked = _asked(by.organisation_id).where(_measurements.c.id.in_(wanted))
    found = {row.id: row for row in session.connection().execute(asked)}
    if set(wanted) - set(found):
        raise NotFound("there is no such measurement")
    return tuple((_measured(found[name], library.instruments), found[name].patient_id) for name in wanted)


def _again(session: Session, library: Measures, row: Mapping[str, Any], by: Principal) -> Measured:
    """The first answer to a measurement that is sent again; a conflict when it says something else."""
    asked = select(_measurements).where(
        _measurements.c.organisation_id == row["organisation_id"], _measurements.c.id == row["id"]
    )
    first = session.connection().execute(asked).mappings().one()
    said = ("patient_id", "instrument_id", "version", "answers", "reported_by", "taken_at")
    if any(first[name] != row[name] for name in said):
        raise Conflict("another measurement has that id", code="measurement-id")
    return read(session, library, row["id"], by=by)


def _asked(organisation_id: Any) -> Any:
    reviewed = exists().where(
        _looked_at.c.organisation_id == _measurements.c.organisation_id,
        _looked_at.c.measurement_id == _measurements.c.id,
    )
    return (
        select(_measurements, _patients.c.sex, _errors.c.reason.label("in_error"), reviewed.label("reviewed"))
        .join(
            _patients,
            and_(
                _patients.c.organisation_id == _measurements.c.organisation_id,
                _patients.c.id == _measurements.c.patient_id,
            ),
        )
        .outerjoin(
            _errors,
            and_(
                _errors.c.organisation_id == _measurements.c.organisation_id,
                _errors.c.measurement_id == _measurements.c.id,
            ),
        )
        .where(_measurements.c.organisation_id == organisation_id)
    )


_OF_PATIENT = Prepared(
    _asked(bindparam("organisation"))
    .where(_measurements.c.patient_id == bindparam("patient"))
    .order_by(_measurements.c.taken_at, _measurements.c.id)
)


def _measured(row: Row[Any], instruments: Mapping[str, Instrument], sex: str | None = None) -> Measured:
    return replace(
        measured_of(row, instruments, sex=row.sex if sex is None else sex),
        in_error=row.in_error or "",
        reviewed=bool(row.reviewed),
    )


def _invalid(pointer: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(message, faults=(Fault(pointer, code, message),))

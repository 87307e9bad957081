"""Reviews: what the clock asks for is planned, opened when its time comes, done, missed or cancelled.

The clock is asked and never wound: ``reconsider`` compares what it says of a patient's chart with the one
review that is open, ``open_due`` moves what is due from state to state. Both do nothing the second time, and
nothing is lost when nobody runs them for a while: the database says what is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Row, and_, bindparam, case, insert, literal, null, or_, select, update
from sqlalchemy.orm import Session

from stewardship.db import function_tables, tables
from stewardship.db.charts import KnownPatient, Meanings, chart_of, known_patient
from stewardship.db.columns import Instant
from stewardship.db.engine import new_id
from stewardship.db.patients import hold_patient
from stewardship.db.prepared import Prepared
from stewardship.domain.chart import Chart
from stewardship.domain.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound
from stewardship.domain.measurements import Measured
from stewardship.domain.orders import SupplyKind
from stewardship.domain.people import Principal, Role
from stewardship.domain.reassessment import ClockAnswer, ClockTerms, next_due, reviews_on_record
from stewardship.domain.reviews import OPEN, Review, State, follow
from stewardship.domain.reviews import cancel as cancelled
from stewardship.domain.reviews import complete as completed
from stewardship.services import audit, calendars, measurements
from stewardship.services.measurements import Measures

_reviews: Any = function_tables.Reassessment.__table__
_looked_at: Any = function_tables.ReassessmentMeasurement.__table__
_patients: Any = tables.Patient.__table__

_MAY_CLOSE = (Role.PRESCRIBER, Role.PHARMACIST)
_OPEN = tuple(state.value for state in State if state in OPEN)
_ON_WORKLIST = (State.DUE.value, State.MISSED.value)


_OF_PATIENT = and_(
    _reviews.c.organisation_id == bindparam("organisation"), _reviews.c.patient_id == bindparam("patient")
)
_EXCUSED = Prepared(select(_reviews.c.closed_at).where(_OF_PATIENT, _reviews.c.excused))
_OPEN_ROW = Prepared(
    select(_reviews).where(_OF_PATIENT, or_(*(_reviews.c.state == state for state in _OPEN)))
)


class Clockwork(Meanings, Measures, Protocol):
    """The part of the library that the clock needs."""

    @property
    def clock(self) -> ClockTerms:
        """The intervals."""
        ...


@dataclass(frozen=True)
class ReviewRecord:
    """One review as it is on record. ``patient_id`` is the EHR's. ``closed_by`` is ``None`` for one that is
    open, and for one that the clock closed by itself."""

    id: str
    patient_id: str
    review: Review
    clinician: str
    assigned: bool
    planned_at: datetime
    opened_at: datetime | None
    opened_late_days: int
    missed_at: datetime | None
    closed_at: datetime | None
    closed_by: str | None
    excused: bool
    note: str
    measurements: tuple[str, ...] = ()


@dataclass(frozen=True)
class Act:
    """What was done to a review by asking the clock, as it goes on record."""

    action: str
    review: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class Changes:
    """What asking the clock about one patient changed. ``missing`` is what it could not tell."""

    acts: tuple[Act, ...] = ()
    missing: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.acts)

    @property
    def planned(self) -> tuple[str, ...]:
        """The ids of the reviews that were planned."""
        return self._of("planned")

    @property
    def cancelled(self) -> tuple[str, ...]:
        """Of those that are asked for no longer."""
        return self._of("cancelled")

    @property
    def done(self) -> tuple[str, ...]:
        """Of those for which a look was on record."""
        return self._of("done")

    @property
    def moved(self) -> tuple[str, ...]:
        """Of those with another day or on another worklist."""
        return self._of("moved")

    def _of(self, action: str) -> tuple[str, ...]:
        return tuple(act.review for act in self.acts if act.action == f"review.{action}")


@dataclass(frozen=True)
class Item:
    """A line of a worklist: ids and days alone. ``late_days`` counts from the day it was due."""

    review_id: str
    patient_id: str
    clinician: str
    interval: str
    due_on: date
    state: State
    late_days: int
    opened_at: datetime | None


# --- asking the clock --------------------------------------------------------------------------------


def reconsider(
    session: Session, library: Clockwork, patient_id: str, *, by: Principal, now: datetime
) -> Changes:
    """Ask the clock about a patient (the EHR's id) of the caller's organisation, and plan, close or move
    his one open review as it says. The same call twice does the same as once.

    Days are the organisation's. A review that a person cancelled counts as a look for the clock alone, so
    that it asks again after its interval; no rule about orders is satisfied by it.
    """
    known = known_patient(session, organisation_id=by.organisation_id, patient_id=patient_id)
    if known.id is None:
        return Changes()
    hold_patient(session, known.id, organisation_id=by.organisation_id)
    chart, answer = ask(session, library, known, organisation_id=by.organisation_id, now=now)
    changes = keep(session, library, known.id, chart, answer, by=by, now=now)
    note(session, changes, by=by, now=now)
    return changes


def ask(
    session: Session, library: Clockwork, known: KnownPatient, *, organisation_id: str, now: datetime
) -> tuple[Chart, ClockAnswer]:
    """The chart of a patient as of the organisation's day, and what the clock says of it."""
    calendar = calendars.of(session, library, organisation_id)
    chart = chart_of(
        session,
        library,
        known,
        organisation_id=organisation_id,
        as_of=calendars.there(now, calendar),
    )
    if chart.patient.deceased:
        return chart, ClockAnswer(None)
    excused = _excused(session, known.id or "", organisation_id, calendars.zone(calendar))
    answer = next_due(chart, library.clock, calendar=library.working_days(calendar), reviews=excused)
    return chart, answer


def keep(
    session: Session,
    library: Clockwork,
    patient: str,
    chart: Chart,
    answer: ClockAnswer,
    *,
    by: Principal,
    now: datetime,
) -> Changes:
    """Make the open review of a patient (our own id) what the clock said.

    The caller holds the patient and calls ``note`` in the same transaction, after everything that waits for
    rows: one writer at a time has the record, and nobody who has it may wait for somebody who wants it.
    """
    row = _open_row(session, patient, by.organisation_id)
    held = None if row is None else _review(row)
    clinician = _clinician(chart)
    acts: list[Act] = []
    for review in follow(held, answer, reviews=reviews_on_record(chart, library.clock)):
        if row is None or held is None or _key(review) != _key(held):
            acts.append(_plan(session, patient, review, clinician, by=by, now=now))
        elif review.state not in OPEN:
            acts.append(_close(session, row, review, now=now))
        else:
            due_on = next((d.on for d in answer.every if (d.interval, d.exact_on) == _key(review)), None)
            acts += _move(session, row, due_on or review.due_on, clinician)
    return Changes(tuple(acts), answer.missing)


def note(session: Session, changes: Changes, *, by: Principal, now: datetime) -> None:
    """Put on record what ``keep`` did."""
    for act in changes.acts:
        audit.record(session, act.action, subject=act.review, by=by, now=now, detail=act.detail)


def _excused(session: Session, patient: str, organisation_id: str, zone: Any) -> list[date]:
    rows = _EXCUSED.rows(session, {"organisation": organisation_id, "patient": patient})
    return [row.closed_at.astimezone(zone).date() for row in rows]


def _clinician(chart: Chart) -> str:
    """Who prescribed the opioid that began last: on whose worklist the review stands."""
    taken = [
        e
        for e in chart.opioid_analgesics
        if e.supply.prescriber and e.supply.kind is not SupplyKind.DRAFT and e.start <= chart.today
    ]
    return max(taken, key=lambda e: (e.start, e.supply.id)).supply.prescriber if taken else ""


def _key(review: Review) -> tuple[str, date]:
    return review.interval, review.exact_on


def _plan(
    session: Session, patient: str, review: Review, clinician: str, *, by: Principal, now: datetime
) -> Act:
    row: dict[str, Any] = {
        "organisation_id": by.organisation_id,
        "id": new_id(now),
        "patient_id": patient,
        "interval": review.interval,
        "exact_on": review.exact_on,
        "due_on": review.due_on,
        "since": review.since,
        "state": State.PLANNED.value,
        "clinician": clinician,
        "assigned": False,
        "planned_at": now,
        "opened_late_days": 0,
        "excused": False,
        "reason": "",
        "note": "",
    }
    session.connection().execute(insert(_reviews).values(row))
    detail = {"interval": review.interval, "due_on": review.due_on, "exact_on": review.exact_on}
    return Act("review.planned", row["id"], detail)


def _close(session: Session, row: Row[Any], review: Review, *, now: datetime) -> Act:
    """The clock closes a review by itself: nobody is named."""
    _update(
        session,
        row,
        state=review.state.value,
        done_on=review.done_on,
        reason=review.reason,
        closed_at=now,
    )
    detail = {"done_on": review.done_on, "reason": review.reason, "was": row.state, "by_clock": True}
    return Act(f"review.{review.state}", row.id, detail)


def _move(session: Session, row: Row[Any], due_on: date, clinician: str) -> list[Act]:
    """What is planned keeps up with the calendar, and with who prescribes unless it was assigned."""
    values: dict[str, Any] = {}
    if row.state == State.PLANNED.value and due_on != row.due_on:
        values["due_on"] = due_on
    if not row.assigned and clinician and clinician != row.clinician:
        values["clinician"] = clinician
    if not values:
        return []
    _update(session, row, **values)
    return [Act("review.moved", row.id, values)]


# --- opening what is due -----------------------------------------------------------------------------


def open_due(
    session: Session,
    library: Clockwork,
    organisation_id: str,
    *,
    today: date,
    now: datetime,
    by: Principal,
    limit: int = 200,
) -> int:
    """Move up to ``limit`` reviews to where they stand on a day: planned to due when their time opens, to
    missed when their day is over. How many were moved; call again until it is 0.

    Rows are claimed before they are moved, so that of two schedulers each moves a review once. A review
    that was opened after its time says by how many days.
    """
    terms = library.clock
    opens_until = today + timedelta(terms.opens_days_before)
    missed_before = today - timedelta(terms.missed_days_after)
    over = _reviews.c.due_on < missed_before
    ready = or_(
        and_(_reviews.c.state == State.PLANNED.value, _reviews.c.due_on <= opens_until),
        and_(_reviews.c.state == State.DUE.value, over),
    )
    mine = _reviews.c.organisation_id == organisation_id
    some = (
        select(_reviews)
        .where(mine, _reviews.c.state.in_(_OPEN), ready)
        .order_by(_reviews.c.due_on, _reviews.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claimed = session.connection().execute(some).all()
    zone = calendars.zone(calendars.of(session, library, organisation_id))
    moves: dict[tuple[State, int], list[Row[Any]]] = {}
    for row in claimed:
        state = State.MISSED if row.due_on < missed_before else State.DUE
        planned_on = row.planned_at.astimezone(zone).date()
        opens = max(row.due_on - timedelta(terms.opens_days_before), planned_on)
        late = row.opened_late_days if row.opened_at else max(0, (today - opens).days)
        moves.setdefault((state, late), []).append(row)
    for (state, late), rows in moves.items():
        _put(session, organisation_id, [row.id for row in rows], state, late, now)
    for (state, late), rows in moves.items():
        for row in rows:
            detail: dict[str, Any] = {"due_on": row.due_on, "was": row.state}
            detail |= {} if row.opened_at else {"late_days": late}
            audit.record(session, f"review.{state}", subject=row.id, by=by, now=now, detail=detail)
    return len(claimed)


def _put(
    session: Session, organisation_id: str, ids: Sequence[str], state: State, late: int, now: datetime
) -> None:
    """Move reviews that this transaction has claimed, each once: a second change of a row would wait for
    whoever holds its patient."""
    moment = literal(now, Instant())
    moving = (
        update(_reviews)
        .where(_reviews.c.organisation_id == organisation_id, _reviews.c.id.in_(ids))
        .values(
            state=state.value,
            opened_at=case((_reviews.c.opened_at.is_(None), moment), else_=_reviews.c.opened_at),
            missed_at=moment if state is State.MISSED else null(),
            opened_late_days=late,
        )
    )
    session.connection().execute(moving)


# --- what people do ----------------------------------------------------------------------------------


def complete(
    session: Session,
    library: Clockwork,
    review_id: str,
    *,
    measurements: Iterable[str],
    note: str = "",
    on: date,
    by: Principal,
    now: datetime,
) -> ReviewRecord:
    """The review was done on a day, early, in time or late, on these measurements (by id), one of function
    or goals among them; the next one is planned. The same call twice does the same as once.

    One that the clock closed by itself, because such a measurement was on record, can still be completed.
    Raises ``Conflict`` for one that somebody closed, ``InvalidInput`` for a day or measurements that cannot
    be: another patient's, mistakes, of before the day that it counts from or after the review.
    """
    known = _locked(session, review_id, by)
    _only_clinicians(by)
    today = calendars.today(session, library, by.organisation_id, now=now)
    if not known.since < on <= today:
        # On the day itself it counts from: that was the look before, or where the change was made.
        words = f"give a day after {known.since}, and {today} at the latest"
        raise InvalidInput("not a day for this review", faults=(Fault("/on", "day", words),))
    looked_at = tuple(dict.fromkeys(measurements))
    found = _fitting(session, library, known, looked_at, on, by)
    by_clock = known.state == State.DONE.value and known.closed_by is None
    review = replace(_review(known), state=State.DUE, done_on=None) if by_clock else _review(known)
    if review.state is State.DONE:
        return _again(session, known, looked_at, on, note, by)
    done = completed(review, on=on, measured=[library.instruments[m.instrument] for m in found if m.function])
    _update(
        session,
        known,
        state=done.state.value,
        done_on=on,
        closed_at=now,
        closed_by=by.user_id,
        note=note.strip(),
        opened_at=known.opened_at,
    )
    links = [
        {"organisation_id": by.organisation_id, "reassessment_id": review_id, "measurement_id": name}
        for name in looked_at
    ]
    session.connection().execute(insert(_looked_at), links)
    detail = {
        "done_on": on,
        "late_days": done.late_days,
        "measurements": looked_at,
        "note": audit.keyed_hash(session, note.strip()) if note.strip() else None,
    }
    audit.record(session, "review.completed", subject=review_id, by=by, now=now, detail=detail)
    reconsider(session, library, known.ehr_id, by=by, now=now)
    return read(session, review_id, by=by)


def cancel(
    session: Session, library: Clockwork, review_id: str, *, reason: str, by: Principal, now: datetime
) -> ReviewRecord:
    """The review is not needed, for a reason. The clock runs on from today, and asks again in its time."""
    known = _locked(session, review_id, by)
    _only_clinicians(by)
    held = _review(known)
    if held.state is State.CANCELLED and known.excused and known.reason == reason.strip():
        return read(session, review_id, by=by)
    if held.state is State.CANCELLED:
        raise Conflict("the review is cancelled already", code="closed")
    ended = cancelled(held, reason=reason)
    _update(
        session,
        known,
        state=ended.state.value,
        reason=ended.reason,
        closed_at=now,
        closed_by=by.user_id,
        excused=True,
    )
    detail = {"was": known.state, "reason": audit.keyed_hash(session, ended.reason), "by_clock": False}
    audit.record(session, "review.cancelled", subject=review_id, by=by, now=now, detail=detail)
    reconsider(session, library, known.ehr_id, by=by, now=now)
    return read(session, review_id, by=by)


def assign(session: Session, review_id: str, *, clinician: str, by: Principal, now: datetime) -> ReviewRecord:
    """Put an open review on somebody's worklist; it stays there whoever prescribes next."""
    known = _locked(session, review_id, by)
    _only_clinicians(by)
    if known.state not in _OPEN:
        raise Conflict(f"the review is {known.state}", code="closed")
    if not clinician.strip():
        raise InvalidInput(
            "a review is assigned to somebody", faults=(Fault("/clinician", "required", "Say to whom."),)
        )
    if known.clinician != clinician.strip() or not known.assigned:
        _update(session, known, clinician=clinician.strip(), assigned=True)
        detail = {"clinician": clinician.strip(), "was": known.clinician}
        audit.record(session, "review.assigned", subject=review_id, by=by, now=now, detail=detail)
    return read(session, review_id, by=by)


# --- reading -----------------------------------------------------------------------------------------


def read(session: Session, review_id: str, *, by: Principal) -> ReviewRecord:
    """One review of the caller's organisation."""
    row = session.connection().execute(_asked(by.organisation_id).where(_reviews.c.id == review_id)).first()
    if row is None:
        raise NotFound("there is no such review")
    return _records(session, by.organisation_id, [row])[0]


def of_patient(session: Session, patient_id: str, *, by: Principal) -> tuple[ReviewRecord, ...]:
    """All reviews of a patient (the EHR's id), in the order of the days that they count from."""
    asked = (
        _asked(by.organisation_id)
        .where(_patients.c.ehr_id == patient_id)
        .order_by(_reviews.c.since, _reviews.c.planned_at, _reviews.c.exact_on, _reviews.c.id)
    )
    return _records(session, by.organisation_id, session.connection().execute(asked).all())


def open_of(session: Session, patient: str, *, by: Principal) -> tuple[str, Review] | None:
    """The one open review of a patient (our own id), and its id."""
    row = _open_row(session, patient, by.organisation_id)
    return None if row is None else (row.id, _review(row))


def worklist(
    session: Session, organisation_id: str, *, clinician: str | None = None, today: date
) -> list[Item]:
    """What somebody has to look at on a day, the longest overdue first: a clinician's, or everybody's."""
    return _items(session, organisation_id, clinician, today, _ON_WORKLIST)


def overdue(
    session: Session, organisation_id: str, *, clinician: str | None = None, today: date, days: int = 0
) -> list[Item]:
    """The reviews that were missed, and are more than ``days`` late."""
    missed = _items(session, organisation_id, clinician, today, (State.MISSED.value,))
    return [item for item in missed if item.late_days > days]


def planned(
    session: Session, organisation_id: str, *, clinician: str | None = None, today: date
) -> list[Item]:
    """What lies ahead, the next first."""
    return _items(session, organisation_id, clinician, today, (State.PLANNED.value,))


def _items(
    session: Session, organisation_id: str, clinician: str | None, today: date, states: Sequence[str]
) -> list[Item]:
    asked = (
        _asked(organisation_id)
        .where(_reviews.c.state.in_(_OPEN), _reviews.c.state.in_(states))
        .order_by(_reviews.c.due_on, _reviews.c.id)
    )
    if clinician is not None:
        asked = asked.where(_reviews.c.clinician == clinician)
    return [
        Item(
            row.id,
            row.ehr_id,
            row.clinician,
            row.interval,
            row.due_on,
            State(row.state),
            max(0, (today - row.due_on).days),
            row.opened_at,
        )
        for row in session.connection().execute(asked)
    ]


def _asked(organisation_id: str) -> Any:
    return (
        select(_reviews, _patients.c.ehr_id)
        .join(
            _patients,
            and_(
                _patients.c.organisation_id == _reviews.c.organisation_id,
                _patients.c.id == _reviews.c.patient_id,
            ),
        )
        .where(_reviews.c.organisation_id == organisation_id)
    )


def _records(session: Session, organisation_id: str, rows: Sequence[Row[Any]]) -> tuple[ReviewRecord, ...]:
    asked = (
        select(_looked_at)
        .where(
            _looked_at.c.organisation_id == organisation_id,
            _looked_at.c.reassessment_id.in_([row.id for row in rows]),
        )
        .order_by(_looked_at.c.measurement_id)
    )
    looked_at: dict[str, list[str]] = {}
    for link in session.connection().execute(asked):
        looked_at.setdefault(link.reassessment_id, []).append(link.measurement_id)
    return tuple(
        ReviewRecord(
            row.id,
            row.ehr_id,
            _review(row),
            row.clinician,
            row.assigned,
            row.planned_at,
            row.opened_at,
            row.opened_late_days,
            row.missed_at,
            row.closed_at,
            row.closed_by,
            row.excused,
            row.note,
            tuple(looked_at.get(row.id, ())),
        )
        for row in rows
    )


def _open_row(session: Session, patient: str, organisation_id: str) -> Row[Any] | None:
    row: Row[Any] | None = _OPEN_ROW.first(session, {"organisation": organisation_id, "patient": patient})
    return row


def _locked(session: Session, review_id: str, by: Principal) -> Row[Any]:
    """The review, and nobody else at work on its patient until this transaction ends."""
    asked = _asked(by.organisation_id).where(_reviews.c.id == review_id)
    row = session.connection().execute(asked).first()
    if row is None:
        raise NotFound("there is no such review")
    hold_patient(session, row.patient_id, organisation_id=by.organisation_id)
    # All of his: the next one is changed too, when the record is already held.
    his = _asked(by.organisation_id).where(_reviews.c.patient_id == row.patient_id)
    rows: list[Row[Any]] = list(
        session.connection().execute(his.order_by(_reviews.c.id).with_for_update(of=_reviews))
    )
    return next(again for again in rows if again.id == review_id)


def _review(row: Row[Any]) -> Review:
    return Review(
        row.interval, row.exact_on, row.due_on, row.since, State(row.state), row.done_on, row.reason
    )


def _update(session: Session, row: Row[Any], **values: Any) -> None:
    """Change a review that is as it was read; a conflict when it is not any more."""
    changed = (
        update(_reviews)
        .where(
            _reviews.c.organisation_id == row.organisation_id,
            _reviews.c.id == row.id,
            _reviews.c.state == row.state,
        )
        .values(values)
    )
    if session.connection().execute(changed).rowcount != 1:
        raise Conflict("somebody else changed the review just now", code="changed")


def _again(
    session: Session, row: Row[Any], looked_at: tuple[str, ...], on: date, note: str, by: Principal
) -> ReviewRecord:
    known = _records(session, by.organisation_id, [row])[0]
    said = (row.done_on, set(known.measurements), row.note, row.closed_by)
    if said == (on, set(looked_at), note.strip(), by.user_id):
        return known
    raise Conflict(f"the review was done on {row.done_on} by {row.closed_by}", code="closed")


def _fitting(
    session: Session,
    library: Clockwork,
    known: Row[Any],
    ids: Sequence[str],
    on: date,
    by: Principal,
) -> list[Measured]:
    """The measurements that the review rests on; ``InvalidInput`` for one that it cannot rest on."""
    faults = []
    fitting = []
    for place, (one, patient) in enumerate(measurements.named(session, library, ids, by=by)):
        wrong = ""
        if patient != known.patient_id:
            raise NotFound("there is no such measurement of this patient")
        if one.in_error:
            wrong = "It was entered in error."
        elif one.instrument not in library.instruments:
            wrong = "Its instrument is not known here any more."
        elif not known.since < one.taken_on <= on:
            wrong = f"It was taken on {one.taken_on}; take one of after {known.since}, and up to {on}."
        if wrong:
            faults.append(Fault(f"/measurements/{place}", "cannot-rest-on", wrong))
        fitting.append(one)
    if faults:
        raise InvalidInput("the review cannot rest on all of these measurements", faults=tuple(faults))
    return fitting


def _only_clinicians(by: Principal) -> None:
    if by.role not in _MAY_CLOSE:
        raise Forbidden(f"a review is closed by: {', '.join(_MAY_CLOSE)}", code="role")

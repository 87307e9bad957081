"""Reviews: worklists, a patient's reviews, and what people do about one; and the organisation's calendar."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response

from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.api.function_schemas import (
    AssignRequest,
    CalendarAnswer,
    CalendarRequest,
    CompleteRequest,
    PatientRequest,
    ReasonRequest,
    ReviewAnswer,
    ReviewsAnswer,
    WorklistAnswer,
    WorklistQuery,
)
from stewardship.auth import Permission, principal, requires
from stewardship.domain.workdays import Calendar
from stewardship.runtime import runtime
from stewardship.services import answers, audit, calendars, reassessments
from stewardship.services.reassessments import Item, ReviewRecord

room = Room("reviews", __name__, description="When patients are looked at again, and that they were.")

_LISTS = {
    "open": reassessments.worklist,
    "missed": reassessments.overdue,
    "planned": reassessments.planned,
}


@room.route("/reviews")
@requires(Permission.READ_FUNCTION)
@room.arguments(WorklistQuery, location="query")
@room.response(HTTPStatus.OK, WorklistAnswer)
def worklist(query: Mapping[str, Any]) -> Response:
    """List the reviews that are open.

    A clinician's or everybody's, the longest overdue first; ids and days alone.
    """
    running, by = runtime(), principal()
    with reading() as session:
        today = calendars.today(session, running.library, by.organisation_id, now=running.clock())
        found = _LISTS[query["state"]](
            session, by.organisation_id, clinician=query.get("clinician"), today=today
        )
    return answer({"on": today.isoformat(), "reviews": [_item(one) for one in found]})


@room.route("/reviews/search", methods=["POST"])
@requires(Permission.READ_FUNCTION)
@room.arguments(PatientRequest)
@room.response(HTTPStatus.OK, ReviewsAnswer)
def of_patient(said: Mapping[str, Any]) -> Response:
    """List the reviews of a patient.

    In the order of the days that they count from, what became of each, and on which measurements.
    """
    running, by = runtime(), principal()
    with writing() as session:
        found = reassessments.of_patient(session, said["patient"], by=by)
        detail = {"what": "reviews"}
        audit.record(
            session, "patient.read", subject=said["patient"], by=by, now=running.clock(), detail=detail
        )
    return answer({"reviews": [review_json(one) for one in found]})


@room.route("/reviews/plan", methods=["POST"])
@requires(Permission.WORK_ON_FUNCTION)
@room.arguments(PatientRequest)
@room.response(HTTPStatus.OK, ReviewsAnswer)
def plan(said: Mapping[str, Any]) -> Response:
    """Ask the clock about a patient now.

    The review that it asks for is planned, what it asks for no longer is cancelled; asked twice it does the
    same as once. The scheduler asks about everybody in its time.
    """
    running, by = runtime(), principal()
    with writing() as session:
        reassessments.reconsider(session, running.library, said["patient"], by=by, now=running.clock())
        found = reassessments.of_patient(session, said["patient"], by=by)
    return answer({"reviews": [review_json(one) for one in found if one.closed_at is None]})


@room.route("/reviews/<review_id>")
@requires(Permission.READ_FUNCTION)
@room.response(HTTPStatus.OK, ReviewAnswer)
def read_review(review_id: str) -> Response:
    """Read a review."""
    with reading() as session:
        found = reassessments.read(session, review_id, by=principal())
    return answer(review_json(found))


@room.route("/reviews/<review_id>/complete", methods=["POST"])
@requires(Permission.WORK_ON_FUNCTION)
@room.arguments(CompleteRequest)
@room.response(HTTPStatus.OK, ReviewAnswer)
@room.doc(responses={409: "CONFLICT"})
def complete(said: Mapping[str, Any], review_id: str) -> Response:
    """Say that a review was done.

    Early, in time or late, on measurements of the patient, one of function or goals among them: a pain
    score alone is no review. The next one is planned.
    """
    running = runtime()
    with writing() as session:
        done = reassessments.complete(
            session,
            running.library,
            review_id,
            measurements=said["measurements"],
            note=said["note"],
            on=said["on"],
            by=principal(),
            now=running.clock(),
        )
    return answer(review_json(done))


@room.route("/reviews/<review_id>/cancel", methods=["POST"])
@requires(Permission.WORK_ON_FUNCTION)
@room.arguments(ReasonRequest)
@room.response(HTTPStatus.OK, ReviewAnswer)
@room.doc(responses={409: "CONFLICT"})
def cancel(said: Mapping[str, Any], review_id: str) -> Response:
    """Say that a review is not needed, and why.

    The clock asks again after its interval; no policy takes it for a review.
    """
    running = runtime()
    with writing() as session:
        ended = reassessments.cancel(
            session,
            running.library,
            review_id,
            reason=said["reason"],
            by=principal(),
            now=running.clock(),
        )
    return answer(review_json(ended))


@room.route("/reviews/<review_id>/assign", methods=["POST"])
@requires(Permission.WORK_ON_FUNCTION)
@room.arguments(AssignRequest)
@room.response(HTTPStatus.OK, ReviewAnswer)
@room.doc(responses={409: "CONFLICT"})
def assign(said: Mapping[str, Any], review_id: str) -> Response:
    """Put an open review on a clinician's worklist."""
    with writing() as session:
        put = reassessments.assign(
            session, review_id, clinician=said["clinician"], by=principal(), now=runtime().clock()
        )
    return answer(review_json(put))


# --- the calendar ----------------------------------------------------------------------------------------


@room.route("/calendar")
@requires(Permission.READ_INSTRUMENTS)
@room.response(HTTPStatus.OK, CalendarAnswer)
def read_calendar() -> Response:
    """Say where the organisation is in time, and which day it is there."""
    running, by = runtime(), principal()
    with reading() as session:
        known = calendars.of(session, running.library, by.organisation_id)
    return answer(_calendar(known))


@room.route("/calendar", methods=["POST"])
@requires(Permission.SET_CALENDAR)
@room.arguments(CalendarRequest)
@room.response(HTTPStatus.OK, CalendarAnswer)
def set_calendar(said: Mapping[str, Any]) -> Response:
    """Set the organisation's time zone, holidays and weekend.

    Days begin and reviews fall due by it from now on.
    """
    running = runtime()
    wanted = Calendar(said["time_zone"], said["country"], said["region"], frozenset(said["weekend"]))
    with writing() as session:
        calendars.change(session, running.library, wanted, by=principal(), now=running.clock())
    return answer(_calendar(wanted))


def _calendar(calendar: Calendar) -> dict[str, Any]:
    return {
        "time_zone": calendar.time_zone,
        "country": calendar.country,
        "region": calendar.region,
        "weekend": sorted(calendar.weekend),
        "today": calendars.there(runtime().clock(), calendar).date().isoformat(),
    }


# --- for a program -----------------------------------------------------------------------------------------


def review_json(record: ReviewRecord) -> dict[str, Any]:
    """A review for a program."""
    review = record.review
    return {
        "id": record.id,
        "patient_id": record.patient_id,
        "interval": review.interval,
        "because": runtime().library.clock.because(review.interval),
        "since": review.since.isoformat(),
        "exact_on": review.exact_on.isoformat(),
        "due_on": review.due_on.isoformat(),
        "state": review.state.value,
        "clinician": record.clinician,
        "opened_at": record.opened_at and answers.instant_json(record.opened_at),
        "opened_late_days": record.opened_late_days,
        "done_on": review.done_on and review.done_on.isoformat(),
        "late_days": review.late_days,
        "closed_at": record.closed_at and answers.instant_json(record.closed_at),
        "closed_by": record.closed_by,
        "reason": review.reason,
        "note": record.note,
        "measurements": list(record.measurements),
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "review": item.review_id,
        "patient_id": item.patient_id,
        "clinician": item.clinician,
        "interval": item.interval,
        "because": runtime().library.clock.because(item.interval),
        "due_on": item.due_on.isoformat(),
        "state": item.state.value,
        "late_days": item.late_days,
    }

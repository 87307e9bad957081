"""Function on a clock: instruments and their forms, measurements and trends, goals.

Reviews are in ``reviews``. A patient is named in the body and never in an address; the ids that an address
bears name a thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from http import HTTPStatus
from typing import Any

from flask import Response

from stewardship.api.exchange import Room, answer, writing
from stewardship.api.function_schemas import (
    GoalAnswer,
    GoalChangeRequest,
    GoalGivenUpRequest,
    GoalReachedRequest,
    GoalRequest,
    GoalsAnswer,
    InstrumentsAnswer,
    MeasurementAnswer,
    MeasurementRequest,
    MeasurementsAnswer,
    PatientRequest,
    PictureAnswer,
    PictureRequest,
    ReasonRequest,
    TrendsAnswer,
)
from stewardship.auth import Permission, principal, requires
from stewardship.bodies import json_body
from stewardship.domain import function_told
from stewardship.domain.errors import Fault, InvalidInput, NotFound
from stewardship.domain.instruments import Instrument
from stewardship.intake.fhir_r4.questionnaires import questionnaire, read_response
from stewardship.intake.strict_json import dumps
from stewardship.pictures.function import function_svg
from stewardship.runtime import runtime
from stewardship.services import answers, audit, beside_dose, calendars, goals, measurements
from stewardship.services.goals import GoalRecord

room = Room("function", __name__, description="What patients can do: measured, and set as goals.")

_FHIR = "application/fhir+json"


@room.route("/instruments")
@requires(Permission.READ_INSTRUMENTS)
@room.response(HTTPStatus.OK, InstrumentsAnswer)
def list_instruments() -> Response:
    """List the instruments.

    What each measures, which way is better, and whether a review can rest on it.
    """
    known = runtime().library.instruments.values()
    return answer({"instruments": [function_told.instrument(one) for one in known]})


@room.route("/instruments/<instrument_id>/questionnaire")
@requires(Permission.READ_INSTRUMENTS)
@room.response(HTTPStatus.OK, content_type=_FHIR)
def form_of(instrument_id: str) -> Response:
    """Give the form of an instrument as a FHIR R4 Questionnaire.

    Of a licensed form only the fields for its results; the form itself is never printed.
    """
    return Response(dumps(questionnaire(_instrument(instrument_id))), content_type=_FHIR)


@room.route("/instruments/<instrument_id>/questionnaire-response", methods=["POST"])
@requires(Permission.RECORD_FUNCTION)
@room.response(HTTPStatus.CREATED, MeasurementAnswer)
@room.doc(
    requestBody={
        "required": True,
        "content": {name: {"schema": {"type": "object"}} for name in ("application/json", _FHIR)},
    },
    responses={400: "BAD_REQUEST", 409: "CONFLICT", 413: "REQUEST_ENTITY_TOO_LARGE",
               415: "UNSUPPORTED_MEDIA_TYPE", 422: "UNPROCESSABLE_ENTITY"},
)  # fmt: skip
def take_response(instrument_id: str) -> Response:
    """Record a FHIR R4 QuestionnaireResponse as a measurement.

    A completed response to this form of ours, with its subject and the day on which it was authored; its
    id keeps it from being recorded twice. Answers whose source is the patient wait for somebody to look.
    """
    running = runtime()
    instrument = _instrument(instrument_id)
    settings = running.settings
    document = json_body(max_bytes=settings.order_bytes, max_keys=settings.order_keys, also=(_FHIR,))
    said = read_response(document, running.library.instruments)
    if said.instrument.id != instrument.id:
        raise _refused("/questionnaire", "another-form", "The response is to another form.")
    if not said.patient_id:
        raise _refused("/subject", "required", "Say whose response it is.")
    if said.on is None:
        raise _refused("/authored", "required", "Say when it was authored.")
    by, now = principal(), running.clock()
    with writing() as session:
        zone = calendars.zone(calendars.of(session, running.library, by.organisation_id))
        found = measurements.record(
            session,
            running.library,
            said.patient_id,
            instrument.id,
            said.answers,
            # The day is what is known; its beginning is never a time to come.
            taken_at=datetime.combine(said.on, time(), zone),
            source=said.reporter,
            by=by,
            now=now,
            measurement_id=f"response-{said.id}" if said.id else "",
        )
    return answer(function_told.measured(found), HTTPStatus.CREATED)


# --- measurements ----------------------------------------------------------------------------------------


@room.route("/measurements", methods=["POST"])
@requires(Permission.RECORD_FUNCTION)
@room.arguments(MeasurementRequest)
@room.response(HTTPStatus.CREATED, MeasurementAnswer)
@room.doc(responses={404: "NOT_FOUND", 409: "CONFLICT"})
def record_measurement(said: Mapping[str, Any]) -> Response:
    """Record answers to an instrument.

    They are kept as they are; the score is made from them, exactly. Items that are missing give a
    measurement that says so instead of a score.
    """
    running = runtime()
    with writing() as session:
        found = measurements.record(
            session,
            running.library,
            said["patient"],
            said["instrument"],
            said["answers"],
            taken_at=said["taken_at"],
            source=said["reported_by"],
            by=principal(),
            now=running.clock(),
            measurement_id=said["id"],
        )
    return answer(function_told.measured(found), HTTPStatus.CREATED)


@room.route("/measurements/search", methods=["POST"])
@requires(Permission.READ_FUNCTION)
@room.arguments(PatientRequest)
@room.response(HTTPStatus.OK, MeasurementsAnswer)
def list_measurements(said: Mapping[str, Any]) -> Response:
    """List the measurements of a patient.

    In order of time, those that were entered in error with the reason.
    """
    running = runtime()
    with writing() as session:
        found = measurements.of_patient(session, running.library, said["patient"], by=principal())
        _note_reading(session, said["patient"], "measurements")
    return answer({"measurements": [function_told.measured(one) for one in found]})


@room.route("/trends", methods=["POST"])
@requires(Permission.READ_FUNCTION)
@room.arguments(PatientRequest)
@room.response(HTTPStatus.OK, TrendsAnswer)
def trends_of(said: Mapping[str, Any]) -> Response:
    """Say what became of a patient's function.

    A trend for each instrument and its parts, each judged against its first measurement and the one before
    by the instrument's own important change and by 30 %; never an average across instruments.
    """
    running = runtime()
    with writing() as session:
        found = measurements.trend(
            session, running.library, said["patient"], by=principal(), now=running.clock()
        )
        _note_reading(session, said["patient"], "trends")
    return answer({"trends": [function_told.trend(one) for one in found]})


@room.route("/trends/picture", methods=["POST"])
@requires(Permission.READ_FUNCTION)
@room.arguments(PictureRequest)
@room.response(HTTPStatus.OK, PictureAnswer)
@room.doc(responses={404: "NOT_FOUND"})
def picture_of(said: Mapping[str, Any]) -> Response:
    """Draw a patient's function beside the daily dose.

    An SVG that stands alone, and the table and the words that say the same; better is up, whichever way
    the instrument runs.
    """
    running = runtime()
    with writing() as session:
        seen = beside_dose.seen(
            session,
            running.library,
            said["patient"],
            said["instrument"],
            days=said["days"],
            by=principal(),
            now=running.clock(),
        )
        _note_reading(session, said["patient"], "function-picture")
    svg = function_svg(seen, name=f"function-{said['instrument']}")
    return answer({"svg": svg, **function_told.beside_dose(seen)})


@room.route("/measurements/<measurement_id>/entered-in-error", methods=["POST"])
@requires(Permission.RECORD_FUNCTION)
@room.arguments(ReasonRequest)
@room.response(HTTPStatus.OK, MeasurementAnswer)
@room.doc(responses={409: "CONFLICT"})
def mistake(said: Mapping[str, Any], measurement_id: str) -> Response:
    """Say that a measurement was entered in error.

    It stays on record and counts for nothing from now on. One that a review rests on stays.
    """
    running = runtime()
    with writing() as session:
        found = measurements.enter_in_error(
            session,
            running.library,
            measurement_id,
            reason=said["reason"],
            by=principal(),
            now=running.clock(),
        )
    return answer(function_told.measured(found))


# --- goals -----------------------------------------------------------------------------------------------


@room.route("/goals", methods=["POST"])
@requires(Permission.WORK_ON_FUNCTION)
@room.arguments(GoalRequest)
@room.response(HTTPStatus.CREATED, GoalAnswer)
@room.doc(responses={409: "CONFLICT"})
def set_goal(said: Mapping[str, Any]) -> Response:
    """Set a goal of function.

    It names an activity, how it goes now, how it should go, and by when. That pain should be gone is no
    goal alone, and is sent back with an example.
    """
    running = runtime()
    with writing() as session:
        made = goals.set_goal(
            session,
            running.library,
            said["patient"],
            **_words(said),
            by=principal(),
            now=running.clock(),
            goal_id=said["id"],
        )
    return answer(goal_json(made), HTTPStatus.CREATED)


@room.route("/goals/search", methods=["POST"])
@requires(Permission.READ_FUNCTION)
@room.arguments(PatientRequest)
@room.response(HTTPStatus.OK, GoalsAnswer)
def list_goals(said: Mapping[str, Any]) -> Response:
    """List the goals of a patient.

    Each as it stands, and with everything that became of it.
    """
    with writing() as session:
        found = goals.of_patient(session, said["patient"], by=principal())
        _note_reading(session, said["patient"], "goals")
    return answer({"goals": [goal_json(one) for one in found]})


@room.route("/goals/<goal_id>/change", methods=["POST"])
@requires(Permission.WORK_ON_FUNCTION)
@room.arguments(GoalChangeRequest)
@room.response(HTTPStatus.OK, GoalAnswer)
@room.doc(responses={409: "CONFLICT"})
def change_goal(said: Mapping[str, Any], goal_id: str) -> Response:
    """Say a goal anew.

    `version` is the one that was seen; when it is another by now, somebody was first, and the answer says
    who.
    """
    return _step(goals.change, goal_id, said, reason=said["reason"], **_words(said))


@room.route("/goals/<goal_id>/reach", methods=["POST"])
@requires(Permission.WORK_ON_FUNCTION)
@room.arguments(GoalReachedRequest)
@room.response(HTTPStatus.OK, GoalAnswer)
@room.doc(responses={409: "CONFLICT"})
def reach_goal(said: Mapping[str, Any], goal_id: str) -> Response:
    """Say that a goal was reached, today or on an earlier day."""
    return _step(goals.reach, goal_id, said, reason=said["reason"], on=said["on"])


@room.route("/goals/<goal_id>/give-up", methods=["POST"])
@requires(Permission.WORK_ON_FUNCTION)
@room.arguments(GoalGivenUpRequest)
@room.response(HTTPStatus.OK, GoalAnswer)
@room.doc(responses={409: "CONFLICT"})
def give_goal_up(said: Mapping[str, Any], goal_id: str) -> Response:
    """Say that nobody works towards a goal any more, and why."""
    return _step(goals.give_up, goal_id, said, reason=said["reason"])


def goal_json(record: GoalRecord) -> dict[str, Any]:
    """A goal for a program."""
    return {
        "id": record.id,
        "patient_id": record.patient_id,
        "version": record.version,
        "state": record.state.value,
        "stands": record.stands,
        **_said(record.says),
        "steps": [
            {
                "event": step.event.value,
                "on": step.on.isoformat(),
                **_said(step.says),
                "reason": step.reason,
                "by": step.by_user,
                "role": step.by_role,
                "at": answers.instant_json(step.at),
            }
            for step in record.steps
        ],
    }


def _said(says: Any) -> dict[str, Any]:
    return {
        "activity": says.activity,
        "baseline": says.baseline,
        "target": says.target,
        "due_on": says.due_on.isoformat(),
    }


def _words(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: said[name] for name in ("activity", "baseline", "target", "due_on")}


def _step(what: Any, goal_id: str, said: Mapping[str, Any], **more: Any) -> Response:
    running = runtime()
    with writing() as session:
        made = what(
            session,
            running.library,
            goal_id,
            version=said["version"],
            **more,
            by=principal(),
            now=running.clock(),
        )
    return answer(goal_json(made))


def _instrument(instrument_id: str) -> Instrument:
    known = runtime().library.instruments.get(instrument_id)
    if known is None:
        raise NotFound("there is no such instrument")
    return known


def _note_reading(session: Any, patient_id: str, what: str) -> None:
    audit.record(
        session,
        "patient.read",
        subject=patient_id,
        by=principal(),
        now=runtime().clock(),
        detail={"what": what},
    )


def _refused(pointer: str, code: str, message: str) -> InvalidInput:
    return InvalidInput("not a response that can be taken", faults=(Fault(pointer, code, message),))

"""Tapers: a schedule to look at, and a plan once patient and prescriber chose it together."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response

from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.api.plan_schemas import (
    PlanPatientRequest,
    ScheduleAnswer,
    SchedulePreviewRequest,
    TaperActRequest,
    TaperAnswer,
    TaperRequest,
    TapersAnswer,
)
from stewardship.auth import Permission, principal, requires
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.domain.taper import SharedDecision, TaperAct
from stewardship.domain.taper_told import schedule_told, taper_told
from stewardship.runtime import runtime
from stewardship.services import audit, patient_wishes, tapers
from stewardship.services.tapers import TaperRead, Wanted

room = Room("tapers", __name__, description="Slow schedules, for those who choose to reduce an opioid.")

_STALE = {409: "CONFLICT"}


@room.route("/tapers/preview", methods=["POST"])
@requires(Permission.PLAN_TAPERS)
@room.arguments(SchedulePreviewRequest)
@room.response(HTTPStatus.OK, ScheduleAnswer)
@room.doc(responses={404: "NOT_FOUND"})
def preview_taper(said: Mapping[str, Any]) -> Response:
    """Look at a schedule.

    In real tablets, from the patient's own record; nothing is kept. Where none is planned, it says why.
    """
    with reading() as session:
        patient_wishes.known_id(session, said["patient"], by=principal())
        found = tapers.preview(
            session, _library(), said["patient"], _wanted(said), asked_by=said["asked_by"], **_acting()
        )
    return answer(schedule_told(found))


@room.route("/tapers", methods=["POST"])
@requires(Permission.PLAN_TAPERS)
@room.arguments(TaperRequest)
@room.response(HTTPStatus.CREATED, TaperAnswer)
@room.doc(responses={404: "NOT_FOUND", **_STALE})
def begin_taper(said: Mapping[str, Any]) -> Response:
    """Begin a taper.

    Only with a decision that patient and prescriber share; one medicine at a time, and never together with a
    benzodiazepine that is being reduced.
    """
    stated = said["decision"]
    decision = SharedDecision(
        stated["on"], said["asked_by"], stated["agreed"], stated["words"], stated["naloxone"]
    )
    with writing() as session:
        taper_id = tapers.begin(
            session,
            _library(),
            said["patient"],
            _wanted(said),
            decision,
            taper_id=said["id"],
            plan_id=said["plan_id"],
            **_acting(),
        )
        made = tapers.read(session, _library(), taper_id, **_acting())
    return answer(taper_json(made), HTTPStatus.CREATED)


@room.route("/tapers/search", methods=["POST"])
@requires(Permission.READ_PLANS)
@room.arguments(PlanPatientRequest)
@room.response(HTTPStatus.OK, TapersAnswer)
@room.doc(responses={404: "NOT_FOUND"})
def tapers_of_patient(said: Mapping[str, Any]) -> Response:
    """List the tapers of a patient.

    The newest first, each held against what was dispensed. That somebody looked is on record.
    """
    with writing() as session:
        found = tapers.of_patient(session, _library(), said["patient"], **_acting())
        patient = patient_wishes.known_id(session, said["patient"], by=principal())
        audit.record(session, "plans.read", subject=patient, detail={"what": "tapers"}, **_acting())
    return answer({"tapers": [taper_json(one) for one in found]})


@room.route("/tapers/<taper_id>")
@requires(Permission.READ_PLANS)
@room.response(HTTPStatus.OK, TaperAnswer)
def read_taper(taper_id: str) -> Response:
    """Read a taper.

    Its steps, what was changed and why, its next step, and what is dispensed faster than planned.
    """
    with reading() as session:
        found = tapers.read(session, _library(), taper_id, **_acting())
    return answer(taper_json(found))


@room.route("/tapers/<taper_id>/acts", methods=["POST"])
@requires(Permission.PLAN_TAPERS)
@room.arguments(TaperActRequest)
@room.response(HTTPStatus.OK, TaperAnswer)
@room.doc(responses=_STALE)
def act_on_taper(said: Mapping[str, Any], taper_id: str) -> Response:
    """Pause a taper, go on, slow it down, take a step back, stop or complete it.

    Never faster than it was agreed on.
    """
    common = {"on": said["on"], "version": said["version"], **_acting()}
    reason = said["reason"]
    with writing() as session:
        match said["act"]:
            case TaperAct.PAUSE:
                tapers.pause(session, taper_id, reason=reason, **common)
            case TaperAct.RESUME:
                tapers.resume(session, taper_id, reason=reason, **common)
            case TaperAct.REVERSE:
                tapers.reverse(session, _library(), taper_id, reason=reason, **common)
            case TaperAct.STOP:
                tapers.stop(session, taper_id, reason=reason, **common)
            case TaperAct.COMPLETE:
                tapers.complete(session, taper_id, **common)
            case TaperAct.SLOW:
                tapers.slow(session, _library(), taper_id, reason=reason, **_pace(said), **common)
            case _:
                raise _invalid("/act", "start", "a taper is begun with POST /tapers")
        found = tapers.read(session, _library(), taper_id, **_acting())
    return answer(taper_json(found))


def taper_json(read: TaperRead) -> dict[str, Any]:
    """A taper as it stands today."""
    told = taper_told(read.taper, today=runtime().clock().date(), version=read.version)
    return told | {
        "faster": [
            {
                "supply": one.supply,
                "on": one.on.isoformat(),
                "until": one.until.isoformat(),
                "dispensed_mg": one.dispensed_mg,
                "planned_mg": one.planned_mg,
                "supplies": list(one.supplies),
                "complete": one.complete,
            }
            for one in read.faster
        ],
        "cannot_tell": list(read.cannot_tell),
    }


def _pace(said: Mapping[str, Any]) -> dict[str, Any]:
    if said["percent"] is None or said["step_days"] is None:
        raise _invalid("/percent", "required", "say which percent, and every how many days")
    return {"percent": said["percent"], "step_days": said["step_days"]}


def _wanted(said: Mapping[str, Any]) -> Wanted:
    names = ("starts_on", "mg_per_day", "days_on", "pieces_a_day", "times_a_day", "for_pain", "splitting")
    return Wanted(code=said["rxcui"], **{name: said[name] for name in names})


def _invalid(pointer: str, code: str, words: str) -> InvalidInput:
    return InvalidInput(words, faults=(Fault(pointer, code, words),))


def _library() -> Any:
    return runtime().library_of(principal().organisation_id)


def _acting() -> dict[str, Any]:
    return {"by": principal(), "now": runtime().clock()}

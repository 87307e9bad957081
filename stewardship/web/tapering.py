"""A taper on pages: looked at first, begun on a shared decision, and changed as it goes.

A schedule is shown before anything is kept, in real tablets; nothing here asks anybody to begin one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, requires
from stewardship.db.engine import transaction
from stewardship.domain.chart import Chart
from stewardship.domain.codes import RXNORM
from stewardship.domain.errors import InvalidInput, NotFound
from stewardship.domain.taking import taking
from stewardship.domain.taper import AskedBy, SharedDecision, TaperAct
from stewardship.domain.taper_told import schedule_told, taper_told
from stewardship.runtime import runtime
from stewardship.services import tapers
from stewardship.services.tapers import TaperRead, Wanted
from stewardship.web.pages import is_part, page
from stewardship.web.patient_forms import (
    acting,
    current_day,
    done,
    exact,
    faults_of,
    form_page,
    library,
    needed_day,
    one_of,
    opened,
    own_id,
    patient,
    typed,
    version_seen,
    whole,
    wrong,
    yes_or_no,
)

room = Blueprint("tapering", __name__)

ASKED_BY = {AskedBy.PATIENT: "The patient", AskedBy.PRESCRIBER: "The prescriber"}
ACTS = {
    TaperAct.PAUSE: "Pause",
    TaperAct.RESUME: "Go on",
    TaperAct.SLOW: "Slow down",
    TaperAct.REVERSE: "Take a step back",
    TaperAct.STOP: "Stop",
    TaperAct.COMPLETE: "Complete",
}
#: What the page says once it is done.
_SAID = {
    TaperAct.PAUSE: "The taper is paused: the dose is held.",
    TaperAct.RESUME: "The taper goes on; its later steps have moved.",
    TaperAct.SLOW: "The taper is slower from now on.",
    TaperAct.REVERSE: "The dose of the step before is taken again.",
    TaperAct.STOP: "The taper is stopped; the dose stays as it is.",
    TaperAct.COMPLETE: "The taper is complete.",
}
#: What may be done in each state, in the order in which it is offered.
OFFERED = {
    "active": (TaperAct.PAUSE, TaperAct.SLOW, TaperAct.REVERSE, TaperAct.STOP, TaperAct.COMPLETE),
    "paused": (TaperAct.RESUME, TaperAct.REVERSE, TaperAct.STOP),
    "completed": (),
    "stopped": (),
}

_MOST_MG, _MOST_DAYS, _MOST_PIECES, _MOST_TIMES = 10_000, 40_000, 100, 12
_MOST_PERCENT, _MOST_STEP_DAYS = 50, 366
_USE = ("rxcui", "other", "starts_on", "mg_per_day", "days_on", "pieces_a_day", "times_a_day")
_ANSWERS = ("asked_by", "for_pain", "splitting", "decided_on", "agreed", "words", "naloxone", "id", "do")
_PLACES = {
    "/decision/words": "words",
    "/decision/agreed": "agreed",
    "/decision/on": "decided_on",
    "/on": "decided_on",
}


# --- planning one ------------------------------------------------------------------------------------


@room.get("/patients/<patient_id>/tapers/new")
@requires(Permission.PLAN_TAPERS)
def new_taper(patient_id: str) -> Response:
    """An empty form; the record fills in what it knows."""
    return _new_page(patient_id, {}, {})


@room.post("/patients/<patient_id>/tapers/new")
@requires(Permission.PLAN_TAPERS)
def plan_taper(patient_id: str) -> Response | WSGIResponse:
    """Show the schedule, which keeps nothing, or begin the taper."""
    said = typed(*_USE, *_ANSWERS)
    said["id"] = own_id(said["id"])
    if said["do"] != "begin":
        return _preview(patient_id, said)
    _, known_as = patient(patient_id)

    def act(session: Session) -> str:
        wanted, asked_by = _wanted(said), _asked_by(said)
        naloxone = yes_or_no(said["naloxone"])
        if naloxone is None:
            raise wrong("/naloxone", "required", "Say whether naloxone was offered.")
        on = needed_day(said["decided_on"], "/decided_on")
        decision = SharedDecision(on, asked_by, bool(said["agreed"]), said["words"], naloxone)
        tapers.begin(session, library(), known_as, wanted, decision, taper_id=said["id"], **acting())
        return "The taper is begun, as patient and prescriber chose."

    return done(
        act,
        lambda faults: _new_page(patient_id, said, faults),
        to=_at(patient_id, said["id"]),
        places=_PLACES,
    )


def _preview(patient_id: str, said: dict[str, str]) -> Response:
    """The schedule that this would be; for htmx the part alone."""
    known_as = patient(patient_id)[1]
    try:
        wanted, asked_by = _wanted(said), _asked_by(said)
        with transaction(runtime().sessions, write=False) as session:
            found = tapers.preview(session, library(), known_as, wanted, asked_by=asked_by, **acting())
    except InvalidInput as refused:
        faults = faults_of(refused, _PLACES)
        if is_part():
            return page("taper_schedule.html", schedule=None, faults=faults)
        return _new_page(patient_id, said, faults)
    schedule = schedule_told(found)
    if is_part():
        return page("taper_schedule.html", schedule=schedule, faults={})
    return _new_page(patient_id, said, {}, schedule)


def _new_page(
    patient_id: str, said: dict[str, str], faults: dict[str, str], schedule: dict[str, Any] | None = None
) -> Response:
    found, on = opened(patient_id, "taper")
    return form_page(
        "taper_new.html",
        found.who,
        said,
        faults,
        today=on,
        new_id=own_id(said.get("id", "")),
        products=_products(found.chart),
        asked_by=ASKED_BY,
        schedule=schedule,
    )


def _products(chart: Chart) -> list[tuple[str, str]]:
    """The opioids that are taken now, by RxNorm code."""
    flags = library().flags
    now = taking(chart, unknown_days=flags.common.unknown_supply_days, gap_days=flags.episode_gap_days)
    return [
        (one.drug.code.code, one.name)
        for one in now
        if one.opioid and one.drug is not None and one.drug.code.system == RXNORM
    ]


def _wanted(said: Mapping[str, str]) -> Wanted:
    code = said["other"] or said["rxcui"]
    if not code:
        raise wrong("/rxcui", "required", "Say which medicine is to be reduced.")
    return Wanted(
        code=code,
        starts_on=needed_day(said["starts_on"], "/starts_on"),
        mg_per_day=exact(said["mg_per_day"], "/mg_per_day", most=_MOST_MG, places=4),
        days_on=whole(said["days_on"], "/days_on", most=_MOST_DAYS),
        pieces_a_day=exact(said["pieces_a_day"], "/pieces_a_day", most=_MOST_PIECES),
        times_a_day=whole(said["times_a_day"], "/times_a_day", most=_MOST_TIMES) or None,
        for_pain=bool(said["for_pain"]),
        splitting=bool(said["splitting"]),
    )


def _asked_by(said: Mapping[str, str]) -> AskedBy:
    return one_of(said["asked_by"], AskedBy, "/asked_by", "Say who brought it up.")


# --- one that is under way -----------------------------------------------------------------------------


@room.get("/patients/<patient_id>/tapers/<taper_id>")
@requires(Permission.READ_PATIENTS)
def taper(patient_id: str, taper_id: str) -> Response:
    """The taper: where it stands, its steps, what was changed and why, and what is dispensed faster."""
    who, known_as = patient(patient_id, "taper")
    held = _read(taper_id, known_as)
    return page("taper.html", who=who, held=held, acts=ACTS, offered=OFFERED, **_told(held))


@room.get("/patients/<patient_id>/tapers/<taper_id>/<act>")
@requires(Permission.PLAN_TAPERS)
def act_form(patient_id: str, taper_id: str, act: str) -> Response:
    """What is asked before a taper is changed."""
    return _act_page(patient_id, taper_id, act, {}, {})


@room.post("/patients/<patient_id>/tapers/<taper_id>/<act>")
@requires(Permission.PLAN_TAPERS)
def act_on_taper(patient_id: str, taper_id: str, act: str) -> Response | WSGIResponse:
    """Pause it, go on, slow it down, take a step back, stop or complete it."""
    known_as = patient(patient_id)[1]
    doing = _act(act)
    said = typed("on", "reason", "percent", "step_days", "version")
    _read(taper_id, known_as)

    def change(session: Session) -> str:
        common: dict[str, Any] = {
            "on": needed_day(said["on"], "/on"),
            "version": version_seen(said),
            **acting(),
        }
        reason = said["reason"]
        match doing:
            case TaperAct.PAUSE:
                tapers.pause(session, taper_id, reason=reason, **common)
            case TaperAct.RESUME:
                tapers.resume(session, taper_id, reason=reason, **common)
            case TaperAct.REVERSE:
                tapers.reverse(session, library(), taper_id, reason=reason, **common)
            case TaperAct.STOP:
                tapers.stop(session, taper_id, reason=reason, **common)
            case TaperAct.SLOW:
                tapers.slow(session, library(), taper_id, reason=reason, **_pace(said), **common)
            case _:
                tapers.complete(session, taper_id, **common)
        return _SAID[doing]

    return done(
        change,
        lambda faults: _act_page(patient_id, taper_id, act, said, faults),
        to=_at(patient_id, taper_id),
    )


def _pace(said: Mapping[str, str]) -> dict[str, Any]:
    percent = exact(said["percent"], "/percent", most=_MOST_PERCENT)
    step_days = whole(said["step_days"], "/step_days", most=_MOST_STEP_DAYS)
    if percent is None:
        raise wrong("/percent", "required", "Say by how many percent.")
    if not step_days:
        raise wrong("/step_days", "required", "Say every how many days.")
    return {"percent": percent, "step_days": step_days}


def _act_page(
    patient_id: str, taper_id: str, act: str, said: dict[str, str], faults: dict[str, str]
) -> Response:
    doing = _act(act)
    who, known_as = patient(patient_id)
    held = _read(taper_id, known_as)
    return form_page(
        "taper_act.html",
        who,
        said,
        faults,
        held=held,
        act=doing,
        heading=ACTS[doing],
        today=current_day(),
        **_told(held),
    )


def _act(act: str) -> TaperAct:
    if act not in {one.value for one in ACTS}:
        raise NotFound("there is no such act")
    return TaperAct(act)


def _read(taper_id: str, known_as: str) -> TaperRead:
    """A taper of this patient and of nobody else."""
    with transaction(runtime().sessions, write=False) as session:
        held = tapers.read(session, library(), taper_id, **acting())
    if held.taper.patient_id != known_as:
        raise NotFound("there is no such taper")
    return held


def _told(held: TaperRead) -> dict[str, Any]:
    return {"told": taper_told(held.taper, today=runtime().clock().date(), version=held.version)}


def _at(patient_id: str, taper_id: str) -> str:
    return url_for("tapering.taper", patient_id=patient_id, taper_id=taper_id)

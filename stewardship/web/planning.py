"""A plan for pain on pages: started, added to, begun, answered, ended; with the step that it suggests next.

Each form carries the version of the plan that its reader saw. When somebody else was first the page says who,
shows the plan as it is now, and keeps what was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, requires
from stewardship.db.engine import transaction
from stewardship.domain.alternatives import Recommendation
from stewardship.domain.care import latest, newest
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.domain.errors import NotFound
from stewardship.domain.goals import goal
from stewardship.domain.pain_plan import NewStep
from stewardship.domain.plan_referrals import waits_for
from stewardship.domain.plan_steps import Basis, Function, PlanStatus, Step, StepStatus
from stewardship.domain.suitability import Response as Effect
from stewardship.runtime import runtime
from stewardship.services import care, patients, plans
from stewardship.services.plans import Answered, NewPlan
from stewardship.web import ordering
from stewardship.web.coordinating import STANCES
from stewardship.web.orders import diagnoses
from stewardship.web.pages import page
from stewardship.web.patient_forms import (
    acting,
    current_day,
    day,
    done,
    exact,
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
from stewardship.web.patient_forms import today as organisations_day
from stewardship.web.plans_shown import address, read_plan, words
from stewardship.web.referring import STANDS

room = Blueprint("planning", __name__)

BASES = {
    Basis.HISTORY: "history",
    Basis.EXAMINATION: "examination",
    Basis.NEUROLOGICAL: "neurological findings",
    Basis.BLOCK: "a block that relieved",
    Basis.FUNCTION: "function",
    Basis.IMAGING: "imaging (never alone)",
}
FUNCTIONS = {Function.BETTER: "better", Function.SAME: "the same", Function.WORSE: "worse"}
EFFECTS = {
    Effect.MEANINGFUL: "meaningful",
    Effect.PARTIAL: "partial",
    Effect.NONE: "none",
    Effect.HARM: "harm",
}
ENDS = {
    StepStatus.COMPLETED: "it is completed",
    StepStatus.STOPPED: "it is stopped",
    StepStatus.DECLINED: "the patient does not want it",
}
CLOSES = {PlanStatus.COMPLETED: "what it was for is reached", PlanStatus.STOPPED: "it is given up"}

_MOST_VISITS = 200
_MOST_HOURS = 9_999
_CHOOSE = "Choose one of those that are listed."
_NEW_PLAN = (
    "id",
    "condition",
    "other",
    "chronic",
    "owner",
    "activity",
    "baseline",
    "target",
    "due_on",
    "on",
    "note",
)
_STEP = (
    "treatment",
    "discipline",
    "on",
    "after",
    "skipped",
    "despite",
    "visits",
    "target",
    "note",
    "version",
)
_ACTS = {
    "begin": ("on", "version"),
    "respond": (
        "on",
        "relief",
        "hours",
        "function",
        "response",
        "target",
        "anaesthetic",
        "attended",
        "note",
        "ends",
        "version",
    ),
    "end": ("status", "on", "note", "version"),
}


# --- starting, and looking -------------------------------------------------------------------------


@room.get("/patients/<patient_id>/plans/new")
@requires(Permission.WORK_ON_PLANS)
def new_plan(patient_id: str) -> Response:
    """An empty plan."""
    return _new_page(patient_id, {}, {})


@room.post("/patients/<patient_id>/plans/new")
@requires(Permission.WORK_ON_PLANS)
def start_plan(patient_id: str) -> Response | WSGIResponse:
    """Start a plan: for which condition, to what end, and who holds it together."""
    _, known_as = patient(patient_id)
    said = typed(*_NEW_PLAN)
    said["id"] = own_id(said["id"])

    def act(session: Session) -> str:
        goal_words = {name: said[name] for name in ("activity", "baseline", "target")}
        until, now = day(said["due_on"], "/due_on"), runtime().clock()
        asked = NewPlan(
            codings=_condition(session, patient_id, said),
            goals=(goal(**goal_words, due_on=until, terms=library().goals, today=now.date()),),
            owner=said["owner"],
            on=needed_day(said["on"], "/on"),
            chronic=yes_or_no(said["chronic"]),
            note=said["note"],
            id=said["id"],
        )
        plans.start(session, library(), known_as, asked, **acting())
        return "The plan is started."

    return done(
        act,
        lambda faults: _new_page(patient_id, said, faults),
        to=address(patient_id, said["id"]),
        places={"/conditions": "condition"},
    )


@room.get("/patients/<patient_id>/plans/<plan_id>")
@requires(Permission.READ_PATIENTS)
def plan(patient_id: str, plan_id: str) -> Response:
    """The plan, its steps with what they did, and what it suggests next."""
    who, known_as = patient(patient_id, "plan")
    return page(
        "plan.html",
        who=who,
        held=read_plan(plan_id, known_as),
        stands=STANDS,
        waits=waits_for,
        latest=latest,
        newest=newest,
        kinds={one.id: one.title for one in library().plans.preferences.values()},
        stances=STANCES,
        today=current_day(),
        **words(),
    )


def _new_page(patient_id: str, said: dict[str, str], faults: dict[str, str]) -> Response:
    found, on = opened(patient_id, "plan")
    return form_page(
        "plan_new.html",
        found.who,
        said,
        faults,
        today=on,
        new_id=own_id(said.get("id", "")),
        conditions=diagnoses(found.chart),
        disciplines=[(one.id, one.title) for one in library().plans.disciplines.values()],
    )


def _condition(session: Session, patient_id: str, said: Mapping[str, str]) -> tuple[Coding, ...]:
    """What the plan is for: a diagnosis on record, in its words, or another code."""
    code = (said["other"] or said["condition"]).upper()
    if not code:
        return ()
    if not ordering.CODE.fullmatch(code):
        raise wrong("/other", "not-a-code", "Write an ICD-10-CM code, such as M54.50.")
    found = patients.open_chart(session, library(), patient_id, what="plan", **acting())
    return (Coding(ICD10CM, code, dict(diagnoses(found.chart)).get(code, "")),)


# --- what is done to it ----------------------------------------------------------------------------


@room.get("/patients/<patient_id>/plans/<plan_id>/steps/new")
@requires(Permission.WORK_ON_PLANS)
def new_step(patient_id: str, plan_id: str) -> Response:
    """An empty step; the one that the plan suggests is chosen already."""
    return _step_page(patient_id, plan_id, {}, {})


@room.post("/patients/<patient_id>/plans/<plan_id>/steps/new")
@requires(Permission.WORK_ON_PLANS)
def add_step(patient_id: str, plan_id: str) -> Response | WSGIResponse:
    """Add a step: what needs a test first is refused without one, an intervention on imaging alone too."""
    known_as = patient(patient_id)[1]
    said = typed(*_STEP)
    held = read_plan(plan_id, known_as)

    def act(session: Session) -> str:
        new = NewStep(
            id="",
            treatment=said["treatment"],
            on=needed_day(said["on"], "/on"),
            discipline=one_of(said["discipline"], library().plans.disciplines, "/discipline", _CHOOSE)
            if said["discipline"]
            else "",
            after=said["after"],
            basis=tuple(one for one in Basis if one.value in request.form.getlist("basis")),
            skipped=said["skipped"],
            despite=said["despite"],
            visits=whole(said["visits"], "/visits", most=_MOST_VISITS),
            target=said["target"],
            note=said["note"],
        )
        plans.add_step(session, library(), held.plan.id, new, version=version_seen(said), **acting())
        return "The step is in the plan. Begin it when it begins."

    return done(
        act, lambda faults: _step_page(patient_id, plan_id, said, faults), to=address(patient_id, plan_id)
    )


@room.get("/patients/<patient_id>/plans/<plan_id>/steps/<step_id>/<act>")
@requires(Permission.WORK_ON_PLANS)
def step_form(patient_id: str, plan_id: str, step_id: str, act: str) -> Response:
    """What is asked when a step begins, did something, or ends."""
    return _act_page(patient_id, plan_id, step_id, act, {}, {})


@room.post("/patients/<patient_id>/plans/<plan_id>/steps/<step_id>/<act>")
@requires(Permission.WORK_ON_PLANS)
def act_on_step(patient_id: str, plan_id: str, step_id: str, act: str) -> Response | WSGIResponse:
    """Begin a step, record what it did, or end it."""
    known_as = patient(patient_id)[1]
    if act not in _ACTS:
        raise NotFound("there is no such act")
    said = typed(*_ACTS[act])
    held = read_plan(plan_id, known_as)
    step = held.plan.step(step_id)

    def doing(session: Session) -> str:
        stated: dict[str, Any] = {"version": version_seen(said), **acting()}
        on = needed_day(said["on"], "/on")
        if act == "begin":
            plans.begin_step(session, library(), plan_id, step.id, on=on, **stated)
            return "The step has begun; by when somebody looks what it did is below."
        if act == "respond":
            plans.record_response(session, library(), plan_id, step.id, _answered(said, on), **stated)
            return "What the step did is on record; what follows from it is below."
        status = one_of(said["status"], ENDS, "/status", "Say how it ends.")
        plans.end_step(session, plan_id, step.id, status, on=on, note=said["note"], **stated)
        return "The step has ended."

    return done(
        doing,
        lambda faults: _act_page(patient_id, plan_id, step_id, act, said, faults),
        to=address(patient_id, plan_id),
        places={"/relief_percent": "relief", "/lasted_hours": "hours"},
    )


@room.get("/patients/<patient_id>/plans/<plan_id>/close")
@requires(Permission.WORK_ON_PLANS)
def close_form(patient_id: str, plan_id: str) -> Response:
    """How the plan ends."""
    return _act_page(patient_id, plan_id, "", "close", {}, {})


@room.post("/patients/<patient_id>/plans/<plan_id>/close")
@requires(Permission.WORK_ON_PLANS)
def close(patient_id: str, plan_id: str) -> Response | WSGIResponse:
    """Close the plan; steps that are open are stopped with it."""
    known_as = patient(patient_id)[1]
    said = typed("status", "on", "note", "version")
    held = read_plan(plan_id, known_as)

    def doing(session: Session) -> str:
        status = one_of(said["status"], CLOSES, "/status", "Say how it ends.")
        on = needed_day(said["on"], "/on")
        plans.close(
            session, held.plan.id, status, on=on, note=said["note"], version=version_seen(said), **acting()
        )
        return "The plan is closed."

    return done(
        doing,
        lambda faults: _act_page(patient_id, plan_id, "", "close", said, faults),
        to=address(patient_id, plan_id),
    )


def _answered(said: Mapping[str, str], on: date) -> Answered:
    return Answered(
        on=on,
        response=one_of(said["response"], EFFECTS, "/response", _CHOOSE) if said["response"] else None,
        relief_percent=whole(said["relief"], "/relief", most=100),
        lasted_hours=exact(said["hours"], "/hours", most=_MOST_HOURS),
        function=one_of(said["function"], FUNCTIONS, "/function", _CHOOSE) if said["function"] else None,
        target=said["target"],
        anaesthetic=said["anaesthetic"],
        attended=whole(said["attended"], "/attended", most=_MOST_VISITS),
        note=said["note"],
        ends=bool(said["ends"]),
    )


# --- pages -----------------------------------------------------------------------------------------


def _step_page(patient_id: str, plan_id: str, said: dict[str, str], faults: dict[str, str]) -> Response:
    who, known_as = patient(patient_id)
    held = read_plan(plan_id, known_as)
    with transaction(runtime().sessions, write=False) as session:
        known = care.advise(session, library(), known_as, **acting()).recommendation
        on = organisations_day(session)
    suggested = held.suggestion.treatment if held.suggestion is not None else ""
    return form_page(
        "plan_step.html",
        who,
        said,
        faults,
        held=held,
        today=on,
        offered=[
            (rung, [(o.treatment.id, o.treatment.title) for o in rung.options])
            for rung in known.ladder
            if rung.options
        ],
        others=_others(known),
        suggested=suggested,
        bases=BASES,
        chosen=request.form.getlist("basis"),
        **words(),
    )


def _others(known: Recommendation) -> list[tuple[str, str]]:
    """The treatments that are not offered to this patient; they take a reason."""
    offered = {o.treatment.id for rung in known.ladder for o in rung.options}
    every = library().alternatives.treatments.values()
    return sorted(((t.id, t.title) for t in every if t.id not in offered), key=lambda pair: pair[1])


def _act_page(
    patient_id: str, plan_id: str, step_id: str, act: str, said: dict[str, str], faults: dict[str, str]
) -> Response:
    if act not in (*_ACTS, "close"):
        raise NotFound("there is no such act")
    who, known_as = patient(patient_id)
    held = read_plan(plan_id, known_as)
    step: Step | None = held.plan.step(step_id) if step_id else None
    declared = library().alternatives.treatments
    return form_page(
        "plan_act.html",
        who,
        said,
        faults,
        held=held,
        act=act,
        step=step,
        diagnostic=step is not None and declared[step.treatment].diagnostic,
        today=current_day(),
        effects=EFFECTS,
        functions=FUNCTIONS,
        ends=CLOSES if act == "close" else ENDS,
        **words(),
    )

"""Referrals of a plan on pages: sent with a reason, followed until the report is back; with a letter."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.errors import NotFound
from stewardship.domain.letter import RESPONSES
from stewardship.domain.plan_referrals import Referral, ReferralStatus, still_to_come, waits_for
from stewardship.runtime import runtime
from stewardship.services import plans
from stewardship.services.plans import NewReferral, ReferralRead
from stewardship.web.coordinating import STANCES
from stewardship.web.pages import page
from stewardship.web.patient_forms import (
    acting,
    an_id,
    current_day,
    done,
    form_page,
    library,
    needed_day,
    one_of,
    own_id,
    patient,
    typed,
    version_seen,
)
from stewardship.web.plans_shown import read_plan, words

room = Blueprint("referring", __name__)

EVENTS = {
    ReferralStatus.ACCEPTED: "They accepted it",
    ReferralStatus.SEEN: "The patient was seen",
    ReferralStatus.REPORTED: "Their report is back",
    ReferralStatus.DECLINED: "They declined it",
    ReferralStatus.CANCELLED: "It is cancelled",
}
#: Where a referral stands, as a reader says it.
STANDS = {
    ReferralStatus.SENT: "sent",
    ReferralStatus.ACCEPTED: "accepted",
    ReferralStatus.SEEN: "seen",
    ReferralStatus.REPORTED: "reported back",
    ReferralStatus.DECLINED: "declined by them",
    ReferralStatus.CANCELLED: "cancelled",
}
_NEW = ("id", "discipline", "reason", "urgency", "source", "on", "step", "to")
_HAPPENED = ("status", "on", "note", "version")


@room.get("/patients/<patient_id>/plans/<plan_id>/referrals/new")
@requires(Permission.WORK_ON_PLANS)
def new_referral(patient_id: str, plan_id: str) -> Response:
    """An empty referral."""
    return _new_page(patient_id, plan_id, {}, {})


@room.post("/patients/<patient_id>/plans/<plan_id>/referrals/new")
@requires(Permission.WORK_ON_PLANS)
def refer(patient_id: str, plan_id: str) -> Response | WSGIResponse:
    """Send a referral; it stays open until its report is back."""
    held = read_plan(plan_id, patient(patient_id)[1])
    said = typed(*_NEW)
    said["id"] = own_id(said["id"])

    def act(session: Session) -> str:
        asked = NewReferral(
            discipline=said["discipline"],
            reason=said["reason"],
            urgency=said["urgency"],
            source=said["source"],
            on=needed_day(said["on"], "/on"),
            step=said["step"],
            to=an_id(said["to"], "/to"),
            id=said["id"],
        )
        plans.refer(session, library(), held.plan.id, asked, **acting())
        return "The referral is on record. Its letter is ready to print."

    return done(
        act,
        lambda faults: _new_page(patient_id, plan_id, said, faults),
        to=_at(patient_id, plan_id, said["id"]),
    )


@room.get("/patients/<patient_id>/plans/<plan_id>/referrals/<referral_id>")
@requires(Permission.READ_PATIENTS)
def referral(patient_id: str, plan_id: str, referral_id: str) -> Response:
    """A referral: what happened, what has to happen next, and by when."""
    return _page(patient_id, plan_id, referral_id, {}, {}, what="referral")


@room.post("/patients/<patient_id>/plans/<plan_id>/referrals/<referral_id>")
@requires(Permission.WORK_ON_PLANS)
def note(patient_id: str, plan_id: str, referral_id: str) -> Response | WSGIResponse:
    """Note what happened to a referral."""
    _read(patient(patient_id)[1], plan_id, referral_id)
    said = typed(*_HAPPENED)

    def act(session: Session) -> str:
        to = one_of(said["status"], EVENTS, "/status", "Say what happened.")
        on = needed_day(said["on"], "/on")
        stated = {"on": on, "note": said["note"], "version": version_seen(said), **acting()}
        plans.note_referral(session, library(), referral_id, to, **stated)
        return "What happened is on record."

    return done(
        act,
        lambda faults: _page(patient_id, plan_id, referral_id, said, faults),
        to=_at(patient_id, plan_id, referral_id),
    )


@room.get("/patients/<patient_id>/plans/<plan_id>/referrals/<referral_id>/letter")
@requires(Permission.READ_PATIENTS)
def letter(patient_id: str, plan_id: str, referral_id: str) -> Response:
    """What goes with the referral, to print: what was tried and came of it, what tests showed, what the
    patient wants, and what is not on record."""
    who, known_as = patient(patient_id, "letter")
    held = _read(known_as, plan_id, referral_id)
    with transaction(runtime().sessions, write=False) as session:
        found = plans.letter_of(session, library(), referral_id, **acting())
    listed = (*found.conservative, *found.tests)
    return page(
        "letter.html",
        who=who,
        plan_id=plan_id,
        letter=found,
        referral=held.referral,
        parts=(
            ("Care without needles", found.conservative),
            ("Tests and trials", found.tests),
            ("What else was done", [one for one in found.courses if one not in listed]),
        ),
        came_to=RESPONSES,
        stances=STANCES,
        wishes={one.id: one.title for one in library().plans.preferences.values()},
        **words(),
    )


# --- pages -----------------------------------------------------------------------------------------


def _new_page(patient_id: str, plan_id: str, said: Mapping[str, str], faults: Mapping[str, str]) -> Response:
    who, known_as = patient(patient_id)
    return form_page(
        "referral_new.html",
        who,
        said,
        faults,
        held=read_plan(plan_id, known_as),
        today=current_day(),
        new_id=own_id(said.get("id", "")),
        sources=sorted(library().plans.referral_sources),
        **words(),
    )


def _page(
    patient_id: str,
    plan_id: str,
    referral_id: str,
    said: Mapping[str, str],
    faults: Mapping[str, str],
    *,
    what: str = "",
) -> Response:
    who, known_as = patient(patient_id, what)
    found = _read(known_as, plan_id, referral_id)
    return form_page(
        "referral.html",
        who,
        said,
        faults,
        held=read_plan(plan_id, known_as),
        found=found,
        waits=waits_for(found.referral),
        today=current_day(),
        stands=STANDS,
        events={to: EVENTS[to] for to in still_to_come(found.referral)},
        **words(),
    )


def _read(known_as: str, plan_id: str, referral_id: str) -> ReferralRead:
    """A referral of this plan of this patient and of nobody else."""
    with transaction(runtime().sessions, write=False) as session:
        found = plans.read_referral(session, referral_id, by=principal())
    if not _belongs(found.referral, known_as, plan_id):
        raise NotFound("there is no such referral")
    return found


def _belongs(found: Referral, known_as: str, plan_id: str) -> bool:
    return (found.patient_id, found.plan_id) == (known_as, plan_id)


def _at(patient_id: str, plan_id: str, referral_id: str) -> str:
    return url_for("referring.referral", patient_id=patient_id, plan_id=plan_id, referral_id=referral_id)

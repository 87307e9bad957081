"""The patient on one page: what is taken, how much over time, how it goes, what is due, what is not known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.declarations import Library
from stewardship.domain.chart import Chart
from stewardship.domain.directions import directions
from stewardship.domain.reviews import OPEN
from stewardship.domain.taking import taking
from stewardship.pictures.timeline import DEFINITIONS, timeline_svg
from stewardship.runtime import runtime
from stewardship.services import (
    calendars,
    flags,
    goals,
    measurements,
    patients,
    plans,
    reassessments,
    tapers,
    timelines,
)
from stewardship.services.answers import decision_json
from stewardship.services.flag_queue import Asked, FlagRecord, Message
from stewardship.services.goals import GoalRecord
from stewardship.services.patients import Decided, Opened
from stewardship.services.plans import PlanRead
from stewardship.services.reassessments import ReviewRecord
from stewardship.services.tapers import TaperRead
from stewardship.web import drawing
from stewardship.web.drawing import NAMES, WINDOWS, Measure
from stewardship.web.pages import is_part, may, page

room = Blueprint("charting", __name__)


@dataclass(frozen=True)
class Beside:
    """What stands beside the chart: function, goals, reviews, decisions, and what to do at this visit."""

    today: date
    measures: tuple[Measure, ...]
    goals: tuple[GoalRecord, ...]
    reviews: tuple[ReviewRecord, ...]
    decisions: tuple[Decided, ...]
    plans: tuple[PlanRead, ...]
    tapers: tuple[TaperRead, ...]
    flags: tuple[FlagRecord, ...]
    messages: tuple[Message, ...]
    visit: dict[str, Any]


@room.get("/patients/<patient_id>")
@requires(Permission.READ_PATIENTS)
def chart(patient_id: str) -> Response:
    """Everything about a patient; htmx asks for the part about doses alone, with another choice."""
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    part = is_part()
    with transaction(running.sessions, late=True) as session:
        opened = patients.open_chart(session, library, patient_id, what="chart", by=by, now=now)
        beside = None if part else _beside(session, library, opened)
    choice = drawing.chosen(library, dict(request.args))
    drawn = drawing.drawn(opened.chart, opened.known_as, library, choice)
    shared: dict[str, Any] = {
        "who": opened.who,
        "drawn": drawn,
        "sets": library.factor_sets.values(),
        "names": NAMES,
        "definitions": DEFINITIONS,
        "windows": WINDOWS,
    }
    if beside is None:
        return page("doses.html", **shared)
    return page(
        "chart.html",
        chart=opened.chart,
        beside=beside,
        taking=_taking(opened.chart, library),
        directions=directions,
        mme={s.id: s for s in drawn.timeline.supplies},
        unknown=_unknown(opened.chart),
        titles={t.id: t.title for t in library.alternatives.treatments.values()},
        **shared,
    )


@room.get("/patients/<patient_id>/timeline.svg")
@requires(Permission.READ_PATIENTS)
def picture(patient_id: str) -> Response:
    """The picture without a script: for browsers that run none."""
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    choice = drawing.chosen(library, dict(request.args))
    today = now.date()
    with transaction(running.sessions, late=True) as session:
        found = timelines.read(
            session,
            library,
            patient_id,
            factor_set=choice.factor_set,
            first=today - timedelta(days=choice.days - 1),
            until=today,
            by=by,
            now=now,
        )
    return Response(timeline_svg(found.line, choice.definition), content_type="image/svg+xml")


@room.post("/patients/<patient_id>/messages/<message_id>")
@requires(Permission.READ_MESSAGES)
def answer_message(patient_id: str, message_id: str) -> WSGIResponse:
    """Tell the pharmacist that the message was seen, and what to it."""
    running, by, now = runtime(), principal(), runtime().clock()
    with transaction(running.sessions) as session:
        patients.known(session, patient_id, by=by)
        flags.answer(session, message_id, request.form.get("words", ""), by=by, now=now)
    flash("The pharmacist is told.", "success")
    return redirect(url_for("charting.chart", patient_id=patient_id), HTTPStatus.SEE_OTHER)


def _flags(session: Session, library: Library, patient_id: str) -> tuple[FlagRecord, ...]:
    asked = Asked(patient=patient_id)
    return flags.listed(session, library, asked, by=principal(), now=runtime().clock()).flags


def _messages(session: Session, library: Library, patient_id: str) -> tuple[Message, ...]:
    """What was written to the reader about this patient, and waits for a word."""
    waiting = flags.messages_for(session, library, by=principal(), unanswered=True)
    return tuple(message for message in waiting if message.patient == patient_id)


def _taking(chart: Chart, library: Library) -> Any:
    flags = library.flags
    return taking(chart, unknown_days=flags.common.unknown_supply_days, gap_days=flags.episode_gap_days)


def _beside(session: Session, library: Library, opened: Opened) -> Beside:
    by, now = principal(), runtime().clock()
    who = opened.known_as
    trends = measurements.trend(session, library, who, by=by, now=now)
    return Beside(
        calendars.today(session, library, by.organisation_id, now=now),
        drawing.measures(opened.chart, trends, library.instruments.values()),
        tuple(goal for goal in goals.of_patient(session, who, by=by) if goal.stands),
        tuple(r for r in reassessments.of_patient(session, who, by=by) if r.review.state in OPEN),
        patients.decisions_of(session, opened.who.id, by=by),
        plans.of_patient(session, library, who, by=by, now=now) if may(Permission.READ_PLANS) else (),
        tapers.standing(session, opened.who.id, by=by) if may(Permission.READ_PLANS) else (),
        _flags(session, library, opened.who.id) if may(Permission.READ_FLAGS) else (),
        _messages(session, library, opened.who.id) if may(Permission.READ_MESSAGES) else (),
        decision_json(patients.visit(library, opened), library, patient_id=who),
    )


#: What a gap of the record means to whoever reads the page.
_GAPS = {
    "history-missing": "No medication history is on record.",
    "history-error": "The medication history could not be fetched.",
    "history-incomplete": "Only part of the medication history is on record.",
    "history-stale": "A pharmacy of this patient has not reported in time",
    "history-unsettled": "It is not settled whether other dispensings are this patient's.",
    "history-unavailable": "The stored medication history cannot be reached.",
    "supply-without-date": "An earlier prescription has no date.",
}


def _unknown(chart: Chart) -> list[str]:
    """What is not known about the patient, in sentences; empty when nothing is known to be missing."""
    said = []
    for gap in chart.gaps:
        words = _GAPS.get(gap.code, "Something in the record could not be read.")
        named = gap.code == "history-stale" and gap.about
        said.append(f"{words}: {gap.about}." if named else f"{words.rstrip('.')}.")
    if chart.data_as_of is None:
        said.append("No pharmacy reports of this patient: there may be supplies that nobody here knows of.")
    if chart.unknown_drugs:
        said.append(f"Not recognised, and so not judged: {'; '.join(chart.unknown_drugs)}.")
    if chart.patient.birth_date is None:
        said.append("The date of birth is not known.")
    return list(dict.fromkeys(said))

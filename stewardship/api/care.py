"""Care besides opioids: which alternatives fit a patient and why not the others, what was found, what was
offered. A patient is named in the body and never in an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Response
from marshmallow import fields, validate

from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.auth import Permission, principal, requires
from stewardship.domain import alternatives_told, benefit, evaluation, triggers
from stewardship.domain.benefit import Reply
from stewardship.domain.evaluation import (
    CameBecause,
    DocumentKind,
    DocumentState,
    ExamPart,
    Finding,
    PainType,
    StudyKind,
)
from stewardship.domain.suitability import Response as Effect
from stewardship.domain.triggers import Change, Limit
from stewardship.intake.fields import Choice, Day, Flag, StrictSchema, Text, Token, WholeNumber
from stewardship.runtime import runtime
from stewardship.services import audit, calendars, care, worklists

room = Room("care", __name__, description="Non-opioid alternatives, for this patient.")

_MOST = 50


def _each(kind: Any) -> Any:
    return fields.List(kind, validate=validate.Length(max=_MOST))


class AdviceRequest(StrictSchema):
    """For whom, and for which pain where the record does not tell."""

    patient = Token(required=True, metadata={"description": "The EHR's id of the patient."})
    conditions = _each(Token())
    helpful_studies = Flag(
        load_default=False,
        metadata={"description": "Say as well which studies may help to tell; most pain needs none."},
    )


class ExaminedRequest(StrictSchema):
    """What was found in one part of an examination."""

    part = Choice(ExamPart, required=True)
    finding = Choice(Finding, required=True)
    note = Text(longest=500, load_default="")


class DocumentRequest(StrictSchema):
    """Where a document about earlier care is."""

    kind = Choice(DocumentKind, required=True)
    state = Choice(DocumentState, required=True)


class StudyRequest(StrictSchema):
    """A study that was made."""

    kind = Choice(StudyKind, required=True)
    region = Text(longest=100, blank=False, required=True)
    on = Day()


class TriedRequest(StrictSchema):
    """A treatment that was tried, and what it did."""

    what = Token(required=True, metadata={"description": "A treatment's id, or a medicine's base name."})
    response = Choice(Effect, required=True)
    on = Day(metadata={"description": "When it ended, or when it was asked about."})
    note = Text(longest=500, load_default="")
    began_on = Day()
    dose = Text(longest=100, load_default="")
    relief_percent = WholeNumber(least=0, most=100, load_default=None, allow_none=True)
    stopped_because = Text(longest=300, load_default="")


class AssessmentRequest(StrictSchema):
    """What was found about a patient's pain on a day; what was not looked at is left out."""

    patient = Token(required=True, metadata={"description": "The EHR's id of the patient."})
    on = Day(required=True)
    onset_on = Day()
    change = Choice(Change)
    limits = _each(Choice(Limit))
    conservative = Flag()
    active_rehab = Flag()
    prevents_exercise = Flag()
    adequate_relief = Flag()
    neurological_deficit = Flag()
    residual_after_surgery = Flag()
    surgery_on = Day()
    surgical_candidate = Flag()
    declines_surgery = Flag()
    low_mood_or_fear = Flag()
    wants_to_reduce = Flag()
    imaging_agrees = Flag()
    allergies = _each(Token())
    tried = _each(fields.Nested(TriedRequest))
    where = Text(longest=200, blank=False)
    eases = Text(longest=500, blank=False)
    worsens = Text(longest=500, blank=False)
    pain_type = Choice(PainType)
    came_because = Choice(CameBecause)
    examined = _each(fields.Nested(ExaminedRequest))
    documents = _each(fields.Nested(DocumentRequest))
    studies = _each(fields.Nested(StudyRequest))


class OfferRequest(StrictSchema):
    """That a treatment was put to the patient, and the reply."""

    patient = Token(required=True, metadata={"description": "The EHR's id of the patient."})
    treatment = Token(required=True)
    reply = Choice(Reply, required=True)
    on = Day(required=True)
    note = Text(longest=2_000, load_default="")


class KeptAnswer(StrictSchema):
    """The id under which it is kept."""

    id = fields.String(required=True)


class FollowUpsQuery(StrictSchema):
    """Whose."""

    whose = fields.String(load_default="mine", validate=validate.OneOf(["mine", "everybody"]))


class FollowUpAnswer(StrictSchema):
    """An episode of pain that is to be looked at again."""

    patient = fields.String(required=True, metadata={"description": "The EHR's id of the patient."})
    clinician = fields.String(required=True)
    trigger = fields.String(required=True)
    title = fields.String(required=True)
    say = fields.String(required=True)
    opens_on = fields.Date(required=True)
    due_on = fields.Date(required=True)
    late_days = fields.Integer(required=True)


class FollowUpsAnswer(StrictSchema):
    """What is on the worklist, one line a patient, the longest overdue first."""

    on = fields.Date(required=True)
    follow_ups = fields.List(fields.Nested(FollowUpAnswer), required=True)


class AdviceAnswer(StrictSchema):
    """The ladder with every reason, triggers, and who might benefit from what."""

    patient = fields.String(required=True)
    assessed_on = fields.String(required=True, allow_none=True)
    recommendation = fields.Dict(required=True)
    triggers = fields.Dict(required=True)
    might_benefit = fields.Dict(required=True)
    evaluation = fields.Dict(
        required=True,
        metadata={"description": "What was asked, examined and read, and what is missing."},
    )


@room.route("/alternatives", methods=["POST"])
@requires(Permission.READ_CARE)
@room.arguments(AdviceRequest)
@room.response(HTTPStatus.OK, AdviceAnswer)
@room.doc(responses={404: "NOT_FOUND"})
def advise(said: Mapping[str, Any]) -> Response:
    """Say which alternatives fit a patient.

    A ladder from the least to the most invasive, each rung with why and what to check first, each option
    left out with its reason, and every fact that is missing as a question.
    """
    running = runtime()
    with writing() as session:
        found = care.advise(
            session,
            running.library,
            said["patient"],
            codes=said.get("conditions", ()),
            by=principal(),
            now=running.clock(),
        )
        audit.record(
            session,
            "patient.read",
            subject=found.chart.patient.id,
            by=principal(),
            now=running.clock(),
            detail={"what": "alternatives"},
        )
    return answer(
        {
            "patient": found.chart.patient.id,
            "assessed_on": found.assessed_on.isoformat() if found.assessed_on else None,
            "recommendation": alternatives_told.told(found.recommendation),
            "triggers": triggers.told(found.pulled, running.library.triggers),
            "might_benefit": benefit.told(found.benefits),
            "evaluation": evaluation.told(found.evaluation, helpful=said["helpful_studies"]),
        }
    )


@room.route("/assessments", methods=["POST"])
@requires(Permission.RECORD_CARE)
@room.arguments(AssessmentRequest)
@room.response(HTTPStatus.CREATED, KeptAnswer)
@room.doc(responses={404: "NOT_FOUND"})
def assess(said: Mapping[str, Any]) -> Response:
    """Keep what was found about a patient's pain.

    Only what was looked at; a later statement of a fact replaces the earlier one in advice, not on record.
    """
    running = runtime()
    stated: dict[str, Any] = {name: value for name, value in said.items() if name not in {"patient", "on"}}
    for name in {"limits", "allergies"} & stated.keys():
        stated[name] = tuple(stated[name])
    kinds: Mapping[str, Callable[..., object]] = {
        "tried": care.TriedBefore,
        "examined": care.Examined,
        "documents": care.DocumentSeen,
        "studies": care.StudyMade,
    }
    for name in kinds.keys() & stated.keys():
        stated[name] = tuple(kinds[name](**one) for one in stated[name])
    with writing() as session:
        made = care.assess(
            session,
            running.library,
            said["patient"],
            care.Assessed(**stated),
            on=said["on"],
            by=principal(),
            now=running.clock(),
        )
    return answer({"id": made}, HTTPStatus.CREATED)


@room.route("/pain-follow-ups")
@requires(Permission.READ_CARE)
@room.arguments(FollowUpsQuery, location="query")
@room.response(HTTPStatus.OK, FollowUpsAnswer)
def follow_ups(query: Mapping[str, Any]) -> Response:
    """List the episodes of pain to look at again.

    A day on which time alone asks for another look comes from the last assessment, and the next one ends it.
    """
    running, by = runtime(), principal()
    with reading() as session:
        today = calendars.today(session, running.library, by.organisation_id, now=running.clock())
        mine = worklists.known_as(session, by=by) if query["whose"] == "mine" else None
        found = worklists.follow_ups(session, clinicians=mine, today=today, by=by)
    rules = {rule.id: rule for rule in running.library.triggers.rules}
    lines = [
        {
            "patient": line.number,
            "clinician": line.clinician,
            "trigger": line.trigger,
            "title": rules[line.trigger].title if line.trigger in rules else line.trigger,
            "say": rules[line.trigger].say if line.trigger in rules else "",
            "opens_on": line.opens_on.isoformat(),
            "due_on": line.due_on.isoformat(),
            "late_days": line.late_days,
        }
        for line in found
    ]
    return answer({"on": today.isoformat(), "follow_ups": lines})


@room.route("/alternative-offers", methods=["POST"])
@requires(Permission.RECORD_CARE)
@room.arguments(OfferRequest)
@room.response(HTTPStatus.CREATED, KeptAnswer)
@room.doc(responses={404: "NOT_FOUND"})
def offer(said: Mapping[str, Any]) -> Response:
    """Keep that an alternative was put to the patient.

    What was offered or declined rests, and is not listed again until a day that the answer names.
    """
    running = runtime()
    with writing() as session:
        made = care.offer(
            session,
            running.library,
            said["patient"],
            said["treatment"],
            reply=said["reply"],
            on=said["on"],
            note=said["note"],
            by=principal(),
            now=running.clock(),
        )
    return answer({"id": made}, HTTPStatus.CREATED)

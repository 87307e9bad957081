"""What the API takes and answers about plans, referrals, tapers and prescribers."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from stewardship.domain.care import SaidBy, Stance
from stewardship.domain.next_step import Kind
from stewardship.domain.plan_referrals import ReferralStatus
from stewardship.domain.plan_steps import Basis, Function, PlanStatus, StepStatus
from stewardship.domain.prescribers import CertificationKind
from stewardship.domain.suitability import Response
from stewardship.domain.taper import AskedBy, TaperAct, TaperStatus
from stewardship.intake.fields import Choice, Day, ExactDecimal, Flag, StrictSchema, Text, Token, WholeNumber

_MOST = 50
_MOST_VERSION = 1_000_000


def _each(kind: Any, *, least: int = 0, **given: Any) -> Any:
    return fields.List(kind, validate=validate.Length(least, _MOST), **given)


def _nullable(kind: Any, **given: Any) -> Any:
    return kind(required=True, allow_none=True, **given)


def _id() -> Any:
    words = "Makes a repetition safe: the same again under it is the same."
    return Token(load_default="", metadata={"description": words})


class Versioned(StrictSchema):
    """An act on a version that somebody looked at."""

    version = WholeNumber(
        least=1, most=_MOST_VERSION, required=True, metadata={"description": "Of what was looked at."}
    )


class PlanPatientRequest(StrictSchema):
    """Whose."""

    patient = Token(required=True, metadata={"description": "The EHR's id of the patient."})


# --- plans ------------------------------------------------------------------------------------------


class PlanGoalWords(StrictSchema):
    """What the patient wants to be able to do: from where to where, by when."""

    activity = Text(longest=500, required=True)
    baseline = Text(longest=500, required=True)
    target = Text(longest=500, required=True)
    due_on = Day(required=True)


class ConditionRequest(StrictSchema):
    """A code of the condition."""

    system = fields.String(load_default="icd-10-cm", validate=validate.OneOf(["icd-10-cm", "snomed-ct"]))
    code = Token(required=True)
    display = Text(longest=300, load_default="")


class PlanRequest(PlanPatientRequest):
    """A plan for pain: for which condition, to what end, and which discipline holds it together."""

    id = _id()
    conditions = _each(fields.Nested(ConditionRequest), required=True, least=1)
    goals = _each(fields.Nested(PlanGoalWords), required=True, least=1)
    owner = Token(required=True)
    on = Day(required=True)
    chronic = Flag(load_default=None, allow_none=True)
    note = Text(longest=2_000, load_default="")


class StepRequest(Versioned):
    """A treatment to be added, and what has to be said of it."""

    id = _id()
    treatment = Token(required=True)
    on = Day(required=True)
    discipline = Token(load_default="")
    after = Token(load_default="", metadata={"description": "The step that comes first."})
    basis = _each(Choice(Basis), load_default=list)
    skipped = Text(longest=1_000, load_default="", metadata={"description": "Why less is passed over."})
    despite = Text(longest=1_000, load_default="", metadata={"description": "Why nevertheless."})
    visits = WholeNumber(least=1, most=500, load_default=None, allow_none=True)
    target = Text(longest=200, load_default="", metadata={"description": "What a test is aimed at."})
    note = Text(longest=2_000, load_default="")


class BeginRequest(Versioned):
    """On which day a step begins."""

    on = Day(required=True)


class ResponseRequest(Versioned):
    """What a step did. Of a test the target, relief, duration and function are all needed."""

    on = Day(required=True)
    response = Choice(Response, load_default=None, allow_none=True)
    relief_percent = WholeNumber(least=0, most=100, load_default=None, allow_none=True)
    lasted_hours = ExactDecimal(least=0, most=100_000, places=2, load_default=None, allow_none=True)
    function = Choice(Function, load_default=None, allow_none=True)
    target = Text(longest=200, load_default="")
    anaesthetic = Text(longest=200, load_default="", metadata={"description": "Of a block: with what."})
    attended = WholeNumber(
        least=0,
        most=500,
        load_default=None,
        allow_none=True,
        metadata={"description": "Visits since the response before."},
    )
    note = Text(longest=2_000, load_default="")
    ends = Flag(load_default=False)


class EndStepRequest(Versioned):
    """How a step ends, without more to say of what it did."""

    status = Choice(StepStatus, required=True)
    on = Day(required=True)
    note = Text(longest=2_000, load_default="")


class ContactRequest(Versioned):
    """Who of a discipline does what; an id, never a name."""

    discipline = Token(required=True)
    who = Token(required=True)
    does = Text(longest=500, load_default="")
    last_contact_on = Day(load_default=None, allow_none=True)
    reported_on = Day(load_default=None, allow_none=True)


class PlanGoalRequest(Versioned, PlanGoalWords):
    """A further goal."""


class CloseRequest(Versioned):
    """How a plan ends."""

    status = Choice(PlanStatus, required=True)
    on = Day(required=True)
    note = Text(longest=2_000, load_default="")


class ReferralRequest(StrictSchema):
    """A referral: to which discipline, why, how urgent, and who refers."""

    id = _id()
    discipline = Token(required=True)
    reason = Text(longest=2_000, blank=False, required=True)
    urgency = Token(required=True)
    source = Token(required=True)
    on = Day(required=True)
    step = Token(load_default="")
    to = Token(load_default="")


class ReferralEventRequest(Versioned):
    """What happened to a referral."""

    status = Choice(ReferralStatus, required=True)
    on = Day(required=True)
    note = Text(longest=2_000, load_default="")


class PreferenceRequest(PlanPatientRequest):
    """What the patient said of a kind of treatment."""

    about = Token(required=True)
    stance = Choice(Stance, required=True)
    said_on = Day(required=True)
    said_by = Choice(SaidBy, required=True)
    note = Text(longest=2_000, load_default="")


class CoverageRequest(PlanPatientRequest):
    """What a payer asks for and allows."""

    discipline = Token(required=True)
    on = Day(required=True)
    referral_needed = Flag(load_default=None, allow_none=True)
    visits_left = WholeNumber(least=0, most=1_000, load_default=None, allow_none=True)
    until = Day(load_default=None, allow_none=True)
    note = Text(longest=500, load_default="")


class ReferralAnswer(StrictSchema):
    """A referral and what has to happen next."""

    id = fields.String(required=True)
    plan_id = fields.String(required=True)
    patient_id = fields.String(required=True)
    version = fields.Integer(required=True)
    discipline = fields.String(required=True)
    reason = fields.String(required=True)
    urgency = fields.String(required=True)
    source = fields.String(required=True)
    step = _nullable(fields.String)
    to = fields.String(required=True)
    status = Choice(ReferralStatus, required=True)
    waits = fields.String(required=True, metadata={"description": "What has to happen next."})
    due_on = _nullable(fields.Date, metadata={"description": "By when, while it is open."})
    overdue = fields.Boolean(required=True)
    events = fields.List(fields.Dict(keys=fields.String()), required=True)


class LetterAnswer(StrictSchema):
    """What goes with a referral. ``wanting`` is what its reader would miss."""

    referral = fields.String(required=True)
    discipline = fields.String(required=True)
    reason = fields.String(required=True)
    urgency = fields.String(required=True)
    source = fields.String(required=True)
    sent_on = fields.Date(required=True)
    conditions = fields.List(fields.Dict(keys=fields.String()), required=True)
    goals = fields.List(fields.Dict(keys=fields.String()), required=True)
    conservative = fields.List(fields.Dict(keys=fields.String()), required=True)
    tests = fields.List(fields.Dict(keys=fields.String()), required=True)
    courses = fields.List(fields.Dict(keys=fields.String()), required=True)
    preferences = fields.List(fields.Dict(keys=fields.String()), required=True)
    medicines = fields.List(fields.String(), required=True, allow_none=True)
    ended = fields.List(
        fields.Dict(keys=fields.String()),
        required=True,
        metadata={"description": "Medicines not in hand today, and within how many days the last was."},
    )
    wanting = fields.List(fields.String(), required=True)
    text = fields.String(required=True)


class ReferralsAnswer(StrictSchema):
    """Referrals."""

    referrals = fields.List(fields.Nested(ReferralAnswer), required=True)


class SuggestionAnswer(StrictSchema):
    """What the plan suggests next, and why."""

    kind = Choice(Kind, required=True)
    because = fields.String(required=True)
    treatment = _nullable(fields.String)
    title = fields.String(required=True)
    step = _nullable(fields.String)
    by = _nullable(fields.Date)
    skipped = fields.List(
        fields.Dict(keys=fields.String()),
        required=True,
        metadata={"description": "Less invasive rungs that it passes over, and why."},
    )
    check_first = fields.List(fields.String(), required=True)
    verified = fields.Boolean(required=True)


class StepAnswer(StrictSchema):
    """A step and what it did."""

    id = fields.String(required=True)
    treatment = fields.String(required=True)
    title = fields.String(required=True)
    rung = fields.Integer(required=True)
    modality = fields.String(required=True)
    discipline = fields.String(required=True)
    status = Choice(StepStatus, required=True)
    planned_on = fields.Date(required=True)
    started_on = _nullable(fields.Date)
    ended_on = _nullable(fields.Date)
    review_on = _nullable(fields.Date)
    after = _nullable(fields.String)
    basis = fields.List(fields.String(), required=True)
    skipped = fields.String(required=True)
    visits = _nullable(fields.Integer)
    target = fields.String(required=True)
    note = fields.String(required=True)
    responses = fields.List(fields.Dict(keys=fields.String()), required=True)


class PlanAnswer(StrictSchema):
    """A plan as it stands."""

    id = fields.String(required=True)
    patient_id = fields.String(required=True)
    version = fields.Integer(required=True)
    status = Choice(PlanStatus, required=True)
    started_on = fields.Date(required=True)
    ended_on = _nullable(fields.Date)
    owner = fields.String(required=True)
    chronic = _nullable(fields.Boolean)
    note = fields.String(required=True)
    review_on = _nullable(fields.Date)
    conditions = fields.List(fields.Dict(keys=fields.String()), required=True)
    goals = fields.List(fields.Dict(keys=fields.String()), required=True)
    steps = fields.List(fields.Nested(StepAnswer), required=True)
    contacts = fields.List(fields.Dict(keys=fields.String()), required=True)
    next_step = _nullable(lambda **more: fields.Nested(SuggestionAnswer, **more))
    whole = fields.Dict(keys=fields.String(), required=True)
    warnings = fields.List(fields.String(), required=True)
    bundles = fields.List(
        fields.Dict(keys=fields.String()),
        required=True,
        metadata={"description": "What would go together with what the plan has."},
    )
    referrals = fields.List(fields.Nested(ReferralAnswer), required=True)
    preferences = fields.List(fields.Dict(keys=fields.String()), required=True)
    coverage = fields.List(fields.Dict(keys=fields.String()), required=True)


class PlansAnswer(StrictSchema):
    """The plans of a patient, those that are open first."""

    plans = fields.List(fields.Nested(PlanAnswer), required=True)


class WishesAnswer(StrictSchema):
    """What a patient said and a payer allows, each word in the order in which it was written down."""

    preferences = fields.List(fields.Dict(keys=fields.String()), required=True)
    coverage = fields.List(fields.Dict(keys=fields.String()), required=True)


# --- tapers -----------------------------------------------------------------------------------------


class SchedulePreviewRequest(PlanPatientRequest):
    """What is to be reduced; dose and length of use are the record's unless they are said."""

    rxcui = Token(required=True)
    starts_on = Day(required=True)
    asked_by = Choice(AskedBy, required=True)
    mg_per_day = ExactDecimal(least=0, most=10_000, above=True, places=4, load_default=None, allow_none=True)
    days_on = WholeNumber(least=0, most=40_000, load_default=None, allow_none=True)
    pieces_a_day = ExactDecimal(least=0, most=100, above=True, places=2, load_default=None, allow_none=True)
    times_a_day = WholeNumber(least=1, most=12, load_default=None, allow_none=True)
    for_pain = Flag(load_default=False)
    splitting = Flag(load_default=False)


class DecisionRequest(StrictSchema):
    """That patient and prescriber decided together."""

    on = Day(required=True)
    agreed = Flag(required=True)
    words = Text(longest=1_000, required=True, metadata={"description": "What the patient wants it for."})
    naloxone = Flag(required=True, metadata={"description": "Whether it was offered."})


class TaperRequest(SchedulePreviewRequest):
    """A taper that patient and prescriber chose."""

    id = _id()
    plan_id = Token(load_default="")
    decision = fields.Nested(DecisionRequest, required=True)


class TaperActRequest(Versioned):
    """What is done to a taper; ``percent`` and ``step_days`` when it is slowed down."""

    act = Choice(TaperAct, required=True)
    on = Day(required=True)
    reason = Text(longest=1_000, load_default="")
    percent = ExactDecimal(least=0, most=50, above=True, places=2, load_default=None, allow_none=True)
    step_days = WholeNumber(least=1, most=366, load_default=None, allow_none=True)


class ScheduleAnswer(StrictSchema):
    """A schedule, or (``planned`` is false) why there is none."""

    planned = fields.Boolean(required=True)
    code = fields.String()
    because = fields.String()
    missing = fields.List(fields.String())
    medicine = fields.String()
    mg_per_day = fields.Decimal()
    starts_on = fields.Date()
    ends_on = fields.Date()
    pace = fields.Dict(keys=fields.String())
    steps = fields.List(fields.Dict(keys=fields.String()))
    supply = fields.List(fields.Dict(keys=fields.String()))
    notes = fields.List(fields.Dict(keys=fields.String()))


class TaperAnswer(StrictSchema):
    """A taper as it stands, and what is dispensed faster than it."""

    id = fields.String(required=True)
    patient_id = fields.String(required=True)
    plan_id = _nullable(fields.String)
    version = fields.Integer(required=True)
    status = Choice(TaperStatus, required=True)
    medicine = fields.String(required=True)
    code = fields.String(required=True)
    mg_per_day = fields.Decimal(required=True)
    starts_on = fields.Date(required=True)
    paused_on = _nullable(fields.Date)
    pace = fields.Dict(keys=fields.String(), required=True)
    decision = fields.Dict(keys=fields.String(), required=True)
    current = _nullable(lambda **more: fields.Dict(keys=fields.String(), **more))
    next_step_on = _nullable(fields.Date)
    steps = fields.List(fields.Dict(keys=fields.String()), required=True)
    changes = fields.List(fields.Dict(keys=fields.String()), required=True)
    faster = fields.List(fields.Dict(keys=fields.String()), required=True)
    cannot_tell = fields.List(fields.String(), required=True)


class TapersAnswer(StrictSchema):
    """The tapers of a patient, the newest first."""

    tapers = fields.List(fields.Nested(TaperAnswer), required=True)


# --- prescribers ------------------------------------------------------------------------------------


class CertificationRequest(StrictSchema):
    """A certification; it ends on a day, or is for life."""

    kind = Choice(CertificationKind, required=True)
    board = Token(required=True)
    specialty = Text(longest=100, blank=False, required=True)
    from_on = Day(required=True, data_key="from")
    until = Day(load_default=None, allow_none=True)
    lifelong = Flag(load_default=False)


class FellowshipRequest(StrictSchema):
    """A fellowship in pain medicine."""

    months = WholeNumber(least=1, most=60, required=True)
    accredited = Flag(required=True)
    completed_on = Day(required=True)


class PrescriberRequest(StrictSchema):
    """What is known of a prescriber, in place of what was known under the NPI."""

    npi = Token(required=True, longest=10)
    specialty = Text(longest=100, blank=False, required=True)
    user = Token(load_default="", metadata={"description": "The id of the user who that is."})
    active = Flag(load_default=True)
    certifications = _each(fields.Nested(CertificationRequest), load_default=list)
    fellowships = _each(fields.Nested(FellowshipRequest), load_default=list)


class PrescriberAnswer(StrictSchema):
    """A prescriber, and of each qualification what is missing today."""

    id = fields.String(required=True)
    version = fields.Integer(required=True)
    npi = fields.String(required=True)
    specialty = fields.String(required=True)
    user = _nullable(fields.String)
    active = fields.Boolean(required=True)
    certifications = fields.List(fields.Dict(keys=fields.String()), required=True)
    fellowships = fields.List(fields.Dict(keys=fields.String()), required=True)
    qualified = fields.List(fields.String(), required=True)
    lacking = fields.Dict(keys=fields.String(), values=fields.List(fields.String()), required=True)


class PrescribersAnswer(StrictSchema):
    """Prescribers, by NPI."""

    prescribers = fields.List(fields.Nested(PrescriberAnswer), required=True)

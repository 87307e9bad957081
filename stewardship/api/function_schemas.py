"""What the rooms of function take and answer, as schemas."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from stewardship.domain.measurements import Reporter
from stewardship.intake.fields import (
    Choice,
    Day,
    ExactDecimal,
    Instant,
    StrictSchema,
    Text,
    Token,
    WholeNumber,
)

_MOST_ITEMS = 60
_PATIENT = {"description": "The EHR's id of the patient."}
_ID = {"description": "An id of the sender's own, so that a repeated request is the same thing once."}


def _nullable(**kwargs: Any) -> Any:
    return {"required": True, "allow_none": True, **kwargs}


class PatientRequest(StrictSchema):
    """Whose; in the body, for an address may not say it."""

    patient = Token(required=True, longest=200, metadata=_PATIENT)


class MeasurementRequest(PatientRequest):
    """The answers of a patient to an instrument; an item that was left open is `null` or left out."""

    id = Token(longest=100, load_default="", metadata=_ID)
    instrument = Token(required=True, metadata={"description": "An instrument's id, such as `peg`."})
    answers = fields.Dict(
        keys=Token(),
        values=ExactDecimal(least=-1_000, most=1_000, places=3, allow_none=True),
        required=True,
        validate=validate.Length(min=1, max=_MOST_ITEMS),
        metadata={"description": "By item; yes is 1 and no is 0."},
    )
    taken_at = Instant(required=True)
    reported_by = Choice(Reporter, load_default=Reporter.CLINICIAN)


class PictureRequest(PatientRequest):
    """Which instrument, and how far back."""

    instrument = Token(required=True, metadata={"description": "An instrument's id, such as `peg`."})
    days = WholeNumber(least=7, most=3_660, load_default=365)


class ReasonRequest(StrictSchema):
    """Why."""

    reason = Text(required=True, longest=500, blank=False)


class GoalWords(StrictSchema):
    """What a goal says. Whether it is one is judged with words for the person who writes it."""

    activity = Text(required=True, longest=500)
    baseline = Text(required=True, longest=500)
    target = Text(required=True, longest=500)
    due_on = Day(required=True, metadata={"description": "On this day somebody looks."})


class GoalRequest(GoalWords, PatientRequest):
    """A goal to be set."""

    id = Token(longest=100, load_default="", metadata=_ID)


class _Version(StrictSchema):
    version = WholeNumber(
        required=True,
        least=1,
        most=10_000,
        metadata={"description": "The version of the goal that was seen."},
    )


class GoalChangeRequest(GoalWords, _Version):
    """The goal said anew, and why."""

    reason = Text(longest=500, load_default="")


class GoalReachedRequest(_Version):
    """The goal was reached."""

    on = Day(load_default=None, allow_none=True)
    reason = Text(longest=500, load_default="")


class GoalGivenUpRequest(_Version):
    """Nobody works towards the goal any more."""

    reason = Text(required=True, longest=500, blank=False)


class WorklistQuery(StrictSchema):
    """Whose worklist; without a clinician, the organisation's."""

    clinician = Token(longest=200)
    state = fields.String(
        load_default="open",
        validate=validate.OneOf(["open", "missed", "planned"]),
        metadata={"description": "`open` is due or missed."},
    )


class CompleteRequest(StrictSchema):
    """A review that was done: when, and on which measurements, one of function or goals among them."""

    on = Day(required=True)
    measurements = fields.List(Token(longest=200), required=True, validate=validate.Length(min=1, max=20))
    note = Text(longest=2_000, load_default="")


class AssignRequest(StrictSchema):
    """On whose worklist a review is to stand."""

    clinician = Token(required=True, longest=200)


class CalendarRequest(StrictSchema):
    """Where the organisation is in time."""

    time_zone = Token(required=True, metadata={"description": "Of the IANA database: `America/New_York`."})
    country = Token(required=True, longest=2, metadata={"description": "ISO 3166, such as `US`."})
    region = Text(longest=6, load_default="")
    weekend = fields.List(
        WholeNumber(least=1, most=7),
        required=True,
        validate=validate.Length(max=6),
        metadata={"description": "Days from Monday, 1, to Sunday, 7."},
    )


# --- answers -----------------------------------------------------------------------------------------


class InstrumentAnswer(StrictSchema):
    """An instrument."""

    id = fields.String(required=True)
    version = fields.Integer(required=True)
    title = fields.String(required=True)
    measures = fields.String(required=True)
    better = fields.String(required=True)
    least = fields.Float(required=True)
    most = fields.Float(required=True)
    satisfies_review = fields.Boolean(required=True)
    licensed = fields.Boolean(required=True, metadata={"description": "Only results are entered."})
    licence = fields.String(required=True)
    items = fields.List(fields.String(), required=True)
    caution = fields.String(required=True)
    verified = fields.Boolean(required=True)


class InstrumentsAnswer(StrictSchema):
    """All instruments."""

    instruments = fields.List(fields.Nested(InstrumentAnswer), required=True)


class MeasurementAnswer(StrictSchema):
    """A measurement with its score."""

    id = fields.String(required=True)
    instrument = fields.String(required=True)
    version = fields.Integer(required=True)
    taken_at = fields.String(required=True)
    taken_on = fields.Date(required=True)
    reported_by = fields.String(required=True)
    answers = fields.Dict(keys=fields.String(), values=fields.Float(), required=True)
    function = fields.Boolean(required=True, metadata={"description": "A review can rest on it."})
    outcome = fields.String(required=True, metadata={"description": "`scored` or `cannot-tell`."})
    score = fields.Float(**_nullable())
    exact = fields.String(**_nullable(metadata={"description": "The score as a fraction."}))
    band = fields.String(required=True)
    missing = fields.List(fields.String(), required=True)
    reason = fields.String(required=True)
    parts = fields.Dict(keys=fields.String(), values=fields.Float(allow_none=True), required=True)
    in_error = fields.String(**_nullable())
    reviewed = fields.Boolean(required=True)


class MeasurementsAnswer(StrictSchema):
    """All measurements of a patient."""

    measurements = fields.List(fields.Nested(MeasurementAnswer), required=True)


class ChangeAnswer(StrictSchema):
    """What became of a score."""

    verdict = fields.String(
        required=True, metadata={"description": "`better`, `unchanged`, `worse` or `cannot-tell`."}
    )
    reason = fields.String(required=True)
    gain = fields.Float(**_nullable(metadata={"description": "Positive is better."}))
    percent = fields.Float(**_nullable(metadata={"description": "Of the limitation before."}))
    by_points = fields.String(**_nullable())
    by_percent = fields.String(**_nullable())


class PointAnswer(StrictSchema):
    """A score on a day."""

    measurement = fields.String(required=True)
    on = fields.Date(required=True)
    score = fields.Float(**_nullable())
    reason = fields.String(required=True)


class LineAnswer(StrictSchema):
    """The whole instrument (`part` is empty) or a part of it."""

    part = fields.String(required=True)
    title = fields.String(required=True)
    points = fields.List(fields.Nested(PointAnswer), required=True)
    since_first = fields.Nested(ChangeAnswer, **_nullable())
    since_last = fields.Nested(ChangeAnswer, **_nullable())


class TrendAnswer(StrictSchema):
    """One instrument over time."""

    instrument = fields.String(required=True)
    title = fields.String(required=True)
    measures = fields.String(required=True)
    better = fields.String(required=True)
    least = fields.Float(required=True)
    most = fields.Float(required=True)
    lines = fields.List(fields.Nested(LineAnswer), required=True)


class TrendsAnswer(StrictSchema):
    """Each instrument for itself; they are never put together."""

    trends = fields.List(fields.Nested(TrendAnswer), required=True)


class PictureRowAnswer(StrictSchema):
    """A line of the table that says what the picture shows."""

    on = fields.Date(required=True)
    score = fields.Float(**_nullable())
    verdict = fields.String(**_nullable(metadata={"description": "Since the first score."}))
    mme_per_day = fields.Float(**_nullable(metadata={"description": "`null`: nothing in hand."}))


class PictureAnswer(StrictSchema):
    """A picture, its table, and both in words."""

    svg = fields.String(required=True)
    summary = fields.String(required=True)
    rows = fields.List(fields.Nested(PictureRowAnswer), required=True)
    complete = fields.Boolean(
        required=True, metadata={"description": "Whether every daily dose is whole; else at least so much."}
    )


class GoalStepAnswer(StrictSchema):
    """What was done to a goal, and what it said from then on."""

    event = fields.String(required=True)
    on = fields.Date(required=True)
    activity = fields.String(required=True)
    baseline = fields.String(required=True)
    target = fields.String(required=True)
    due_on = fields.Date(required=True)
    reason = fields.String(required=True)
    by = fields.String(required=True)
    role = fields.String(required=True)
    at = fields.String(required=True)


class GoalAnswer(StrictSchema):
    """A goal as it stands, and how it came to be so."""

    id = fields.String(required=True)
    patient_id = fields.String(required=True)
    version = fields.Integer(required=True)
    state = fields.String(required=True, metadata={"description": "`set`, `changed`, `reached`, `given-up`."})
    stands = fields.Boolean(required=True)
    activity = fields.String(required=True)
    baseline = fields.String(required=True)
    target = fields.String(required=True)
    due_on = fields.Date(required=True)
    steps = fields.List(fields.Nested(GoalStepAnswer), required=True)


class GoalsAnswer(StrictSchema):
    """All goals of a patient."""

    goals = fields.List(fields.Nested(GoalAnswer), required=True)


class ReviewAnswer(StrictSchema):
    """A review as it is on record."""

    id = fields.String(required=True)
    patient_id = fields.String(required=True)
    interval = fields.String(required=True)
    because = fields.String(required=True)
    since = fields.Date(required=True)
    exact_on = fields.Date(required=True, metadata={"description": "By the calendar alone."})
    due_on = fields.Date(required=True, metadata={"description": "The working day for it."})
    state = fields.String(
        required=True, metadata={"description": "`planned`, `due`, `missed`, `done` or `cancelled`."}
    )
    clinician = fields.String(required=True)
    opened_at = fields.String(**_nullable())
    opened_late_days = fields.Integer(required=True)
    done_on = fields.Date(**_nullable())
    late_days = fields.Integer(required=True, metadata={"description": "Of one that was done."})
    closed_at = fields.String(**_nullable())
    closed_by = fields.String(**_nullable(metadata={"description": "`null`: by the clock itself."}))
    reason = fields.String(required=True)
    note = fields.String(required=True)
    measurements = fields.List(fields.String(), required=True)


class ReviewsAnswer(StrictSchema):
    """All reviews of a patient."""

    reviews = fields.List(fields.Nested(ReviewAnswer), required=True)


class WorklistItemAnswer(StrictSchema):
    """A line of a worklist."""

    review = fields.String(required=True)
    patient_id = fields.String(required=True)
    clinician = fields.String(required=True)
    interval = fields.String(required=True)
    because = fields.String(required=True)
    due_on = fields.Date(required=True)
    state = fields.String(required=True)
    late_days = fields.Integer(required=True)


class WorklistAnswer(StrictSchema):
    """What is to be looked at, the longest overdue first."""

    on = fields.Date(required=True)
    reviews = fields.List(fields.Nested(WorklistItemAnswer), required=True)


class CalendarAnswer(StrictSchema):
    """Where the organisation is in time, and which day it is there."""

    time_zone = fields.String(required=True)
    country = fields.String(required=True)
    region = fields.String(required=True)
    weekend = fields.List(fields.Integer(), required=True)
    today = fields.Date(required=True)

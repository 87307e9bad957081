"""A patient's timeline: as data, and as the same in a picture. That it was read is kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from flask import Response
from marshmallow import fields

from stewardship.api.exchange import Room, answer
from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.domain.exposure import Definition
from stewardship.intake.fields import Choice, Day, StrictSchema, Token
from stewardship.pictures.timeline import timeline_svg
from stewardship.runtime import runtime
from stewardship.services import timelines
from stewardship.services.timelines import Read

room = Room("timeline", __name__, description="What a patient was supplied with, day by day.")

#: The window when none is asked for, and the longest, in days.
_USUAL, _LONGEST = 365, 3_660


class TimelineQuery(StrictSchema):
    """Which days, by which factors, and which of the published figures to name first."""

    first = Day(load_default=None, allow_none=True, metadata={"description": "The first day; a year ago."})
    until = Day(load_default=None, allow_none=True, metadata={"description": "The last day; today."})
    factor_set = Token(
        load_default=None, allow_none=True, metadata={"description": "One of the declared sets of factors."}
    )
    definition = Choice(Definition, load_default=Definition.MAXIMUM_DAILY_DOSE)


class DailyAnswer(StrictSchema):
    """Consecutive days with the same total; not `complete`: at least so much."""

    first = fields.String(required=True)
    last = fields.String(required=True)
    mme_per_day = fields.Decimal(required=True)
    complete = fields.Boolean(required=True)
    supplies = fields.Integer(required=True)


class ReasonForAnswer(StrictSchema):
    """Why a figure is only a lower bound, or cannot be told."""

    code = fields.String(required=True)
    about = fields.String(required=True)


class FigureAnswer(StrictSchema):
    """Daily MME by one of the published definitions."""

    definition = Choice(Definition, required=True)
    value = fields.Decimal(required=True, allow_none=True)
    amount_mme = fields.Decimal(required=True)
    days = fields.Integer(required=True)
    supplies = fields.Integer(required=True)
    complete = fields.Boolean(required=True)
    reasons = fields.List(fields.Nested(ReasonForAnswer), required=True)
    excluded = fields.List(fields.String(), required=True)


class GuidanceAnswer(StrictSchema):
    """A daily total at which to pause and look again; neither an aim nor a limit."""

    mme_per_day = fields.Decimal(required=True)
    days = fields.Integer(required=True)
    complete = fields.Boolean(required=True)


class DaysAnswer(StrictSchema):
    """Consecutive days, and how many of them an opioid was in hand."""

    first = fields.String(required=True)
    last = fields.String(required=True)
    days = fields.Integer(required=True)
    covered = fields.Integer(required=True)


class OverlapAnswer(StrictSchema):
    """Days on which several opioids were in hand."""

    first = fields.String(required=True)
    last = fields.String(required=True)
    days = fields.Integer(required=True)
    supplies = fields.List(fields.String(), required=True)
    prescribers = fields.Integer(required=True)


class SuppliedAnswer(StrictSchema):
    """One supply; what is null is not known, or left out by the factors (`excluded`)."""

    id = fields.String(required=True)
    kind = fields.String(required=True)
    medicine = fields.String(required=True)
    recognised = fields.Boolean(required=True)
    opioid = fields.Boolean(required=True)
    classes = fields.List(fields.String(), required=True)
    first = fields.String(required=True)
    last = fields.String(required=True, allow_none=True)
    days = fields.Integer(required=True, allow_none=True)
    mme_per_day = fields.Decimal(required=True, allow_none=True)
    amount_mme = fields.Decimal(required=True, allow_none=True)
    complete = fields.Boolean(required=True)
    excluded = fields.Boolean(required=True)
    reasons = fields.List(fields.String(), required=True)
    prescriber = fields.String(required=True)
    pharmacy = fields.String(required=True)


class SeenAnswer(StrictSchema):
    """What a rule sees in the supplies."""

    kind = fields.String(required=True)
    title = fields.String(required=True)
    label = fields.String(required=True)
    first_on = fields.String(required=True)
    last_on = fields.String(required=True)
    supplies = fields.List(fields.String(), required=True)
    facts = fields.Dict(required=True)
    complete = fields.Boolean(required=True)


class UntoldAnswer(StrictSchema):
    """What a rule cannot rule out, and which facts are missing."""

    kind = fields.String(required=True)
    title = fields.String(required=True)
    label = fields.String(required=True)
    missing = fields.List(fields.String(), required=True)


class GapAnswer(StrictSchema):
    """Why the history may be less than whole."""

    code = fields.String(required=True)
    about = fields.String(required=True)


class NotKnownAnswer(StrictSchema):
    """What is not known of the patient's supplies."""

    gaps = fields.List(fields.Nested(GapAnswer), required=True)
    undated_supplies = fields.Integer(required=True)
    no_feed = fields.Boolean(required=True)


class TimelineAnswer(StrictSchema):
    """What a patient was supplied with, in a window of days and under a named set of factors."""

    patient = fields.String(required=True)
    patient_id = fields.String(required=True)
    as_of = fields.String(required=True)
    data_as_of = fields.String(required=True, allow_none=True)
    factor_set = fields.String(required=True)
    first = fields.String(required=True)
    until = fields.String(required=True)
    unit = fields.String(required=True)
    daily = fields.List(fields.Nested(DailyAnswer), required=True)
    definition = Choice(Definition, required=True)
    figures = fields.List(fields.Nested(FigureAnswer), required=True)
    guidance = fields.List(fields.Nested(GuidanceAnswer), required=True)
    episodes = fields.List(fields.Nested(DaysAnswer), required=True)
    gaps = fields.List(fields.Nested(DaysAnswer), required=True)
    overlaps = fields.List(fields.Nested(OverlapAnswer), required=True)
    supplies = fields.List(fields.Nested(SuppliedAnswer), required=True)
    flags = fields.List(fields.Nested(SeenAnswer), required=True)
    untold = fields.List(fields.Nested(UntoldAnswer), required=True)
    not_known = fields.Nested(NotKnownAnswer, required=True)
    further_reports = fields.Integer(required=True)
    complete = fields.Boolean(required=True)


@room.route("/patients/<patient_id>/timeline")
@requires(Permission.READ_PATIENTS)
@room.arguments(TimelineQuery, location="query")
@room.response(HTTPStatus.OK, TimelineAnswer)
def read_timeline(query: Mapping[str, Any], patient_id: str) -> Response:
    """Read a patient's timeline.

    MME a day, the four published figures, episodes, breaks and overlaps, what the rules see in it, how
    current the data is, and what is not known. `patient_id` is our own id, the `patient` of other answers.
    """
    return answer(timelines.timeline_json(_read(query, patient_id), query["definition"]))


@room.route("/patients/<patient_id>/timeline.svg")
@requires(Permission.READ_PATIENTS)
@room.arguments(TimelineQuery, location="query")
@room.response(HTTPStatus.OK, content_type="image/svg+xml")
def draw_timeline(query: Mapping[str, Any], patient_id: str) -> Response:
    """See a patient's timeline.

    The same as a picture, with a title and a description in words.
    """
    drawn = timeline_svg(_read(query, patient_id).line, query["definition"])
    return Response(drawn, content_type="image/svg+xml; charset=utf-8")


def _read(query: Mapping[str, Any], patient_id: str) -> Read:
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    until = query["until"] or now.date()
    first = query["first"] or until - timedelta(days=_USUAL - 1)
    if not 0 <= (until - first).days < _LONGEST:
        raise _invalid("first", "window", f"give a window of 1 to {_LONGEST} days")
    name = query["factor_set"]
    factor_set = library.flags.common.factor_set if name is None else library.factor_sets.get(name)
    if factor_set is None:
        raise _invalid("factor_set", "factor-set", f"give one of: {', '.join(library.factor_sets)}")
    with transaction(running.sessions, late=True) as session:
        return timelines.read(
            session, library, patient_id, factor_set=factor_set, first=first, until=until, by=by, now=now
        )


def _invalid(parameter: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(message, faults=(Fault(f"?{parameter}", code, message),))

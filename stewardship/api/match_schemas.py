"""What the API takes and answers about matches of patients, as schemas."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from stewardship.domain.matching import Agreement
from stewardship.intake.fields import Choice, Instant, StrictSchema, Text

_STATUSES = ("open", "accepted", "declined")
_ACTS = ("accepted", "declined", "passed-over", "parted", "reopened")
_LONGEST_REASON = 500
_LONGEST_ID = 200


def _nullable(**kwargs: Any) -> Any:
    return {"required": True, "allow_none": True, **kwargs}


class MatchesQuery(StrictSchema):
    """Which matches; without it, those that somebody has to settle."""

    status = fields.String(load_default="open", validate=validate.OneOf(_STATUSES))


class SettlingRequest(StrictSchema):
    """Why it is said; it is kept with the match."""

    reason = Text(longest=_LONGEST_REASON, blank=False, required=True)


class PersonQuestion(StrictSchema):
    """The patient, by the id that the EHR uses: in the body, for an address is kept in logs."""

    patient_id = Text(longest=_LONGEST_ID, blank=False, required=True)


class MatchEntryAnswer(StrictSchema):
    """An identity that may be a patient's."""

    identity = fields.String(required=True)
    patient = fields.String(required=True, metadata={"description": "Our own id of the patient."})
    rule = fields.String(required=True)
    confidence = fields.Decimal(required=True)
    since = Instant(required=True)
    status = fields.String(required=True, validate=validate.OneOf(_STATUSES))
    closed_at = Instant(**_nullable())
    closed_by = fields.String(**_nullable())


class MatchesAnswer(StrictSchema):
    """Matches, by ids."""

    matches = fields.List(fields.Nested(MatchEntryAnswer), required=True)


class NumberAnswer(StrictSchema):
    """A number that names a person: its kind (ASAP identifier qualifier), who issued it, and its end."""

    kind = fields.String(required=True)
    jurisdiction = fields.String(required=True)
    ends_in = fields.String(required=True)


class FillAnswer(StrictSchema):
    """A dispensing under an identity."""

    id = fields.String(required=True)
    on = fields.Date(**_nullable())
    medicine = fields.String(required=True)
    quantity = fields.String(**_nullable())
    days = fields.String(**_nullable())
    pharmacy = fields.String(required=True)
    prescriber = fields.String(required=True)


class ComparedAnswer(StrictSchema):
    """In which respects two descriptions agree."""

    last = Choice(Agreement, required=True)
    first = Choice(Agreement, required=True)
    birth_date = Choice(Agreement, required=True)
    sex = Choice(Agreement, required=True)
    zip = Choice(Agreement, required=True)
    number = Choice(Agreement, required=True)


class DescriptionAnswer(StrictSchema):
    """Somebody in the words of one source."""

    id = fields.String(required=True)
    patient = fields.String(
        **_nullable(), metadata={"description": "Whose it is now; an animal's is nobody's."}
    )
    own_record = fields.Boolean(
        required=True, metadata={"description": "The words of the system of records about its own patient."}
    )
    since = Instant(required=True)
    last = fields.String(required=True)
    first = fields.String(required=True)
    middle = fields.String(required=True)
    suffix = fields.String(required=True)
    birth_date = fields.Date(**_nullable())
    sex = fields.String(required=True)
    street = fields.String(required=True)
    city = fields.String(required=True)
    state = fields.String(required=True)
    zip = fields.String(required=True)
    phone = fields.String(required=True)
    animal = fields.String(required=True)
    numbers = fields.List(fields.Nested(NumberAnswer), required=True)
    fills = fields.List(
        fields.Nested(FillAnswer), required=True, metadata={"description": "The newest first."}
    )
    compared = fields.Nested(
        ComparedAnswer, metadata={"description": "With the identity in question, where there is one."}
    )


class PersonAnswer(StrictSchema):
    """A patient with every identity that is his."""

    id = fields.String(required=True)
    ehr_id = fields.String(**_nullable(), metadata={"description": "None while only pharmacies know of him."})
    birth_date = fields.Date(**_nullable())
    sex = fields.String(required=True)
    identities = fields.List(fields.Nested(DescriptionAnswer), required=True)


class WhoseAnswer(StrictSchema):
    """An entry of an identity's history: whose it became."""

    patient = fields.String(required=True)
    rule = fields.String(required=True)
    confidence = fields.Decimal(required=True)
    reason = fields.String(required=True)
    by = fields.String(required=True)
    at = Instant(required=True)


class SaidAnswer(StrictSchema):
    """What somebody did about a match, and why."""

    patient = fields.String(required=True)
    act = fields.String(required=True, validate=validate.OneOf(_ACTS))
    reason = fields.String(required=True)
    by = fields.String(required=True)
    at = Instant(required=True)


class MatchAnswer(StrictSchema):
    """A match side by side."""

    match = fields.Nested(MatchEntryAnswer, required=True)
    described = fields.Nested(DescriptionAnswer, required=True)
    person = fields.Nested(PersonAnswer, required=True)
    history = fields.List(fields.Nested(WhoseAnswer), required=True)
    said = fields.List(fields.Nested(SaidAnswer), required=True)


class IdentityAnswer(StrictSchema):
    """An identity, whose it was and is, and what was said."""

    identity = fields.Nested(DescriptionAnswer, required=True)
    history = fields.List(fields.Nested(WhoseAnswer), required=True)
    said = fields.List(fields.Nested(SaidAnswer), required=True)

"""What the API answers and takes besides an order, as schemas: the requests are read by them, the
answers are documented by them (and a test holds real answers against the document)."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from stewardship.domain.drugs import DrugClass, Release, Schedule
from stewardship.domain.people import Role
from stewardship.domain.policy import Disposition, Enforcement, Force, Outcome, Severity
from stewardship.intake.fields import Choice, Day, Flag, Instant, StrictSchema, Text, Token, WholeNumber

_HIGHEST_VERSION = 1_000_000


def _nullable(**kwargs: Any) -> Any:
    return {"required": True, "allow_none": True, **kwargs}


# --- requests ---------------------------------------------------------------------------------------


class OverrideRequest(StrictSchema):
    """Why the prescriber goes ahead: a coded reason of the policy, and words if there is more to say."""

    reason = Token(required=True, metadata={"description": "One of the finding's `override_reasons`."})
    comment = Text(longest=2_000, load_default="")


class ExceptionRequest(StrictSchema):
    """Why a hard stop should be lifted for this order, and the note that the policy may ask for."""

    reason = Text(longest=400, blank=False, required=True)
    note = Text(longest=2_000, load_default="")


class CountersignatureRequest(StrictSchema):
    """Another person's yes or no."""

    approve = Flag(required=True)
    note = Text(longest=2_000, load_default="")


class SnoozeRequest(StrictSchema):
    """Why a finding may rest, and the last day that it rests."""

    reason = Token(required=True, metadata={"description": "One of the finding's `override_reasons`."})
    until = Day(required=True, metadata={"description": "The last day of rest, e.g. 2026-12-21."})


class SnoozesQuery(StrictSchema):
    """``active_on`` asks for the snoozes that last on that day; without it, all are listed."""

    active_on = Day(metadata={"description": "Only what rests on this day, e.g. 2026-11-21."})


class ImportQuery(StrictSchema):
    """What the sender says of a file; its name is kept as data."""

    name = Text(longest=500, load_default="", metadata={"description": "What the sender calls the file."})
    format = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.OneOf(["asap", "fhir"]),
        metadata={"description": "Told by the content when it is not said."},
    )
    state = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Regexp(r"^[A-Z]{2}$"),
        metadata={"description": "The state whose requirements an ASAP file is held to."},
    )


class VersionInQuery(WholeNumber):
    """A version as the query writes it: ASCII digits."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 7:
            return super()._validated(int(value))
        raise self.make_error("not-whole")


class PoliciesQuery(StrictSchema):
    """``on`` asks for the policies in force on that day; without it, every published version is listed."""

    on = Day(metadata={"description": "Only what is in force on this day, e.g. 2026-11-21."})


class PolicyQuery(StrictSchema):
    """Which version; without it, the one in force today, or else the newest published one."""

    version = VersionInQuery(least=1, most=_HIGHEST_VERSION)


class DrugsQuery(StrictSchema):
    """Part of a name, as somebody types it."""

    q = Text(longest=100, blank=False, required=True)


# --- answers ----------------------------------------------------------------------------------------


class SourceAnswer(StrictSchema):
    """Where a policy comes from."""

    title = fields.String(required=True)
    publisher = fields.String(required=True)
    date = fields.Date(required=True)
    url = fields.String(required=True)


class ReasonAnswer(StrictSchema):
    """A coded reason with which a soft stop may be overridden."""

    code = fields.String(required=True)
    display = fields.String(required=True)


class QualificationAnswer(StrictSchema):
    """What a prescriber must be certified in."""

    id = fields.String(required=True)
    title = fields.String(required=True)
    certifications = fields.List(fields.String(), required=True)
    fellowship_months = fields.Integer(**_nullable())


class ExceptionPathAnswer(StrictSchema):
    """Who must agree before a hard stop is lifted."""

    countersignatures = fields.Integer(required=True)
    roles = fields.List(fields.String(), required=True)
    including = fields.List(fields.String(), required=True)
    requires_note = fields.String(required=True)
    requires = fields.Nested(
        QualificationAnswer, metadata={"description": "Of whom is in `requires_of`; absent: of nobody."}
    )
    requires_of = fields.String(validate=validate.OneOf(["countersigner", "requester"]))


class FindingAnswer(StrictSchema):
    """What one policy says about the order, with the facts it used."""

    policy = fields.String(required=True)
    version = fields.Integer(required=True)
    title = fields.String(required=True)
    outcome = Choice(Outcome, required=True)
    enforcement = Choice(Enforcement, required=True, metadata={"description": "As applied."})
    severity = Choice(Severity, required=True)
    summary = fields.String(required=True)
    detail = fields.String(required=True)
    next_step = fields.String(required=True)
    topic = fields.String()
    facts = fields.Dict(keys=fields.String(), required=True)
    missing = fields.List(fields.String(), required=True)
    evidence = fields.String(required=True)
    snoozed_until = fields.Date(
        **_nullable(metadata={"description": "Until when a snooze makes this finding silent, if one does."})
    )
    force = Choice(Force, required=True)
    source = fields.Nested(SourceAnswer, required=True)
    override_reasons = fields.List(fields.Nested(ReasonAnswer), required=True)
    exception = fields.Nested(ExceptionPathAnswer, **_nullable())


class OverrideAnswer(StrictSchema):
    """A soft stop that was overridden: by whom (an id), when, why."""

    policy = fields.String(required=True)
    reason = fields.String(required=True)
    comment = fields.String(required=True)
    by = fields.String(required=True)
    at = Instant(required=True)


class CountersignatureAnswer(StrictSchema):
    """One person's yes or no to an exception."""

    by = fields.String(required=True)
    role = Choice(Role, required=True)
    approve = fields.Boolean(required=True)
    note = fields.String(required=True)
    at = Instant(required=True)


class MissingAnswer(StrictSchema):
    """What an open exception still needs: so many approvals, and one of each role named."""

    signatures = fields.Integer(required=True)
    roles = fields.List(fields.String(), required=True)


class ExceptionAnswer(StrictSchema):
    """A request that a hard stop be lifted, and who has agreed so far."""

    id = fields.String(required=True)
    decision = fields.String(required=True)
    policy = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(["open", "approved", "declined"]))
    reason = fields.String(required=True)
    note = fields.String(required=True)
    by = fields.String(required=True)
    at = Instant(required=True)
    closed_at = Instant(**_nullable())
    missing = fields.Nested(MissingAnswer, required=True)
    countersignatures = fields.List(fields.Nested(CountersignatureAnswer), required=True)


class ProblemToldAnswer(StrictSchema):
    """One thing to tell a prescriber: the leading finding, and all that speak of the same topic."""

    topic = fields.String(required=True)
    lead = fields.String(required=True)
    policies = fields.List(fields.String(), required=True)


class PharmacyDataAnswer(StrictSchema):
    """How current the dispensings are that a decision rests on."""

    as_of = Instant(**_nullable(), metadata={"description": "Until then all of the patient's have reported."})
    silent = fields.List(
        fields.String(), required=True, metadata={"description": "Pharmacies whose report is overdue."}
    )
    words = fields.String(required=True)


class DecisionAnswer(StrictSchema):
    """All findings about one order, also those that passed or did not apply."""

    id = fields.String(**_nullable(metadata={"description": "null when nothing was stored"}))
    order_id = fields.String(**_nullable())
    patient_id = fields.String(required=True)
    as_of = Instant(required=True)
    disposition = Choice(Disposition, required=True)
    pharmacy_data = fields.Nested(
        PharmacyDataAnswer,
        **_nullable(metadata={"description": "null when no pharmacy reports of the patient"}),
    )
    problems = fields.List(
        fields.Nested(ProblemToldAnswer),
        required=True,
        metadata={"description": "What the findings come to, one entry a problem, the loudest first."},
    )
    findings = fields.List(fields.Nested(FindingAnswer), required=True)


class SnoozeEndAnswer(StrictSchema):
    """Who ended a snooze before its day, and when."""

    by = fields.String(required=True)
    at = Instant(required=True)


class SnoozeAnswer(StrictSchema):
    """A policy's findings at rest for a patient and a drug."""

    id = fields.String(required=True)
    policy = fields.String(required=True)
    patient_id = fields.String(required=True)
    drug = fields.String(
        required=True,
        metadata={"description": "RxNorm ingredients of the opioid; empty for every order of the patient."},
    )
    decision = fields.String(required=True)
    enforcement = Choice(
        Enforcement, required=True, metadata={"description": "Louder findings are not at rest."}
    )
    reason = fields.String(required=True)
    since = fields.Date(required=True)
    until = fields.Date(required=True, metadata={"description": "The last day of rest."})
    by = fields.String(required=True)
    role = Choice(Role, required=True)
    at = Instant(required=True)
    ended = fields.Nested(SnoozeEndAnswer, **_nullable())


class SnoozesAnswer(StrictSchema):
    """Snoozes, the newest first."""

    snoozes = fields.List(fields.Nested(SnoozeAnswer), required=True)


class PolicyVersionAnswer(StrictSchema):
    """A version of a policy, by the hash of its file."""

    id = fields.String(required=True)
    version = fields.Integer(required=True)
    sha256 = fields.String(required=True)


class StoredDecisionAnswer(DecisionAnswer):
    """A decision as it was made, what people did about it since, and how it stands now."""

    effective = Choice(Disposition, required=True, metadata={"description": "After all that was lifted."})
    channel = fields.String(required=True)
    by = fields.String(required=True)
    role = Choice(Role, required=True)
    policies = fields.List(fields.Nested(PolicyVersionAnswer), required=True)
    overrides = fields.List(fields.Nested(OverrideAnswer), required=True)
    exceptions = fields.List(fields.Nested(ExceptionAnswer), required=True)


class PolicyLine(StrictSchema):
    """One version of a policy, in a list."""

    id = fields.String(required=True)
    version = fields.Integer(required=True)
    title = fields.String(required=True)
    effective_from = fields.Date(required=True)
    effective_until = fields.Date(**_nullable())
    jurisdiction = fields.String(required=True)
    enforcement = Choice(Enforcement, required=True)
    severity = Choice(Severity, required=True)
    force = Choice(Force, required=True)
    kind = fields.String(required=True)
    source = fields.Nested(SourceAnswer, required=True)
    sha256 = fields.String(required=True)
    in_force = fields.Boolean(required=True, metadata={"description": "On the day asked for, else today."})


class PoliciesAnswer(StrictSchema):
    """A list of policy versions, by id and version."""

    policies = fields.List(fields.Nested(PolicyLine), required=True)


class PolicyAnswer(PolicyLine):
    """A policy version in full: its parameters, words, limitations, ways past it."""

    rationale = fields.String(required=True)
    limitations = fields.String(required=True)
    review = fields.Dict(keys=fields.String(), required=True)
    applies_to = fields.Dict(keys=fields.String(), required=True)
    parameters = fields.Dict(keys=fields.String(), required=True)
    card = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    override_reasons = fields.List(fields.Nested(ReasonAnswer), required=True)
    exception = fields.Nested(ExceptionPathAnswer, **_nullable())
    versions = fields.List(fields.Integer(), required=True)


class IngredientAnswer(StrictSchema):
    """An active ingredient; a strength that its source does not state is null, never zero."""

    name = fields.String(required=True)
    rxcui = fields.String(required=True)
    strength = fields.Decimal(**_nullable())
    unit = fields.String(required=True)
    opioid = fields.Boolean(required=True)


class DrugAnswer(StrictSchema):
    """A product that the catalogue knows."""

    system = fields.String(required=True)
    code = fields.String(required=True)
    name = fields.String(required=True)
    form = fields.String(required=True)
    release = Choice(Release, required=True)
    schedule = Choice(Schedule, **_nullable())
    classes = fields.List(Choice(DrugClass), required=True)
    ingredients = fields.List(fields.Nested(IngredientAnswer), required=True)


class DrugsAnswer(StrictSchema):
    """Products whose names are most like what was typed, the likeliest first."""

    drugs = fields.List(fields.Nested(DrugAnswer), required=True)


class FileFaultAnswer(StrictSchema):
    """Something wrong in a file: where, and a code. Never what was written there."""

    line = fields.Integer(required=True)
    segment = fields.String(required=True)
    element = fields.String(required=True)
    code = fields.String(required=True)


class PendingAnswer(StrictSchema):
    """A revision or a void of a dispensing that nobody has reported."""

    dispensing = fields.String(required=True)
    reporting = fields.String(required=True)
    line = fields.Integer(required=True)
    since = Instant(required=True)


class ImportAnswer(StrictSchema):
    """How far an import is, and what became of its rows."""

    id = fields.String(required=True, data_key="import")
    same_as = fields.String(
        **_nullable(), metadata={"description": "The import that the same content had before."}
    )
    status = fields.String(
        required=True,
        validate=validate.OneOf(["running", "interrupted", "complete", "incomplete", "failed"]),
    )
    reason = fields.String(**_nullable(), metadata={"description": "Why it is not complete."})
    format = fields.String(required=True)
    source = fields.String(required=True)
    rows = fields.Integer(required=True)
    stored = fields.Integer(required=True)
    unchanged = fields.Integer(required=True)
    rejected_rows = fields.Integer(required=True)
    rejected = fields.List(fields.Nested(FileFaultAnswer), required=True)
    remarks = fields.List(fields.Nested(FileFaultAnswer), required=True)
    pending = fields.List(fields.Nested(PendingAnswer), required=True)
    started_at = Instant(required=True)
    ended_at = Instant(**_nullable())


class PharmacyAnswer(StrictSchema):
    """A pharmacy that reports, and how current it is."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    data_as_of = Instant(**_nullable())
    expected_by = Instant(**_nullable(), metadata={"description": "When the next report is due."})
    silent = fields.Boolean(required=True, metadata={"description": "Its report is overdue."})
    retired = fields.Boolean(required=True)
    bound = fields.Boolean(required=True)


class PharmaciesAnswer(StrictSchema):
    """Pharmacies, the silent ones first."""

    pharmacies = fields.List(fields.Nested(PharmacyAnswer), required=True)


class WhoAnswer(StrictSchema):
    """Whom the token speaks for."""

    user = fields.String(required=True)
    organisation = fields.String(required=True)
    role = Choice(Role, required=True)
    permissions = fields.List(fields.String(), required=True)


class FaultAnswer(StrictSchema):
    """One thing wrong: a JSON pointer into the body (or `?name` of the query), a code, words."""

    pointer = fields.String(required=True)
    code = fields.String(required=True)
    message = fields.String(required=True)


class ProblemAnswer(StrictSchema):
    """RFC 9457: what was wrong and where. No value is ever repeated."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True)
    detail = fields.String()
    errors = fields.List(fields.Nested(FaultAnswer), required=True)
    request_id = fields.String(required=True)

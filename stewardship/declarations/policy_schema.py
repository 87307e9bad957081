"""The form of a policy file: what it holds, and what hangs together in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from stewardship.domain.drugs import DrugClass
from stewardship.domain.errors import DeclarationError, Fault
from stewardship.domain.orders import Phase, Setting
from stewardship.domain.people import Role
from stewardship.domain.policy import (
    Enforcement,
    Force,
    Moment,
    Outcome,
    Severity,
)
from stewardship.intake.fields import (
    Choice,
    Day,
    Said,
    StrictSchema,
    Text,
    Token,
    WholeNumber,
)

#: Words that no card may use: a limit is not a target, and nobody is told to taper at once.
BANNED_WORDS = ("taper now", "taper to", "aberrant", "drug-seeking", "drug seeker", "abuser", "all clear")


class SourceSchema(StrictSchema):
    """Where the policy comes from."""

    title = Text(required=True, longest=300, blank=False)
    publisher = Text(required=True, longest=200, blank=False)
    date = Day(required=True)
    url = Text(required=True, longest=300, blank=False)
    force = Choice(Force, required=True)


class ReviewSchema(StrictSchema):
    """Who answers for it, by function."""

    author = Text(required=True, longest=100, blank=False)
    approver = Text(required=True, longest=100, blank=False)
    review_by = Day(required=True)


class AppliesToSchema(StrictSchema):
    """Which orders it speaks of."""

    drug_classes = fields.List(Choice(DrugClass), load_default=lambda: [DrugClass.OPIOID_ANALGESIC])
    settings = fields.List(Choice(Setting), load_default=list)
    phases = fields.List(Choice(Phase), load_default=list)
    moments = fields.List(Choice(Moment), load_default=lambda: [Moment.ORDER])
    min_age = WholeNumber(least=0, most=120)
    exemptions = fields.List(Token(), load_default=list)


class CardSchema(StrictSchema):
    """The words."""

    topic = Token(required=True)
    summary = Text(required=True, longest=200, blank=False)
    detail = Text(required=True, longest=2_000, blank=False)
    next_step = Text(required=True, longest=500, blank=False)
    notice_summary = Text(longest=200, load_default="")
    notice_detail = Text(longest=2_000, load_default="")


class OverrideSchema(StrictSchema):
    """A coded reason."""

    code = Token(required=True)
    display = Text(required=True, longest=100, blank=False)


class ExceptionSchema(StrictSchema):
    """How a hard stop may be lifted."""

    countersignatures = WholeNumber(required=True, least=1, most=3)
    roles = fields.List(Choice(Role), required=True, validate=validate.Length(min=1))
    including = fields.List(Choice(Role), load_default=list)
    requires_note = Text(longest=100, load_default="")
    requires = Token(load_default="")
    requires_of = fields.String(
        load_default="countersigner", validate=validate.OneOf(["countersigner", "requester"])
    )

    @validates_schema(skip_on_field_errors=True)
    def _asks_somebody(self, data: Mapping[str, Any], **_: Any) -> None:
        of_signers = data["requires"] and data["requires_of"] == "countersigner"
        if of_signers and Role.PRESCRIBER not in data["including"]:
            # Only prescribers can be certified: one of them has to be among those who sign.
            words = "a qualification of who countersigns needs a prescriber among `including`"
            raise ValidationError({"including": [_said(words, "no-prescriber")]})


class TestSchema(StrictSchema):
    """One in-file test: the given case with changes, and what must come out."""

    name = Text(required=True, longest=200, blank=False)
    change = fields.Dict(keys=fields.String(), data_key="with", load_default=dict)
    outcome = Choice(Outcome, required=True)
    enforcement = Choice(Enforcement)
    facts = fields.Dict(keys=fields.String(), load_default=dict)


class PolicySchema(StrictSchema):
    """A whole file."""

    id = Token(required=True)
    version = WholeNumber(required=True, least=1, most=9_999)
    title = Text(required=True, longest=120, blank=False)
    effective_from = Day(required=True)
    effective_until = Day()
    jurisdiction = Token(required=True, validate=validate.Regexp(r"[A-Z]{2}(-[A-Z0-9]{1,3})?\Z"))
    enforcement = Choice(Enforcement, required=True)
    severity = Choice(Severity, required=True)
    rationale = Text(required=True, longest=4_000, blank=False)
    limitations = Text(required=True, longest=4_000, blank=False)
    source = fields.Nested(SourceSchema, required=True)
    review = fields.Nested(ReviewSchema, required=True)
    applies_to = fields.Nested(AppliesToSchema, load_default=lambda: AppliesToSchema().load({}))
    rule = fields.Dict(keys=fields.String(), required=True)
    card = fields.Nested(CardSchema, required=True)
    override = fields.List(fields.Nested(OverrideSchema), load_default=list)
    exception = fields.Nested(ExceptionSchema)
    given = fields.Dict(keys=fields.String(), required=True)
    test = fields.List(fields.Nested(TestSchema), required=True)

    @validates_schema(skip_on_field_errors=True)
    def _hangs_together(self, data: Mapping[str, Any], **_: Any) -> None:
        wrong: dict[str, list[str]] = {}
        enforcement, force = data["enforcement"], data["source"]["force"]
        if enforcement is Enforcement.HARD_STOP and force is Force.GUIDELINE:
            wrong["enforcement"] = [
                _said("a guideline never hard-stops; use soft-stop", "guideline-hard-stop")
            ]
        if "exception" in data and enforcement is not Enforcement.HARD_STOP:
            wrong["exception"] = [
                _said("only a hard stop has an exception path", "exception-without-hard-stop")
            ]
        if enforcement in (Enforcement.SOFT_STOP, Enforcement.HARD_STOP) and not data["override"]:
            wrong["override"] = [_said("a stop needs coded reasons", "required")]
        outcomes = {t["outcome"] for t in data["test"]}
        if Outcome.BREACH not in outcomes or outcomes <= {Outcome.BREACH}:
            wrong["test"] = [
                _said("at least one test that breaches and one that does not", "tests-one-sided")
            ]
        words = " ".join(str(v) for v in data["card"].values()).casefold()
        banned = [w for w in BANNED_WORDS if w in words]
        if banned:
            wrong["card"] = [_said(f"words that no card may use: {', '.join(banned)}", "banned-words")]
        if wrong:
            raise ValidationError(wrong)


def _said(words: str, code: str) -> Said:
    return Said(words, code=code)


SCHEMA = PolicySchema()


def refused(name: str, found: tuple[Fault, ...]) -> DeclarationError:
    """The faults of a file as one message that its author can act on."""
    lines = "; ".join(f"{f.pointer.lstrip('/').replace('/', '.') or 'file'}: {f.message}" for f in found)
    return DeclarationError(f"{name}: {lines}", faults=found)

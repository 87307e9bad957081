"""Policy files: TOML checked by a schema, parameters checked against the rule's own fields.

A file is published when ``published.lock`` holds its SHA-256 (the format of ``sha256sum``); a file that
the lock names with another hash has been changed after publication and is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import string
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from stewardship.domain.drugs import DrugClass
from stewardship.domain.errors import DeclarationError, Fault, InvalidInput
from stewardship.domain.mme import FactorSet
from stewardship.domain.orders import Phase, PhaseBounds, Setting
from stewardship.domain.people import Role
from stewardship.domain.policy import (
    AppliesTo,
    Card,
    Enforcement,
    ExceptionPath,
    ExemptionRule,
    Force,
    Moment,
    Outcome,
    OverrideReason,
    Policy,
    Review,
    Rule,
    Severity,
    Source,
)
from stewardship.domain.rules import KINDS
from stewardship.domain.tolerance import Tolerance, ToleranceDose
from stewardship.intake.fields import (
    Choice,
    Day,
    ExactDecimal,
    Flag,
    Said,
    StrictSchema,
    Text,
    Token,
    WholeNumber,
    faults,
    read,
)

LOCK = "published.lock"
_NAME = re.compile(r"(?P<id>[a-z0-9]+(?:-[a-z0-9]+)*)\.v(?P<version>[1-9][0-9]*)\.toml")
#: Words that no card may use: a limit is not a target, and nobody is told to taper at once.
BANNED_WORDS = ("taper now", "taper to", "aberrant", "drug-seeking", "drug seeker", "abuser", "all clear")


@dataclass(frozen=True, slots=True)
class References:
    """What parameters may name: factor sets, exemptions and definitions of the reference files."""

    factor_sets: Mapping[str, FactorSet]
    exemptions: Mapping[str, ExemptionRule]
    tolerances: Mapping[str, Tolerance]
    phase_bounds: PhaseBounds


# --- the form of a file --------------------------------------------------------------------------


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


# --- reading -------------------------------------------------------------------------------------


def read_policies(folder: Path, references: References) -> tuple[Policy, ...]:
    """Every policy file of a folder, published or draft, in the order of id and version."""
    lock = read_lock(folder / LOCK)
    policies = [read_policy(path, references, lock) for path in sorted(folder.glob("*.toml"))]
    absent = sorted(set(lock) - {p.name for p in folder.glob("*.toml")})
    if absent:
        raise DeclarationError(f"{LOCK} names files that are not there: {', '.join(absent)}")
    return tuple(sorted(policies, key=lambda p: (p.id, p.version)))


def read_lock(path: Path) -> dict[str, str]:
    """File name -> SHA-256, from lines as ``sha256sum`` writes them."""
    if not path.exists():
        return {}
    lock: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = re.fullmatch(r"([0-9a-f]{64}) [ *](\S+)", line)
        if found is None or found[2] in lock:
            raise DeclarationError(f"{path.name}: line {number} is not one new '<sha256>  <file>'")
        lock[found[2]] = found[1]
    return lock


def read_policy(path: Path, references: References, lock: Mapping[str, str]) -> Policy:
    """One file; what is wrong with it is said with its name and place."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if path.name in lock and lock[path.name] != digest:
        raise DeclarationError(
            f"{path.name}: was changed after it was published; restore it and write the next version instead"
        )
    data = read_document(path.name, content)
    named = _NAME.fullmatch(path.name)
    if named is None or named["id"] != data["id"] or int(named["version"]) != data["version"]:
        raise DeclarationError(f"{path.name}: must be named {data['id']}.v{data['version']}.toml")
    try:
        return _policy(data, references, sha256=digest, published=path.name in lock)
    except InvalidInput as wrong:
        raise _refused(path.name, wrong.faults) from None


def read_document(name: str, content: bytes) -> dict[str, Any]:
    """The file as checked by the schema, with its tests."""
    try:
        document = tomllib.loads(content.decode("utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise DeclarationError(f"{name}: {wrong}") from None
    try:
        data: dict[str, Any] = read(SCHEMA, document)
    except InvalidInput as wrong:
        raise _refused(name, wrong.faults) from None
    return data


def _refused(name: str, found: tuple[Fault, ...]) -> DeclarationError:
    lines = "; ".join(f"{f.pointer.lstrip('/').replace('/', '.') or 'file'}: {f.message}" for f in found)
    return DeclarationError(f"{name}: {lines}", faults=found)


def _policy(data: Mapping[str, Any], references: References, *, sha256: str, published: bool) -> Policy:
    applies = data["applies_to"]
    exemptions = []
    for kind in applies["exemptions"]:
        if kind not in references.exemptions:
            known = ", ".join(sorted(references.exemptions))
            raise _fault("/applies_to/exemptions", f"there is no exemption {kind!r}; there are {known}")
        exemptions.append(references.exemptions[kind])
    kind = data["rule"].get("kind")
    if kind not in KINDS:
        raise _fault("/rule/kind", f"there is no such kind of rule; there are {', '.join(sorted(KINDS))}")
    path = data.get("exception")
    policy = Policy(
        id=data["id"],
        version=data["version"],
        title=data["title"],
        effective_from=data["effective_from"],
        effective_until=data.get("effective_until"),
        jurisdiction=data["jurisdiction"],
        enforcement=data["enforcement"],
        severity=data["severity"],
        rationale=_flowing(data["rationale"]),
        limitations=_flowing(data["limitations"]),
        source=Source(**data["source"]),
        review=Review(**data["review"]),
        applies_to=AppliesTo(
            drug_classes=tuple(applies["drug_classes"]),
            settings=tuple(applies["settings"]),
            phases=tuple(applies["phases"]),
            moments=tuple(applies["moments"]),
            min_age=applies.get("min_age"),
            exemptions=tuple(exemptions),
            phase_bounds=references.phase_bounds,
        ),
        kind=kind,
        rule=make_rule(kind, data["rule"], references),
        card=Card(**{name: _flowing(words) for name, words in data["card"].items()}),
        overrides=tuple(OverrideReason(**o) for o in data["override"]),
        exception=None
        if path is None
        else ExceptionPath(
            path["countersignatures"],
            tuple(r.value for r in path["roles"]),
            tuple(r.value for r in path["including"]),
            path["requires_note"],
        ),
        sha256=sha256,
        published=published,
    )
    _check_templates(policy.card)
    return policy


def _flowing(words: str) -> str:
    """Lines are broken in a file for its readers; only an empty line parts paragraphs."""
    return "\n\n".join(" ".join(part.split()) for part in words.split("\n\n") if part.strip())


def _check_templates(card: Card) -> None:
    for field in dataclasses.fields(card):
        for _, name, form, conversion in string.Formatter().parse(getattr(card, field.name)):
            if name is not None and (form or conversion or not name.isidentifier()):
                raise _fault(f"/card/{field.name}", f"write {{{name}}} as a plain fact's name")


# --- rules and their parameters --------------------------------------------------------------------


def make_rule(kind: str, parameters: Mapping[str, Any], references: References) -> Rule:
    """The rule with its parameters; unknown, missing and ill-typed ones are refused by name."""
    cls = KINDS[kind]
    hints = typing.get_type_hints(cls)
    taken = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls))}
    given = {name: value for name, value in parameters.items() if name != "kind"}
    unknown = sorted(set(given) - set(taken))
    if unknown:
        raise _fault("/rule", f"{kind} takes {sorted(taken)}, not {unknown}")
    missing = sorted(n for n, f in taken.items() if n not in given and f.default is dataclasses.MISSING)
    if missing:
        raise _fault("/rule", f"{kind} needs {missing}")
    schema = StrictSchema.from_dict({name: _field(hints[name]) for name in taken})()
    try:
        loaded = schema.load(given)
    except ValidationError as wrong:
        found = faults(wrong, under="/rule")
        raise InvalidInput("a parameter is wrong", faults=found) from None
    return typing.cast(Rule, cls(**{n: _bound(hints[n], n, v, references) for n, v in loaded.items()}))


def _field(hint: Any) -> fields.Field[Any]:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(h for h in typing.get_args(hint) if h is not type(None))
    if typing.get_origin(hint) is tuple:
        return fields.List(_field(typing.get_args(hint)[0]))
    if hint in (FactorSet, Tolerance) or hint is str:
        return Token(longest=100)
    if hint is bool:
        return Flag()
    if hint is int:
        return WholeNumber(least=0, most=100_000)
    if hint is Decimal:
        return ExactDecimal(least=0, most=1_000_000)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return Choice(hint)
    raise TypeError(f"no field for a rule parameter of type {hint}")


def _bound(hint: Any, name: str, value: Any, references: References) -> Any:
    """Names become what they name, lists become tuples."""
    named: Mapping[str, object] | None = (
        references.factor_sets if hint is FactorSet else references.tolerances if hint is Tolerance else None
    )
    if named is not None:
        if value not in named:
            raise _fault(f"/rule/{name}", f"there is no {value!r}; there are {', '.join(sorted(named))}")
        return named[value]
    return tuple(value) if isinstance(value, list) else value


def _fault(pointer: str, message: str) -> InvalidInput:
    return InvalidInput(message, faults=(Fault(pointer, "invalid", message),))


# --- small reference files that policies name -------------------------------------------------------


class _NoteSchema(StrictSchema):
    title = Text(required=True, longest=300, blank=False)
    publisher = Text(required=True, longest=200, blank=False)
    date = Day(required=True)
    url = Text(required=True, longest=300, blank=False)
    review_by = Day(required=True)
    note = Text(longest=2_000, load_default="")


class _PhasesSchema(StrictSchema):
    subacute_from_days = WholeNumber(required=True, least=1, most=365)
    subacute_until_days = WholeNumber(required=True, least=1, most=365)


class _PainSchema(StrictSchema):
    source = fields.Nested(_NoteSchema, required=True)
    phases = fields.Nested(_PhasesSchema, required=True)


class _DoseSchema(StrictSchema):
    ingredient = Text(required=True, longest=100)
    rxcui = Token(required=True)
    form = Text(longest=100, load_default="")
    mg_per_day = ExactDecimal(required=True, least=0, most=10_000, above=True)
    verified = Flag(required=True)


class _DefinitionSchema(StrictSchema):
    id = Token(required=True)
    days = WholeNumber(required=True, least=1, most=90)
    source = fields.Nested(_NoteSchema, required=True)
    dose = fields.List(fields.Nested(_DoseSchema), required=True)


class _TolerancesSchema(StrictSchema):
    definition = fields.List(fields.Nested(_DefinitionSchema), required=True)


class _SnoozeSchema(StrictSchema):
    longest_days = WholeNumber(required=True, least=1, most=365)


class _SnoozeSourceSchema(_NoteSchema):
    verified = Flag(required=True)


class _SnoozesSchema(StrictSchema):
    source = fields.Nested(_SnoozeSourceSchema, required=True)
    snooze = fields.Nested(_SnoozeSchema, required=True)


def read_snooze_days(reference: Path) -> int:
    """``snooze.toml``: for how many days a finding may be put to rest at the most."""
    days: int = _reference(reference / "snooze.toml", _SnoozesSchema())["snooze"]["longest_days"]
    return days


def read_phase_bounds(reference: Path) -> PhaseBounds:
    """``pain.toml``: the phases of pain."""
    phases = _reference(reference / "pain.toml", _PainSchema())["phases"]
    return PhaseBounds(phases["subacute_from_days"], phases["subacute_until_days"])


def read_tolerances(reference: Path) -> dict[str, Tolerance]:
    """``tolerance.toml``: published definitions of opioid tolerance, by id."""
    rows = _reference(reference / "tolerance.toml", _TolerancesSchema())["definition"]
    return {
        row["id"]: Tolerance(
            row["id"],
            row["days"],
            tuple(
                ToleranceDose(d["ingredient"], d["rxcui"], d["mg_per_day"], d["form"]) for d in row["dose"]
            ),
        )
        for row in rows
    }


def _reference(path: Path, schema: StrictSchema) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        data: dict[str, Any] = read(schema, document)
    except tomllib.TOMLDecodeError as wrong:
        raise DeclarationError(f"{path.name}: {wrong}") from None
    except InvalidInput as wrong:
        raise _refused(path.name, wrong.faults) from None
    return data


def past_review(policy: Policy, on: date) -> bool:
    """Whether the policy ought to have been looked at again before the day."""
    return policy.review.review_by < on

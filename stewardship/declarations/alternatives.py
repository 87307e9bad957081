"""Conditions, treatments, contraindications and their sources -> what is declared about alternatives.

A row without a source is refused, and so is a name that stands for nothing: a treatment that no file
has, an ingredient that the catalogue does not know, a prefix that cannot be a code.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from stewardship.declarations.drugs import checked, read_tables
from stewardship.domain.alternatives import Alternatives
from stewardship.domain.codes import SNOMED, Coding
from stewardship.domain.drugs import DrugClass
from stewardship.domain.errors import DeclarationError
from stewardship.domain.orders import Phase
from stewardship.domain.suitability import Level, MedicineGroup, Rule, Terms, When
from stewardship.domain.treatments import AddedIngredient, Against, Dose, PainCondition, Source, Treatment

EVIDENCE, CONDITIONS = "evidence.toml", "conditions.toml"
TREATMENTS, CONTRAINDICATIONS = "treatments.toml", "contraindications.toml"
_WORDS = validate.Length(min=1)
_ID = validate.Regexp(r"\A[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_PREFIX = validate.Regexp(r"\A[A-Z][0-9][0-9A-Z]?(\.[0-9A-Z]{1,4})?\Z|\A[A-Z][0-9]\Z")
_CODE = validate.Regexp(r"\A[1-9][0-9]{0,17}\Z")
_LOINC = validate.Regexp(r"\A[0-9]{1,7}-[0-9]\Z")
_PAIN = ("nociceptive", "neuropathic", "nociplastic")
#: Every fact that a rule can lack has words of its own.
_ASKS = {
    *("egfr", "age", "pregnancy", "pregnancy-week", "medicines", "unknown-medicines", "allergies"),
    *("problem", "problems", "phase", "tried"),
}


class _Strict(Schema):
    class Meta:
        unknown = RAISE


def _text() -> fields.String:
    return fields.String(required=True, validate=_WORDS)


def _id() -> fields.String:
    return fields.String(required=True, validate=_ID)


def _ids() -> fields.List[Any]:
    return fields.List(fields.String(validate=_ID), load_default=list)


def _texts() -> fields.List[Any]:
    return fields.List(fields.String(validate=_WORDS), load_default=list)


def _prefixes() -> fields.List[Any]:
    return fields.List(fields.String(validate=_PREFIX), load_default=list)


def _flag(**given: Any) -> fields.Boolean:
    return fields.Boolean(truthy={True}, falsy={False}, **given)


class _SourceRow(_Strict):
    id = _id()
    title = _text()
    publisher = _text()
    published = fields.Raw(required=True)
    url = fields.Url(load_default="")
    review_by = fields.Raw(required=True)


class _Evidence(_Strict):
    provenance = fields.Dict(required=True)
    source = fields.List(fields.Nested(_SourceRow), required=True)


class _Sourced(_Strict):
    """Every row of these files: on what it stands, and whether that was confirmed."""

    sources = fields.List(fields.String(validate=_ID), required=True, validate=_WORDS)
    verified = _flag(required=True)


class _RungRow(_Strict):
    number = fields.Integer(required=True, strict=True, validate=validate.Range(0, 6))
    title = _text()
    source = _id()


class _DoseRow(_Strict):
    usual = _text()
    mg_per_day = fields.Integer(required=True, strict=True, validate=validate.Range(min=1))


class _CodeRow(_Strict):
    system = fields.String(required=True, validate=validate.Equal(SNOMED))
    code = fields.String(required=True, validate=_CODE)
    display = _text()


class _TreatmentRow(_Sourced):
    id = _id()
    title = _text()
    rung = fields.Integer(required=True, strict=True)
    modality = _id()
    family = fields.String(load_default="", validate=_ID)
    mechanism = _text()
    used_for = _text()
    strength = fields.String(
        required=True,
        validate=validate.OneOf(("high", "moderate", "low", "contested", "against", "varies")),
    )
    evidence = _text()
    contested = fields.String(load_default="")
    check_first = _texts()
    requires = _ids()
    diagnostic = fields.String(load_default="")
    dose = fields.Nested(_DoseRow)
    ingredients = _texts()
    codes = fields.List(fields.Nested(_CodeRow), load_default=list)
    review_days = fields.Integer(required=True, strict=True, validate=validate.Range(1, 365))
    benefit = _text()


class _IngredientRow(_Sourced):
    name = _text()
    rxcui = fields.String(load_default="", validate=_CODE)


class _Treatments(_Strict):
    provenance = fields.Dict(required=True)
    ingredient = fields.List(fields.Nested(_IngredientRow), required=True)
    rung = fields.List(fields.Nested(_RungRow), required=True, validate=_WORDS)
    treatment = fields.List(fields.Nested(_TreatmentRow), required=True, validate=_WORDS)


class _AgainstRow(_Sourced):
    treatment = _id()
    reason = _text()


class _ConditionRow(_Sourced):
    id = _id()
    title = _text()
    prefixes = _prefixes()
    unverified_prefixes = _prefixes()
    snomed = fields.List(fields.String(validate=_CODE), load_default=list)
    unverified_snomed = fields.List(fields.String(validate=_CODE), load_default=list)
    pain = fields.String(required=True, validate=validate.OneOf(_PAIN))
    phases = fields.List(fields.Enum(Phase, by_value=True), load_default=list)
    first_line = _ids()
    interventional = _ids()
    further = _ids()
    notes = fields.String(load_default="")
    urgent = fields.String(load_default="")
    opioid = fields.String(load_default="")
    exempt = fields.String(load_default="", validate=_ID)
    against = fields.List(fields.Nested(_AgainstRow), load_default=list)


class _Conditions(_Strict):
    provenance = fields.Dict(required=True)
    condition = fields.List(fields.Nested(_ConditionRow), required=True, validate=_WORDS)


class _AsksRow(_Strict):
    settles = _ids()
    words = fields.Dict(keys=fields.String(), values=fields.String(validate=_WORDS), required=True)


class _FactsRow(_Sourced):
    no_pregnancy_from_age = fields.Integer(required=True, strict=True, validate=validate.Range(40, 70))
    renal_days = fields.Integer(required=True, strict=True, validate=validate.Range(1, 1000))
    unknown_days = fields.Integer(required=True, strict=True, validate=validate.Range(1, 365))
    egfr_loinc = fields.List(fields.String(validate=_LOINC), required=True)
    clearance_loinc = fields.List(fields.String(validate=_LOINC), required=True)
    week_prefix = fields.String(required=True, validate=_PREFIX)
    pregnancy_prefixes = _prefixes()


class _MedicinesRow(_Sourced):
    id = _id()
    title = _text()
    ingredients = _texts()
    classes = fields.List(fields.Enum(DrugClass, by_value=True), load_default=list)
    within_days = fields.Integer(load_default=0, strict=True, validate=validate.Range(0, 90))


class _ProblemRow(_Sourced):
    id = _id()
    title = _text()
    prefixes = fields.List(fields.String(validate=_PREFIX), required=True, validate=_WORDS)


class _WhenRow(_Strict):
    renal = fields.String(validate=validate.OneOf(("egfr", "clearance")))
    below = fields.Decimal()
    at_least = fields.Decimal()
    age_from = fields.Integer(strict=True, validate=validate.Range(1, 120))
    weeks_from = fields.Integer(strict=True, validate=validate.Range(0, 42))
    weeks_until = fields.Integer(strict=True, validate=validate.Range(0, 42))
    medicines = fields.String(validate=_ID)
    medicines_from = fields.Integer(strict=True, validate=validate.Range(2, 9))
    problem = fields.String(validate=_ID)
    allergy = fields.List(fields.String(validate=_WORDS))


class _RuleRow(_Sourced):
    id = _id()
    treatments = fields.List(fields.String(validate=_ID), required=True, validate=_WORDS)
    level = fields.Enum(Level, by_value=True, required=True)
    when = fields.Nested(_WhenRow, required=True, validate=_WORDS)
    because = _text()
    threshold = _text()
    check = fields.String(load_default="")
    ceiling_mg = fields.Integer(load_default=None, strict=True, validate=validate.Range(min=1))
    asks = _flag(load_default=True)


class _Contraindications(_Strict):
    provenance = fields.Dict(required=True)
    asks = fields.Nested(_AsksRow, required=True)
    facts = fields.Nested(_FactsRow, required=True)
    medicines = fields.List(fields.Nested(_MedicinesRow), required=True)
    problem = fields.List(fields.Nested(_ProblemRow), required=True)
    rule = fields.List(fields.Nested(_RuleRow), required=True, validate=_WORDS)


def read_alternatives(reference: Path, ingredients: Collection[str] | None = None) -> Alternatives:
    """Everything; raises ``DeclarationError`` naming file and row of what is wrong. ``ingredients`` are the
    base names of the catalogue, read from its table when they are not given."""
    sources = _sources(checked(reference / EVIDENCE, _Evidence())["source"])
    said = checked(reference / TREATMENTS, _Treatments())
    added = _ingredients(said["ingredient"], sources)
    table = read_tables(reference / "drugs").ingredients if ingredients is None else ingredients
    known = {*table, *(i.name for i in added)}
    treatments = {row["id"]: _treatment(row, sources) for row in _once(TREATMENTS, said["treatment"])}
    rungs = {row["number"]: row["title"] for row in said["rung"]}
    for treatment in treatments.values():
        _there(TREATMENTS, treatment.id, treatment.requires, treatments, "treatments")
        _there(TREATMENTS, treatment.id, treatment.ingredients, known, "ingredients of the catalogue")
        _there(TREATMENTS, treatment.id, [str(treatment.rung)], {str(n) for n in rungs}, "rungs")
    rows = _once(CONDITIONS, checked(reference / CONDITIONS, _Conditions())["condition"])
    conditions = tuple(_condition(row, sources) for row in rows)
    for condition in conditions:
        _there(CONDITIONS, condition.id, condition.considered, treatments, "treatments")
    terms = _terms(checked(reference / CONTRAINDICATIONS, _Contraindications()), sources)
    families = {t.family for t in treatments.values() if t.family}
    for rule in terms.rules:
        _there(CONTRAINDICATIONS, rule.id, rule.treatments, treatments.keys() | families, "treatments")
    for group in terms.groups.values():
        _there(CONTRAINDICATIONS, group.id, group.ingredients, known, "ingredients of the catalogue")
    return Alternatives(conditions, treatments, rungs, terms, sources, added)


def _ingredients(
    rows: Iterable[Mapping[str, Any]], sources: Mapping[str, Source]
) -> tuple[AddedIngredient, ...]:
    made = []
    for row in rows:
        _cited(TREATMENTS, {**row, "id": row["name"]}, sources)
        made.append(AddedIngredient(row["name"], row["rxcui"], row["verified"]))
    return tuple(made)


def _sources(rows: Iterable[Mapping[str, Any]]) -> dict[str, Source]:
    made = {}
    for row in _once(EVIDENCE, rows):
        days = row["published"], row["review_by"]
        if not all(type(day) is datetime.date for day in days) or days[1] <= days[0]:
            raise DeclarationError(
                f"{EVIDENCE}: {row['id']}: published and review_by are dates, the second the later one"
            )
        made[row["id"]] = Source(**row)
    return made


def _treatment(row: Mapping[str, Any], sources: Mapping[str, Source]) -> Treatment:
    plain = ("id", "title", "rung", "modality", "family", "mechanism", "used_for", "evidence", "strength")
    return Treatment(
        **{name: row[name] for name in plain},
        review_days=row["review_days"],
        benefit=row["benefit"],
        sources=_cited(TREATMENTS, row, sources),
        verified=row["verified"],
        contested=row["contested"],
        check_first=tuple(row["check_first"]),
        requires=tuple(row["requires"]),
        diagnostic=row["diagnostic"],
        dose=Dose(**row["dose"]) if "dose" in row else None,
        ingredients=tuple(row["ingredients"]),
        codes=tuple(Coding(**code) for code in row["codes"]),
    )


def _condition(row: Mapping[str, Any], sources: Mapping[str, Source]) -> PainCondition:
    prefixes = {_plain(p): True for p in row["prefixes"]}
    prefixes |= {_plain(p): False for p in row["unverified_prefixes"]}
    if not prefixes:
        raise DeclarationError(f"{CONDITIONS}: {row['id']} has no prefix")
    plain = ("id", "title", "pain", "notes", "urgent", "opioid", "exempt", "verified")
    return PainCondition(
        **{name: row[name] for name in plain},
        prefixes=prefixes,
        concepts=dict.fromkeys(row["snomed"], True) | dict.fromkeys(row["unverified_snomed"], False),
        phases=frozenset(row["phases"]),
        first_line=tuple(row["first_line"]),
        interventional=tuple(row["interventional"]),
        further=tuple(row["further"]),
        against=tuple(
            Against(a["treatment"], a["reason"], _cited(CONDITIONS, row | a, sources), a["verified"])
            for a in row["against"]
        ),
        sources=_cited(CONDITIONS, row, sources),
    )


def _terms(said: Mapping[str, Any], sources: Mapping[str, Source]) -> Terms:
    asks, facts = said["asks"], said["facts"]
    _there(CONTRAINDICATIONS, "asks.words", _ASKS, asks["words"], "words for a missing fact")
    _there(CONTRAINDICATIONS, "asks.settles", asks["settles"], _ASKS, "facts")
    _cited(CONTRAINDICATIONS, {**facts, "id": "facts"}, sources)
    for row in (*said["medicines"], *said["problem"]):
        _cited(CONTRAINDICATIONS, row, sources)
    groups = {
        row["id"]: MedicineGroup(
            row["id"],
            row["title"],
            frozenset(row["ingredients"]),
            frozenset(row["classes"]),
            row["within_days"],
        )
        for row in _once(CONTRAINDICATIONS, said["medicines"])
    }
    problems = {row["id"]: row for row in _once(CONTRAINDICATIONS, said["problem"])}
    rules = tuple(_rule(row, sources) for row in _once(CONTRAINDICATIONS, said["rule"]))
    for rule in rules:
        _there(CONTRAINDICATIONS, rule.id, filter(None, [rule.when.medicines]), groups, "groups of medicines")
        _there(CONTRAINDICATIONS, rule.id, filter(None, [rule.when.problem]), problems, "problems")
    return Terms(
        rules=rules,
        groups=groups,
        problems={name: row["title"] for name, row in problems.items()},
        problem_prefixes={name: tuple(_plain(p) for p in row["prefixes"]) for name, row in problems.items()},
        asks=asks["words"],
        settles=frozenset(asks["settles"]),
        no_pregnancy_from_age=facts["no_pregnancy_from_age"],
        renal_codes={
            "egfr": frozenset(facts["egfr_loinc"]),
            "clearance": frozenset(facts["clearance_loinc"]),
        },
        renal_days=facts["renal_days"],
        week_prefix=_plain(facts["week_prefix"]),
        pregnancy_prefixes=tuple(_plain(p) for p in facts["pregnancy_prefixes"]),
        unknown_days=facts["unknown_days"],
    )


def _rule(row: Mapping[str, Any], sources: Mapping[str, Source]) -> Rule:
    when = row["when"]
    bounded = "below" in when or "at_least" in when
    if ("renal" in when) != bounded:
        raise DeclarationError(f"{CONTRAINDICATIONS}: {row['id']}: renal goes with below or at_least")
    if (row["level"] is Level.CEILING) != (row["ceiling_mg"] is not None):
        raise DeclarationError(f"{CONTRAINDICATIONS}: {row['id']}: level ceiling goes with ceiling_mg")
    if not row["asks"] and row["level"] is not Level.CAUTION:
        raise DeclarationError(f"{CONTRAINDICATIONS}: {row['id']}: only a caution may ask for nothing")
    return Rule(
        id=row["id"],
        treatments=frozenset(row["treatments"]),
        level=row["level"],
        when=When(**{**when, "allergy": tuple(when.get("allergy", ()))}),
        because=row["because"],
        threshold=row["threshold"],
        check=row["check"],
        ceiling_mg=row["ceiling_mg"],
        sources=_cited(CONTRAINDICATIONS, row, sources),
        verified=row["verified"],
        asks=row["asks"],
    )


def _plain(prefix: str) -> str:
    return prefix.replace(".", "")


def _cited(file: str, row: Mapping[str, Any], sources: Mapping[str, Source]) -> tuple[Source, ...]:
    _there(file, row["id"], row["sources"], sources, f"sources of {EVIDENCE}")
    if row["verified"] and all(name == "unconfirmed" for name in row["sources"]):
        raise DeclarationError(f"{file}: {row['id']} is called verified, and no source confirms it")
    return tuple(sources[name] for name in row["sources"])


def _once(file: str, rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows, none of whose ids may be there twice."""
    listed = list(rows)
    ids = [row["id"] for row in listed]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise DeclarationError(f"{file}: there twice: {', '.join(twice)}")
    return listed


def _there(file: str, row: str, named: Iterable[str], known: Collection[str], kind: str) -> None:
    missing = sorted(set(named) - set(known))
    if missing:
        raise DeclarationError(f"{file}: {row} names what is none of the {kind}: {', '.join(missing)}")

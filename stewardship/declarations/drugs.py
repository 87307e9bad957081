"""``reference/drugs``, ``reference/code_sets``, ``reference/exemptions.toml`` in the domain's terms.

Reading takes what is written; whether the files are *right* (no stimulant among the depressants, no trait
among sickle-cell disease) is the linter's question, see ``declarations.lint``.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from stewardship.declarations.ranking import likeliest
from stewardship.domain.classification import (
    FormRule,
    IngredientFacts,
    Match,
    ScheduleRule,
    Tables,
    UseRule,
    WearRule,
)
from stewardship.domain.codes import ICD10CM, CodeSets
from stewardship.domain.drugs import Catalogue, DrugClass, Release, Row, Schedule
from stewardship.domain.errors import DeclarationError
from stewardship.domain.exemptions import ExemptionRule

Made = TypeVar("Made")

INGREDIENTS = ("name", "rxcui", "class", "schedule", "long_acting")
PRODUCTS = ("code", "name", "form", "ingredients", "schedule", "complete", "source")
NDC_PRODUCTS = ("number", "name", "form", "ingredients", "schedule", "complete")
NDCS = ("ndc", "product")
CODES = ("system", "code", "match", "display")

EXACT, PREFIX, NOT_PREFIX = "exact", "prefix", "not-prefix"

_SCHEDULES = [s.value for s in Schedule]


class _Strict(Schema):
    """Keys that nobody declared are refused, with their names."""


class _Strength(_Strict):
    unit = fields.String(required=True)
    min = fields.Decimal(allow_none=False)
    max = fields.Decimal(allow_none=False)


class _Matching(_Strict):
    ingredients = fields.List(fields.String(), required=True, validate=validate.Length(min=1))
    forms = fields.List(fields.String())
    partners = fields.List(fields.String())
    without = fields.List(fields.String())
    combined = fields.Boolean()
    strength = fields.Nested(_Strength)
    source = fields.String(required=True, validate=validate.Length(min=1))
    verified = fields.Boolean(load_default=True)


class _Use(_Matching):
    classes = fields.List(fields.Enum(DrugClass, by_value=True), required=True)
    long_acting = fields.Boolean(load_default=False)
    release = fields.Enum(Release, by_value=True)


class _Schedule(_Matching):
    schedule = fields.Enum(Schedule, by_value=True)


class _Wear(_Matching):
    hours = fields.Decimal(required=True)


class _ListedForm(_Strict):
    parts = fields.List(fields.String(), required=True, validate=validate.Length(min=1))
    routes = fields.List(fields.String(), load_default=list)
    form = fields.String(required=True)


class _Names(_Strict):
    salts = fields.List(fields.String(), required=True)
    aliases = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class _Release(_Strict):
    extended = fields.List(fields.String(), required=True)
    source = fields.String(required=True)


class _Classification(_Strict):
    provenance = fields.Dict(required=True)
    names = fields.Nested(_Names, required=True)
    release = fields.Nested(_Release, required=True)
    use = fields.List(fields.Nested(_Use), required=True)
    schedule = fields.List(fields.Nested(_Schedule), required=True)
    wear = fields.List(fields.Nested(_Wear), required=True)
    listed_form = fields.List(fields.Nested(_ListedForm), required=True)


class _Exemption(_Strict):
    kind = fields.String(required=True, validate=validate.Regexp(r"[a-z][a-z-]*\Z"))
    title = fields.String(required=True)
    condition_sets = fields.List(fields.String(), load_default=list)
    condition_days = fields.Integer(strict=True, validate=validate.Range(min=1))
    procedure_sets = fields.List(fields.String(), load_default=list)
    procedure_days = fields.Integer(strict=True, validate=validate.Range(min=1))
    reason_sets = fields.List(fields.String(), load_default=list)
    treatment_types = fields.List(fields.String(), load_default=list)
    drug_classes = fields.List(fields.Enum(DrugClass, by_value=True), load_default=list)
    rationale = fields.String(required=True)
    source = fields.Dict(required=True)
    verified = fields.Boolean(load_default=True)


class _Exemptions(_Strict):
    provenance = fields.Dict(required=True)
    exemption = fields.List(fields.Nested(_Exemption), required=True)


class _SetsFile(Schema):
    """Only what reading needs; the linter looks at the rest."""

    class Meta:
        unknown = EXCLUDE

    set = fields.List(fields.Dict(), required=True)


# --- the catalogue ---------------------------------------------------------------------------------


def read_catalogue(reference: Path) -> Catalogue:
    """All shipped products. Raises ``DeclarationError`` when a file cannot be read as what it should be."""
    folder = reference / "drugs"
    tables = read_tables(folder)
    products = {row[0]: Row._make(row[:6]) for row in rows(folder / "rxnorm_products.csv", PRODUCTS)}
    descriptions = [Row._make(row) for row in rows(folder / "ndc_products.csv", NDC_PRODUCTS)]
    ndcs = {ndc: int(product) for ndc, product in rows(folder / "ndcs.csv", NDCS)}
    return Catalogue(tables, products, descriptions, ndcs, rank=likeliest)


def read_tables(folder: Path) -> Tables:
    """The ingredient table and the rules over it."""
    document = checked(folder / "classification.toml", _Classification())
    return Tables(
        ingredients={facts.name: facts for facts in _ingredients(folder / "ingredients.csv")},
        salts=frozenset(document["names"]["salts"]),
        extended_forms=tuple(document["release"]["extended"]),
        uses=tuple(
            UseRule(_match(u), frozenset(u["classes"]), u["long_acting"], u.get("release"))
            for u in document["use"]
        ),
        schedules=tuple(ScheduleRule(_match(s), s.get("schedule")) for s in document["schedule"]),
        aliases=document["names"]["aliases"],
        wear=tuple(WearRule(_match(w), w["hours"]) for w in document["wear"]),
        listed_forms=tuple(
            FormRule(frozenset(f["parts"]), frozenset(f["routes"]), f["form"])
            for f in document["listed_form"]
        ),
    )


def _ingredients(path: Path) -> Iterator[IngredientFacts]:
    for line, (name, rxcui, drug_class, schedule, long_acting) in enumerate(rows(path, INGREDIENTS), 2):
        try:
            yield IngredientFacts(
                name=name,
                rxcui=rxcui,
                classes=frozenset({DrugClass(drug_class)}) - {DrugClass.OTHER},
                schedule=None if schedule == "?" else Schedule(schedule),
                opioid=drug_class == DrugClass.OPIOID,
                long_acting=long_acting == "yes",
            )
        except ValueError as error:
            raise DeclarationError(
                f"{path.name} line {line}: {error}; classes are {', '.join(DrugClass)}, schedules "
                f"{', '.join(_SCHEDULES)} or ?"
            ) from error


def _match(rule: Mapping[str, Any]) -> Match:
    strength = rule.get("strength", {})
    return Match(
        ingredients=frozenset(rule["ingredients"]),
        forms=frozenset(rule.get("forms", ())),
        partners=frozenset(rule.get("partners", ())),
        without=frozenset(rule.get("without", ())),
        combined=rule.get("combined"),
        strength_unit=strength.get("unit", ""),
        strength_min=strength.get("min"),
        strength_max=strength.get("max"),
    )


# --- code sets ---------------------------------------------------------------------------------------


def read_code_sets(reference: Path) -> CodeSets:
    """All named sets. A code may be listed as it is, or as a prefix with exceptions; of the prefixes that
    fit a code the longest decides, for each set by itself."""
    folder = reference / "code_sets"
    names = set_names(folder)
    exact: dict[tuple[str, str], set[str]] = {}
    prefixes: dict[tuple[str, str], dict[str, bool]] = {}
    for name in names:
        for system, code, match, _display in rows(folder / f"{name}.csv", CODES):
            key = (system, code.replace(".", "") if system == ICD10CM else code)
            if match == EXACT:
                exact.setdefault(key, set()).add(name)
            elif match in (PREFIX, NOT_PREFIX):
                prefixes.setdefault(key, {})[name] = match == PREFIX
            else:
                raise DeclarationError(
                    f"{name}.csv: {code} has match {match!r}; write {EXACT}, {PREFIX} or {NOT_PREFIX}"
                )
    return CodeSets(
        exact={key: frozenset(found) for key, found in exact.items()},
        prefixes={key: _names_under(key, prefixes) for key in prefixes},
        longest_prefix=max((len(code) for _, code in prefixes), default=0),
    )


def set_names(folder: Path) -> list[str]:
    """The names that ``sets.toml`` lists; each has a file of its own."""
    document = checked(folder / "sets.toml", _SetsFile())
    return [str(entry.get("name", "")) for entry in document["set"]]


def _names_under(
    key: tuple[str, str], prefixes: Mapping[tuple[str, str], Mapping[str, bool]]
) -> frozenset[str]:
    """The sets that hold what starts with this prefix: a set's own longest prefix counts."""
    system, code = key
    decided: dict[str, bool] = {}
    for length in range(1, len(code) + 1):
        decided.update(prefixes.get((system, code[:length]), {}))
    return frozenset(name for name, held in decided.items() if held)


# --- exemptions ----------------------------------------------------------------------------------------


def read_exemptions(reference: Path) -> Mapping[str, ExemptionRule]:
    """What counts as evidence for each kind of exemption, by kind."""
    path = reference / "exemptions.toml"
    document = checked(path, _Exemptions())
    known = set(set_names(reference / "code_sets"))
    rules: dict[str, ExemptionRule] = {}
    for entry in document["exemption"]:
        wanted = {*entry["condition_sets"], *entry["procedure_sets"], *entry["reason_sets"]}
        if wanted - known:
            missing = ", ".join(sorted(wanted - known))
            raise DeclarationError(
                f"{path.name}: {entry['kind']} names code sets that do not exist: {missing}"
            )
        if entry["kind"] in rules:
            raise DeclarationError(f"{path.name}: {entry['kind']} is there twice")
        rules[entry["kind"]] = ExemptionRule(
            kind=entry["kind"],
            title=entry["title"],
            condition_sets=frozenset(entry["condition_sets"]),
            condition_days=entry.get("condition_days"),
            procedure_sets=frozenset(entry["procedure_sets"]),
            procedure_days=entry.get("procedure_days"),
            reason_sets=frozenset(entry["reason_sets"]),
            treatment_types=frozenset(entry["treatment_types"]),
            drug_classes=frozenset(entry["drug_classes"]),
        )
    return rules


# --- files ---------------------------------------------------------------------------------------------


def rows(path: Path, header: tuple[str, ...]) -> list[list[str]]:
    """The rows of a CSV file under exactly this header; every row has as many fields as it."""
    with _opened(path, lambda p: p.open(encoding="utf-8", newline="")) as stream:
        read = list(csv.reader(stream))
    if not read or tuple(read[0]) != header:
        raise DeclarationError(f"{path.name}: the first line must be {','.join(header)}")
    for line, row in enumerate(read, 1):
        if len(row) != len(header):
            raise DeclarationError(f"{path.name} line {line}: {len(row)} fields where {len(header)} are due")
    return read[1:]


def checked(path: Path, schema: Schema) -> dict[str, Any]:
    """A TOML file that its schema accepts; decimals are read exactly."""
    text = _opened(path, lambda p: p.read_text(encoding="utf-8"))
    try:
        loaded = schema.load(tomllib.loads(text, parse_float=Decimal))
    except tomllib.TOMLDecodeError as error:
        raise DeclarationError(f"{path.name}: {error}") from error
    except ValidationError as error:
        raise DeclarationError(f"{path.name}: {error.messages}") from error
    return dict(loaded)


def _opened(path: Path, read: Callable[[Path], Made]) -> Made:
    try:
        return read(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{path.parent.name}/{path.name} cannot be read") from error

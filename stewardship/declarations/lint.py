"""Is what the reference files say right? Everything that could be checked without a clinician, checked.

The published value sets that these files stand beside held stimulants among depressants, left out every
gabapentinoid and took the sickle-cell trait for the disease; nobody looked. ``expectations.toml`` names such
errors, and this module finds them, and finds rows that contradict each other, lack a source or say less
than the rules need. It runs with the tests; ``overdue`` is for those who keep the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate

from stewardship.declarations.alternatives import (
    CONDITIONS,
    CONTRAINDICATIONS,
    EVIDENCE,
    TREATMENTS,
    read_alternatives,
)
from stewardship.declarations.drugs import (
    CODES,
    INGREDIENTS,
    NDC_PRODUCTS,
    NDCS,
    PRODUCTS,
    checked,
    read_catalogue,
    read_code_sets,
    read_exemptions,
    rows,
)
from stewardship.declarations.triggers import TRIGGERS, read_triggers
from stewardship.domain import rxnorm_names
from stewardship.domain.codes import ICD10CM, RXNORM, SNOMED, CodeSets, Coding
from stewardship.domain.drugs import Catalogue, Drug, DrugClass, Release, ingredients_of

CORRECTIONS = ("published", "ours", "system", "code", "name", "change", "reason", "source")
REMOVED, ADDED, MOVED = "removed", "added", "moved"


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong: the file, the rule that it breaks (for tests), and words for its author."""

    file: str
    rule: str
    about: str


class _Provenance(Schema):
    """What every file has to say of itself; further keys are welcome."""

    class Meta:
        unknown = EXCLUDE

    title = fields.String(required=True, validate=validate.Length(min=1))
    date = fields.Raw(required=True)
    review_by = fields.Raw(required=True)
    licence = fields.Raw(required=True)
    name = fields.String()
    sources = fields.List(fields.String(validate=validate.Length(min=1)), validate=validate.Length(min=1))


class _Expectation(Schema):
    never = fields.List(fields.String(), load_default=list)
    always = fields.List(fields.String(), load_default=list)
    reason = fields.String(required=True)


class _DrugExpectation(_Expectation):
    drug_class = fields.Enum(DrugClass, by_value=True, required=True, data_key="class")


class _SetExpectation(_Expectation):
    name = fields.String(required=True)
    system = fields.String(required=True)


class _Expectations(Schema):
    provenance = fields.Dict(required=True)
    drug = fields.List(fields.Nested(_DrugExpectation), required=True)
    set = fields.List(fields.Nested(_SetExpectation), required=True)


class _Loose(Schema):
    class Meta:
        unknown = EXCLUDE

    provenance = fields.Dict()
    file = fields.List(fields.Dict())
    set = fields.List(fields.Dict())
    corrections = fields.Dict()
    origin = fields.Dict()


def lint(reference: Path) -> list[Complaint]:
    """Every complaint about the files under ``reference``. A file that cannot be read at all raises
    ``DeclarationError`` instead, as it does when the service starts."""
    complaints = [*_sourced(reference), *_rows(reference)]
    catalogue = read_catalogue(reference)
    code_sets = read_code_sets(reference)
    expectations = checked(reference / "expectations.toml", _Expectations())
    complaints += _products(catalogue)
    complaints += _drug_classes(catalogue, expectations["drug"])
    complaints += _sets(code_sets, expectations["set"])
    complaints += _corrected(reference, catalogue, code_sets)
    complaints += _used(reference, expectations["set"])
    complaints += _alternatives(reference, code_sets)
    return complaints


def overdue(reference: Path, on: date) -> list[Complaint]:
    """The files, and the sources on alternatives, whose review date has passed on a day."""
    sources = [
        Complaint(EVIDENCE, "review-overdue", f"{source.id} was to be reviewed by {source.review_by}")
        for source in read_alternatives(reference).sources.values()
        if source.review_by < on
    ]
    return sources + [
        Complaint(file, "review-overdue", f"was to be reviewed by {entry['review_by']}")
        for file, entry in _provenance(reference)
        if isinstance(entry.get("review_by"), date) and entry["review_by"] < on
    ]


# --- every file says where it comes from -------------------------------------------------------------


def _provenance(reference: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """File name and what is said of it. An empty mapping is a file of which nothing is said."""
    for name in (
        *("exemptions.toml", "expectations.toml", "suggestions.toml", "drugs/classification.toml"),
        *("plans.toml", "taper.toml", "boards.toml"),
        *(EVIDENCE, CONDITIONS, TREATMENTS, CONTRAINDICATIONS, TRIGGERS),
    ):
        yield name, checked(reference / name, _Loose()).get("provenance", {})
    said = {f"drugs/{e.get('name')}": e for e in checked(reference / "drugs/sources.toml", _Loose())["file"]}
    sets = checked(reference / "code_sets/sets.toml", _Loose())
    said |= {f"code_sets/{e.get('name')}.csv": e for e in sets["set"]}
    said["code_sets/corrections.csv"] = sets.get("corrections", {})
    there = {
        f"{folder}/{path.name}"
        for folder in ("drugs", "code_sets")
        for path in (reference / folder).glob("*.csv")
    }
    for name in sorted(there | said.keys()):
        if name.endswith(".csv"):
            yield name, said.get(name, {}) if name in there else {"missing": True}


def _sourced(reference: Path) -> Iterator[Complaint]:
    for name, entry in _provenance(reference):
        if entry.get("missing"):
            yield Complaint(name, "file-missing", "is described, and is not there")
            continue
        if not entry:
            yield Complaint(name, "unsourced", "nothing says where this file comes from")
            continue
        for key, errors in _Provenance().validate(dict(entry)).items():
            yield Complaint(name, "unsourced", f"{key}: {errors}")
        written, review_by = entry.get("date"), entry.get("review_by")
        if not isinstance(written, date) or not isinstance(review_by, date) or review_by <= written:
            yield Complaint(name, "review-date", "date and review_by must be dates, the second the later one")


# --- rows: well-formed, once each, in agreement with themselves ------------------------------------------


def _rows(reference: Path) -> Iterator[Complaint]:
    drugs = reference / "drugs"
    products = rows(drugs / "rxnorm_products.csv", PRODUCTS)
    yield from _once("drugs/rxnorm_products.csv", [r[0] for r in products])
    yield from _shaped("drugs/rxnorm_products.csv", "rxcui", [r[0] for r in products], _digits)
    origins = checked(drugs / "sources.toml", _Loose()).get("origin", {})
    for row in products:
        if row[6] not in origins:
            yield Complaint("drugs/rxnorm_products.csv", "unsourced", f"{row[0]} has source {row[6]!r}")
    ndcs = rows(drugs / "ndcs.csv", NDCS)
    yield from _once("drugs/ndcs.csv", [r[0] for r in ndcs])
    yield from _shaped("drugs/ndcs.csv", "ndc", [r[0] for r in ndcs], lambda c: len(c) == 11 and _digits(c))
    descriptions = rows(drugs / "ndc_products.csv", NDC_PRODUCTS)
    if [r[0] for r in descriptions] != [str(n) for n in range(len(descriptions))]:
        yield Complaint("drugs/ndc_products.csv", "numbering", "numbers must count from 0 without a gap")
    yield from _once("drugs/ndc_products.csv", ["|".join(r[1:]) for r in descriptions])
    ingredients = rows(drugs / "ingredients.csv", INGREDIENTS)
    yield from _once("drugs/ingredients.csv", [r[0] for r in ingredients])
    codes = [r[1] for r in ingredients if r[1]]
    yield from _once("drugs/ingredients.csv", codes)
    yield from _shaped("drugs/ingredients.csv", "rxcui", codes, _digits)
    for path in sorted((reference / "code_sets").glob("*.csv")):
        if path.name != "corrections.csv":
            listed = rows(path, CODES)
            yield from _once(f"code_sets/{path.name}", [f"{r[0]} {r[1].replace('.', '')}" for r in listed])
            for row in listed:
                if not row[3]:
                    yield Complaint(f"code_sets/{path.name}", "undescribed", f"{row[1]} has no display")


def _digits(code: str) -> bool:
    return code.isascii() and code.isdigit()


def _once(file: str, keys: list[str]) -> Iterator[Complaint]:
    for key, times in Counter(keys).items():
        if times > 1:
            yield Complaint(file, "duplicate", f"{key} is there {times} times")


def _shaped(file: str, rule: str, codes: list[str], well: Callable[[str], bool]) -> Iterator[Complaint]:
    for code in codes:
        if not well(code):
            yield Complaint(file, rule, f"{code!r} is no {rule}")


# --- alternatives: a code that is called confirmed is in one of the code sets ----------------------------


def _alternatives(reference: Path, code_sets: CodeSets) -> Iterator[Complaint]:
    declared = read_alternatives(reference)
    read_triggers(reference, declared)
    for condition in declared.conditions:
        codes = [Coding(ICD10CM, code) for code, verified in condition.prefixes.items() if verified]
        codes += [Coding(SNOMED, code) for code, verified in condition.concepts.items() if verified]
        for coding in codes:
            if not code_sets.sets_of(coding):
                yield Complaint(CONDITIONS, "code", f"{condition.id}: {coding.code} is in no code set")
    for treatment in declared.treatments.values():
        for coding in treatment.codes:
            if not code_sets.sets_of(coding):
                yield Complaint(TREATMENTS, "code", f"{treatment.id}: {coding.code} is in no code set")


# --- products -------------------------------------------------------------------------------------------


def _products(catalogue: Catalogue) -> Iterator[Complaint]:
    file = "drugs/rxnorm_products.csv"
    for drug in catalogue.products():
        yield from _product(file, catalogue, drug)
        yield from _name_agrees(file, catalogue, drug)
    for drug in catalogue.described():
        yield from _product("drugs/ndc_products.csv", catalogue, drug)


def _product(file: str, catalogue: Catalogue, drug: Drug) -> Iterator[Complaint]:
    about = f"{drug.code.code} {drug.name}"
    facts = [catalogue.tables.ingredients.get(i.name) for i in drug.ingredients]
    if any(f is None for f in facts) or not drug.form:
        yield Complaint(file, "ingredient", f"{about}: form or an ingredient is not known")
        return
    if not drug.is_a(DrugClass.OPIOID):
        return
    # "?" in the ingredient table is a statement; a schedule that is merely missing is not.
    undetermined = any(f is not None and f.opioid and f.schedule is None for f in facts)
    if drug.schedule is None and not undetermined:
        yield Complaint(file, "schedule", f"{about}: an opioid without a schedule")
    if drug.release is Release.EXTENDED and not drug.is_a(DrugClass.LONG_ACTING_OPIOID):
        yield Complaint(file, "long-acting", f"{about}: extended-release, and not long-acting")


def _name_agrees(file: str, catalogue: Catalogue, drug: Drug) -> Iterator[Complaint]:
    """What the RxNorm name says is what the row says. Names outside the grammar are brand packs."""
    parsed = rxnorm_names.parse(drug.name)
    if parsed is None:
        return
    said = []
    for component in parsed.components:
        facts = catalogue.tables.base(component.name)
        said.append((facts.name if facts else component.name, component.strength, component.unit))
    held = [(i.name, i.strength, i.unit) for i in drug.ingredients]
    # What a pack holds without effect ("inert ingredients") is no ingredient of the row.
    spoken = {name for name, _, _ in held}
    meant = sorted((s for s in said if s[0] in spoken), key=str)
    if parsed.form != drug.form or meant != sorted(held, key=str):
        yield Complaint(
            file, "name-disagrees", f"{drug.code.code} {drug.name}: the row is {held}, {drug.form}"
        )


def _drug_classes(catalogue: Catalogue, expectations: list[Mapping[str, Any]]) -> Iterator[Complaint]:
    products = [
        (drug, {i.name for i in drug.ingredients}) for drug in (*catalogue.products(), *catalogue.described())
    ]
    for expectation in expectations:
        drug_class: DrugClass = expectation["drug_class"]
        never, always = set(expectation["never"]), set(expectation["always"])
        for name in sorted((never | always) - catalogue.tables.ingredients.keys()):
            yield Complaint("expectations.toml", "ingredient", f"{name} is no ingredient of the table")
        for drug, names in products:
            held = drug.is_a(drug_class)
            if held and names & never and _wrongly_in(catalogue, names - never, drug_class):
                yield Complaint("drugs", f"never-{drug_class}", f"{drug.name}: {expectation['reason']}")
            if not held and names & always:
                yield Complaint("drugs", f"always-{drug_class}", f"{drug.name}: {expectation['reason']}")


def _wrongly_in(catalogue: Catalogue, others: set[str], drug_class: DrugClass) -> bool:
    """No other ingredient brings the product into the class (none may, for what reverses an overdose)."""
    brought = any(drug_class in _classes_alone(catalogue, name) for name in others)
    return drug_class is DrugClass.OPIOID_REVERSAL or not brought


def _classes_alone(catalogue: Catalogue, name: str) -> frozenset[DrugClass]:
    """What an ingredient makes a product that holds it."""
    return catalogue.tables.classify(ingredients_of(catalogue.tables, f"{name}=?"), "").classes


# --- code sets ------------------------------------------------------------------------------------------


def _sets(code_sets: CodeSets, expectations: list[Mapping[str, Any]]) -> Iterator[Complaint]:
    for expectation in expectations:
        name = expectation["name"]
        for code in expectation["never"]:
            if name in code_sets.sets_of(Coding(expectation["system"], code)):
                yield Complaint(f"code_sets/{name}.csv", "never-in-set", f"{code}: {expectation['reason']}")
        for code in expectation["always"]:
            if name not in code_sets.sets_of(Coding(expectation["system"], code)):
                yield Complaint(f"code_sets/{name}.csv", "always-in-set", f"{code}: {expectation['reason']}")


def _corrected(reference: Path, catalogue: Catalogue, code_sets: CodeSets) -> Iterator[Complaint]:
    """Every correction that is written down is in force."""
    file = "code_sets/corrections.csv"
    for _, ours, system, code, _, change, reason, source in rows(reference / file, CORRECTIONS):
        if change not in (REMOVED, ADDED, MOVED) or not reason or not source:
            yield Complaint(file, "correction", f"{ours} {code}: change, reason and source are all due")
            continue
        if system == RXNORM:
            drug = catalogue.by_rxcui(code)
            held = drug is not None and DrugClass(ours) in drug.classes
        else:
            held = ours in code_sets.sets_of(Coding(system, code))
        if held == (change == REMOVED):
            yield Complaint(
                file, "correction", f"{ours} {code} was {change}, and is {'' if held else 'not '}there"
            )


def _used(reference: Path, expectations: list[Mapping[str, Any]]) -> Iterator[Complaint]:
    """Sets that exemptions or expectations name exist (``read_exemptions`` refuses the former itself)."""
    read_exemptions(reference)
    names = {entry["name"] for entry in checked(reference / "code_sets/sets.toml", _Loose())["set"]}
    for expectation in expectations:
        if expectation["name"] not in names:
            yield Complaint("expectations.toml", "set-missing", expectation["name"])

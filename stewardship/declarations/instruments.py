"""``reference/instruments/*.toml`` -> instruments, and the tests inside each file."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from marshmallow import fields, validate

from stewardship.declarations.policy_schema import refused
from stewardship.domain.errors import DeclarationError, InvalidInput
from stewardship.domain.instruments import (
    Band,
    Better,
    Important,
    Instrument,
    Measures,
    Part,
    Source,
    Verdict,
    Wording,
    change,
    entered,
    score,
)
from stewardship.domain.scoring import SCORINGS, Item, Scoring
from stewardship.intake.fields import Choice, Day, ExactDecimal, Flag, StrictSchema, Text, Token, WholeNumber
from stewardship.intake.fields import read as checked

FOLDER = "instruments"
_FAR = 1_000


class _Source(StrictSchema):
    title = Text(required=True, longest=300, blank=False)
    publisher = Text(required=True, longest=200, blank=False)
    date = Day(required=True)
    url = Text(required=True, longest=300, blank=False)
    verified = Flag(required=True)
    review_by = Day(required=True)
    note = Text(longest=2_000, load_default="")


class _Important(StrictSchema):
    points = ExactDecimal(least=0, most=_FAR, above=True)
    percent = ExactDecimal(least=0, most=100, above=True)
    percent_least = ExactDecimal(least=0, most=_FAR, load_default=Decimal(0))
    kind = Text(required=True, longest=200, blank=False)
    source = fields.Nested(_Source, required=True)


class _Choice(StrictSchema):
    value = ExactDecimal(required=True, least=-_FAR, most=_FAR)
    label = Text(required=True, longest=200, blank=False)


class _Item(StrictSchema):
    id = Token(required=True)
    text = Text(required=True, longest=500, blank=False)
    least = ExactDecimal(least=-_FAR, most=_FAR)
    most = ExactDecimal(least=-_FAR, most=_FAR)
    step = ExactDecimal(least=0, most=_FAR, above=True, load_default=Decimal(1))
    yes_no = Flag(load_default=False)
    choices = fields.List(fields.Nested(_Choice), load_default=list)
    loinc = Token(load_default="")
    points = fields.Dict(
        keys=Token(), values=ExactDecimal(least=0, most=_FAR), load_default=dict[str, Decimal]
    )


class _Part(StrictSchema):
    id = Token(required=True)
    title = Text(required=True, longest=120, blank=False)
    items = fields.List(Token(), required=True, validate=validate.Length(min=1))
    scoring = fields.Dict(keys=fields.String(), required=True)
    change = fields.Nested(_Important)


class _Band(StrictSchema):
    until = ExactDecimal(required=True, least=-_FAR, most=_FAR)
    label = Text(required=True, longest=100, blank=False)


class _Range(StrictSchema):
    least = ExactDecimal(required=True, least=-_FAR, most=_FAR)
    most = ExactDecimal(required=True, least=-_FAR, most=_FAR)
    places = WholeNumber(required=True, least=0, most=3)


class _Loinc(StrictSchema):
    score = Token(load_default="")
    verified = Flag(required=True)


class _Licence(StrictSchema):
    terms = Text(required=True, longest=500, blank=False)
    wording = Choice(Wording, required=True)


class _Test(StrictSchema):
    name = Text(required=True, longest=200, blank=False)
    answers = fields.Dict(keys=fields.String(), values=ExactDecimal(least=-_FAR, most=_FAR), required=True)
    sex = Token(load_default="")
    score = ExactDecimal(least=-_FAR, most=_FAR)
    missing = fields.List(fields.String())
    band = Text(longest=100)
    parts = fields.Dict(keys=fields.String(), values=ExactDecimal(least=-_FAR, most=_FAR))


class _ChangeTest(StrictSchema):
    name = Text(required=True, longest=200, blank=False)
    before = ExactDecimal(required=True, least=-_FAR, most=_FAR)
    after = ExactDecimal(required=True, least=-_FAR, most=_FAR)
    verdict = Choice(Verdict, required=True)
    by_points = Choice(Verdict)
    by_percent = Choice(Verdict)


class _Instrument(StrictSchema):
    id = Token(required=True)
    version = WholeNumber(required=True, least=1, most=9_999)
    title = Text(required=True, longest=120, blank=False)
    measures = Choice(Measures, required=True)
    better = Choice(Better, required=True)
    satisfies_review = Flag(required=True)
    individual = Flag(load_default=False)
    recall = Text(longest=200, load_default="")
    caution = Text(longest=500, load_default="")
    source = fields.Nested(_Source, required=True)
    licence = fields.Nested(_Licence, required=True)
    loinc = fields.Nested(_Loinc, required=True)
    range = fields.Nested(_Range, required=True)
    scoring = fields.Dict(keys=fields.String(), required=True)
    item = fields.List(fields.Nested(_Item), required=True, validate=validate.Length(min=1))
    part = fields.List(fields.Nested(_Part), load_default=list)
    band = fields.List(fields.Nested(_Band), load_default=list)
    change = fields.Nested(_Important)
    test = fields.List(fields.Nested(_Test), required=True, validate=validate.Length(min=2))
    change_test = fields.List(fields.Nested(_ChangeTest), load_default=list)


def read_instruments(reference: Path) -> dict[str, Instrument]:
    """Every instrument by id; raises ``DeclarationError`` that names the file and the place."""
    found: dict[str, Instrument] = {}
    for path in sorted((reference / FOLDER).glob("*.toml")):
        data = _document(path)
        if data["id"] != path.stem:
            raise DeclarationError(f"{path.name}: id is the name of the file, {path.stem}")
        found[path.stem] = _instrument(path.name, data)
    return found


def _document(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        data: dict[str, Any] = checked(_Instrument(), document)
    except tomllib.TOMLDecodeError as wrong:
        raise DeclarationError(f"{path.name}: {wrong}") from None
    except InvalidInput as wrong:
        raise refused(path.name, wrong.faults) from None
    return data


def _instrument(name: str, data: dict[str, Any]) -> Instrument:
    items = tuple(_item(name, row) for row in data["item"])
    ids = [item.id for item in items]
    if len(set(ids)) != len(ids):
        raise DeclarationError(f"{name}: two items have one id")
    scale = data["range"]
    if scale["least"] >= scale["most"]:
        raise DeclarationError(f"{name}: range.least is below range.most")
    bands = tuple(Band(row["until"], row["label"]) for row in data["band"])
    limits = [band.until for band in bands]
    if limits and (limits != sorted(set(limits)) or limits[-1] != scale["most"]):
        raise DeclarationError(f"{name}: bands rise, and the last one ends at range.most")
    return Instrument(
        id=data["id"],
        version=data["version"],
        title=data["title"],
        measures=data["measures"],
        better=data["better"],
        satisfies_review=_satisfies(name, data),
        items=items,
        scoring=_scoring(name, data["scoring"], items),
        least=scale["least"],
        most=scale["most"],
        places=scale["places"],
        source=_source(data["source"]),
        licence=data["licence"]["terms"],
        wording=data["licence"]["wording"],
        recall=data["recall"],
        individual=data["individual"],
        loinc=data["loinc"]["score"],
        loinc_verified=data["loinc"]["verified"],
        parts=tuple(_part(name, row, items) for row in data["part"]),
        bands=bands,
        important=_important(name, data.get("change")),
        caution=data["caution"],
    )


def _satisfies(name: str, data: Mapping[str, Any]) -> bool:
    """Function leads: nothing else can satisfy a review, whatever a file says."""
    says: bool = data["satisfies_review"]
    if says and data["measures"] not in (Measures.FUNCTION, Measures.GOALS):
        raise DeclarationError(f"{name}: only a measure of function or of goals satisfies a review")
    return says


def _item(name: str, row: Mapping[str, Any]) -> Item:
    least, most = row.get("least"), row.get("most")
    if row["yes_no"]:
        least, most = Decimal(0), Decimal(1)
    if least is None or most is None or least >= most:
        raise DeclarationError(f"{name}: item {row['id']} takes least and most, or yes_no = true")
    choices = tuple((c["value"], c["label"]) for c in row["choices"])
    item = Item(
        row["id"], row["text"], least, most, row["step"], row["yes_no"], choices, row["loinc"], row["points"]
    )
    if any(not item.takes(value) for value, _ in choices):
        raise DeclarationError(f"{name}: item {row['id']} has a choice that it does not take")
    return item


def _part(name: str, row: Mapping[str, Any], items: tuple[Item, ...]) -> Part:
    of_part = tuple(item for item in items if item.id in row["items"])
    if len(of_part) != len(row["items"]):
        raise DeclarationError(f"{name}: part {row['id']} names an item that is not there")
    return Part(
        row["id"],
        row["title"],
        tuple(item.id for item in of_part),
        _scoring(name, row["scoring"], of_part),
        _important(name, row.get("change")),
    )


def _source(row: Mapping[str, Any]) -> Source:
    return Source(row["title"], row["publisher"], row["date"], row["url"], row["verified"], row["note"])


def _important(name: str, row: Mapping[str, Any] | None) -> Important | None:
    if row is None:
        return None
    points, percent = row.get("points"), row.get("percent")
    if points is None and percent is None:
        raise DeclarationError(f"{name}: a change takes points, percent or both")
    return Important(points, percent, row["percent_least"], row["kind"], _source(row["source"]))


def _scoring(name: str, given: Mapping[str, Any], items: tuple[Item, ...]) -> Scoring:
    """The kind that a file names: its own annotated fields are the parameters that it takes."""
    kind = SCORINGS.get(str(given.get("kind")))
    if kind is None:
        raise DeclarationError(f"{name}: scoring.kind is one of {sorted(SCORINGS)}")
    takes = [f.name for f in dataclasses.fields(kind)]
    if set(given) != {"kind", *takes}:
        raise DeclarationError(f"{name}: scoring {kind.kind} takes {takes}")
    types = typing.get_type_hints(kind)
    ids = {item.id for item in items}
    values: dict[str, Any] = {}
    for field in takes:
        value = given[field]
        wanted = types[field]
        if field.endswith("_item"):
            fits = value in ids
        elif wanted is int:
            fits = type(value) is int and 1 <= value <= len(items)
        else:
            fits = type(value) in (int, Decimal)
            value = Decimal(value) if fits else value
        if not fits:
            raise DeclarationError(f"{name}: scoring.{field} does not fit")
        values[field] = value
    if kind.kind == "points-by-sex" and any(
        not i.points or set(i.points) != set(items[0].points) for i in items
    ):
        raise DeclarationError(f"{name}: every item has points for the same sexes")
    return kind(**values)


# --- the tests inside a file -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InstrumentTest:
    """What came of one test; ``wrong`` is empty when it passed."""

    instrument: str
    name: str
    wrong: str


def run_tests(reference: Path, instrument: Instrument) -> Iterator[InstrumentTest]:
    """Run every test of one instrument's file."""
    data = _document(reference / FOLDER / f"{instrument.id}.toml")
    for test in data["test"]:
        yield InstrumentTest(instrument.id, test["name"], _wrong(instrument, test))
    for test in data["change_test"]:
        found = change(instrument, entered(instrument, test["before"]), entered(instrument, test["after"]))
        differing = [
            f"{what} is {getattr(found, what)}, expected {test[what]}"
            for what in ("verdict", "by_points", "by_percent")
            if what in test and getattr(found, what) is not test[what]
        ]
        yield InstrumentTest(instrument.id, test["name"], "; ".join(differing))


def _wrong(instrument: Instrument, test: Mapping[str, Any]) -> str:
    try:
        found = score(instrument, test["answers"], sex=test["sex"])
    except InvalidInput as wrong:
        return "; ".join(f"{f.pointer}: {f.message}" for f in wrong.faults)
    differing = []
    if found.value != test.get("score"):
        differing.append(f"score is {found.value}, expected {test.get('score')}")
    if "missing" in test and list(found.missing) != test["missing"]:
        differing.append(f"missing is {list(found.missing)}, expected {test['missing']}")
    if "band" in test and found.band != test["band"]:
        differing.append(f"band is {found.band!r}, expected {test['band']!r}")
    for part, value in test.get("parts", {}).items():
        own = found.parts.get(part)
        if own is None or own.value != value:
            differing.append(f"{part} is {own and own.value}, expected {value}")
    return "; ".join(differing)

"""``reference/flags.toml`` and the areas of ZIP codes -> the flag rules with their parameters."""

from __future__ import annotations

import csv
import dataclasses
import tomllib
import typing
from collections.abc import Iterable, Mapping
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from marshmallow import fields

from stewardship.domain.errors import DeclarationError, InvalidInput
from stewardship.domain.flags import (
    RULES,
    Area,
    Common,
    Described,
    FlagKind,
    FlagRule,
    Flags,
    Kind,
    Resolution,
    Stage,
    Weight,
    Work,
)
from stewardship.domain.flags.kinds import GONE, MERGED
from stewardship.domain.mme import FactorSet
from stewardship.intake.fields import Choice, Day, Flag, StrictSchema, Text, Token, WholeNumber, read

FILE = "flags.toml"
_LONGEST_DAYS = 3_660
_HIGHEST_WEIGHT = 9
_AREA_COLUMNS = ["zip3", "x_km", "y_km", "z_km", "radius_km"]


class _Source(StrictSchema):
    title = Text(required=True, longest=300, blank=False)
    publisher = Text(required=True, longest=200, blank=False)
    date = Day(required=True)
    url = Text(required=True, longest=300, blank=False)
    review_by = Day(required=True)
    verified = Flag(required=True)
    note = Text(longest=1_000, load_default="")


class _Common(StrictSchema):
    factor_set = Token(required=True)
    unknown_supply_days = WholeNumber(required=True, least=1, most=_LONGEST_DAYS)
    carry_days = WholeNumber(required=True, least=0, most=_LONGEST_DAYS)
    episode_gap_days = WholeNumber(required=True, least=0, most=_LONGEST_DAYS)
    guidance_mme = fields.List(WholeNumber(least=1, most=10_000), required=True)
    source = fields.Nested(_Source, required=True)


class _Areas(StrictSchema):
    file = Token(required=True)
    source = fields.Nested(_Source, required=True)


class _Kind(StrictSchema):
    title = Text(required=True, longest=100, blank=False)
    weight = WholeNumber(required=True, least=1, most=_HIGHEST_WEIGHT)
    pattern = Flag(required=True)
    worse = Token(load_default="")
    source = fields.Nested(_Source, required=True)


class _Flag(_Kind):
    kind = Choice(Kind, required=True)
    parameters = fields.Raw(required=True)


class _Further(_Kind):
    kind = Token(required=True)
    by_hand = Flag(load_default=False)


class _Weight(StrictSchema):
    weight = WholeNumber(required=True, least=1, most=_HIGHEST_WEIGHT)
    title = Text(required=True, longest=60, blank=False)
    due_hours = WholeNumber(required=True, least=1, most=24 * _LONGEST_DAYS)


class _Resolution(StrictSchema):
    code = Token(required=True)
    display = Text(required=True, longest=100, blank=False)
    rest_days = WholeNumber(required=True, least=0, most=_LONGEST_DAYS)
    needs_note = Flag(required=True)
    by_hand = Flag(load_default=True)


class _Work(StrictSchema):
    claim_hours = WholeNumber(required=True, least=1, most=24 * 31)
    worse_percent = WholeNumber(required=True, least=1, most=1_000)
    void_hours = WholeNumber(required=True, least=1, most=24 * 31)
    unchecked_days = WholeNumber(required=True, least=1, most=_LONGEST_DAYS)
    fresh_days = WholeNumber(required=True, least=1, most=_LONGEST_DAYS)
    source = fields.Nested(_Source, required=True)


class _Flags(StrictSchema):
    common = fields.Nested(_Common, required=True)
    areas = fields.Nested(_Areas, required=True)
    work = fields.Nested(_Work, required=True)
    weight = fields.List(fields.Nested(_Weight), required=True)
    resolution = fields.List(fields.Nested(_Resolution), required=True)
    flag = fields.List(fields.Nested(_Flag), required=True)
    further = fields.List(fields.Nested(_Further), required=True)


def read_flags(reference: Path, factor_sets: Mapping[str, FactorSet]) -> Flags:
    """Every rule with its parameters; raises ``DeclarationError`` when one is missing, named twice, or takes
    other parameters."""
    data = _document(reference / FILE)
    common = data["common"]
    factor_set = factor_sets.get(common["factor_set"])
    if factor_set is None:
        raise DeclarationError(f"{FILE}: common.factor_set is one of {sorted(factor_sets)}")
    rules: dict[Kind, Described] = {}
    for entry in data["flag"]:
        kind: Kind = entry["kind"]
        if kind in rules:
            raise DeclarationError(f"{FILE}: {kind} stands there twice")
        source = entry["source"]
        said = f"{source['title']}; {source['publisher']}, {source['date']:%Y-%m-%d}"
        rules[kind] = Described(_rule(kind, entry["parameters"]), entry["title"], said, source["verified"])
    missing = [kind.value for kind in RULES if kind not in rules]
    if missing:
        raise DeclarationError(f"{FILE}: add {missing}")
    return Flags(
        Common(factor_set, common["unknown_supply_days"], common["carry_days"]),
        rules,
        _read_areas(reference / data["areas"]["file"]),
        tuple(Decimal(mme) for mme in common["guidance_mme"]),
        common["episode_gap_days"],
        _work(data),
        _digest(reference / FILE, reference / data["areas"]["file"]),
    )


def _work(data: Mapping[str, Any]) -> Work:
    """The terms of the work on flags: all kinds, with a rule or without, and all codes."""
    weights = _named("weight", "weight", (Weight(**entry) for entry in data["weight"]))
    resolutions = _named("resolution", "code", (Resolution(**entry) for entry in data["resolution"]))
    for code in (GONE, MERGED):
        if code not in resolutions or resolutions[code].by_hand:
            raise DeclarationError(f"{FILE}: add the resolution {code} with by_hand = false")
    kinds = _named("kind", "kind", (_kind(entry) for entry in (*data["flag"], *data["further"])))
    for kind in kinds.values():
        if kind.weight not in weights:
            raise DeclarationError(f"{FILE}: {kind.kind}: weight is one of {sorted(weights)}")
    terms = {name: value for name, value in data["work"].items() if name != "source"}
    return Work(kinds, weights, resolutions, **terms)


def _kind(entry: Mapping[str, Any]) -> FlagKind:
    source = entry["source"]
    said = f"{source['title']}; {source['publisher']}, {source['date']:%Y-%m-%d}"
    return FlagKind(
        str(entry["kind"]),
        entry["title"],
        entry["weight"],
        entry["pattern"],
        entry["worse"],
        entry.get("by_hand", False),
        said,
        source["verified"],
    )


_Entry = typing.TypeVar("_Entry")


def _named(what: str, field: str, entries: Iterable[_Entry]) -> dict[Any, _Entry]:
    """Entries by one of their fields, each name once."""
    found: dict[Any, _Entry] = {}
    for entry in entries:
        name = getattr(entry, field)
        if name in found:
            raise DeclarationError(f"{FILE}: the {what} {name} stands there twice")
        found[name] = entry
    return found


def _digest(*files: Path) -> str:
    return sha256(b"\x00".join(file.read_bytes() for file in files)).hexdigest()


def _document(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        found: dict[str, Any] = read(_Flags(), document)
    except tomllib.TOMLDecodeError as wrong:
        raise DeclarationError(f"{path.name}: {wrong}") from None
    except InvalidInput as wrong:
        raise DeclarationError(
            f"{path.name}: " + "; ".join(f"{f.pointer}: {f.message}" for f in wrong.faults)
        ) from None
    return found


def _rule(kind: Kind, given: Any) -> FlagRule:
    """The rule of a kind: its own fields are the parameters that it takes."""
    rule = RULES[kind]
    takes = [f.name for f in dataclasses.fields(rule)]  # type: ignore[arg-type]
    if not isinstance(given, dict) or set(given) != set(takes):
        raise DeclarationError(f"{FILE}: {kind} takes {takes}")
    types = typing.get_type_hints(rule)
    values = {name: _value(f"{FILE}: {kind}: {name}", types[name], given[name]) for name in takes}
    return rule(**values)


def _value(where: str, wanted: Any, value: Any) -> Any:
    number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if wanted is int and number and value <= _LONGEST_DAYS:
        return value
    if wanted is Decimal and (number or (isinstance(value, Decimal) and value > 0)):
        return Decimal(value)
    if (
        wanted == tuple[str, ...]
        and isinstance(value, list)
        and value
        and all(isinstance(v, str) for v in value)
    ):
        return tuple(value)
    if wanted == tuple[Stage, ...] and isinstance(value, list) and value:
        return tuple(_stage(where, stage) for stage in value)
    raise DeclarationError(
        f"{where} is not of its kind: whole numbers and amounts above zero, lists of texts"
    )


def _stage(where: str, value: Any) -> Stage:
    if not isinstance(value, dict) or set(value) != {"days", "within"}:
        raise DeclarationError(f"{where} takes days and within")
    days, within = (_value(where, int, value[name]) for name in ("days", "within"))
    if days > within:
        raise DeclarationError(f"{where}: {days} days do not fit into {within}")
    return Stage(days, within)


def _read_areas(path: Path) -> dict[str, Area]:
    with path.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    if not lines or lines[0] != _AREA_COLUMNS:
        raise DeclarationError(f"{path.name}: the first line reads {','.join(_AREA_COLUMNS)}")
    try:
        return {zip3: Area(int(x), int(y), int(z), int(radius)) for zip3, x, y, z, radius in lines[1:]}
    except ValueError:
        raise DeclarationError(f"{path.name}: each line is three digits and four whole numbers") from None

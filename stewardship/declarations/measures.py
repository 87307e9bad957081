"""``reference/measures/*.toml`` -> the quality measures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from stewardship.declarations.drugs import checked
from stewardship.domain.codes import CodeSets
from stewardship.domain.drugs import Schedule
from stewardship.domain.errors import DeclarationError
from stewardship.domain.measures import (
    AgeOn,
    Counting,
    Exclusion,
    Kind,
    Measure,
    Medicines,
    Over,
    Population,
    Rate,
    Source,
    Window,
)
from stewardship.domain.mme import FactorSet

FOLDER = "measures"
_SOME = validate.Length(min=1)
_ID = validate.Regexp(r"\A[a-z0-9]+(-[a-z0-9]+)*\Z")
_NAME = re.compile(r"\A(?P<id>[a-z0-9-]+)\.v(?P<version>[1-9][0-9]*)\.toml\Z")
#: Limits of which a rate sets at least one, and those that only a measure of starts or of discharges knows.
_LIMITS = ("mme", "prescribers", "pharmacies", "benzodiazepines", "overlap_days", "min_days", "long_acting")


class _Strict(Schema):
    class Meta:
        unknown = RAISE


def _number(least: int, most: int, **given: Any) -> fields.Integer:
    return fields.Integer(strict=True, validate=validate.Range(least, most), **given)


def _truth(**given: Any) -> fields.Boolean:
    return fields.Boolean(truthy={True}, falsy={False}, **given)


def _texts(**given: Any) -> fields.List[str]:
    return fields.List(fields.String(validate=_SOME), **given)


class _Source(_Strict):
    title = fields.String(required=True, validate=_SOME)
    publisher = fields.String(required=True, validate=_SOME)
    date = fields.Raw(required=True)
    url = fields.Url(required=True)


class _Window(_Strict):
    from_month = _number(1, 12, required=True)
    from_day = _number(1, 28, required=True)
    from_year_before = _truth(load_default=False)
    until_month = _number(1, 12, required=True)
    until_day = _number(1, 31, required=True)


class _Medicines(_Strict):
    excluded_forms = _texts(required=True)
    excluded_treatment_types = _texts(required=True)
    opioid_schedules = fields.List(fields.Enum(Schedule, by_value=True), required=True)
    benzodiazepine_schedules = fields.List(fields.Enum(Schedule, by_value=True), required=True)


class _Population(_Strict):
    min_age = _number(0, 120, required=True)
    age_on = fields.Enum(AgeOn, by_value=True, required=True)
    min_dispensings = _number(1, 100, load_default=1)
    min_days = _number(0, 366, load_default=0)
    days = fields.Enum(Counting, by_value=True, load_default=Counting.CALENDAR)
    episode_days = _number(0, 366, load_default=0)
    start_before_end = _number(0, 366, load_default=0)
    lookback_days = _number(0, 3_660, load_default=0)
    longest_stay = _number(0, 3_660, load_default=0)


class _Exclusion(_Strict):
    kind = fields.String(required=True, validate=_ID)
    title = fields.String(required=True, validate=_SOME)
    sets = _texts(required=True)
    treatment_types = _texts(required=True)
    days_before = _number(0, 3_660, required=True)


class _Rate(_Strict):
    id = fields.String(required=True, validate=_ID)
    title = fields.String(required=True, validate=_SOME)
    official = _truth(required=True)
    mme = _number(1, 10_000)
    over = fields.Enum(Over, by_value=True)
    prescribers = _number(1, 100)
    pharmacies = _number(1, 100)
    within_days = _number(1, 366)
    benzodiazepines = _number(1, 366)
    overlap_days = _number(1, 366)
    min_days = _number(1, 366)
    days = fields.Enum(Counting, by_value=True)
    window_days = _number(1, 366)
    long_acting = _number(1, 366)
    opioids = _number(1, 10)
    beside_benzodiazepine = _truth()


class _File(_Strict):
    id = fields.String(required=True, validate=_ID)
    version = _number(1, 1_000, required=True)
    effective = fields.Raw(required=True)
    title = fields.String(required=True, validate=_SOME)
    steward = fields.String(required=True, validate=_SOME)
    identifiers = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    lower_is_better = _truth(required=True)
    kind = fields.Enum(Kind, by_value=True, required=True)
    factor_set = fields.String(required=True)
    near_percent = _number(1, 99, required=True)
    stratum_ages = fields.List(_number(0, 120), required=True)
    verified = _truth(required=True)
    unverified = fields.String(load_default="")
    assumptions = fields.List(fields.String(validate=_SOME), required=True, validate=_SOME)
    source = fields.Nested(_Source, required=True)
    window = fields.Nested(_Window, required=True)
    medicines = fields.Nested(_Medicines, required=True)
    population = fields.Nested(_Population, required=True)
    exclusion = fields.List(fields.Nested(_Exclusion), required=True)
    rate = fields.List(fields.Nested(_Rate), required=True, validate=_SOME)


def read_measures(
    reference: Path, factor_sets: Mapping[str, FactorSet], code_sets: CodeSets
) -> tuple[Measure, ...]:
    """All versions of all measures, in order of id and version; raises ``DeclarationError``."""
    known = frozenset().union(*code_sets.exact.values(), *code_sets.prefixes.values())
    made = [_measure(path, factor_sets, known) for path in sorted((reference / FOLDER).glob("*.toml"))]
    return tuple(sorted(made, key=lambda m: (m.id, m.version)))


def _measure(path: Path, factor_sets: Mapping[str, FactorSet], known: frozenset[str]) -> Measure:
    said = checked(path, _File())
    named = _NAME.match(path.name)
    if named is None or (named["id"], int(named["version"])) != (said["id"], said["version"]):
        raise DeclarationError(f"{path.name}: call it {said['id']}.v{said['version']}.toml")
    if said["factor_set"] not in factor_sets:
        raise DeclarationError(f"{path.name}: factor_set is one of {sorted(factor_sets)}")
    if not all(isinstance(day, date) for day in (said["effective"], said["source"]["date"])):
        raise DeclarationError(f"{path.name}: effective and source.date are dates")
    if said["verified"] == bool(said["unverified"]):
        raise DeclarationError(
            f"{path.name}: say what is not verified where verified = false, and only there"
        )
    missing = sorted({name for each in said["exclusion"] for name in each["sets"]} - known)
    if missing:
        raise DeclarationError(f"{path.name}: there are no code sets {missing}")
    for rate in said["rate"]:
        _refuse(path.name, said["kind"], rate)
    medicines = said.pop("medicines")
    return Measure(
        **{name: said[name] for name in _PLAIN},
        stratum_ages=tuple(said["stratum_ages"]),
        assumptions=tuple(said["assumptions"]),
        window=Window(**said["window"]),
        population=Population(**said["population"]),
        medicines=Medicines(
            frozenset(medicines["excluded_forms"]),
            frozenset(medicines["excluded_treatment_types"]),
            frozenset(s.value for s in medicines["opioid_schedules"]),
            frozenset(s.value for s in medicines["benzodiazepine_schedules"]),
        ),
        exclusions=tuple(_exclusion(each) for each in said["exclusion"]),
        rates=_rates(path.name, said["rate"]),
        source=Source(**said["source"]),
    )


_PLAIN = (
    "id",
    "version",
    "effective",
    "title",
    "steward",
    "identifiers",
    "lower_is_better",
    "kind",
    "factor_set",
    "near_percent",
    "verified",
    "unverified",
)


def _exclusion(entry: Mapping[str, Any]) -> Exclusion:
    return Exclusion(
        entry["kind"],
        entry["title"],
        frozenset(entry["sets"]),
        frozenset(entry["treatment_types"]),
        entry["days_before"],
    )


def _rates(file: str, entries: list[Mapping[str, Any]]) -> tuple[Rate, ...]:
    rates = tuple(Rate(**entry) for entry in entries)
    if len({r.id for r in rates}) != len(rates) or not any(r.official for r in rates):
        raise DeclarationError(f"{file}: every rate has an id of its own, and one at least is official")
    return rates


def _refuse(file: str, kind: Kind, rate: Mapping[str, Any]) -> None:
    """Refuse a rate that sets nothing, or what its kind of measure does not know: it would count everybody
    or nobody."""
    limits = {name for name in _LIMITS if name in rate}
    name = f"{file}: rate {rate['id']}"
    if kind is Kind.DISCHARGE:
        if limits or "opioids" not in rate:
            raise DeclarationError(f"{name} of discharges sets opioids, and beside_benzodiazepine")
        return
    if not limits or "opioids" in rate or "beside_benzodiazepine" in rate:
        raise DeclarationError(f"{name} sets one of {_LIMITS}")
    if ("window_days" in rate) != (kind is not Kind.PERIOD):
        raise DeclarationError(f"{name}: window_days is for starts, and they need it")
    if kind is not Kind.PERIOD and limits & {"benzodiazepines", "overlap_days"}:
        raise DeclarationError(f"{name}: benzodiazepines are looked at over a period")
    if ("mme" in rate) != ("over" in rate):
        raise DeclarationError(f"{name}: mme says over what it is an average")

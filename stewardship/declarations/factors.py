"""``reference/mme/*.toml``, ``units.toml`` and ``dose.toml`` -> factor sets, units, a tolerance.

A factor set is one file named after its id. Its rows name forms by the groups of ``mme/forms.toml``, since
a factor for what is swallowed says nothing about what is injected.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from stewardship.domain.errors import DeclarationError
from stewardship.domain.mme import Band, Factor, FactorSet, Per
from stewardship.domain.units import Units

FORMS = "forms.toml"


class _Strict(Schema):
    class Meta:
        unknown = RAISE


class _Positive(fields.Field[Decimal]):
    """An exact number above zero. TOML has told integers from decimals; text is not a number here."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ValidationError("must be a number, as 1.5")
        number = Decimal(value)
        if not number.is_finite() or number <= 0:
            raise ValidationError("must be above zero")
        return number


class _Day(fields.Field[date]):
    """A TOML date."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> date:
        if type(value) is not date:
            raise ValidationError("must be a date, as 2022-11-04")
        return value


class _SourceSchema(_Strict):
    title = fields.String(required=True, validate=validate.Length(min=1))
    publisher = fields.String(required=True, validate=validate.Length(min=1))
    date = _Day(required=True)
    url = fields.Url(required=True)
    read_in = fields.String()
    review_by = _Day(required=True)
    verified = fields.Boolean(load_default=True, truthy={True}, falsy={False})
    note = fields.String(load_default="")


class _BandSchema(_Strict):
    up_to = _Positive(load_default=None)
    value = _Positive(required=True)


class _FactorSchema(_Strict):
    ingredient = fields.String(required=True)
    rxcui = fields.String(required=True, validate=validate.Regexp(r"\A[1-9][0-9]{0,9}\Z"))
    forms = fields.List(fields.String(), required=True, validate=validate.Length(min=1))
    per = fields.Enum(Per, by_value=True, load_default=Per.MG)
    value = _Positive()
    bands = fields.List(fields.Nested(_BandSchema), validate=validate.Length(min=2))
    lasts_days = _Positive()
    verified = fields.Boolean(load_default=True, truthy={True}, falsy={False})
    note = fields.String()


class _ExcludedSchema(_Strict):
    ingredient = fields.String(required=True)
    rxcui = fields.String(required=True)
    because = fields.String(required=True)


class _SetSchema(_Strict):
    id = fields.String(required=True)
    title = fields.String(required=True)
    excludes_oud_treatment = fields.Boolean(required=True, truthy={True}, falsy={False})
    source = fields.Nested(_SourceSchema, required=True)
    factor = fields.List(fields.Nested(_FactorSchema), required=True, validate=validate.Length(min=1))
    excluded = fields.List(fields.Nested(_ExcludedSchema), load_default=list)


class _GroupSchema(_Strict):
    name = fields.String(required=True)
    forms = fields.List(fields.String(), required=True)


class _FormsSchema(_Strict):
    source = fields.Nested(_SourceSchema, required=True)
    group = fields.List(fields.Nested(_GroupSchema), required=True)


class _GapSchema(_Strict):
    tolerance_percent = _Positive(required=True)


class _DoseSchema(_Strict):
    source = fields.Nested(_SourceSchema, required=True)
    gap = fields.Nested(_GapSchema, required=True)


class _UnitSchema(_Strict):
    canonical = fields.String(required=True)
    spellings = fields.List(fields.String(validate=validate.Length(min=1)), required=True)


class _UnitsSchema(_Strict):
    source = fields.Nested(_SourceSchema, required=True)
    unit = fields.List(fields.Nested(_UnitSchema), required=True)


def read_factor_sets(reference: Path) -> dict[str, FactorSet]:
    """Every factor set by its id; raises ``DeclarationError`` naming file, place and what is wrong."""
    folder = reference / "mme"
    groups = _groups(folder / FORMS)
    sets = [_factor_set(path, groups) for path in sorted(folder.glob("*.toml")) if path.name != FORMS]
    return {factor_set.id: factor_set for factor_set in sets}


def _groups(path: Path) -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for group in _document(path, _FormsSchema())["group"]:
        if group["name"] in groups:
            raise DeclarationError(f"{path.name}: the group {group['name']} is there twice")
        groups[group["name"]] = tuple(group["forms"])
    return groups


def _factor_set(path: Path, groups: Mapping[str, tuple[str, ...]]) -> FactorSet:
    read = _document(path, _SetSchema())
    if read["id"] != path.stem:
        raise DeclarationError(f"{path.name}: id is {read['id']}, and must be the name of the file")
    factors: dict[tuple[str, str], Factor] = {}
    for row in read["factor"]:
        factor = _factor(path, row)
        for name in row["forms"]:
            if name not in groups:
                raise DeclarationError(
                    f"{path.name}: {factor.ingredient} names the forms {name}; {FORMS} has {sorted(groups)}"
                )
            for form in groups[name]:
                if (factor.rxcui, form) in factors:
                    raise DeclarationError(f"{path.name}: {factor.ingredient} has two factors as {form}")
                factors[factor.rxcui, form] = factor
    source = read["source"]
    return FactorSet(
        id=read["id"],
        title=read["title"],
        publisher=source["publisher"],
        date=source["date"],
        url=source["url"],
        factors=factors,
        excluded=frozenset(row["rxcui"] for row in read["excluded"]),
        excludes_oud_treatment=read["excludes_oud_treatment"],
        verified=source["verified"] and all(row["verified"] for row in read["factor"]),
        note=source["note"],
    )


def _factor(path: Path, row: Mapping[str, Any]) -> Factor:
    name = f"{path.name}: {row['ingredient']}"
    if ("value" in row) == ("bands" in row):
        raise DeclarationError(f"{name} needs either a value or bands")
    per = row["per"]
    if ("lasts_days" in row) != (per is Per.UG_PER_HOUR_APPLIED):
        raise DeclarationError(
            f"{name}: lasts_days goes with per = '{Per.UG_PER_HOUR_APPLIED}', and only there"
        )
    bands = tuple(
        Band(b["up_to"], b["value"]) for b in row.get("bands", ({"up_to": None, "value": row.get("value")},))
    )
    edges = [band.up_to for band in bands[:-1]]
    if (
        bands[-1].up_to is not None
        or None in edges
        or edges != sorted(set(edges), key=lambda edge: edge or 0)
    ):
        raise DeclarationError(f"{name}: bands must rise, and the last one must be without up_to")
    return Factor(row["ingredient"], row["rxcui"], per, bands, row.get("lasts_days"), row["verified"])


def read_gap_tolerance(reference: Path) -> Decimal:
    """How many percent the dispensed dose may lie outside the written range before it is reported."""
    tolerance: Decimal = _document(reference / "dose.toml", _DoseSchema())["gap"]["tolerance_percent"]
    return tolerance


def read_units(reference: Path) -> Units:
    """The accepted spellings of units; raises ``DeclarationError`` when one is there twice."""
    path = reference / "units.toml"
    spellings: dict[str, str] = {}
    for unit in _document(path, _UnitsSchema())["unit"]:
        for spelling in unit["spellings"]:
            if spelling in spellings:
                raise DeclarationError(f"{path.name}: {spelling!r} is there twice")
            if not spelling.isascii():
                raise DeclarationError(f"{path.name}: {spelling!a} is not plain ASCII")
            spellings[spelling] = unit["canonical"]
    return Units(spellings)


def _document(path: Path, schema: Schema) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            document = tomllib.load(file, parse_float=Decimal)
        return dict(schema.load(document))
    except OSError:
        raise DeclarationError(f"{path.name}: cannot be read; reinstall, or restore it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise DeclarationError(f"{path.name}: {wrong}") from None
    except ValidationError as wrong:
        raise DeclarationError(f"{path.name}: {wrong.messages}") from None

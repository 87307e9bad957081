"""Small reference files that policies name: phases of pain, opioid tolerance, how long a snooze may last."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

from marshmallow import fields

from stewardship.declarations.policy_schema import refused
from stewardship.domain.errors import DeclarationError, InvalidInput
from stewardship.domain.orders import PhaseBounds
from stewardship.domain.tolerance import Tolerance, ToleranceDose
from stewardship.intake.fields import (
    Day,
    ExactDecimal,
    Flag,
    StrictSchema,
    Text,
    Token,
    WholeNumber,
    read,
)


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


class _EstablishedSchema(StrictSchema):
    condition_sets = fields.List(Token(), required=True)
    use_days = WholeNumber(required=True, least=1, most=365)
    max_gap_days = WholeNumber(required=True, least=0, most=365)


class _PainSchema(StrictSchema):
    source = fields.Nested(_NoteSchema, required=True)
    phases = fields.Nested(_PhasesSchema, required=True)
    established = fields.Nested(_EstablishedSchema, required=True)


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
    """``pain.toml``: the phases of pain, and what tells them when an order does not."""
    data = _reference(reference / "pain.toml", _PainSchema())
    phases, established = data["phases"], data["established"]
    return PhaseBounds(
        phases["subacute_from_days"],
        phases["subacute_until_days"],
        frozenset(established["condition_sets"]),
        established["use_days"],
        established["max_gap_days"],
    )


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
        raise refused(path.name, wrong.faults) from None
    return data

"""``reference/function_flags.toml`` -> the parameters of the flags about function."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

from marshmallow import fields

from stewardship.declarations.policy_schema import refused
from stewardship.domain.errors import DeclarationError, InvalidInput
from stewardship.domain.flags.function import FunctionTerms
from stewardship.intake.fields import Day, ExactDecimal, Flag, StrictSchema, Text, WholeNumber, read

FILE = "function_flags.toml"
_LONGEST_DAYS = 3_660


class _Source(StrictSchema):
    title = Text(required=True, longest=300, blank=False)
    publisher = Text(required=True, longest=200, blank=False)
    date = Day(required=True)
    url = Text(required=True, longest=300, blank=False)
    verified = Flag(required=True)
    review_by = Day(required=True)
    note = Text(longest=2_000, load_default="")


class _FunctionFlags(StrictSchema):
    max_gap_days = WholeNumber(required=True, least=0, most=365)
    long_term_days = WholeNumber(required=True, least=1, most=_LONGEST_DAYS)
    measure_within_days = WholeNumber(required=True, least=1, most=_LONGEST_DAYS)
    rise_percent = ExactDecimal(required=True, least=0, most=1_000)
    apart_days = WholeNumber(required=True, least=1, most=_LONGEST_DAYS)
    look_back_days = WholeNumber(required=True, least=1, most=_LONGEST_DAYS)
    goal_days = WholeNumber(required=True, least=1, most=_LONGEST_DAYS)
    source = fields.Nested(_Source, required=True)


def read_function_terms(reference: Path) -> FunctionTerms:
    """The parameters; raises ``DeclarationError`` that names the place."""
    try:
        text = (reference / FILE).read_text(encoding="utf-8")
        said = read(_FunctionFlags(), tomllib.loads(text, parse_float=Decimal))
    except tomllib.TOMLDecodeError as wrong:
        raise DeclarationError(f"{FILE}: {wrong}") from None
    except InvalidInput as wrong:
        raise refused(FILE, wrong.faults) from None
    return FunctionTerms(**{name: value for name, value in said.items() if name != "source"})

"""``reference/goals.toml`` -> what alone is no goal."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

from marshmallow import fields

from stewardship.declarations.policy_schema import refused
from stewardship.domain.errors import DeclarationError, InvalidInput
from stewardship.domain.goals import GoalTerms, folded
from stewardship.intake.fields import Day, Flag, StrictSchema, Text, read

FILE = "goals.toml"


class _Source(StrictSchema):
    title = Text(required=True, longest=300, blank=False)
    publisher = Text(required=True, longest=200, blank=False)
    date = Day(required=True)
    url = Text(required=True, longest=300, blank=False)
    verified = Flag(required=True)
    review_by = Day(required=True)
    note = Text(longest=2_000, load_default="")


class _PainAlone(StrictSchema):
    phrases = fields.List(Text(longest=60, blank=False), required=True)
    fillers = fields.List(Text(longest=60, blank=False), required=True)


class _Goals(StrictSchema):
    source = fields.Nested(_Source, required=True)
    pain_alone = fields.Nested(_PainAlone, required=True)


def read_goal_terms(reference: Path) -> GoalTerms:
    """The words, folded; raises ``DeclarationError`` naming the place."""
    path = reference / FILE
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        said = read(_Goals(), document)["pain_alone"]
    except tomllib.TOMLDecodeError as wrong:
        raise DeclarationError(f"{path.name}: {wrong}") from None
    except InvalidInput as wrong:
        raise refused(path.name, wrong.faults) from None
    return GoalTerms(
        tuple(folded(phrase) for phrase in said["phrases"]),
        frozenset(word for filler in said["fillers"] for word in folded(filler)),
    )

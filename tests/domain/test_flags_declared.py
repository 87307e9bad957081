"""``flags.toml``: what it must say, and what its author is told when it does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stewardship.declarations.factors import read_factor_sets
from stewardship.declarations.flags import read_flags
from stewardship.declarations.places import REFERENCE
from stewardship.domain.errors import DeclarationError
from stewardship.domain.flags import Kind
from stewardship.domain.flags.history import apart
from tests.domain.flagging import reference


def changed(folder: Path, old: str, new: str, *, file: str = "flags.toml"):
    """The rules of a copy in which one text stands in another's place."""
    for name in ("flags.toml", "zip3.csv"):
        shutil.copy(REFERENCE / name, folder / name)
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return read_flags(folder, read_factor_sets(REFERENCE))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("min_percent_left = 15", "min_percent = 15", r"early-refill takes \['min_percent_left'\]"),
        ("min_percent_left = 15", "min_percent_left = 0", "early-refill: min_percent_left"),
        ("min_percent_left = 15", "min_percent_left = true", "early-refill: min_percent_left"),
        ('ingredients = ["2101"]', "ingredients = []", "ingredients"),
        ("days = 15, within = 30", "days = 31, within = 30", "do not fit"),
        ("days = 15, within = 30", "days = 15", "takes days and within"),
        ('kind = "early-refill"', 'kind = "long-distance"', "long-distance takes"),
        ('kind = "beyond-refills"', 'kind = "schedule-ii-refill"', "stands there twice"),
        ('factor_set = "cdc-2022"', 'factor_set = "cdc"', "factor_set is one of"),
        ("verified = true", "", "verified"),
        ("[common]", "[common", "flags.toml"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path, old, new, said):
    with pytest.raises(DeclarationError, match=said):
        changed(tmp_path, old, new)


def test_every_kind_must_be_there(tmp_path):
    text = (REFERENCE / "flags.toml").read_text(encoding="utf-8")
    last, after = text.rindex("[[flag]]"), text.index("# What other parts")
    with pytest.raises(DeclarationError, match="new-long-term-use"):
        changed(tmp_path, text[last:after], "")


@pytest.mark.parametrize(("old", "new"), [("zip3,", "area,"), ("100,1332", "100,x")])
def test_a_table_of_areas_that_cannot_be_read_is_refused(tmp_path, old, new):
    with pytest.raises(DeclarationError, match=r"zip3\.csv"):
        changed(tmp_path, old, new, file="zip3.csv")


def test_a_changed_parameter_is_the_rules(tmp_path):
    rules = changed(tmp_path, "prescribers = 4", "prescribers = 5")
    assert rules.rules[Kind.MULTIPLE_PROVIDERS].rule.prescribers == 5


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    # City centres by road maps: the least distance lies below, by no more than the areas are wide.
    [("100", "900", 3_700, 3_940), ("606", "631", 330, 420), ("021", "100", 240, 306), ("100", "112", 0, 0)],
)
def test_areas_are_as_far_apart_as_the_map_has_them(one, other, least, most):
    areas = reference().areas
    assert least <= apart(areas[one], areas[other]) <= most


def test_no_two_areas_are_nearer_from_the_other_side():
    areas = list(reference().areas.values())[::40]
    assert all(apart(a, b) == apart(b, a) for a in areas for b in areas)

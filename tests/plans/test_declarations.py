"""The files on tapers, plans and boards: what is wrong in one is named, and nothing starts with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stewardship.declarations.places import REFERENCE
from stewardship.declarations.plans import read_boards, read_plan_terms
from stewardship.declarations.taper import read_taper_terms
from stewardship.domain.errors import DeclarationError
from tests.plans.tapering import declared


def plan_terms(folder: Path) -> object:
    return read_plan_terms(folder, declared().alternatives)


@pytest.mark.parametrize(
    ("read", "file", "before", "after", "says"),
    [
        (read_taper_terms, "taper.toml", "from_days = 30\n", "from_days = 31\n", "begins on the day after"),
        (read_taper_terms, "taper.toml", "from_days = 365\n", "from_days = 365\nuntil_days = 900\n",
         "has no until_days"),
        (read_taper_terms, "taper.toml", 'days = 28\nsources = ["cdc-draft"]', "days = 28\nsources = []",
         "taper.toml"),
        (read_taper_terms, "taper.toml", 'sources = ["cdc-2022", "own-choice"]', 'sources = ["hearsay"]',
         "there is no source hearsay"),
        (read_taper_terms, "taper.toml", "review_by = 2027-11-21\n\n[[pace]]",
         "review_by = 2020-01-01\n\n[[pace]]", "review_by the later one"),
        (read_taper_terms, "taper.toml", "percent = 50", "percent = 60", "percent"),
        (plan_terms, "plans.toml", '"scs-trial", "drg-trial"', '"scs-trail"', "no treatment scs-trail"),
        (plan_terms, "plans.toml", 'modalities = ["psychological"]\n', 'modalities = ["magic"]\n',
         "no modality magic"),
        (plan_terms, "plans.toml", "rungs = [6]", "rungs = [9]", "no rung 9"),
        (plan_terms, "plans.toml", "partial_percent = 10", "partial_percent = 30",
         "partial below meaningful"),
        (plan_terms, "plans.toml", 'of = "trial"', 'of = "test"', "stands there once"),
        (plan_terms, "plans.toml", 'first = "needle"', 'first = "knife"', "no part knife"),
        (plan_terms, "plans.toml", 'id = "pacing"\ntreatments = ["pacing"]', 'id = "pacing"',
         "pacing names no treatment"),
        (read_boards, "boards.toml", 'certifications = ["primary"]\n', "certifications = []\n",
         "asks for nothing"),
        (read_boards, "boards.toml", 'id = "abpmr"', 'id = "aba"', "aba stands there twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    tmp_path: Path, read: Callable[[Path], object], file: str, before: str, after: str, says: str
) -> None:
    text = (REFERENCE / file).read_text()
    assert before in text
    (tmp_path / file).write_text(text.replace(before, after, 1))
    with pytest.raises(DeclarationError, match=says):
        read(tmp_path)


def test_the_files_as_they_ship_are_read(tmp_path: Path) -> None:
    for file in ("taper.toml", "plans.toml", "boards.toml"):
        shutil.copy(REFERENCE / file, tmp_path)
    assert read_taper_terms(tmp_path) == declared().tapers
    assert plan_terms(tmp_path) == declared().plans
    assert read_boards(tmp_path) == declared().boards

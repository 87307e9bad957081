"""The reference files as they ship, read once, and a copy that a test may spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stewardship.declarations.drugs import read_catalogue, read_code_sets
from stewardship.declarations.places import REFERENCE
from stewardship.domain.codes import CodeSets
from stewardship.domain.drugs import Catalogue


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The shipped catalogue."""
    return read_catalogue(REFERENCE)


@pytest.fixture(scope="session")
def code_sets() -> CodeSets:
    """The shipped code sets."""
    return read_code_sets(REFERENCE)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the reference files."""
    return Path(shutil.copytree(REFERENCE, tmp_path / "reference"))

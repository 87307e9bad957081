"""What every room's tests share: the declarations, read once, and where the examples are."""

from __future__ import annotations

from pathlib import Path

import pytest

#: Databases: ``database`` gives every test that asks for it an SQLite and a PostgreSQL of its own.
pytest_plugins = ["tests.postgres"]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's top level."""
    return ROOT


@pytest.fixture(scope="session")
def examples() -> Path:
    """Published requests and synthetic patients that are not part of the project."""
    folder = ROOT.parent / "shared" / "examples"
    if not folder.is_dir():
        pytest.skip("the published examples are not on this machine")
    return folder

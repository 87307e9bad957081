"""What every room's tests share: the declarations, read once, and where the examples are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

#: Databases: ``database`` gives every test that asks for it an SQLite and a PostgreSQL of its own.
pytest_plugins = ["tests.postgres", "tests.chromium"]

# A test says itself what it needs: what the machine's user has exported must not reach a test's service.
for name in [name for name in os.environ if name.startswith("STEWARDSHIP_")]:
    del os.environ[name]

# How long an example takes depends on the machine; what is measured has its own command.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

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

"""Function on a clock, over the real declarations and on both databases."""

from __future__ import annotations

import pytest

from stewardship.db import Sessions, transaction
from stewardship.declarations import Library, load
from stewardship.services import organisations
from tests.builders import NOW
from tests.services.declared import ELSEWHERE, PRESCRIBER


@pytest.fixture(scope="session")
def library() -> Library:
    return load()


@pytest.fixture
def clinic(database: Sessions) -> Sessions:
    """A database with two organisations."""
    with transaction(database) as session:
        organisations.ensure(session, PRESCRIBER.organisation_id, name="One", by=PRESCRIBER, now=NOW)
        organisations.ensure(session, ELSEWHERE.organisation_id, name="Two", by=ELSEWHERE, now=NOW)
    return database

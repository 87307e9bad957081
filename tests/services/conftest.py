"""Services are tested on both databases, with two organisations in each."""

from __future__ import annotations

import pytest

from stewardship.db import Sessions, transaction
from stewardship.services import organisations
from tests.builders import NOW
from tests.services.declared import ELSEWHERE, PRESCRIBER


@pytest.fixture
def clinic(database: Sessions) -> Sessions:
    """A database with two organisations."""
    with transaction(database) as session:
        organisations.ensure(session, PRESCRIBER.organisation_id, name="One", by=PRESCRIBER, now=NOW)
        organisations.ensure(session, ELSEWHERE.organisation_id, name="Two", by=ELSEWHERE, now=NOW)
    return database

"""A clinic on both databases, with a patient of whom a history is known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stewardship.db import Sessions, transaction
from stewardship.domain.chart import Chart, Condition, Patient
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.services import history, organisations
from tests.builders import NOW, TODAY, a_supply
from tests.plans.tapering import OXYCODONE_5, declared
from tests.services.declared import ELSEWHERE, PRESCRIBER

BACK_PAIN = Coding(ICD10CM, "M47.816", "Spondylosis without myelopathy, lumbar region")


def a_history(patient: str = "p-1", *, sex: str = "male") -> Chart:
    """Eighteen months of oxycodone 5 mg, twelve a day, for pain of the facet joints."""
    drug = declared().catalogue.by_rxcui(OXYCODONE_5)
    fills = tuple(
        a_supply(id=f"s-{n}", start=TODAY - timedelta(30 * n + 5), days=30, drug=drug, quantity=360)
        for n in range(18)
    )
    pain = Condition("c-1", (BACK_PAIN,), active=True, onset=TODAY - timedelta(600))
    return Chart(Patient(patient, TODAY.replace(year=1976), sex), NOW, fills, conditions=(pain,))


@pytest.fixture
def clinic(database: Sessions) -> Sessions:
    """Two organisations, the first with a patient."""
    with transaction(database) as session:
        organisations.ensure(session, PRESCRIBER.organisation_id, name="One", by=PRESCRIBER, now=NOW)
        organisations.ensure(session, ELSEWHERE.organisation_id, name="Two", by=ELSEWHERE, now=NOW)
        history.record(session, a_history(), by=PRESCRIBER, now=NOW)
    return database

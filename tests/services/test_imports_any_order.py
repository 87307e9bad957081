"""Reports in any order, in any number of files, end alike: compared with the rows put together at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stewardship.db import Sessions, transaction
from stewardship.domain.corrections import standings
from stewardship.domain.feeds import Row
from stewardship.services import organisations
from tests.builders import NOW
from tests.intake.asap.files import PRESCRIBER, a_file, dispensing, patient
from tests.services.declared import PHARMACIST
from tests.services.feeding import NEW, REVISE, VOID, a_feed, bring, supplies

_numbers = count(1)
#: A report: which dispensing, of whom, what it does, in which quantity, in which minute it was made.
REPORTS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.integers(1, 2),
        st.sampled_from([NEW, REVISE, VOID]),
        st.integers(1, 3),
        st.integers(0, 59),
    ),
    min_size=1,
    max_size=8,
)


def a_file_of(number: int, reports: Sequence[tuple[int, int, str, int, int]]) -> bytes:
    """One file, made in the minute of its first report."""
    body = [
        segment
        for which, whose, status, quantity, _ in reports
        for segment in (patient(whose), dispensing(which, e01=status, e09=str(10 * quantity)), PRESCRIBER)
    ]
    return a_file(body, control=f"{number:04d}", created=f"20260105*09{reports[0][4]:02d}")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reports=REPORTS, chance=st.randoms(use_true_random=False), width=st.integers(1, 3))
def test_the_end_depends_on_the_reports_alone(database, reports, chance, width):
    files = [
        a_file_of(number, reports[start : start + width])
        for number, start in enumerate(range(0, len(reports), width), 1)
    ]
    orders = (files, chance.sample(files, len(files)))
    ends = [imported(order, database) for order in orders]
    assert ends[0] == ends[1] == expected(files)


def imported(files: Sequence[bytes], database: Sessions) -> set[tuple[str, Decimal]]:
    """What the patients of an organisation of its own have after these files, in this order."""
    by = replace(PHARMACIST, organisation_id=f"org-{next(_numbers)}")
    with transaction(database) as session:
        organisations.ensure(session, by.organisation_id, name="One", by=by, now=NOW)
    for content in files:
        bring(database, content, portion=2, by=by)
    held = supplies(database, organisation=by.organisation_id)
    return {(name, quantity) for name, _, quantity, _, _ in held}


def expected(files: Sequence[bytes]) -> set[tuple[str, Decimal]]:
    """The same, from all rows at once."""
    rows = [item.dispensed for content in files for item in a_feed(content).items() if isinstance(item, Row)]
    standing = [s.dispensed for s in standings(rows).values()]
    return {(row.key.id, row.quantity) for row in standing if row is not None}

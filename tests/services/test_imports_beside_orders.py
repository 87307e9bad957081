"""While an import reads, matches and compares, orders are checked; what it saw stands, or it looks again."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from stewardship.db import import_tables, tables, transaction
from stewardship.domain.policy import Met
from stewardship.pacing import Pace
from stewardship.services import imports, orders, pharmacies, verification
from tests.builders import NOW, a_chart, an_order
from tests.intake.asap.files import a_file
from tests.intake.asap.files import rows as file_rows
from tests.services.declared import ELSEWHERE, ORGANISATION, PRESCRIBER, Declared, a_policy
from tests.services.feeding import bring, count, rows

LIBRARY = Declared([a_policy("free", Met({"days_supply": 3}))])


@pytest.fixture
def while_it_looks(monkeypatch):
    """Have something done each time that an import has looked, before it writes; gives the list of looks."""

    def hook(act):
        look, looks = imports.look, []

        def looking(session, *given, **named):
            looked = look(session, *given, **named)
            looks.append(looked)
            act(len(looks))
            return looked

        monkeypatch.setattr(imports, "look", looking)
        return looks

    return hook


def test_an_order_is_checked_and_kept_while_an_import_looks_and_nothing_is_looked_at_twice(
    clinic, while_it_looks
):
    def an_order_comes(number):
        # On SQLite this could not be written, and would fail after ten seconds, if the import held the turn.
        with transaction(clinic) as session:
            drafts = [an_order(id=f"order-{number}")]
            orders.check(session, LIBRARY, drafts, a_chart(), channel="cds-hooks", by=PRESCRIBER, now=NOW)

    looks = while_it_looks(an_order_comes)
    done = bring(clinic, a_file(file_rows(25)), portion=10)
    portions = select(func.count()).where(tables.AuditEvent.__table__.c.action == "import.stored")
    ((stored,),) = rows(clinic, portions)
    assert done.report.stored == count(clinic, tables.Supply) == 25
    assert stored >= 3
    assert len(looks) == count(clinic, tables.Decision) == stored
    with transaction(clinic, write=False) as session:
        assert verification.verify(session, organisation_id=ORGANISATION).fault is None


def test_rows_that_another_file_brought_in_between_are_known(clinic, while_it_looks):
    if clinic.kw["bind"].dialect.name == "postgresql":
        pytest.skip("there one import at a time looks, under a lock")
    others = []

    def another_file_comes(number):
        if number == 1:
            others.append(bring(clinic, a_file(file_rows(3), control="0002")))

    looks = while_it_looks(another_file_comes)
    done = bring(clinic, a_file(file_rows(5), control="0001"))
    assert others[0].report.stored == 3
    assert (done.report.rows, done.report.stored, done.report.unchanged) == (5, 2, 3)
    # Its own look, the other file's, and its own once more.
    assert len(looks) == 3
    assert count(clinic, tables.Supply) == 5
    assert count(clinic, import_tables.Identity) == 5


def test_a_pharmacy_that_another_organisation_bound_in_between_brings_nothing(clinic, while_it_looks):
    bring(clinic, a_file(file_rows(1)), by=ELSEWHERE)
    (theirs,) = rows(clinic, select(import_tables.Pharmacy.__table__.c.id))

    def it_is_bound(number):
        if number == 1:
            with transaction(clinic) as session:
                pharmacies.bind(session, theirs.id, by=ELSEWHERE, now=NOW)

    while_it_looks(it_is_bound)
    done = bring(clinic, a_file(file_rows(4)))
    assert (done.report.stored, done.report.rejected) == (0, 4)
    assert {fault.code for fault in done.report.faults} == {"pharmacy-of-another"}
    mine = import_tables.Identity.__table__.c.organisation_id == ORGANISATION
    assert rows(clinic, select(import_tables.Identity.__table__.c.id).where(mine)) == []


def test_people_near_a_new_one_are_found_without_reading_everybody(clinic):
    if clinic.kw["bind"].dialect.name == "postgresql":
        pytest.skip("its plans depend on how large the tables are")
    from stewardship.services import matching

    for prepared in (matching._KNOWN, matching._SAME_KEY, matching._SAME_NUMBER):
        sql = str(prepared._statement.compile(dialect=clinic.kw["bind"].dialect))
        given = ("org-1",) * sql.count("= ?") + ("[]",)
        with transaction(clinic, write=False) as session:
            driver = session.connection().connection.dbapi_connection
            plan = [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", given)]
        (on_people,) = (line for line in plan if "patient_identities" in line)
        assert on_people.endswith(("digest=?)", "match_key=?)", "AND id=?)")), plan


# --- how much goes into a transaction --------------------------------------------------------------


def test_portions_grow_while_they_are_quick_and_shrink_when_they_keep_others_waiting():
    pace = Pace(1000, hold=0.01)
    sizes = [pace.items]
    for _ in range(30):
        # Five milliseconds, and a tenth of one for each item: fifty are what fits.
        pace.took(0.005 + 0.0001 * pace.items, pace.items)
        sizes.append(pace.items)
    assert sizes == sorted(sizes)
    assert 45 <= sizes[-1] <= 50
    pace.took(1.0, pace.items)
    assert pace.items == sizes[-1] // 2


def test_a_portion_is_never_larger_than_allowed_and_never_empty():
    pace = Pace(40)
    for _ in range(30):
        pace.took(0.0, pace.items)
    assert pace.items == 40
    for _ in range(30):
        pace.took(60.0, pace.items)
    assert 1 <= pace.items <= 40
    assert Pace(1).items == 1


def test_the_last_few_items_of_a_file_say_nothing_about_the_pace():
    pace = Pace(1000)
    before = pace.items
    pace.took(9.0, before - 1)
    assert pace.items == before

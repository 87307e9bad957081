"""Columns: what goes in comes out, on both databases; what would come out different is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from stewardship.db import tables, transaction
from tests.builders import NOW

PATIENT = tables.Patient.__table__
SUPPLY = tables.Supply.__table__
A_SUPPLY = {
    "organisation_id": "org-1",
    "patient_id": "1",
    "kind": "dispensing",
    "source_id": "s-1",
    "status": "active",
    "prescription": "",
    "prescriber": "",
    "pharmacy": "",
    "setting": "unknown",
    "treatment_type": "",
    "document": "{}",
    "recorded_at": NOW,
}


def kept_instant(sessions, moment):
    with transaction(sessions) as session:
        session.execute(update(PATIENT).values(recorded_at=moment))
        return session.execute(select(PATIENT.c.recorded_at)).scalar_one()


def kept_supply(sessions, **values):
    with transaction(sessions) as session:
        session.execute(insert(SUPPLY), A_SUPPLY | values)
        row = session.execute(select(SUPPLY)).one()
        session.rollback()
    return row


@pytest.mark.parametrize("hours", [5, -5, 0])
def test_an_instant_with_an_offset_is_the_same_instant_in_utc(peopled, hours):
    written = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=hours)))
    kept = kept_instant(peopled, written)
    assert kept == written
    assert kept.utcoffset() == timedelta(0)
    assert kept.hour == 12 - hours


def test_a_time_without_an_offset_is_refused(peopled):
    with pytest.raises(StatementError, match="without an offset"):
        kept_instant(peopled, datetime(2026, 11, 21, 12))  # noqa: DTZ001


def test_instants_are_compared_as_time_goes_not_as_text(peopled):
    kept_instant(peopled, datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=5))))
    with transaction(peopled) as session:
        for moment, earlier in (
            (datetime(2026, 11, 21, 7, 0, 0, 1, tzinfo=UTC), True),
            (datetime(2026, 11, 21, 7, tzinfo=UTC), False),
        ):
            found = session.execute(select(PATIENT.c.id).where(PATIENT.c.recorded_at < moment)).all()
            assert bool(found) is earlier


@given(
    moment=st.datetimes(
        min_value=datetime(1900, 1, 2),  # noqa: DTZ001
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.timezones(),
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_instant_survives(peopled, moment):
    assert kept_instant(peopled, moment) == moment.astimezone(UTC)


@pytest.mark.parametrize(
    "written", ["1.50", "0.1", "100", "1E+2", "-0", "0.000000000000001", "12345678901234567890"]
)
def test_a_decimal_comes_back_digit_for_digit(peopled, written):
    kept = kept_supply(peopled, days_supply=Decimal(written)).days_supply
    assert format(kept, "f") == format(abs(Decimal(written)), "f")


@pytest.mark.parametrize("written", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+100", "1E-100"])
def test_a_number_that_cannot_be_kept_exactly_is_refused(peopled, written):
    with pytest.raises(StatementError):
        kept_supply(peopled, days_supply=Decimal(written))


def test_binary_floating_point_is_refused(peopled):
    with pytest.raises(StatementError, match="Decimal"):
        kept_supply(peopled, days_supply=1.5)


def test_text_that_only_one_database_takes_is_refused(peopled):
    with pytest.raises(StatementError, match="NUL"):
        kept_supply(peopled, pharmacy="a\x00b")


def test_text_survives_with_all_its_characters(peopled):
    written = "Ünï – 中文 '\"\\ \U0001f48a"
    assert kept_supply(peopled, pharmacy=written).pharmacy == written


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "x" * 65},
        {"source_id": "x" * 201},
        {"kind": "gift"},
        {"setting": "moon"},
        {"refills": -1},
        {"refills": 2**33},
        {"fill": 1001},
        {"quantity_value": Decimal(1), "quantity_unit": None},
        {"quantity_value": None, "quantity_unit": "tablet"},
        {"patient_id": "2"},
        {"organisation_id": "org-2"},
        {"document": None},
    ],
    ids=str,
)
def test_what_one_database_refuses_the_other_refuses(peopled, wrong):
    with pytest.raises((IntegrityError, DBAPIError)):
        kept_supply(peopled, **wrong)


def test_dates_are_dates(peopled):
    assert kept_supply(peopled, start_on=date(2028, 2, 29)).start_on == date(2028, 2, 29)

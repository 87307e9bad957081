"""Measurements: answers are kept, scores made again on reading, mistakes named and never removed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from stewardship.db import transaction
from stewardship.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from stewardship.domain.instruments import Verdict
from stewardship.domain.workdays import Calendar
from stewardship.services import calendars, measurements
from tests.function.acting import Acting
from tests.services.declared import COMPLIANCE, ELSEWHERE


@pytest.fixture
def acting(clinic, library):
    return Acting(clinic, library)


def trend(acting, patient="p-1"):
    with transaction(acting.sessions, write=False) as session:
        return {
            t.instrument.id: t
            for t in measurements.trend(session, acting.library, patient, by=acting.by, now=acting.now)
        }


def mistaken(acting, measurement_id, reason="of another patient"):
    with transaction(acting.sessions) as session:
        return measurements.enter_in_error(
            session, acting.library, measurement_id, reason=reason, by=acting.by, now=acting.now
        )


def test_a_score_is_made_from_the_answers_and_is_exact(acting):
    found = acting.measure("p-1", pain=7, enjoyment=7, activity=6)
    assert found.score is not None
    assert (found.score.exact, found.score.value) == (Fraction(20, 3), Decimal("6.7"))
    assert found.score.parts["function"].value == Decimal("6.5")


def test_the_same_measurement_sent_again_is_one_and_another_under_its_id_conflicts(acting):
    first = acting.measure("p-1", named="m-1")
    assert acting.measure("p-1", named="m-1") == first
    with pytest.raises(Conflict):
        acting.measure("p-1", named="m-1", pain=1, enjoyment=1, activity=1)
    assert len(trend(acting)["peg"].measurements) == 1


def test_open_items_are_kept_as_open_and_there_is_no_score(acting):
    found = acting.measure("p-1", enjoyment=7, activity=6)
    assert found.score is not None
    assert (found.score.value, found.score.missing) == (None, ("pain",))
    assert found.function


@pytest.mark.parametrize(
    ("given", "pointer"),
    [({"pain": 11}, "/answers/pain"), ({"pain": 1, "joy": 2}, "/answers/joy")],
    ids=["out-of-range", "unknown-item"],
)
def test_what_the_instrument_does_not_take_is_refused(acting, given, pointer):
    with pytest.raises(InvalidInput) as refused:
        acting.measure("p-1", **given)
    assert refused.value.faults[0].pointer == pointer


def test_nothing_is_measured_in_the_future_or_with_what_is_not_known(acting):
    with transaction(acting.sessions) as session, pytest.raises(InvalidInput):
        measurements.record(
            session, acting.library, "p-1", "peg", {"pain": Decimal(1)},
            taken_at=acting.now + timedelta(hours=1), source="clinician", by=acting.by, now=acting.now,
        )  # fmt: skip
    with pytest.raises(NotFound):
        acting.measure("p-1", "no-such-instrument", pain=1)


def test_seven_to_four_point_nine_is_better_by_thirty_per_cent_and_five_is_not(acting):
    for patient, after in (("p-1", (5, 5, 5)), ("p-2", (5, 5, 4))):
        acting.measure(patient, pain=7, enjoyment=7, activity=7)
        then = acting.later(30)
        then.measure(patient, **dict(zip(("pain", "enjoyment", "activity"), after, strict=True)))
    one, other = (trend(acting.later(30), p)["peg"].whole.since_first for p in ("p-1", "p-2"))
    assert (one.by_percent, other.by_percent) == (Verdict.UNCHANGED, Verdict.BETTER)


def test_function_is_shown_apart_from_pain(acting):
    acting.measure("p-1", pain=8, enjoyment=5, activity=5)
    acting.later(30).measure("p-1", pain=2, enjoyment=5, activity=5)
    lines = {line.part: line.since_first for line in trend(acting.later(30))["peg"].lines}
    assert lines["pain"].verdict is Verdict.BETTER
    assert lines["function"].verdict is Verdict.UNCHANGED


def test_each_instrument_has_a_trend_of_its_own(acting):
    acting.measure("p-1")
    acting.measure("p-1", "pain-intensity", pain=3)
    assert set(trend(acting)) == {"peg", "pain-intensity"}


def test_against_the_first_and_against_the_one_before(acting):
    for n, level in enumerate((8, 4, 7)):
        acting.later(30 * n).measure("p-1", pain=level, enjoyment=level, activity=level)
    whole = trend(acting.later(60))["peg"].whole
    assert whole.since_last.verdict is Verdict.WORSE
    assert (whole.since_first.verdict, whole.since_first.gain) == (Verdict.UNCHANGED, Decimal("1.0"))


def test_a_mistake_counts_for_nothing_and_stays_on_record(acting):
    found = acting.measure("p-1")
    marked = mistaken(acting, found.id)
    assert marked.in_error == "of another patient"
    assert mistaken(acting, found.id, "said again") == marked
    assert trend(acting) == {}
    with transaction(acting.sessions, write=False) as session:
        (kept,) = measurements.of_patient(session, acting.library, "p-1", by=acting.by)
    assert kept == marked


def test_what_a_review_rests_on_is_no_mistake_afterwards(acting):
    acting.takes("p-1", acting.oxycodone(30))
    acting.reconsider("p-1")
    then = acting.later(10)
    found = then.measure("p-1")
    then.complete(acting.open_review("p-1").id, found.id)
    with pytest.raises(Conflict):
        mistaken(then, found.id)


def test_who_only_looks_corrects_nothing_and_others_do_not_see_it(acting):
    found = acting.measure("p-1")
    with pytest.raises(Forbidden):
        mistaken(replace(acting, by=COMPLIANCE), found.id)
    with pytest.raises(NotFound):
        mistaken(replace(acting, by=ELSEWHERE), found.id)
    assert trend(replace(acting, by=ELSEWHERE)) == {}


@pytest.mark.parametrize(
    ("zone", "at", "on"),
    [
        ("America/New_York", "2026-11-21T04:59:00+00:00", date(2026, 11, 20)),
        ("America/New_York", "2026-11-21T05:00:00+00:00", date(2026, 11, 21)),
        ("America/New_York", "2026-07-01T03:59:00+00:00", date(2026, 6, 30)),
        ("Pacific/Auckland", "2026-11-20T12:00:00+00:00", date(2026, 11, 21)),
        ("America/New_York", "2024-02-29T23:30:00-05:00", date(2024, 2, 29)),
        ("America/New_York", "2026-11-01T05:30:00+00:00", date(2026, 11, 1)),
        ("America/New_York", "2026-11-01T06:30:00+00:00", date(2026, 11, 1)),
    ],
    ids=["before-midnight", "midnight", "summer", "ahead", "leap-day", "0130-summer", "0130-winter"],
)
def test_the_day_is_the_organisations(acting, zone, at, on):
    with transaction(acting.sessions) as session:
        calendars.change(session, acting.library, Calendar(zone, "US"), by=acting.by, now=acting.now)
        found = measurements.record(
            session, acting.library, "p-1", "peg", {"pain": Decimal(1)},
            taken_at=datetime.fromisoformat(at), source="clinician", by=acting.by, now=acting.now,
        )  # fmt: skip
    assert found.taken_on == on

"""Between two days on which somebody is to be looked at, time alone brings no flag."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stewardship.domain.flags import Kind, history, raised
from stewardship.domain.flags.passing import next_look
from stewardship.domain.flags.unrecognised import unrecognised
from stewardship.domain.orders import SupplyKind
from tests.domain.flagging import OXYCODONE_ER, day, fill, reference
from tests.population.generator import LAST, population, supplies

RULES = reference()
FALLING = RULES.rules[Kind.DOSE_FALLING_FAST].rule


def seen(taken, on):
    whole = history(taken, RULES.common, as_of=on, areas=RULES.areas)
    found = raised(whole, [d.rule for d in RULES.rules.values()])
    return {f.key for f in (*found.flags, *unrecognised(whole))}, next_look(taken, whole, FALLING)


def test_a_supply_that_begins_later_is_looked_at_when_it_has_begun():
    assert seen([fill(0), fill(30)], day(5))[1] == day(16)  # 0 to 9 ends, and counts as ended a week later
    assert seen([fill(12)], day(5))[1] == day(12)


def test_a_supply_counts_as_ended_after_the_days_of_the_rule():
    assert seen([fill(0, 10)], day(3))[1] == day(9 + FALLING.ended_days)
    assert seen([fill(0, 10)], day(9 + FALLING.ended_days))[1] is None


def test_what_was_stopped_on_an_unknown_day_is_looked_at_daily_until_it_would_have_ended():
    stopped = fill(0, 30, kind=SupplyKind.PRESCRIPTION, status="stopped")
    assert seen([stopped], day(10))[1] == day(11)
    assert seen([stopped], day(60))[1] is None


def test_nobody_is_looked_at_for_nothing():
    assert seen([], day(0))[1] is None


def test_time_alone_raises_a_flag_on_no_other_day():
    made = population(RULES, patients=60, rows=600, seed=9).columns
    rows = supplies(made, [f"r{n}" for n in range(len(made))])
    by_patient = {}
    for number, row in zip(made.patient.tolist(), rows, strict=True):
        by_patient.setdefault(number, []).append(row)
    # From the middle of long use on, so that ends, gaps and later beginnings lie ahead.
    start, looked, passed = LAST - timedelta(days=300), 0, 0
    for mine in by_patient.values():
        taken = [*mine, fill(0, 20, drug=OXYCODONE_ER, status="stopped", id=f"x-{mine[0].id}")]
        keys, due = seen(taken, start)
        for number in range(1, 90):
            today = start + timedelta(number)
            now, after = seen(taken, today)
            if due is not None and due <= today:
                keys, due, looked = now, after, looked + 1
            else:
                assert now <= keys, (taken[0].id, today)
                passed += 1
    assert looked > 50
    assert passed > 1000


@pytest.mark.parametrize(("labels", "flags"), [((), 0), (("a",), 1), (("a", "a"), 1), (("a", "b"), 2)])
def test_what_nobody_recognises_is_one_flag_a_medicine(labels, flags):
    from dataclasses import replace

    from stewardship.domain.drugs import Medication

    taken = [
        replace(fill(n, unrecognised=True), medication=Medication((), label))
        for n, label in enumerate(labels)
    ]
    found = list(unrecognised(history(taken, RULES.common, as_of=day(90))))
    assert len(found) == flags
    assert sum(flag.facts["dispensings"] for flag in found) == len(labels)


def test_what_is_only_written_and_not_recognised_is_no_dispensing():
    written = fill(0, unrecognised=True, kind=SupplyKind.PRESCRIPTION)
    assert list(unrecognised(history([written], RULES.common, as_of=day(9)))) == []

"""A timeline: what is in the window, what overlaps, where the gaps are, and that it can be written."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from stewardship.domain.exposure import Definition
from stewardship.domain.flags import history, raised
from stewardship.domain.timeline import Timeline, timeline
from stewardship.intake.strict_json import dumps, loads
from tests.domain.flagging import BUPRENORPHINE, DIAZEPAM, HYDROCODONE, day, fill, ids, reference

DATA = datetime(2026, 11, 19, 10, 15, tzinfo=UTC)


def drawn(*supplies, first: int = 0, until: int = 89, as_of: int = 200) -> Timeline:
    looked = history(supplies, reference().common, as_of=day(as_of), areas=reference().areas)
    seen = raised(looked, [d.rule for d in reference().rules.values()])
    return timeline(
        "p-1",
        looked,
        reference(),
        first=day(first),
        until=day(until),
        flags=seen.flags,
        untold=seen.untold,
        data_as_of=DATA,
    )


def test_supplies_side_by_side_are_steps_and_overlaps():
    fills = [fill(0, 30, prescriber="p-1"), fill(20, 20, drug=HYDROCODONE, prescriber="p-2")]
    found = drawn(*fills)
    assert [(s.first, s.last, s.mme) for s in found.steps] == [
        (day(0), day(19), 15),
        (day(20), day(29), 35),
        (day(30), day(39), 20),
    ]
    assert [(o.first, o.last, o.days, o.supplies, o.prescribers) for o in found.overlaps] == [
        (day(20), day(29), 10, ids(fills), 2)
    ]


def test_gaps_are_between_supplies_that_are_carried_over():
    # The second is filled two days early: ten and ten are twenty, to day 19.
    found = drawn(fill(0), fill(8), fill(25), fill(80))
    assert [(g.first, g.last, g.covered) for g in found.gaps] == [
        (day(20), day(24), 0),
        (day(35), day(79), 0),
    ]
    assert [(e.first, e.last, e.covered) for e in found.episodes] == [
        (day(0), day(34), 30),
        (day(80), day(89), 10),
    ]


def test_guidance_counts_days_at_or_over_it():
    found = drawn(fill(0, 10, a_day=12), fill(10, 5, a_day=8))
    assert [(g.mme_per_day, g.days) for g in found.guidance] == [(50, 15), (90, 10)]


def test_what_only_reaches_into_the_window_is_there_and_what_does_not_is_not():
    before, into, within = fill(0, 9), fill(0), fill(20)
    found = drawn(before, into, within, fill(30), first=9, until=29)
    assert [s.id for s in found.supplies] == [into.id, within.id]


def test_what_is_not_known_is_said():
    found = drawn(fill(0, unrecognised=True), fill(0, None), fill(0, drug=BUPRENORPHINE))
    unknown, endless, left_out = found.supplies
    assert (unknown.recognised, unknown.mme_per_day, unknown.reasons) == (False, None, ("drug-unknown",))
    assert (endless.last, endless.days, endless.amount_mme, endless.complete) == (None, None, 150, False)
    assert (left_out.mme_per_day, left_out.complete) == (None, True)
    assert not found.complete
    assert not any(g.complete for g in found.guidance)


def test_a_sedative_is_shown_without_a_dose():
    (shown,) = drawn(fill(0, drug=DIAZEPAM)).supplies
    assert (shown.opioid, shown.mme_per_day, shown.complete) == (False, None, True)


def test_flags_of_the_window_are_there_with_their_evidence():
    fills = [fill(0, 30), fill(10, 30, drug=DIAZEPAM)]
    found = drawn(*fills)
    assert {f.kind.value: f.supplies for f in found.flags} == {
        "opioid-with-benzodiazepine": ids(fills),
        "new-long-term-use": ids(fills[:1]),
    }
    assert drawn(*fills, first=50).flags == ()


def test_a_timeline_can_be_written_as_json():
    named = {"pharmacy": "ph-1", "prescription": "rx-1", "fill": 0}
    found = drawn(fill(0, 7, quantity=20, **named), fill(0, 7, quantity=20, **named))
    read = loads(dumps(found), max_bytes=1_000_000)
    assert isinstance(read, dict)
    assert (read["factor_set"], read["further_reports"]) == ("cdc-2022", 1)
    assert read["data_as_of"] == "2026-11-19T10:15:00Z"
    assert read["steps"][0]["mme"] == Decimal("21.428571429")
    assert {f["definition"] for f in read["figures"]} == {d.value for d in Definition}

"""The picture of a timeline: well-formed, in words too, honest about what is not known, and safe to show."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from stewardship.domain.drugs import Medication
from stewardship.domain.exposure import Definition
from stewardship.domain.flags import history
from stewardship.domain.timeline import timeline
from stewardship.pictures.timeline import in_words, timeline_svg
from tests.builders import OPIOID
from tests.domain.flagging import BUPRENORPHINE, DIAZEPAM, OXYCODONE_ER, day, fill, reference

RULES = reference()
SVG = "{http://www.w3.org/2000/svg}"


def line(*supplies, first=0, until=120, data=None):
    seen = history(supplies, RULES.common, as_of=day(until))
    as_of = None if data is None else datetime.combine(day(data), datetime.min.time(), UTC)
    return timeline("p-1", seen, RULES, first=day(first), until=day(until), data_as_of=as_of)


def drawn(*supplies, definition=Definition.MAXIMUM_DAILY_DOSE, **more):
    return ET.fromstring(timeline_svg(line(*supplies, **more), definition))  # noqa: S314 - it is our own


def parts(root, class_):
    return [e for e in root.iter() if class_ in (e.get("class") or "").split()]


def titles(root, class_):
    return [e.findtext(f"{SVG}title") or "" for e in parts(root, class_)]


def texts(root):
    return [e.text or "" for e in root.iter(f"{SVG}text")]


def test_it_has_a_role_a_title_and_a_description_that_says_what_is_seen():
    root = drawn(fill(0, 30, a_day=4))
    assert root.get("role") == "img"
    named = {e.get("id"): e.text for e in root if e.get("id")}
    assert [named[name] is not None for name in (root.get("aria-labelledby") or "").split()] == [True, True]
    assert "30 MME" not in named["timeline-title"]
    assert "the highest total of any day: 30." in named["timeline-desc"]


def test_each_total_is_told_with_its_days():
    root = drawn(fill(0, 30, a_day=4), fill(30, 30, drug=OXYCODONE_ER, a_day=1))
    assert titles(root, "dose") == [
        "1 Jun 2026 to 30 Jun 2026: 30 MME a day",
        "1 Jul 2026 to 30 Jul 2026: 45 MME a day",
    ]


def test_days_without_supply_are_a_break_and_no_zero():
    root = drawn(fill(0, 30), fill(60, 30))
    assert len(parts(root, "dose")) == 2
    (gap,) = titles(root, "gap")
    assert gap == "No opioid in hand from 1 Jul 2026 to 30 Jul 2026: 30 days"


def test_what_is_only_a_lower_bound_is_hatched_and_said():
    root = drawn(fill(0, 30), fill(10, 5, unrecognised=True))
    doubtful = parts(root, "at-least")
    assert any(e.get("fill") == "url(#at-least)" for e in doubtful)
    assert any("at least 15 MME a day" in title for title in titles(root, "dose"))
    assert "MME a day: at least 15" in texts(root)


def test_days_after_the_last_report_are_marked():
    (title,) = titles(drawn(fill(0, 90), data=60), "not-reported")
    assert title == "No reports after 31 Jul 2026"
    assert parts(drawn(fill(0, 90), data=120), "not-reported") == []
    assert any("No pharmacy reports of this patient" in words for words in texts(drawn(fill(0, 90))))


def test_guidance_is_called_guidance():
    words = [w for w in texts(drawn(fill(0, 30))) if "pause" in w]
    assert words == [f"{n}: pause and look again (guidance, not a limit)" for n in ("50", "90")]


def test_overlaps_and_medicines_have_lanes():
    root = drawn(fill(0, 30), fill(20, 30, drug=OXYCODONE_ER), fill(5, 10, drug=DIAZEPAM))
    assert len(titles(root, "overlap")) == 1
    assert titles(root, "supply")[0].startswith(
        "oxycodone 5 MG oral tablet: from 1 Jun 2026, 30 days, 15 MME"
    )
    assert "Opioids that overlap: 10 days" in texts(root)


def test_what_the_factors_leave_out_is_said_and_not_zero():
    patch = replace(BUPRENORPHINE, form="transdermal system", classes=OPIOID)
    root = drawn(fill(0, 30, drug=patch))
    assert not parts(root, "dose")
    (supply,) = titles(root, "supply")
    assert "left out by the factors" in supply


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (Definition.MAXIMUM_DAILY_DOSE, "MME a day: 30"),
        (Definition.TOTAL_DAYS_SUPPLY, "MME a day: 15"),
        (Definition.ON_THERAPY_DAYS, "MME a day: 30"),
        (Definition.FIXED_WINDOW, "MME a day: 7.4"),
    ],
)
def test_the_definition_that_was_chosen_is_named_first(definition, said):
    # Two at a time for thirty days: 900 MME, sixty days of supply, thirty days, a window of 121.
    root = drawn(fill(0, 30), fill(0, 30), definition=definition)
    assert said in texts(root)


def test_nothing_on_record_is_said_and_not_drawn_as_zero():
    root = drawn()
    assert "No opioid on record in this window" in texts(root)
    assert parts(root, "dose-line") == []
    assert "No opioid for pain is on record in this window." in in_words(line(), Definition.FIXED_WINDOW)


def test_no_text_becomes_markup():
    name = '<script>alert("x")</script>&\x07'
    odd = replace(fill(0, 30, unrecognised=True), medication=Medication((), name))
    written = timeline_svg(line(odd))
    assert "<script" not in written
    root = ET.fromstring(written)  # noqa: S314 - it is our own
    assert any('<script>alert("x")' in words for words in texts(root))


def test_it_carries_no_style_and_no_script_that_a_strict_policy_would_refuse():
    written = timeline_svg(line(fill(0, 30), fill(10, 5, unrecognised=True), data=60))
    assert not re.search(r"style=|<style|<script|\son\w+=|href=|url\((?!#)", written)


@pytest.mark.parametrize(("first", "until"), [(0, 0), (0, 6), (0, 69), (-700, 120), (-3000, 600)])
def test_any_window_can_be_drawn_with_a_dozen_labels_at_the_most(first, until):
    root = drawn(fill(0, 30, a_day=4), first=first, until=until)
    labelled = [w for w in texts(root) if re.fullmatch(r"(\d+ )?[A-Z][a-z]{2}( \d{4})?", w)]
    assert len(labelled) <= 14
    width = 960
    for e in root.iter():
        for place in (e.get("x"), e.get("x2")):
            assert place is None or -1 <= float(place) <= width


def test_very_high_totals_stay_within_the_picture():
    root = drawn(fill(0, 30, drug=OXYCODONE_ER, a_day=400))
    assert all(float(e.get("y") or 0) >= 0 for e in parts(root, "dose"))
    ticks = [int(w) for w in texts(root) if w.isdecimal()]
    assert max(ticks) > 18000
    assert len(ticks) <= 9


def test_many_medicines_are_told_together():
    odd = [replace(fill(n, 3, unrecognised=True), medication=Medication((), f"m{n}")) for n in range(20)]
    assert any("further medicines" in words for words in texts(drawn(*odd)))


def test_a_year_of_monthly_fills_is_drawn_quickly_enough_for_a_page():
    fills = [fill(n * 28, 30, a_day=4) for n in range(13)]
    assert len(timeline_svg(line(*fills, until=364)).encode()) < 30_000

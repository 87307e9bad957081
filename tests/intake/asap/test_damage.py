"""Files that were cut off or tampered with: never complete, never a crash, and only the bad rows are lost."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stewardship.intake.asap import Closed, Status, file_digest, in_words, read, shipped
from tests.intake.asap.files import (
    PHARMACY,
    PRESCRIBER,
    a_file,
    accepted,
    closed,
    dispensing,
    events,
    noted,
    patient,
    rejected,
    rows,
)

FORTY = a_file(rows(40), line_end="\n").removesuffix(b"\n")
WHOLE = [(a.row, a.patient) for a in accepted(read(FORTY))]


def test_the_whole_file_of_forty_rows_is_complete():
    assert closed(read(FORTY)).status is Status.COMPLETE
    assert len(WHOLE) == 40


def test_a_file_cut_at_any_byte_is_never_complete_and_gives_a_beginning_of_its_rows():
    for cut in range(len(FORTY)):
        found = events(FORTY[:cut])
        good = [(a.row, a.patient) for a in accepted(found)]
        (end,) = [e for e in found if isinstance(e, Closed)]
        assert end.status in (Status.TRUNCATED, Status.UNREADABLE), cut
        assert good == WHOLE[: len(good)], cut


@pytest.mark.parametrize("missing", [1, 2, 5])
def test_a_file_cut_in_its_last_segment_is_not_the_content_of_the_whole_one(missing):
    # Without its last terminator it says the same words, and is not whole: the whole one is news.
    assert file_digest(FORTY[:-missing]) != file_digest(FORTY)


def test_a_transmission_that_another_one_cuts_short_is_not_the_content_of_both():
    other = b"\n" + FORTY.replace(b"*0001", b"*0002")
    assert file_digest(FORTY[:-1] + other) != file_digest(FORTY + other)


def test_the_row_at_which_a_file_breaks_off_is_not_given_out():
    # Its PRE is whole, but an ingredient could have been cut off after it.
    cut = FORTY[: FORTY.index(b"PAT*", FORTY.index(b"RX0007"))]
    found = events(cut)
    assert len(accepted(found)) == 6
    assert [(r.position, r.faults[-1].code) for r in rejected(found)] == [(7, "truncated")]


SPOILERS = {
    "AN": (["\x01", "X" * 250], ["character", "too-long"]),
    "N": (["x", "9" * 11], ["not-a-number", "too-long"]),
    "D": (["1.2.3", "9" * 12], ["not-a-decimal", "too-long"]),
    "DT": (["20261301", "TODAY"], ["not-a-date", "not-a-date"]),
}


def mutations(count: int) -> list[tuple[int, str, str, str, str]]:
    """Row, segment, element, the value put there, the code that it must be answered with."""
    chance = random.Random(4)  # noqa: S311 - seeded on purpose
    found = []
    segments = shipped().versions["4.2A"].segments
    while len(found) < count:
        segment = segments[chance.choice(["PAT", "DSP", "PRE"])]
        element = chance.choice(segment.elements)
        values, codes = SPOILERS[element.type]
        which = chance.randrange(3)
        if which == 2:
            if element.required:
                value, code = "", "required"
            elif element.codes:
                value, code = "Q" if element.type == "AN" else "77", "code-unknown"
            else:
                continue
        else:
            value, code = values[which], codes[which]
        found.append((chance.randrange(40), segment.id, element.id, value, code))
    return found


def spoilt(row: int, segment: str, element: str, value: str) -> tuple[bytes, int]:
    """The file with that value in one element of a row, and the line on which it is."""
    lines = FORTY.decode().split("\n")
    at = 3 + 3 * row + ["PAT", "DSP", "PRE"].index(segment)
    fields = lines[at].rstrip("~").split("*")
    position = int(element[3:])
    fields += [""] * (position + 1 - len(fields))
    fields[position] = value
    lines[at] = "*".join(fields) + "~"
    return "\n".join(lines).encode(), at + 1


@pytest.mark.parametrize(("row", "segment", "element", "value", "code"), mutations(200))
def test_a_spoilt_element_is_named_and_the_other_rows_are_good(row, segment, element, value, code):
    content, line = spoilt(row, segment, element, value)
    found = events(content)
    (bad,) = rejected(found)
    assert [(f.line, f.segment, f.element, f.code) for f in bad.faults] == [(line, segment, element, code)]
    assert [(a.row, a.patient) for a in accepted(found)] == WHOLE[:row] + WHOLE[row + 1 :]
    assert closed(found).accepted + closed(found).rejected == 40


@pytest.mark.parametrize("row", range(0, 40, 7))
def test_a_corrected_file_adds_exactly_the_missing_row(row):
    bad = FORTY.replace(f"RX{row + 1:04d}*20260104".encode(), f"RX{row + 1:04d}*2026xxxx".encode())
    good = {a.row.key for a in accepted(read(bad))}
    assert {r.key for r, _ in WHOLE} - good == {WHOLE[row][0].key}


def test_one_in_a_hundred_of_ten_thousand_rows():
    chance = random.Random(5)  # noqa: S311 - seeded on purpose
    bad = set(chance.sample(range(1, 10_001), 100))
    body = [
        s
        for n in range(1, 10_001)
        for s in (patient(n), dispensing(n, e09="?" if n in bad else "20"), PRESCRIBER)
    ]
    found = events(a_file(body))
    assert {r.position for r in rejected(found)} == bad
    assert {r.faults[0].element for r in rejected(found)} == {"DSP09"}
    assert closed(found).accepted == 9_900
    assert noted(found) == []


@given(st.binary(max_size=400), st.integers(0, 2000))
@settings(max_examples=150)
def test_rubbish_in_the_middle_never_raises(rubbish, at):
    whole = a_file(rows(4), pharmacy=PHARMACY)
    content = whole[:at] + rubbish + whole[at:]
    found = events(content)
    assert all(in_words(fault) for fault in noted(found))
    # Whatever it is, it is the same in blocks of any size.
    assert list(read([content[n : n + 5] for n in range(0, len(content), 5)])) == found
    assert list(read([content[n : n + 1] for n in range(len(content))])) == found


HEADER = "TH*4.2*1*01**20260105*0930*P**"
pieces_of_files = st.lists(
    st.one_of(
        st.sampled_from(["~", "\\", "\n", "\r\n", "\r", "*", " ", "TH*", "TH*3.0*", "SMITH*", "\ufeff"]),
        st.sampled_from([*rows(1), PHARMACY, HEADER + "~~", HEADER + "\\\\", HEADER + "~"]),
        st.sampled_from(["IS*1*X", "TP*5", "TT*1*8", "CDI*01*01*1*1", "AIR*NY*1"]),
        st.text(alphabet="THISPADRECTX*~\\\n\r0129é", max_size=12),
    ),
    max_size=30,
)


@given(pieces_of_files)
@settings(max_examples=300)
def test_anything_that_looks_like_the_format_is_read_or_refused(parts):
    content = ("TH*4.2A*1*01**20260105*0930*P**~~" + "".join(parts)).encode()
    found = events(content)
    assert list(read([content[n : n + 1] for n in range(len(content))])) == found
    assert all(in_words(f) for r in rejected(found) for f in r.faults)
    assert sum(isinstance(e, Closed) for e in found) >= 1
    assert all(r.faults for r in rejected(found))

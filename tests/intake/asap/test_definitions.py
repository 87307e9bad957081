"""The definitions of the format as data: what ships holds together, and mistakes are named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stewardship.declarations.places import REFERENCE
from stewardship.domain.errors import DeclarationError
from stewardship.intake.asap import read_definitions, shipped
from stewardship.intake.asap import segments as wanted
from stewardship.intake.asap.decoding import decoder, fault_of

VERSIONS = ["3.0", "4.0", "4.1", "4.2", "4.2A", "4.2B"]


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """A copy of the definitions that a test may spoil."""
    shutil.copytree(REFERENCE / "asap", tmp_path / "asap")
    return tmp_path


def spoil(reference: Path, name: str, old: str, new: str) -> None:
    path = reference / "asap" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_every_version_is_there():
    assert sorted(shipped().versions) == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_that_the_reader_wants_is_misspelt(version):
    known = {
        "DSP": wanted.DSP, "RX": wanted.DSP, "PAT": wanted.PAT, "PRE": wanted.PRE, "CDI": wanted.CDI,
        "AIR": wanted.AIR, "CSR": wanted.AIR, "TP": wanted.COUNT, "TT": wanted.TT, "RPH": wanted.RPH,
    }  # fmt: skip
    for id_, segment in shipped().versions[version].segments.items():
        if id_ in known:
            names = {e.name for e in segment.elements if not e.name.startswith(".")}
            assert names <= set(known[id_]), id_


@pytest.mark.parametrize("version", VERSIONS)
def test_every_required_value_of_a_row_is_required(version):
    segments = shipped().versions[version].segments
    sources = [segments["DSP"], *([segments["RX"]] if "RX" in segments else [])]
    required = {e.name for segment in sources for e in segment.elements if e.required}
    assert {
        "prescription", "written_on", "refills", "filled_on", "fill", "product_qualifier", "product_id",
        "quantity", "days_supply",
    } <= required  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_the_expression_and_the_single_look_agree(version):
    values = [
        "",
        "0",
        "01",
        "02",
        "77",
        "F",
        "X",
        "20260105",
        "20261305",
        "1.5",
        ".",
        "x" * 300,
        "9" * 12,
        "\x01",
    ]
    for segment in shipped().versions[version].segments.values():
        whole = decoder(segment, tuple(e.name for e in segment.elements))
        filler = {"N": "1", "D": "1", "DT": "20260105", "TM": "0930", "AN": "X"}
        good = [min(e.codes) if e.codes else filler[e.type] for e in segment.elements]
        assert whole.values("*".join([segment.id, *good])) is not None
        for at, element in enumerate(segment.elements):
            for value in values:
                text = "*".join([segment.id, *good[:at], value, *good[at + 1 :]])
                wrong = bool(fault_of(element, value)) if value else element.required
                needed = value == "" and any(e.needs == element.id for e in segment.elements)
                if element.type in ("D", "DT") and wrong:
                    continue  # whether it is a number or a day, the maker of the row finds out
                assert (whole.values(text) is None) is (wrong or needed), (element.id, value)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("4.2.toml", 'id = "DSP21"', 'id = "DSP23"', "4.2.toml: the elements of DSP are not numbered"),
        ("4.2.toml", 'codes = "rxnorm-qualifier"', 'codes = "none"', "4.2.toml: DSP18 names a code list"),
        ("4.2.toml", 'based_on = "4.1"', 'based_on = "4.7"', "based on one that is not there"),
        ("4.0.toml", 'terminator = "TH09"', "", "4.0.toml: a version that stands alone"),
        ("4.0.toml", 'type = "DT"', 'type = "DATE"', "4.0.toml: .*one of"),
        ("4.0.toml", "[source]", "[sauce]", "4.0.toml: "),
        ("states.toml", '"DSP16"', '"DSP99"', "states.toml: CO names what no version has"),
        ("codes.toml", "[units]", "[units", "codes.toml: "),
    ],
)
def test_a_mistake_is_named_with_its_file(reference, file, old, new, said):
    spoil(reference, file, old, new)
    with pytest.raises(DeclarationError, match=said):
        read_definitions(reference)


def test_what_was_not_read_in_a_states_guide_says_so():
    assert {state.state for state in shipped().states.values() if state.verified} == set()

"""``stewardship taper`` and ``stewardship prescribers``, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stewardship.cli import main

PRESCRIBERS = """npi,specialty,user,kind,board,board_specialty,from,until,months,accredited,active
1234567893,anesthesiology,u-1,primary,aba,anesthesiology,2010-01-01,lifelong,,,yes
1234567893,anesthesiology,u-1,pain-medicine,aba,pain-medicine,2012-01-01,2099-12-31,,,yes
1234567893,anesthesiology,u-1,fellowship,,,,2011-06-30,12,yes,yes
1245319599,family-medicine,,,,,,,,,yes
"""


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(main, list(words), env=environment)


def told(*words: str) -> Any:
    return json.loads(run("taper", *words, "--json").output)


# --- taper ------------------------------------------------------------------------------------------------


def test_a_schedule_for_a_program() -> None:
    said = told("--drug", "1049621", "--daily", "60", "--days-on", "200", "--start", "2026-12-01")
    assert (said["planned"], said["pace"]["id"], said["starts_on"]) == (True, "after-months", "2026-12-01")
    assert [step["mg_per_day"] for step in said["steps"][:3]] == [55, 50, 45]
    assert sum(row["number"] for row in said["supply"]) > 0


def test_by_the_name_of_an_opioid_and_its_form() -> None:
    words = (
        "--drug",
        "Morphine",
        "--form",
        "extended release oral tablet",
        "--daily",
        "60",
        "--months-on",
        "3",
    )
    assert "Extended Release" in told(*words)["medicine"]


def test_twelve_months_are_a_year_and_eleven_are_not() -> None:
    for months, pace in (("12", "after-a-year"), ("11", "after-months")):
        assert told("--drug", "oxycodone", "--daily", "60", "--months-on", months)["pace"]["id"] == pace


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--drug", "oxycodone"), "dose-unknown"),
        (("--drug", "nothing-known", "--daily", "5"), "medicine-unknown"),
        (("--drug", "methadone", "--daily", "30"), "use-disorder-treatment"),
        (("--drug", "oxycodone", "--daily", "30", "--benzodiazepine", "being-reduced"), "one-at-a-time"),
    ],
)
def test_where_there_is_none_it_is_said_why_with_a_code_of_its_own(words: tuple[str, ...], code: str) -> None:
    done = run("taper", *words, "--json")
    assert (done.exit_code, json.loads(done.output)["code"]) == (3, code)


def test_the_page_never_reads_as_an_order_to_reduce() -> None:
    page = run("taper", "--drug", "oxycodone", "--daily", "60", "--months-on", "18").output
    assert "it asks nobody to" in " ".join(page.split())
    assert "naloxone" in page
    for words in ("taper now", "taper to", "must", "should reduce"):
        assert words not in page.casefold()


@pytest.mark.parametrize("amount", ["0", "-5", "NaN", "1e3", "five"])
def test_what_is_no_amount_is_not_understood(amount: str) -> None:
    assert run("taper", "--drug", "oxycodone", "--daily", amount).exit_code == 2


# --- prescribers ------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> dict[str, str]:
    where = {
        "STEWARDSHIP_DATABASE_URL": f"sqlite:///{tmp_path / 'registry.db'}",
        "STEWARDSHIP_AUDIT_KEY": "only-for-the-audit-0123456789abcdef",
    }
    assert run("db", "upgrade", **where).exit_code == 0
    return where


def test_a_list_is_imported_once_and_told_by_qualification(place: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(PRESCRIBERS)
    for said in ("2 new or changed, 0 as they were", "0 new or changed, 2 as they were"):
        done = run("prescribers", "import", "org-1", str(file), **place)
        assert (done.exit_code, done.output.strip()) == (0, said)
    lines = run("prescribers", "list", "org-1", **place).output.splitlines()
    assert lines[0].startswith("1234567893  anesthesiology · user u-1 · ")
    assert lines[0].endswith(
        "board-certified, pain-medicine-certified, double-board-certified, pain-fellowship"
    )
    assert lines[1] == "1245319599  family-medicine · nothing that a policy may ask for"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("1245319599", "1245319590", "check digit"),
        (",2010-01-01,", ",01/01/2010,", "/2: from is a day"),
        ("fellowship,", "scholarship,", "/4: kind is one of"),
        ("npi,specialty", "npi;specialty", "the first line reads"),
        (",,,,,yes\n", ",,,,yes\n", "another number of fields"),
    ],
)
def test_one_wrong_line_and_nothing_is_kept(
    place: dict[str, str], tmp_path: Path, before: str, after: str, says: str
) -> None:
    assert before in PRESCRIBERS
    file = tmp_path / "list.csv"
    file.write_text(PRESCRIBERS.replace(before, after))
    done = run("prescribers", "import", "org-1", str(file), **place)
    assert done.exit_code == 2
    assert says in done.output
    assert run("prescribers", "list", "org-1", **place).output == ""


def test_one_is_added_by_hand(place: dict[str, str]) -> None:
    words = "add org-1 1234567893 --specialty neurology --primary abpn neurology --primary-from 2010-01-01"
    words += " --pain abpn --pain-from 2012-01-01 --pain-until 2099-01-01"
    done = run("prescribers", *words.split(), **place)
    assert done.output.strip() == "1 new or changed, 0 as they were"
    assert "double-board-certified" in run("prescribers", "list", "org-1", **place).output

"""Requests that others published, rolled forward so that the draft order is of today."""

from __future__ import annotations

import csv
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from stewardship.intake.fhir_r4 import Resources, read_bundle
from stewardship.intake.strict_json import loads
from tests.builders import NOW, TODAY
from tests.cds_hooks.requests import found, topics

OURS = {"no-long-acting", "short-course"}
NAMES = [
    "noPrefetch", "rec-01-in-outpatient-opioid", "rec-02-in-careplan-revisited",
    "rec-02-out-careplan-not-revisited", "rec-03-long-acting-opioid", "rec-03-not-long-acting-opioid",
    "rec-04-05-mme-greater-than-fifty", "rec-06-out-extended-release-27-days",
    "rec-07-seven-of-past-ten-days", "rec-07-six-of-past-ten-days", "rec-08-mme-greater-than-fifty",
    "rec-08-on-naloxone", "rec-08-order-sign-mme-doseRange", "rec-08-order-sign-multiple-doseRate",
    "rec-09-out-PDMP-review-90-days", "rec-10-no-screenings", "rec-10-patient-view-POS-PCP",
    "rec-10-patient-view-end-of-life-med-exclusion", "rec-11-benzo-trigger-with-opioid",
    "rec-11-opioid-trigger-without-benzo", "rec-12-patient-view-in-criteria-met",
]  # fmt: skip
#: Its order's subject is another id than its patient's, as published.
MISMATCHED = "rec-11-opioid-trigger-without-benzo"
_DAY = re.compile(rb'"(\d{4}-\d{2}-\d{2})')


def rolled(path: Path) -> dict[str, Any]:
    """The request with every date moved by as many days as bring its draft order to today."""
    body = path.read_bytes()
    request: Any = loads(body, max_bytes=1_000_000)
    drafts = request["context"].get("draftOrders", {"entry": []})["entry"]
    orders = [entry["resource"]["authoredOn"] for entry in drafts]
    # Without an order, the day on which the published data was last brought up to date.
    marked = re.search(rb'"dateLastUpdated",\s*"valueDateTime": "([\d-]+)"', body)
    of_then = orders[0] if orders else marked.group(1).decode() if marked else ""
    forward = TODAY - date.fromisoformat(of_then[:10])

    def move(match: re.Match[bytes]) -> bytes:
        return b'"' + (date.fromisoformat(match.group(1).decode()) + forward).isoformat().encode()

    return loads(_DAY.sub(move, body), max_bytes=1_000_000)  # type: ignore[return-value]


def test_these_are_all_of_them(examples):
    assert sorted(NAMES) == sorted(path.stem for path in (examples / "cds-hooks").glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_a_published_request_is_answered(name, examples, ehr):
    answer = ehr.ask(rolled(examples / "cds-hooks" / f"{name}.json"))
    told = answer["extension"]["stewardship"]
    if name == MISMATCHED:
        assert (told["disposition"], told["code"]) == ("not-checked", "patient-mismatch")
    else:
        assert told["decision"].startswith("/api/v1/decisions/")
        assert told["findings"]
    for card in answer["cards"]:
        assert len(card["summary"]) < 140


def expectations() -> list[dict[str, str]]:
    """What the published answers show, for the policies that there are."""
    path = Path(__file__).parents[3] / "shared" / "examples" / "cds-hooks" / "expected.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["policy"] in OURS and row["fires"]]


@pytest.mark.parametrize("row", expectations(), ids=lambda row: row["file"])
def test_our_policies_agree_with_what_was_published(row, examples, ehr):
    answer = ehr.ask(rolled(examples / "cds-hooks" / row["file"]))
    assert (row["policy"] in topics(answer)) is (row["fires"] == "yes")
    assert (found(answer, row["policy"])["outcome"] == "breach") is (row["fires"] == "yes")


SUPPLIES = {"patient-2dd5eb3b": 34, "patient-576d74f5": 84, "patient-88f0cc20": 4}


@pytest.mark.parametrize(("name", "supplies"), SUPPLIES.items())
def test_a_synthetic_patient_loads_whole(name, supplies, examples, library):
    body = (examples / "synthea" / f"{name}.json").read_bytes()
    document = loads(body, max_bytes=5_000_000, max_keys=200_000)
    reading = read_bundle(
        document, catalogue=library.catalogue, code_sets=library.code_sets, units=library.units, as_of=NOW
    )
    assert len(reading.chart.supplies) == supplies
    assert reading.patient is not None
    assert reading.chart.gaps == ()
    everything = Resources(document)
    assert len(reading.chart.conditions) == len(everything.of("Condition"))
    assert len(reading.chart.procedures) == len(everything.of("Procedure"))

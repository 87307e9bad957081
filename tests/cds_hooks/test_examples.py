"""Requests that others published, rolled forward so that the draft order is of today."""

from __future__ import annotations

import csv
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from stewardship.intake.fhir_r4 import Resources, read_bundle
from stewardship.intake.strict_json import loads
from tests.builders import NOW, TODAY
from tests.cds_hooks.requests import found

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
_DAY = re.compile(rb'"(\d{4}-\d{2}-\d{2})')


def rolled(path: Path, *, to: str = "order") -> dict[str, Any]:
    """The request with every date moved by as many days as bring its draft order to today; ``to="answer"``
    brings the day to today on which the published data was last brought up to date."""
    body = path.read_bytes()
    request: Any = loads(body, max_bytes=1_000_000)
    drafts = request["context"].get("draftOrders", {"entry": []})["entry"]
    orders = [entry["resource"]["authoredOn"] for entry in drafts]
    marked = re.search(rb'"dateLastUpdated",\s*"valueDateTime": "([\d-]+)"', body)
    # Without an order there is only the other day.
    of_then = orders[0] if orders and to == "order" else marked.group(1).decode() if marked else ""
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
    assert told["decision"].startswith("/api/v1/decisions/")
    assert len(told["findings"]) == 20
    assert len(answer["cards"]) <= 5
    for card in answer["cards"]:
        assert len(card["summary"]) < 140


#: Where we answer otherwise than was published; each has a test of its own below, with its reason.
ARGUED = {"rec-02-out-careplan-not-revisited.json", "rec-11-opioid-trigger-without-benzo.json"}


def expectations() -> list[dict[str, str]]:
    """What the published answers show, or what our stricter policies add to them."""
    path = Path(__file__).parents[3] / "shared" / "examples" / "cds-hooks" / "expected.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["fires"]]


def fires(answer: dict[str, Any], policy: str) -> bool:
    """Whether a prescriber reads of the policy: of its breach, or of what keeps it from being checked."""
    finding = found(answer, policy)
    told = finding["outcome"] in ("breach", "cannot-tell") and finding["enforcement"] != "silent"
    problems = answer["extension"]["stewardship"]["problems"]
    assert told is any(policy in problem["policies"] for problem in problems)
    return told


def test_the_arguments_are_about_published_answers():
    if rows := expectations():
        assert {row["file"] for row in rows} >= ARGUED


@pytest.mark.parametrize(
    "row", [row for row in expectations() if row["file"] not in ARGUED], ids=lambda row: row["file"]
)
def test_a_policy_speaks_where_the_published_answer_does(row, examples, ehr):
    answer = ehr.ask(rolled(examples / "cds-hooks" / row["file"]))
    assert fires(answer, row["policy"]) is (row["fires"] == "yes")


def test_a_plan_of_twelve_days_before_the_order_is_current(examples, ehr):
    """Published: a card. The plan was made on 17 December, the order is dated 29 December, and the answer
    is of 1 May, when the plan was 135 days old. Of the day of the order the plan was 12 days old, within
    the 90 of the published logic as of ours, and nobody's logic fires."""
    request = rolled(examples / "cds-hooks" / "rec-02-out-careplan-not-revisited.json")
    finding = found(ehr.ask(request), "treatment-plan-current")
    assert finding["outcome"] == "pass"
    assert finding["facts"]["plan_or_goal_on"] == (TODAY - timedelta(days=12)).isoformat()


def test_on_the_day_of_the_published_answer_the_same_plan_is_old_and_the_purpose_unclear(examples, ehr):
    """As published then: the prescriber reads of it. But the product is Suboxone, which is approved for
    opioid use disorder and is no opioid for pain: nothing on record says which it is for, so we ask what
    it is for where the published answer takes it for pain."""
    request = rolled(examples / "cds-hooks" / "rec-02-out-careplan-not-revisited.json", to="answer")
    answer = ehr.ask(request)
    assert fires(answer, "treatment-plan-current")
    finding = found(answer, "treatment-plan-current")
    assert (finding["outcome"], finding["missing"]) == ("cannot-tell", ["order.indication"])


def test_suboxone_is_not_taken_for_an_opioid_for_pain(examples, ehr):
    """Published: a card, for its list of opioid analgesics holds Suboxone. Ours speaks too, and asks."""
    answer = ehr.ask(rolled(examples / "cds-hooks" / "rec-01-in-outpatient-opioid.json"))
    finding = found(answer, "nonopioid-first")
    assert (finding["outcome"], finding["missing"]) == ("cannot-tell", ["order.indication"])
    assert found(answer, "short-course")["outcome"] == "not-applicable"


def test_a_medication_history_that_was_not_sent_is_not_one_without_a_benzodiazepine(examples, ehr):
    """Published: no card. The request brings the patient and nothing about medicines, and that is not the
    same as no medicines. No overlap is claimed; that none was looked for is said.

    As published the order's subject is the order's own id. It names no patient, so the order is taken as
    of the patient whom context and prefetch agree on, and is checked rather than refused.
    """
    request = rolled(examples / "cds-hooks" / "rec-11-opioid-trigger-without-benzo.json")
    (draft,) = request["context"]["draftOrders"]["entry"]
    assert draft["resource"]["subject"]["reference"] == draft["resource"]["id"]
    finding = found(ehr.ask(request), "benzodiazepine-overlap")
    assert (finding["outcome"], finding["missing"]) == ("cannot-tell", ["history"])
    request["prefetch"] |= {"medicationRequests": None}
    assert not fires(ehr.ask(request), "benzodiazepine-overlap")


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("rec-08-mme-greater-than-fifty", "breach"), ("rec-08-on-naloxone", "pass")],
)
def test_what_the_patient_takes_counts_though_it_has_the_id_of_the_draft(name, outcome, examples, ehr):
    """In these the draft and a prescription of another medicine have one id: to drop either would lose
    a fentanyl patch, or naloxone."""
    answer = ehr.ask(rolled(examples / "cds-hooks" / f"{name}.json"))
    assert found(answer, "naloxone-offer")["outcome"] == outcome


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

"""``stewardship mme``: what a person and a program read, and what the exit code says."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from click.testing import CliRunner, Result

from stewardship.cli import main
from stewardship.cli.mme import mme

OXYCODONE_5, PERCOCET, FENTANYL_75, SUBOXONE = "1049621", "1049221", "197696", "351266"
METHADONE_10 = "864706"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(mme, arguments)


def told(*arguments: str) -> dict:
    """The answer under the first set, as a program reads it."""
    done = run(*arguments, "--json")
    return json.loads(done.output, parse_float=Decimal)


def total(*arguments: str) -> dict:
    return told(*arguments)["answers"][0]["total"]


def test_the_arithmetic_is_shown_line_by_line():
    done = run(f"{OXYCODONE_5}@1x4", f"{FENTANYL_75}=10/30")
    assert done.exit_code == 0
    assert "oxycodone 5 mg x 4 tablets/day = 20 mg/day x 1.5 = 30 MME/day" in done.output
    assert "fentanyl 75 mcg/h x 1 patch worn = 75 mcg/h x 2.4 = 180 MME/day" in done.output
    assert "Total: 210 MME/day" in done.output
    assert "cdc-2022" in done.output


@pytest.mark.parametrize(
    ("item", "low", "high"),
    [
        (f"{OXYCODONE_5}=28/7", 30, 30),
        (f"{OXYCODONE_5}=28tablets/7", 30, 30),
        (f"{OXYCODONE_5}@1-2x4-6prn", 0, 90),
        (f"{OXYCODONE_5}@10mgx3", 45, 45),
        (f"{OXYCODONE_5}@1x1/8h", 22.5, 22.5),
        (f"{FENTANYL_75}@1x1/3d", 180, 180),
        ("oxycodone hydrochloride 5 MG Oral Tablet@1x4", 30, 30),
        ("OXYCODONE HYDROCHLORIDE 5 MG ORAL TABLET=28/7", 30, 30),
        ("oxycodone hydrochloride 1 MG/ML Oral Solution=100mL/5", 30, 30),
        ("oxycodone hydrochloride 1 MG/ML Oral Solution@1tspx4", 30, 30),
        (f"{SUBOXONE}@1x2", 0, 0),
        ("313782@2x3", 0, 0),
    ],
)
def test_items_in_all_their_forms(item, low, high):
    found = total(item)
    assert (found["low"], found["high"], found["complete"]) == (low, high, True)


def test_a_product_may_be_named_by_its_ndc():
    by_ndc = told("00406-0552-01=28/7")["answers"][0]["items"][0]
    assert by_ndc["code"]["system"] == "ndc"
    assert by_ndc["by"][0]["mme_per_day"] == [30, 30]


def test_an_unknown_medicine_makes_the_total_at_least():
    done = run("99999999@1x2", f"{OXYCODONE_5}@1x4")
    assert done.exit_code == 3
    assert "not in the catalogue" in done.output
    assert "Total: at least 30 MME/day, incomplete" in done.output
    assert "not counted: 1 of 2" in done.output


def test_a_unit_that_does_not_fit_cannot_be_told():
    done = run(f"{OXYCODONE_5}@1patchx4")
    assert done.exit_code == 3
    assert "the unit does not fit the product" in done.output
    assert "MME/day cannot be told" in done.output


def test_what_a_set_leaves_out_is_shown_and_is_no_gap():
    done = run(f"{SUBOXONE}@1x2")
    assert done.exit_code == 0
    assert "buprenorphine: left out of MME by cdc-2022" in done.output


def test_another_factor_set():
    assert total(f"{METHADONE_10}@1x3", "--factor-set", "cdc-2018")["high"] == 90


def test_all_factor_sets_side_by_side():
    answers = told(f"{METHADONE_10}@1x3", "--all-sets")["answers"]
    highs = {answer["factor_set"]["id"]: answer["total"]["high"] for answer in answers}
    assert highs == {"cdc-2016": 240, "cdc-2018": 90, "cdc-2022": 141, "nih-heal-2025": 141}


def test_a_set_that_is_not_verified_says_so():
    assert "not every factor is verified" in run(f"{OXYCODONE_5}@1x4", "--factor-set", "nih-heal-2025").output


def test_sliding_methadone_is_shown_at_the_sum():
    done = run(f"{METHADONE_10}@1x3", f"{METHADONE_10}@1x3", "--factor-set", "cdc-2016")
    assert "methadone in all: 60 mg/day x 10 = 600 MME/day" in done.output
    assert "Total: 600 MME/day" in done.output


def test_combination_products_also_yield_acetaminophen():
    assert "Acetaminophen: 1300 mg/day" in run(f"{PERCOCET}@1x4").output
    found = told(f"{PERCOCET}@1x4", "313782@2x3")["acetaminophen_mg_per_day"]
    assert (found["low"], found["high"], found["complete"]) == (3250, 3250, True)


def test_decimals_are_json_numbers():
    assert '"mme_per_day":[7.5,7.5]' in run(f"{OXYCODONE_5}@1x1", "--json").output


def test_a_program_reads_the_reasons():
    found = total("99999999@1x2")
    assert (found["low"], found["high"], found["complete"]) == (None, None, False)
    assert found["reasons"] == [{"code": "drug-unknown", "about": "medicine"}]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (OXYCODONE_5,),
        (f"{OXYCODONE_5}@x",),
        (f"{OXYCODONE_5}=28",),
        (f"{OXYCODONE_5}=28/-7",),
        (f"{OXYCODONE_5}@1e5x4",),
        (f"{OXYCODONE_5}@1x4", "--factor-set", "cdc-1999"),
        (f"{OXYCODONE_5}@1x4", "--factor-set", "cdc-2018", "--all-sets"),
    ],
)
def test_what_is_not_understood_is_a_usage_error(arguments):
    assert run(*arguments).exit_code == 2


def test_full_width_digits_are_not_digits():
    assert run(f"{OXYCODONE_5}@１x4").exit_code == 2


def test_it_is_a_command_of_stewardship():
    assert "MME a day" in CliRunner().invoke(main, ["mme", "--help"]).output


# --- files ----------------------------------------------------------------------------------------------


def a_request(own_id: str, status: str, written: str, **more: object) -> dict:
    return {
        "resourceType": "MedicationRequest",
        "id": own_id,
        "status": status,
        "intent": "order",
        "subject": {"reference": "Patient/p-1"},
        "authoredOn": written,
        "medicationCodeableConcept": {
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": OXYCODONE_5}]
        },
        "dosageInstruction": [
            {
                "timing": {"repeat": {"frequency": 4, "period": 1, "periodUnit": "d"}},
                "doseAndRate": [{"doseQuantity": {"value": 1, "code": "TAB"}}],
            }
        ],
        "dispenseRequest": {
            "quantity": {"value": 60, "code": "TAB"},
            "expectedSupplyDuration": {"value": 10, "code": "d", "system": "http://unitsofmeasure.org"},
        },
    } | more


@pytest.fixture
def bundle(tmp_path):
    """A draft, a prescription that is being taken, and one that ran out long ago."""
    resources = [
        a_request("draft-1", "draft", "2026-11-21"),
        a_request("now", "active", "2026-11-15"),
        a_request("then", "completed", "2026-01-05"),
    ]
    path = tmp_path / "bundle.json"
    entries = [{"resource": resource} for resource in resources]
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    return path


def test_of_a_file_the_drafts_and_what_is_being_taken_are_counted(bundle):
    found = total(str(bundle), "--today", "2026-11-21")
    # 60 tablets in ten days, twice: six a day each, 45 MME each
    assert (found["high"], found["medicines"], found["complete"]) == (90, 2, True)


def test_where_both_roads_are_known_both_are_shown_and_so_is_the_gap(bundle):
    done = run(str(bundle), "--today", "2026-11-21")
    assert "as written: oxycodone 5 mg x 4 tablets/day" in done.output
    assert "as dispensed: oxycodone 5 mg x 6 tablets/day" in done.output
    assert "gap: 4 a day written, 6 a day dispensed" in done.output


def test_a_history_with_a_gap_makes_the_total_at_least(bundle):
    document = json.loads(bundle.read_text())
    undated = a_request("sometime", "active", "2026-11-15")
    del undated["authoredOn"]
    document["entry"].append({"resource": undated})
    bundle.write_text(json.dumps(document))
    found = total(str(bundle), "--today", "2026-11-21")
    assert (found["high"], found["complete"]) == (135, False)
    assert {"code": "supply-without-date", "about": "medication history"} in found["reasons"]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("rec-08-order-sign-multiple-doseRate.json", 540, 540),
        ("rec-08-order-sign-mme-doseRange.json", 30, 90),
        ("rec-04-05-mme-greater-than-fifty.json", 540, 540),
        ("noPrefetch.json", 540, 540),
    ],
)
def test_published_requests_come_to_at_least_what_was_published(examples, name, low, high):
    # Published: 180 MME for the 75 mcg/h patch, one patch at a time. 30 patches for 30 days, or one put
    # on every day, are three patches of 72 hours at a time.
    found = total(str(examples / "cds-hooks" / name), "--today", "2023-05-01")
    assert (found["low"], found["high"]) == (low, high)

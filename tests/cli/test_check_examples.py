"""``stewardship check`` on input that nobody here wrote."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from stewardship.cli import main

DECIDED = {0, 10, 20, 30}
PATIENTS = ("patient-2dd5eb3b", "patient-576d74f5", "patient-88f0cc20")


def check(*arguments):
    done = CliRunner().invoke(main, ["check", "--today", "2026-11-21", *map(str, arguments)])
    assert "Traceback" not in done.output
    return done


@pytest.mark.parametrize("patient", PATIENTS)
def test_a_new_order_for_a_synthea_patient_explains_itself(examples, patient):
    file = examples / "synthea" / f"{patient}.json"
    done = check(
        file, "--drug", "1049621", "--quantity", "40", "--days", "10", "--per-day", "4", "--phase", "acute"
    )
    assert done.exit_code == 20
    assert "oxycodone hydrochloride 5 MG Oral Tablet" in done.stdout
    assert "short-course" in done.stdout
    assert "→" in done.stdout


@pytest.mark.parametrize("patient", PATIENTS)
def test_a_history_is_not_mistaken_for_the_new_order(examples, patient):
    file = examples / "synthea" / f"{patient}.json"
    done = check(file, "--json", "--drug", "857002", "--days", "3", "--phase", "acute", "--refills", "0")
    (decision,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert decision["order_id"] == "draft"
    assert done.exit_code in DECIDED


def test_every_published_request_is_decided_or_refused_with_words(examples):
    codes = {}
    for file in sorted((examples / "cds-hooks").glob("*.json")):
        done = check(file)
        codes[file.name] = done.exit_code
        assert done.stdout or done.stderr.startswith("error: "), file.name
    refused = {name for name, code in codes.items() if code not in DECIDED}
    # Its Encounter is of another patient than its context: refused, with nothing of either shown.
    assert refused <= {"rec-11-opioid-trigger-without-benzo.json"}

"""``stewardship check``: what it reads, what it answers, and with which exit code."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from click.testing import CliRunner

from stewardship.cli import main

TODAY = "2026-11-21"
OXYCODONE = "1049621"
IBUPROFEN = "310965"
PDMP_REVIEW, PHYSICAL_THERAPY = "461621000124108", "91251008"


def an_order(**changes):
    """Oxycodone 5 mg for an acute pain: 12 tablets for three days."""
    order = {
        "medicine": {"rxcui": OXYCODONE},
        "dosage": [{"dose": 1, "unit": "tablet", "frequency": 4, "period": 1, "period_unit": "d"}],
        "quantity": 12,
        "quantity_unit": "tablet",
        "days_supply": 3,
        "refills": 0,
        "pain": {"phase": "acute"},
    }
    return {name: value for name, value in {**order, **changes}.items() if value is not None}


def a_case(order=None, **changes):
    return {"patient": {"id": "p-1"}, "order": order or an_order(), "history": {}, **changes}


#: A history in which the guideline finds nothing to ask for before a first short course.
WELL_KEPT = {
    "procedures": [{"code": {"system": "snomed-ct", "code": PDMP_REVIEW}, "on": "2026-11-20"}],
    "supplies": [{"medicine": {"rxcui": IBUPROFEN}, "start_on": "2026-11-18", "days_supply": 5}],
}


def a_request(rid="rx-1", status="draft", patient="p-1", days=3, authored=TODAY, **changes):
    return {
        "resourceType": "MedicationRequest",
        "id": rid,
        "status": status,
        "intent": "order",
        "subject": {"reference": f"Patient/{patient}"},
        "authoredOn": authored,
        "medicationCodeableConcept": {
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": OXYCODONE}]
        },
        "dosageInstruction": [
            {
                "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}],
                "timing": {"repeat": {"frequency": 4, "period": 1, "periodUnit": "d"}},
            }
        ],
        "dispenseRequest": {
            "numberOfRepeatsAllowed": 0,
            "expectedSupplyDuration": {
                "value": days,
                "unit": "d",
                "system": "http://unitsofmeasure.org",
                "code": "d",
            },
        },
        **changes,
    }


def a_bundle(*resources, patient="p-1"):
    everything = [{"resourceType": "Patient", "id": patient}, *resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in everything]}


def a_hook(*drafts, prefetch=None, **context):
    return {
        "hook": "order-sign",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {
            "userId": "Practitioner/x",
            "patientId": "p-1",
            "draftOrders": a_bundle(*drafts),
            **context,
        },
        "prefetch": {"medicationRequests": None, "conditions": None} if prefetch is None else prefetch,
    }


def check(document, *options):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return CliRunner().invoke(main, ["check", "-", "--today", TODAY, *options], input=body)


def decisions(done):
    assert done.exit_code not in {2, 3}, done.output
    return [json.loads(line, parse_float=Decimal) for line in done.stdout.splitlines()]


def outcomes(done):
    (decision,) = decisions(done)
    return {f["policy"]: (f["outcome"], f["enforcement"]) for f in decision["findings"]}


# --- exit codes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (an_order(), 0),
        (an_order(quantity=20, days_supply=5), 0),
        (an_order(quantity=40, days_supply=10), 20),
        (an_order(medicine={"text": "something else"}), 30),
        (an_order(days_supply=None, quantity=None, dosage=None), 30),
    ],
    ids=["clear", "advised", "blocked", "unknown drug", "no duration"],
)
def test_the_exit_code_tells_where_the_order_stands(order, code):
    assert check(a_case(order, history=WELL_KEPT)).exit_code == code


def test_a_soft_stop_asks_for_a_reason():
    chronic = an_order(quantity=120, days_supply=30, pain={"phase": "chronic"})
    assert check(a_case(chronic)).exit_code == 10


def test_the_gravest_of_several_orders_counts():
    both = a_bundle(a_request("one", days=3), a_request("two", days=10))
    assert check(both).exit_code == 20


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b'{"patient": {"id": "p"}, "order": {"quantity": NaN}}', b"{}"],
    ids=["empty", "list", "cut", "repeated key", "NaN", "of no kind"],
)
def test_what_cannot_be_read_is_refused(body):
    done = check(body)
    assert done.exit_code == 2
    assert "error:" in done.stderr
    assert done.stdout == ""


def test_a_number_in_quotes_is_refused_with_its_place():
    assert "/order/days_supply" in check(a_case(an_order(days_supply="3"))).stderr


def test_a_day_without_policies_is_no_clear():
    done = CliRunner().invoke(main, ["check", "-", "--today", "2001-01-01"], input=json.dumps(a_case()))
    assert done.exit_code == 3
    assert "no policy is in force on 2001-01-01" in done.stderr


# --- the three kinds of file ---------------------------------------------------------------------


def test_all_three_kinds_of_file_give_the_same_decision():
    said = [
        outcomes(check(document, "--json"))
        for document in (
            a_case(an_order(days_supply=10, quantity=None, pain=None)),
            a_bundle(a_request(days=10)),
            a_hook(a_request(days=10)),
        )
    ]
    assert said[0] == said[1] == said[2]
    assert said[0]["short-course"] == ("breach", "hard-stop")


def a_procedure(code):
    return {
        "resourceType": "Procedure",
        "id": f"procedure-{code}",
        "status": "completed",
        "subject": {"reference": "Patient/p-1"},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
        "performedDateTime": "2026-11-20",
    }


def test_a_hook_that_brings_no_medicines_cannot_tell():
    done_before = a_bundle(a_procedure(PDMP_REVIEW), a_procedure(PHYSICAL_THERAPY))
    done = check(a_hook(a_request(), prefetch={"procedures": done_before}), "--json")
    assert outcomes(done)["early-refill"][0] == "cannot-tell"
    assert done.exit_code == 30


def test_only_what_a_hook_selects_is_judged():
    request = a_hook(
        a_request("one", days=3), a_request("two", days=10), selections=["MedicationRequest/two"]
    )
    request["hook"] = "order-select"
    (decision,) = decisions(check(request, "--json"))
    assert decision["order_id"] == "two"


def test_without_a_draft_the_active_order_written_last_is_judged():
    bundle = a_bundle(
        a_request("old", "active", authored="2026-10-01"),
        a_request("new", "active", authored=TODAY, days=10),
        a_request("done", "completed", authored=TODAY),
    )
    assert "no draft in the Bundle" in check(bundle).stdout
    assert [d["order_id"] for d in decisions(check(bundle, "--json"))] == ["new"]


def test_what_fills_the_judged_order_is_not_its_history():
    fill = {
        "resourceType": "MedicationDispense",
        "id": "fill-1",
        "status": "completed",
        "subject": {"reference": "Patient/p-1"},
        "authorizingPrescription": [{"reference": "MedicationRequest/new"}],
        "medicationCodeableConcept": a_request()["medicationCodeableConcept"],
        "whenHandedOver": TODAY,
        "daysSupply": {"value": 3, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"},
    }
    done = check(a_bundle(a_request("new", "active"), fill), "--json")
    assert outcomes(done)["early-refill"][0] == "pass"


def test_a_bundle_without_an_order_asks_for_one():
    done = check(a_bundle(a_request(status="completed")))
    assert done.exit_code == 2
    assert "--order" in done.stderr


def test_a_bundle_about_two_patients_is_refused_and_shows_neither():
    done = check(a_bundle(a_request(patient="ZZQ-CANARY")))
    assert done.exit_code == 2
    assert "CANARY" not in done.output


# --- a new order ---------------------------------------------------------------------------------


def test_options_describe_a_new_order():
    options = ("--drug", OXYCODONE, "--quantity", "40", "--days", "10", "--per-day", "4", "--phase", "acute")
    (decision,) = decisions(check(a_bundle(a_request("history", "completed")), "--json", *options))
    (finding,) = [f for f in decision["findings"] if f["policy"] == "short-course"]
    assert (finding["outcome"], finding["facts"]["days_supply"]) == ("breach", 10)


@pytest.mark.parametrize("drug", [OXYCODONE, "Oxycodone Hydrochloride  5 mg Oral Tablet"])
def test_a_drug_may_be_a_code_or_an_exact_name(drug):
    options = ("--quantity", "12", "--days", "3", "--per-day", "4", "--phase", "acute", "--refills", "0")
    assert check(a_case(history=WELL_KEPT), "--drug", drug, *options).exit_code == 0


def test_a_name_that_is_not_exact_gets_suggestions_and_no_guess():
    done = check(a_case(), "--drug", "oxycodone 5 tablet")
    assert done.exit_code == 2
    assert OXYCODONE in done.stderr


def test_a_code_that_nobody_knows_could_not_be_checked():
    assert check(a_case(), "--drug", "99999999", "--days", "3").exit_code == 30


def test_a_replacement_is_seen():
    done = check(a_case(), "--json", "--drug", OXYCODONE, "--days", "3", "--lost", "stolen")
    assert outcomes(done)["no-lost-refills"] == ("breach", "hard-stop")


@pytest.mark.parametrize(
    "order", [an_order(quantity=40, days_supply=10), a_request(days=10)], ids=["ours", "FHIR"]
)
def test_a_new_order_may_come_in_a_file(tmp_path, order):
    file = tmp_path / "order.json"
    file.write_text(json.dumps(order))
    done = check(a_bundle(), "--json", "--order", str(file))
    assert outcomes(done)["short-course"] == ("breach", "hard-stop")


@pytest.mark.parametrize(
    "options", [("--days", "3"), ("--drug", OXYCODONE, "--days", "1e999"), ("--database",)]
)
def test_options_that_make_no_sense_are_usage_errors(options):
    assert check(a_case(), *options).exit_code == 2


# --- what is shown -------------------------------------------------------------------------------


def test_a_person_reads_what_why_and_what_next():
    shown = check(a_case(an_order(quantity=40, days_supply=10))).stdout
    for words in (
        "oxycodone hydrochloride 5 MG Oral Tablet",
        "BLOCKED",
        "short-course",
        "facts:",
        "→",
        "exception:",
    ):
        assert words in shown
    assert f"judged as of {TODAY}" in shown


def test_all_shows_what_the_shared_blocks_leave_out():
    # Ten days again, of a chart in which nothing was reviewed: several problems, several policies each.
    chronic = a_case(an_order(quantity=120, days_supply=30, pain={"phase": "chronic"}))
    in_brief, every = check(chronic).stdout, check(chronic, "--all").stdout
    assert in_brief.count("source: ") < every.count("source: ")
    assert "+ soft stop" in in_brief
    assert "+ soft stop" not in every


def test_json_is_one_decision_a_line_with_every_policy_in_force():
    from stewardship.declarations import load

    (decision,) = decisions(check(a_case(), "--json"))
    assert decision["id"] is None
    in_force = {p.id for p in load().in_force(date.fromisoformat(TODAY))}
    assert {f["policy"] for f in decision["findings"]} == in_force


def test_colours_are_for_terminals(monkeypatch):
    body = json.dumps(a_case())
    arguments = ["check", "-", "--today", TODAY]
    assert "\x1b[" in CliRunner().invoke(main, arguments, input=body, color=True).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in CliRunner().invoke(main, arguments, input=body, color=True).output


def test_words_of_the_file_do_not_steer_the_terminal():
    shown = check(
        a_bundle(a_request(medicationCodeableConcept={"text": "\x1b[2J\x1b]0;gone\x07poppy tea"}))
    ).stdout
    assert "\x1b" not in shown
    assert "poppy tea" in shown


def test_a_name_in_the_file_is_never_shown():
    bundle = a_bundle(a_request(days=10))
    bundle["entry"][0]["resource"]["name"] = [{"family": "ZZQCANARY"}]
    done = check(bundle)
    assert "ZZQCANARY" not in done.output


# --- joined with a database ----------------------------------------------------------------------


def test_the_database_adds_what_it_knows(tmp_path, monkeypatch):
    monkeypatch.setenv("STEWARDSHIP_DATABASE_URL", f"sqlite:///{tmp_path / 'house.db'}")
    made = CliRunner().invoke(main, ["demo", "--dir", str(tmp_path / "demo"), "--no-serve"])
    assert made.exit_code == 0, made.output
    order = an_order(quantity=20, days_supply=5)
    case = a_case(order, history=WELL_KEPT) | {"patient": {"id": demo_patient("serial-short-courses")}}
    arguments = ["check", "-", "--json"]
    alone = CliRunner().invoke(main, arguments, input=json.dumps(case))
    joined = CliRunner().invoke(
        main, [*arguments, "--database", "--organisation", "demo-clinic"], input=json.dumps(case)
    )
    assert (alone.exit_code, joined.exit_code) == (0, 20)


def demo_patient(kind):
    from stewardship.declarations import load
    from stewardship.demo import recipes
    from stewardship.demo.clinic import make

    return make(recipes.read(), load(), now=datetime.now(UTC)).patient(kind)


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/at/all.db"])
def test_a_database_that_cannot_be_used_is_said_without_a_stack_trace(monkeypatch, url):
    monkeypatch.setenv("STEWARDSHIP_DATABASE_URL", url)
    done = check(a_case(), "--database", "--organisation", "demo-clinic")
    assert done.exit_code == 3
    assert "STEWARDSHIP_DATABASE_URL" in done.stderr
    assert "Traceback" not in done.output

"""Reports about cards, gaps, reassessments, files and groups of patients: every cell of small records."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert, select

from stewardship.db import documents, function_tables, import_tables, tables, transaction
from stewardship.domain.chart import Patient
from stewardship.domain.policy import Breach, CannotTell, Enforcement, Met
from stewardship.reports.reporting import WITHHELD
from stewardship.services import audit, feedback, orders
from tests.builders import NOW, TODAY, a_chart, a_drug, an_order
from tests.reports.test_counted import check, override, report, share
from tests.services.declared import EHR, ORGANISATION, Declared, KnowsOne, a_policy

DAY = timedelta(days=1)


# --- cards --------------------------------------------------------------------------------------------


def test_cards_by_what_was_last_reported_and_rules_that_nobody_heeds(clinic):
    decision = check(clinic, a_policy("a", Breach()), a_policy("b", Breach()))
    cards = [feedback.ShownCard(f"c-{n}", decision, ("a", "b")[: n + 1], "soft-stop") for n in range(3)]
    said = [("c-0", "overridden", 1), ("c-0", "accepted", 2), ("c-1", "overridden", 1)]
    reports = [
        feedback.Report(card, feedback.CardOutcome(outcome), at=NOW + timedelta(minutes=after))
        for card, outcome, after in said
    ]
    with transaction(clinic) as session:
        feedback.cards_shown(session, cards, by=EHR, now=NOW)
        feedback.give(session, service="s", reports=reports, by=EHR, now=NOW + timedelta(hours=1))
    found = report(clinic, "alert-usefulness")
    assert found["policies"] == [
        ("a", 3, 1, 1, 1, share("50.0")),
        ("b", 2, 0, 1, 1, share("0.0")),
    ]
    assert found["unheeded"] == [("b", 1)]


# --- what could not be checked ------------------------------------------------------------------------


def test_what_was_missing_is_counted_by_policy_and_fact(clinic):
    check(clinic, a_policy("a", CannotTell(("weight", "dose"))), a_policy("b", Met()), id="o-1")
    check(clinic, a_policy("a", CannotTell(("dose",))), a_policy("b", CannotTell(("dose",))), id="o-2")
    check(clinic, a_policy("a", Breach()), id="o-3")
    with transaction(clinic) as session:
        card = feedback.ShownCard("c-1", None, (), "inform", "not-checked")
        feedback.cards_shown(session, [card], by=EHR, now=NOW)
        for number, code in enumerate(("timeout", "fault", "timeout", "another")):
            detail = {"channel": "cds-hooks/order-sign", "code": code}
            audit.record(session, "order.not-checked", subject=f"r-{number}", by=EHR, now=NOW, detail=detail)
    found = report(clinic, "unchecked")
    assert [row[1] for row in found["whole"]] == [3, 2, 1, 1, 1, 2]
    assert [row[0] for row in found["whole"]][3:] == [
        "another",
        "Checks not made: a fault of the service",
        "Checks not made: no answer in time",
    ]
    assert found["policies"] == [("a", 3, 2, share("66.7")), ("b", 2, 1, share("50.0"))]
    assert found["facts"] == [("dose", "a", 2), ("dose", "b", 1), ("weight", "a", 1)]


# --- reassessments ------------------------------------------------------------------------------------


def a_review(number, state, due, *, done=None, interval="every-90-days", clinician="dr-1"):
    closed = state in {"done", "cancelled"}
    return {
        "organisation_id": ORGANISATION,
        "id": f"r-{number}",
        "patient_id": f"p-{number}",
        "interval": interval,
        "exact_on": due,
        "due_on": due,
        "since": due - 90 * DAY,
        "state": state,
        "clinician": clinician,
        "assigned": False,
        "planned_at": NOW,
        "opened_at": NOW,
        "opened_late_days": 0,
        "missed_at": NOW if state == "missed" else None,
        "done_on": done,
        "closed_at": NOW if closed else None,
        "excused": False,
        "reason": "moved away" if state == "cancelled" else "",
        "note": "",
    }


def patients(sessions, *numbers, **more):
    with transaction(sessions) as session:
        for n in numbers:
            row = {"organisation_id": ORGANISATION, "id": f"p-{n}", "ehr_id": f"e-{n}", "recorded_at": NOW}
            session.execute(insert(tables.Patient.__table__), row | more)


def test_reassessments_done_in_time_late_overdue_and_called_off(clinic):
    patients(clinic, *range(7))
    before = TODAY - 10 * DAY
    rows = [
        a_review(0, "done", before, done=before),
        a_review(1, "done", before, done=before + DAY),
        a_review(2, "missed", before),
        a_review(3, "due", before + DAY, clinician=""),
        a_review(4, "due", TODAY),
        a_review(5, "cancelled", before),
        a_review(6, "missed", TODAY - 60 * DAY),
    ]
    with transaction(clinic) as session:
        session.execute(insert(function_tables.Reassessment.__table__), rows)
    found = report(clinic, "reassessments", since=TODAY - 30 * DAY, days=31)
    assert found["intervals"] == [("every-90-days", 6, 1, 1, 2, 1, 1, share("50.0"))]
    assert found["clinicians"] == [("dr-1", 1, before), ("nobody", 1, before + DAY)]


# --- files --------------------------------------------------------------------------------------------


def test_files_their_faults_and_who_is_silent(clinic):
    def an_import(n, status, rows, rejected):
        return {
            "organisation_id": ORGANISATION,
            "id": f"i-{n}",
            "digest": f"{n}" * 64,
            "format": "asap",
            "source": "f",
            "status": status,
            "reason": "",
            "rows": rows,
            "stored": rows - rejected,
            "unchanged": 0,
            "rejected": rejected,
            "position": rows,
            "by_user": "u",
            "by_role": "pharmacist",
            "started_at": NOW,
            "seen_at": NOW,
            "ended_at": NOW,
        }

    def a_pharmacy(name, expected, **more):
        return {
            "organisation_id": ORGANISATION,
            "id": name,
            "npi": "",
            "ncpdp": "",
            "dea": "",
            "name": "",
            "bound": False,
            "retired": False,
            "first_seen_at": NOW,
            "data_as_of": expected and expected - DAY,
            "expected_by": expected,
        } | more

    late = NOW - timedelta(hours=5)
    with transaction(clinic) as session:
        rows = [an_import(1, "complete", 10, 1), an_import(2, "complete", 30, 3)]
        session.execute(insert(import_tables.Import.__table__), rows)
        fault = {"organisation_id": ORGANISATION, "import_id": "i-1", "seq": 1, "number": 1, "of_row": True}
        fault |= {"line": 2, "segment": "DSP", "element": "DSP05", "code": "date"}
        session.execute(insert(import_tables.ImportFault.__table__), fault)
        rows = [
            a_pharmacy("late", late),
            a_pharmacy("in-time", NOW + DAY),
            a_pharmacy("never", None),
            a_pharmacy("closed", late, retired=True),
        ]
        session.execute(insert(import_tables.Pharmacy.__table__), rows)
    found = report(clinic, "imports")
    assert found["files"] == [("asap", "complete", 2, 40, 36, 0, 4, share("10.0"))]
    assert found["faults"] == [("date", 1)]
    assert found["silent"] == [("late", late - DAY, late, Decimal("5.0")), ("never", None, None, None)]


# --- groups of patients -------------------------------------------------------------------------------

SOFT, HARD = a_policy("a", Breach()), a_policy("h", Breach(), enforcement=Enforcement.HARD_STOP)


def check_for(sessions, number, policy, *, birth, sex):
    library = Declared((policy,), catalogue=KnowsOne(a_drug()))
    patient = Patient(f"e-{number}", birth, sex)
    order = an_order(id=f"o-{number}", patient_id=patient.id)
    with transaction(sessions) as session:
        chart = a_chart(patient=patient)
        (checked,) = orders.check(session, library, [order], chart, channel="test", by=EHR, now=NOW)
    return checked.decision_id


@pytest.mark.parametrize(("women", "shown"), [(10, WITHHELD), (11, 11)])
def test_a_group_of_ten_is_withheld_and_one_of_eleven_is_shown(clinic, women, shown):
    for number in range(women):
        decision = check_for(clinic, number, SOFT, birth=date(1980, 1, 1), sex="female")
        override(clinic, decision, "a")
    for number in range(women, women + 12):
        check_for(clinic, number, HARD, birth=date(1950, 1, 1), sex="male")
    found = report(clinic, "equity")
    by_sex = {row[0]: row for row in found["sexes"]}
    rate = WITHHELD if shown is WITHHELD else share("100.0")
    assert by_sex["female"][1:5] == (shown, shown, shown, rate)
    ages = [row[0] for row in found["ages"]]
    assert ages == ["35 to 49", "65 to 79"]
    if shown is WITHHELD:
        # Two groups: the one shown would give the other away.
        assert by_sex["male"][1] == WITHHELD
    else:
        assert by_sex["male"][1:] == (12, 0, 0, None, 12, share("100.0"))


def test_who_paid_is_told_by_the_newest_dispensing_that_says_so_and_else_cannot_be_told(clinic):
    for number in range(24):
        check_for(clinic, number, HARD, birth=date(1950, 1, 1), sex="male")
    said = {n: [("", 1), ("cash", 2), ("insurance", 3), ("", 4)] for n in range(12)}
    with transaction(clinic) as session:
        ids = {
            row.ehr_id: row.id for row in session.execute(select(tables.Patient.id, tables.Patient.ehr_id))
        }
        for number, several in said.items():
            for paid, days in several:
                row = {
                    "organisation_id": ORGANISATION,
                    "patient_id": ids[f"e-{number}"],
                    "kind": "dispensing",
                }
                row |= {"source_id": f"s-{days}", "status": "completed", "start_on": TODAY - (9 - days) * DAY}
                row |= dict.fromkeys(("prescription", "prescriber", "pharmacy", "treatment_type"), "")
                row |= {"setting": "outpatient", "recorded_at": NOW}
                row |= {"document": documents.encode({"medication": {}, **({"paid": paid} if paid else {})})}
                session.execute(insert(tables.Supply.__table__), row)
    assert report(clinic, "equity")["payers"] == [
        ("cannot tell", 12, 0, 0, None, 12, share("100.0")),
        ("insurance", 12, 0, 0, None, 12, share("100.0")),
    ]

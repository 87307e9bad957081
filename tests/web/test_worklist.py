"""A clinician's worklist: what the records say is theirs, the longest overdue first, nobody else's."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import insert, update

from stewardship.db import care_tables, follow_up_tables, function_tables, tables, transaction
from stewardship.domain.people import Role
from tests.api.conftest import ELSEWHERE, HERE, NOW
from tests.web.conftest import running_of, signed_in

_numbers = count(1)


@pytest.fixture
def a_review(client):
    """Puts a review of somebody new on a worklist; the patient's record number."""

    def make(clinician: str, *, late: int = 0, state: str = "due", organisation: str = HERE) -> str:
        name = f"worklisted-{next(_numbers)}"
        due_on = NOW.date() - timedelta(days=late)
        of = {"organisation_id": organisation}
        person = of | {"id": name, "ehr_id": f"MRN-{name}", "sex": "", "deceased": False, "recorded_at": NOW}
        review = (
            of
            | {"id": name, "patient_id": name, "interval": "long-term", "exact_on": due_on, "due_on": due_on}
            | {"since": due_on - timedelta(days=90), "state": state, "clinician": clinician}
            | {"assigned": False, "planned_at": NOW, "opened_at": NOW, "opened_late_days": 0}
            | {"missed_at": NOW if state == "missed" else None}
            | {"excused": False, "reason": "", "note": ""}
        )
        with transaction(running_of(client.application).sessions) as session:
            session.execute(insert(tables.Patient.__table__), person)
            session.execute(insert(function_tables.Reassessment.__table__), review)
        return f"MRN-{name}"

    return make


def test_mine_is_what_the_records_say_is_mine(client, a_review):
    who = signed_in(client, Role.PRESCRIBER)
    mine = a_review(who.user_id)
    others = a_review("somebody-else")
    page = client.get("/worklist").text
    assert mine in page
    assert others not in page
    everybody = client.get("/worklist?whose=everybody").text
    assert mine in everybody
    assert others in everybody


def test_the_longest_overdue_is_first_and_says_how_late_it_is(client, a_review):
    who = signed_in(client, Role.PRESCRIBER)
    today, late = a_review(who.user_id), a_review(who.user_id, late=12, state="missed")
    page = client.get("/worklist").text
    assert page.index(late) < page.index(today)
    assert "12 days late" in page
    assert "1 past the day" in page


def test_each_line_leads_to_the_patient_and_the_review(client, a_review):
    who = signed_in(client, Role.PRESCRIBER)
    name = a_review(who.user_id).removeprefix("MRN-")
    page = client.get("/worklist").text
    assert f'href="/patients/{name}"' in page
    assert f'href="/patients/{name}/reviews/{name}"' in page


def test_what_is_planned_or_done_is_not_on_it(client, a_review):
    who = signed_in(client, Role.PRESCRIBER)
    assert a_review(who.user_id, state="planned") not in client.get("/worklist").text
    assert "Nothing is due" in client.get("/worklist").text


def test_another_organisations_reviews_are_on_nobodys_list_here(client, a_review):
    signed_in(client, Role.PRESCRIBER, ELSEWHERE, user="same-name")
    foreign = a_review("same-name", organisation=ELSEWHERE)
    assert foreign in client.get("/worklist").text
    signed_in(client, Role.PRESCRIBER, HERE, user="same-name")
    for path in ("/worklist", "/worklist?whose=everybody"):
        assert foreign not in client.get(path).text


def test_nobody_else_sees_it(client):
    assert client.get("/worklist").status_code == 303


def test_pain_to_look_at_again_is_below_with_what_to_do(client):
    who = signed_in(client, Role.PRESCRIBER)
    assert "Pain to look at again" not in client.get("/worklist").text
    name = f"pain-{next(_numbers)}"
    of = {"organisation_id": HERE}
    person = of | {"id": name, "ehr_id": f"MRN-{name}", "sex": "", "deceased": False, "recorded_at": NOW}
    seen = {"document": "{}", "by_user": who.user_id, "by_role": "prescriber", "at": NOW}
    assessed = of | {"id": name, "patient_id": name, "on_day": NOW.date(), **seen}
    again = of | {"assessment_id": name, "trigger": "no-improvement-days", "patient_id": name}
    again |= {"opens_on": NOW.date(), "due_on": NOW.date(), "clinician": who.user_id, "at": NOW}
    with transaction(running_of(client.application).sessions) as session:
        session.execute(insert(tables.Patient.__table__), person)
        session.execute(insert(care_tables.PainAssessment.__table__), assessed)
        session.execute(insert(follow_up_tables.PainFollowUp.__table__), again)
    page = client.get("/worklist").text
    assert f"MRN-{name}" in page
    assert "Call between the fourth and the seventh day" in page
    assert f"/patients/{name}/assessment" in page


def test_who_may_not_open_a_patient_is_led_to_none(client, a_review):
    signed_in(client, Role.COMPLIANCE)
    number = a_review("somebody", late=3)
    page = client.get("/worklist?whose=everybody").text
    assert f"Patient {number}" in page
    assert 'href="/patients/' not in page


def test_whom_only_pharmacies_know_is_shown_without_our_number_for_him(client, a_review):
    signed_in(client, Role.PRESCRIBER)
    number = a_review("somebody")
    patients = tables.Patient.__table__
    with transaction(running_of(client.application).sessions) as session:
        own = update(patients).where(patients.c.ehr_id == number).values(ehr_id=f"feed-{number}")
        session.execute(own)
    page = client.get("/worklist?whose=everybody").text
    assert "feed-" not in page
    assert "Patient without a record number</a>" in page

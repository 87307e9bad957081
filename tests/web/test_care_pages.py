"""What stands around a plan on pages: goals, who does what, referrals and their letters, wishes, coverage."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from stewardship.db import transaction
from stewardship.domain.care import SaidBy, Stance
from stewardship.domain.chart import Condition
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.domain.evaluation import (
    CameBecause,
    DocumentKind,
    DocumentState,
    ExamPart,
    Finding,
    PainType,
    StudyKind,
)
from stewardship.domain.people import Role
from stewardship.domain.plan_referrals import ReferralStatus
from stewardship.services import care, patient_wishes, plans
from stewardship.services.plans import PlanRead
from tests.api.conftest import ELSEWHERE, Clock
from tests.builders import NOW, TODAY, a_supply
from tests.web.conftest import running_of, signed_in
from tests.web.test_plan_pages import (
    BY,
    LATER,
    act,
    faults,
    patient,
    prescriber,
    started,
    step_of,
    version_on,
    with_step,
)
from tests.web.test_prescriber_pages import OXYCODONE, a_patient, audited, id_in, send

__all__ = ["patient", "prescriber"]
BEFORE = TODAY - timedelta(days=3)


def held(app: Flask, plan: str) -> PlanRead:
    with transaction(running_of(app).sessions, write=False) as session:
        return plans.read(session, running_of(app).library, id_in(plan), by=BY, now=NOW)


def seen(client: FlaskClient, form: str, said: dict[str, Any]) -> Any:
    """The form sent as its reader saw it."""
    return send(client, form, {"version": version_on(client.get(form).text)} | said)


def a_referral(**changes: str) -> dict[str, str]:
    return {
        "discipline": "pain-medicine",
        "reason": "no relief by physical therapy",
        "urgency": "routine",
        "source": "primary-care",
        "on": BEFORE.isoformat(),
    } | changes


def referred(client: FlaskClient, plan: str, **changes: str) -> str:
    answer = send(client, f"{plan}/referrals/new", a_referral(**changes))
    assert answer.status_code == 303, faults(answer.text)
    return str(answer.headers["Location"])


# --- goals, and who does what --------------------------------------------------------------------------


def test_a_further_goal_is_added(app: Flask, prescriber: FlaskClient, patient: str) -> None:
    plan = started(prescriber, patient)
    said = {"activity": "sleep through", "baseline": "awake at three", "target": "till six", "due_on": LATER}
    assert seen(prescriber, f"{plan}/goals/new", said).status_code == 303
    assert [one.activity for one in held(app, plan).plan.goals] == ["walk to the shop", "sleep through"]
    assert "sleep through" in prescriber.get(plan).text


def test_a_goal_of_no_pain_alone_is_sent_back_beside_its_field(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    plan = started(prescriber, patient)
    said = {"activity": "no pain", "baseline": "what I typed", "target": "better", "due_on": LATER}
    refused = seen(prescriber, f"{plan}/goals/new", said)
    assert refused.status_code == 422
    assert set(faults(refused.text)) == {"activity"}
    assert 'value="what I typed"' in refused.text
    assert len(held(app, plan).plan.goals) == 1


def test_who_does_what_is_kept_and_added_to(app: Flask, prescriber: FlaskClient, patient: str) -> None:
    plan = started(prescriber, patient)
    form = f"{plan}/contacts/new"
    first = {"discipline": "psychology", "who": "psy-7", "does": "sleep and pacing"}
    assert seen(prescriber, form, first).status_code == 303
    later = {"discipline": "psychology", "who": "psy-7", "reported_on": BEFORE.isoformat()}
    assert seen(prescriber, form, later).status_code == 303
    (contact,) = held(app, plan).plan.contacts
    assert (contact.who, contact.does, contact.reported_on) == ("psy-7", "sleep and pacing", BEFORE)
    assert "psy-7" in prescriber.get(plan).text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"discipline": ""}, "discipline"),
        ({"who": ""}, "who"),
        ({"who": "Doctor Known By Name"}, "who"),
        ({"last_contact_on": "2027-01-01"}, "last_contact_on"),
        ({"reported_on": "soon"}, "reported_on"),
    ],
    ids=["discipline", "nobody", "name", "future", "no day"],
)
def test_a_contact_that_does_not_say_all_is_refused_beside_the_field(
    app: Flask, prescriber: FlaskClient, patient: str, changes: dict[str, str], field: str
) -> None:
    plan = started(prescriber, patient)
    said = {"discipline": "psychology", "who": "psy-7", "does": "what I typed"} | changes
    refused = seen(prescriber, f"{plan}/contacts/new", said)
    assert refused.status_code == 422
    assert set(faults(refused.text)) == {field}
    assert 'value="what I typed"' in refused.text
    assert held(app, plan).plan.contacts == ()


@pytest.mark.parametrize("form", ["goals", "contacts"])
def test_whoever_comes_second_is_told_and_keeps_what_was_typed(
    app: Flask, prescriber: FlaskClient, patient: str, form: str
) -> None:
    plan = started(prescriber, patient)
    old = version_on(prescriber.get(f"{plan}/{form}/new").text)
    beside = app.test_client()
    first = signed_in(beside, Role.PRESCRIBER)
    with_step(beside, plan)
    said = {"version": old, "activity": "swim", "baseline": "no", "target": "weekly", "due_on": LATER}
    said |= {"discipline": "psychology", "who": "psy-7", "does": "swim"}
    refused = send(prescriber, f"{plan}/{form}/new", said)
    assert refused.status_code == 409
    assert first.user_id in refused.text
    assert 'value="swim"' in refused.text
    assert version_on(refused.text) != old


# --- referrals -------------------------------------------------------------------------------------------


def test_a_referral_goes_from_its_letter_to_its_report(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    plan = started(prescriber, patient)
    referral = referred(prescriber, plan, to="pain-clinic-1")
    assert "to be accepted" in prescriber.get(plan).text
    for to in ("accepted", "seen", "reported"):
        said = {"status": to, "on": TODAY.isoformat(), "note": f"because of {to}"}
        assert seen(prescriber, referral, said).status_code == 303
    page = prescriber.get(referral).text
    assert "because of seen" in page
    assert "What is new" not in page
    (found,) = held(app, plan).referrals
    assert (found.referral.status, found.referral.to) == (ReferralStatus.REPORTED, "pain-clinic-1")
    assert found.due_on is None


def test_only_what_can_still_happen_is_offered(prescriber: FlaskClient, patient: str) -> None:
    referral = referred(prescriber, started(prescriber, patient))
    seen(prescriber, referral, {"status": "seen", "on": TODAY.isoformat()})
    offered = re.findall(r'name="status" value="([a-z]+)"', prescriber.get(referral).text)
    assert offered == ["reported", "declined", "cancelled"]
    back = seen(prescriber, referral, {"status": "accepted", "on": TODAY.isoformat(), "note": "what I typed"})
    assert back.status_code == 409
    assert "The referral is seen already" in back.text
    assert "what I typed</textarea>" in back.text


def test_sent_twice_a_referral_is_one(app: Flask, prescriber: FlaskClient, patient: str) -> None:
    plan = started(prescriber, patient)
    own = re.search(r'name="id" value="([0-9a-f]{32})"', prescriber.get(f"{plan}/referrals/new").text)
    assert own is not None
    first, second = (referred(prescriber, plan, id=own[1]) for _ in range(2))
    assert first == second
    assert len(held(app, plan).referrals) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"discipline": ""}, "discipline"),
        ({"reason": " "}, "reason"),
        ({"urgency": "at once"}, "urgency"),
        ({"source": ""}, "source"),
        ({"on": ""}, "on"),
        ({"on": "2027-01-01"}, "on"),
        ({"to": "Doctor Known By Name"}, "to"),
        ({"step": "no-such-step"}, "step"),
    ],
    ids=["discipline", "reason", "urgency", "source", "no day", "future", "name", "step"],
)
def test_a_referral_that_does_not_say_all_is_refused_beside_the_field_and_kept_as_typed(
    app: Flask, prescriber: FlaskClient, patient: str, changes: dict[str, str], field: str
) -> None:
    plan = started(prescriber, patient)
    with_step(prescriber, plan)
    typed = a_referral(reason="what I typed" if field != "reason" else " ") | changes
    refused = send(prescriber, f"{plan}/referrals/new", typed)
    assert refused.status_code == 422
    assert set(faults(refused.text)) == {field}
    assert f'href="#{field}"' in refused.text
    assert field == "reason" or "what I typed</textarea>" in refused.text
    assert held(app, plan).referrals == ()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"status": ""}, "status"),
        ({"on": ""}, "on"),
        ({"on": (BEFORE - timedelta(days=1)).isoformat()}, "on"),
        ({"on": "2027-01-01"}, "on"),
    ],
    ids=["what", "no day", "before it was sent", "future"],
)
def test_an_event_that_cannot_be_is_refused_beside_the_field(
    prescriber: FlaskClient, patient: str, changes: dict[str, str], field: str
) -> None:
    referral = referred(prescriber, started(prescriber, patient))
    said = {"status": "accepted", "on": TODAY.isoformat(), "note": "what I typed"} | changes
    refused = seen(prescriber, referral, said)
    assert refused.status_code == 422
    assert set(faults(refused.text)) == {field}
    assert "what I typed</textarea>" in refused.text


def test_a_referral_that_is_late_says_so(prescriber: FlaskClient, patient: str) -> None:
    plan = started(prescriber, patient)
    referral = referred(prescriber, plan, urgency="urgent", on=(TODAY - timedelta(days=10)).isoformat())
    # Urgent: to be accepted within a day.
    assert "9 days late" in prescriber.get(plan).text
    assert "9 days ago" in prescriber.get(referral).text
    found = prescriber.get("/worklist?whose=everybody").text
    assert "Referrals that wait" in found
    assert f'href="{referral}"' in found


def test_the_letter_says_what_was_tried_and_what_is_not_on_record(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    plan = started(prescriber, patient)
    step = with_step(prescriber, plan)
    act(prescriber, step, "begin")
    act(prescriber, step, "respond", relief="20", function="same", note="six weeks", attended="4")
    said = {"about": "surgery", "stance": "declined", "said_on": TODAY.isoformat(), "said_by": "patient"}
    send(prescriber, f"{patient}/wishes", said)
    referral = referred(prescriber, plan, step=step_of(prescriber.get(plan).text))
    letter = prescriber.get(f"{referral}/letter").text
    for words in (
        "Referral to pain medicine", "no relief by physical therapy", "walk to the shop", "Exercise",
        "helped in part", "20 % less pain", "six weeks", "Surgery: does not want it",
        "<li>oxycodone", "What is not on record",
    ):  # fmt: skip
        assert words in letter, words
    assert [o.attended for s in held(app, plan).plan.steps for o in s.outcomes] == [4]
    assert ("patient.read", '{"what":"letter"}') in [
        (action, detail.replace(" ", "")) for action, detail in audited(app, id_in(patient))
    ]


# --- wishes, and what a payer allows ----------------------------------------------------------------------


def test_what_the_patient_does_not_want_is_kept_and_can_be_opened_again(
    app: Flask, prescriber: FlaskClient, patient: str, clock: Clock
) -> None:
    plan = started(prescriber, patient)
    form = f"{patient}/wishes"
    said = {"about": "injections", "said_on": TODAY.isoformat(), "said_by": "representative"}
    assert send(prescriber, form, said | {"stance": "declined", "note": "afraid"}).status_code == 303
    block = {
        "treatment": "nerve-root-block", "basis": ["examination"], "on": TODAY.isoformat(),
        "target": "L5", "skipped": "no time",
    }  # fmt: skip
    assert seen(prescriber, f"{plan}/steps/new", block).status_code == 409
    clock.at += timedelta(seconds=1)
    assert send(prescriber, form, said | {"stance": "open"}).status_code == 303
    assert seen(prescriber, f"{plan}/steps/new", block).status_code == 303
    with transaction(running_of(app).sessions, write=False) as session:
        first, second = patient_wishes.preferences_of(session, id_in(patient), by=BY)
    assert (first.stance, first.said_by, first.note) == (Stance.DECLINED, SaidBy.REPRESENTATIVE, "afraid")
    assert second.stance is Stance.OPEN


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"about": ""}, "about"),
        ({"stance": "maybe"}, "stance"),
        ({"said_by": "a neighbour"}, "said_by"),
        ({"said_on": "2027-01-01"}, "said_on"),
    ],
    ids=["about", "stance", "who", "future"],
)
def test_a_wish_that_does_not_say_all_is_refused_beside_the_field(
    prescriber: FlaskClient, patient: str, changes: dict[str, str], field: str
) -> None:
    said = {
        "about": "surgery", "stance": "declined", "said_on": TODAY.isoformat(), "said_by": "patient",
        "note": "what I typed",
    }  # fmt: skip
    refused = send(prescriber, f"{patient}/wishes", said | changes)
    assert refused.status_code == 422
    assert set(faults(refused.text)) == {field}
    assert "what I typed</textarea>" in refused.text


def test_what_the_payer_allows_is_kept_and_what_is_not_known_stays_so(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    form = f"{patient}/coverage"
    said = {"discipline": "physical-therapy", "on": TODAY.isoformat(), "visits_left": "12"}
    assert send(prescriber, form, said).status_code == 303
    page = prescriber.get(form).text
    assert "12 visits left" in page
    assert "whether a referral is needed is not known" in page
    with transaction(running_of(app).sessions, write=False) as session:
        (kept,) = patient_wishes.coverage_of(session, id_in(patient), by=BY)
    assert (kept.visits_left, kept.referral_needed, kept.until) == (12, None, None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"discipline": ""}, "discipline"),
        ({"visits_left": "many"}, "visits_left"),
        ({"visits_left": ""}, "visits_left"),
        ({"on": "2027-01-01"}, "on"),
        ({"until": "never"}, "until"),
    ],
    ids=["discipline", "no number", "nothing", "future", "no day"],
)
def test_coverage_that_does_not_say_all_is_refused_beside_the_field(
    prescriber: FlaskClient, patient: str, changes: dict[str, str], field: str
) -> None:
    said = {"discipline": "psychology", "on": TODAY.isoformat(), "visits_left": "3", "note": "what I typed"}
    refused = send(prescriber, f"{patient}/coverage", said | changes)
    assert refused.status_code == 422
    assert set(faults(refused.text)) == {field}
    assert 'value="what I typed"' in refused.text


# --- whose they are -----------------------------------------------------------------------------------------


def test_a_referral_of_another_patient_plan_or_organisation_is_like_a_missing_one(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    plan = started(prescriber, patient)
    beside = started(prescriber, patient)
    referral = referred(prescriber, plan)
    for path in (
        referral.replace(patient, a_patient(app)),
        referral.replace(plan, beside),
        f"{referral.replace(plan, beside)}/letter",
    ):
        assert prescriber.get(path).status_code == 404, path
        if not path.endswith("letter"):
            assert send(prescriber, path, {"status": "cancelled", "on": TODAY.isoformat()}).status_code == 404
    stranger = app.test_client()
    signed_in(stranger, Role.PRESCRIBER, ELSEWHERE)
    for path in (referral, f"{referral}/letter", f"{patient}/wishes", f"{patient}/coverage"):
        assert stranger.get(path).status_code == 404, path


def test_a_pharmacist_reads_a_referral_and_its_letter_and_changes_nothing(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    referral = referred(prescriber, started(prescriber, patient))
    pharmacist = app.test_client()
    signed_in(pharmacist, Role.PHARMACIST)
    page = pharmacist.get(referral)
    assert page.status_code == 200
    assert "What is new" not in page.text
    assert pharmacist.get(f"{referral}/letter").status_code == 200
    assert send(pharmacist, referral, {"status": "cancelled", "on": TODAY.isoformat()}).status_code == 403
    assert pharmacist.get(f"{patient}/wishes").status_code == 403


def test_a_closed_plan_offers_nothing_to_add(prescriber: FlaskClient, patient: str) -> None:
    plan = started(prescriber, patient)
    closing = {"on": TODAY.isoformat(), "status": "stopped"}
    assert seen(prescriber, f"{plan}/close", closing).status_code == 303
    page = prescriber.get(plan).text
    for form in ("goals/new", "contacts/new", "referrals/new"):
        assert f"{plan}/{form}" not in page


# --- the whole evaluation -----------------------------------------------------------------------------------


def test_an_assessment_holds_the_examination_records_studies_and_the_whole_of_what_was_tried(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    said = {
        "on": TODAY.isoformat(), "where": "low back, left", "eases": "lying", "worsens": "sitting",
        "pain_type": "neuropathic", "came_because": "unsure-of-surgery", "onset_on": BEFORE.isoformat(),
        "examined-strength": "normal", "examined-reflexes": "abnormal",
        "examined-reflexes-note": "ankle, left",
        "documents-imaging": "outstanding", "documents-surgical-history": "none",
        "studies-1-kind": "mri", "studies-1-region": "lumbar spine", "studies-1-on": BEFORE.isoformat(),
        "tried-0-what": "exercise", "tried-0-response": "partial", "tried-0-relief_percent": "20",
        "tried-0-dose": "daily", "tried-0-began_on": "2026-08-01", "tried-0-on": "2026-10-01",
        "tried-0-stopped_because": "no more visits",
    }  # fmt: skip
    answer = send(prescriber, f"{patient}/assessment", said)
    assert answer.status_code == 303, faults(answer.text)
    with transaction(running_of(app).sessions, write=False) as session:
        ((_, kept),) = care.beside(session, running_of(app).library, id_in(patient), by=BY).assessed
    assert (kept.where, kept.eases, kept.worsens) == ("low back, left", "lying", "sitting")
    assert (kept.pain_type, kept.came_because) == (PainType.NEUROPATHIC, CameBecause.UNSURE_OF_SURGERY)
    assert [(one.part, one.finding, one.note) for one in kept.examined or ()] == [
        (ExamPart.STRENGTH, Finding.NORMAL, ""),
        (ExamPart.REFLEXES, Finding.ABNORMAL, "ankle, left"),
    ]
    assert [(one.kind, one.state) for one in kept.documents or ()] == [
        (DocumentKind.SURGERY, DocumentState.NONE),
        (DocumentKind.IMAGING, DocumentState.OUTSTANDING),
    ]
    assert [(one.kind, one.region, one.on) for one in kept.studies or ()] == [
        (StudyKind.MRI, "lumbar spine", BEFORE)
    ]
    (tried,) = kept.tried or ()
    assert (tried.relief_percent, tried.dose, tried.stopped_because) == (20, "daily", "no more visits")
    assert (tried.began_on, tried.on) == (date(2026, 8, 1), date(2026, 10, 1))
    page = prescriber.get(f"{patient}/assessment").text
    for words in (
        "of 20 things were looked at", "Last found: abnormal. ankle, left", "images and their reports",
        "MRI of lumbar spine", "Last said: neuropathic",
        "To be looked at again",
    ):  # fmt: skip
        assert words in page, words
    assert "Strength</" not in page.partition("Not looked at yet")[2].partition("</details>")[0]


def test_what_an_evaluation_may_not_say_is_said_beside_its_field_and_nothing_is_cut_off(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    for changes, field in (
        ({"examined-strength-note": "weak"}, "examined-strength"),
        ({"examined-strength": "odd"}, "examined-strength"),
        ({"documents-imaging": "lost"}, "documents-imaging"),
        ({"studies-0-region": "knee"}, "studies-0-kind"),
        ({"studies-0-kind": "mri"}, "studies-0-region"),
        ({"pain_type": "bad"}, "pain_type"),
        ({"where": "x" * 201}, "where"),
        ({"tried-1-what": "exercise", "tried-1-response": "none", "tried-1-relief_percent": "101"},
         "tried-1-relief_percent"),
        ({"tried-1-what": "exercise", "tried-1-response": "none", "tried-1-dose": "y" * 101},
         "tried-1-dose"),
    ):  # fmt: skip
        refused = send(
            prescriber, f"{patient}/assessment", {"on": TODAY.isoformat(), "eases": "what I typed"} | changes
        )
        assert refused.status_code == 422, changes
        assert set(faults(refused.text)) == {field}
        assert "what I typed</textarea>" in refused.text
        assert all(str(typed) in refused.text for name, typed in changes.items() if "note" in name)
    with transaction(running_of(app).sessions, write=False) as session:
        assert care.beside(session, running_of(app).library, id_in(patient), by=BY).assessed == ()


def test_the_letter_does_not_say_that_nothing_is_taken_of_somebody_whose_supply_ended_yesterday(
    app: Flask, prescriber: FlaskClient
) -> None:
    drug = running_of(app).library.catalogue.by_rxcui(OXYCODONE)
    ended = a_supply(start=TODAY - timedelta(days=10), days=10, quantity=40, drug=drug)
    pain = Condition("c-1", (Coding(ICD10CM, "M54.50", "Low back pain"),), active=True)
    patient = a_patient(app, ended, conditions=(pain,))
    letter = prescriber.get(f"{referred(prescriber, started(prescriber, patient))}/letter").text
    assert "Nothing is in hand today" in letter
    assert "No longer in hand: oxycodone" in letter

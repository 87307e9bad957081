"""The prescriber's pages without a browser: what they answer, refuse, keep, and put on record."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from stewardship.db import transaction
from stewardship.domain.chart import Condition, Patient
from stewardship.domain.codes import ICD10CM, RXNORM, Coding
from stewardship.domain.drugs import Medication
from stewardship.domain.people import Principal, Role
from stewardship.services import history, patients, reassessments
from tests.api.conftest import ELSEWHERE
from tests.builders import NOW, TODAY, a_chart, a_drug, a_supply
from tests.web.conftest import HERE, form_token, running_of, signed_in

_numbers = count(1)
#: Oxycodone 5 mg and tramadol 50 mg tablets, by RxNorm.
OXYCODONE, TRAMADOL = "1049621", "835603"


def a_patient(app: Flask, *supplies: Any, organisation: str = HERE, fed: bool = True, **more: Any) -> str:
    """The path of a new patient on record."""
    running = running_of(app)
    number = f"PAGE-{next(_numbers)}"
    by = Principal("setup", organisation, Role.ADMIN)
    given = {"data_as_of": NOW - timedelta(hours=3)} if fed else {}
    chart = a_chart(*supplies, patient=Patient(number, TODAY.replace(year=1970)), **(given | more))
    with transaction(running.sessions) as session:
        history.store(session, [chart], source="test", by=by, now=NOW - timedelta(minutes=1))
        found = session.execute(text("SELECT id FROM patients WHERE ehr_id = :number"), {"number": number})
        return f"/patients/{found.scalar_one()}"


def an_order(**changes: str) -> dict[str, str]:
    """Three days of oxycodone for acute pain, as the form sends it."""
    return {
        "order_id": f"page-order-{next(_numbers)}",
        "medicine": "oxycodone",
        "rxcui": OXYCODONE,
        "dose": "1",
        "unit": "tablet",
        "often": "1-6h",
        "quantity": "12",
        "days": "3",
        "refills": "0",
        "phase": "acute",
        "setting": "outpatient",
    } | changes


@pytest.fixture
def prescriber(client: FlaskClient) -> FlaskClient:
    """A browser in which a prescriber is signed in."""
    signed_in(client, Role.PRESCRIBER)
    return client


def send(client: FlaskClient, path: str, data: dict[str, Any], **more: Any) -> Any:
    return client.post(path, data=data | {"csrf_token": form_token(client)}, **more)


def submit(client: FlaskClient, patient: str, **changes: str) -> str:
    """Submit an order; the path of its decision."""
    answer = send(client, f"{patient}/order/submit", an_order(**changes))
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


def audited(app: Flask, subject: str) -> list[tuple[str, str]]:
    with transaction(running_of(app).sessions, write=False) as session:
        asked = text("SELECT action, detail FROM audit_events WHERE subject = :subject ORDER BY seq")
        return [tuple(row) for row in session.execute(asked, {"subject": subject})]


def id_in(path: str) -> str:
    return path.rsplit("/", 1)[-1]


# --- whom they admit --------------------------------------------------------------------------------


def paths(patient: str, decision: str) -> list[str]:
    return [
        patient, f"{patient}/timeline.svg", f"{patient}/order", f"{patient}/alternatives",
        f"{patient}/measurements/peg", f"{patient}/goals/new", f"{patient}/explanation/{id_in(decision)}",
        decision,
    ]  # fmt: skip


def test_another_organisations_patient_is_like_a_missing_one(app: Flask, prescriber: FlaskClient) -> None:
    mine = a_patient(app)
    decision = submit(prescriber, mine)
    for path in paths(mine, decision):
        assert prescriber.get(path).status_code == 200, path
    stranger = app.test_client()
    signed_in(stranger, Role.PRESCRIBER, ELSEWHERE)
    absent = stranger.get(f"/patients/{'0' * 32}")
    for path in paths(mine, decision):
        answer = stranger.get(path)
        assert answer.status_code == 404, path
        assert "PAGE-" not in answer.text
        assert main_of(answer.text) == main_of(absent.text), path
    changed = send(stranger, f"{mine}/order/submit", an_order())
    assert changed.status_code == 404
    assert send(stranger, f"{decision}/short-course/override", {"reason": "x"}).status_code == 404


def main_of(page: str) -> str:
    """The page without what differs in every answer."""
    return re.sub(r"request [0-9a-f]+", "", page.partition("<main")[2])


def test_a_decision_of_another_patient_is_not_explained(app: Flask, prescriber: FlaskClient) -> None:
    decision = submit(prescriber, a_patient(app))
    other = a_patient(app)
    assert prescriber.get(f"{other}/explanation/{id_in(decision)}").status_code == 404


@pytest.mark.parametrize("role", [Role.COMPLIANCE, Role.ADMIN])
def test_who_has_no_patients_sees_none(app: Flask, client: FlaskClient, role: Role) -> None:
    signed_in(client, role)
    for path in ("/patients", a_patient(app)):
        answer = client.get(path)
        assert answer.status_code == 403
        assert 'href="/patients"' not in answer.text


def test_a_pharmacist_reads_and_does_not_sign(app: Flask, client: FlaskClient) -> None:
    patient = a_patient(app)
    signed_in(client, Role.PHARMACIST)
    page = client.get(f"{patient}/order")
    assert page.status_code == 200
    assert "Submit the order" not in page.text
    assert send(client, f"{patient}/order/submit", an_order()).status_code == 403


def test_a_form_of_another_site_does_nothing(app: Flask, prescriber: FlaskClient) -> None:
    patient = a_patient(app)
    token = form_token(prescriber)
    evil = {"Origin": "https://evil.example"}
    data = an_order() | {"csrf_token": token}
    assert prescriber.post(f"{patient}/order/submit", data=data, headers=evil).status_code == 403
    assert prescriber.post(f"{patient}/order/submit", data=an_order()).status_code == 400


# --- what they put on record ---------------------------------------------------------------------------


def test_every_look_at_a_patient_is_on_record(app: Flask, prescriber: FlaskClient) -> None:
    patient = a_patient(app)
    looks = {"": "chart", "/timeline.svg": "timeline", "/order": "order", "/alternatives": "alternatives"}
    for path, what in looks.items():
        before = len(audited(app, id_in(patient)))
        prescriber.get(patient + path)
        (event,) = audited(app, id_in(patient))[before:]
        assert event == ("patient.read", f'{{"what":"{what}"}}')


def test_a_search_is_on_record_without_what_was_typed(app: Flask, prescriber: FlaskClient) -> None:
    a_patient(app)
    answer = send(prescriber, "/patients", {"number": "PAGE-"})
    assert "Found" in answer.text
    with transaction(running_of(app).sessions, write=False) as session:
        asked = "SELECT detail FROM audit_events WHERE action = 'patients.searched' ORDER BY seq DESC LIMIT 1"
        detail = session.execute(text(asked)).scalar_one()
    assert re.fullmatch(r'\{"found":[0-9]+\}', detail)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"number": ""}, "Give a record number"),
        ({"name": "Doe"}, "Give the date of birth as well"),
        ({"birth_date": "30/02/1990"}, "Not a day of the calendar"),
        ({"number": "no such number"}, "Nobody fits"),
    ],
    ids=["nothing", "name alone", "no day", "nobody"],
)
def test_a_search_that_finds_nothing_says_what_to_do(
    prescriber: FlaskClient, typed: dict[str, str], words: str
) -> None:
    assert words in send(prescriber, "/patients", typed).text


# --- the patient -----------------------------------------------------------------------------------------


def test_the_page_says_what_is_taken_how_much_and_since_when(app: Flask, prescriber: FlaskClient) -> None:
    medication = Medication((Coding(RXNORM, OXYCODONE, "oxycodone 5 MG"),), "oxycodone 5 MG")
    first, second = (
        a_supply(start=TODAY - timedelta(days=n), days=10, quantity=40, medication=medication, drug=None)
        for n in (13, 3)
    )
    page = prescriber.get(a_patient(app, first, second)).text
    taken = page.partition('id="takes"')[2].partition("</table>")[0]
    assert "oxycodone hydrochloride 5 MG Oral Tablet" in taken
    assert (TODAY - timedelta(days=13)).isoformat() in taken
    # 40 tablets of 5 mg in ten days: 20 mg a day, times 1.5.
    assert re.search(r'class="number">\s*30\s*</td>', taken)
    assert "Dispensings as of" in page
    assert "Nothing is known to be missing" in page


def test_a_patient_of_whom_no_pharmacy_reports_is_said_to_be_one(app: Flask, prescriber: FlaskClient) -> None:
    patient = a_patient(app, fed=False)
    assert "No pharmacy reports of this patient" in prescriber.get(patient).text
    # And an order is not called clear on silence.
    answer = send(prescriber, f"{patient}/order", an_order(do="check"))
    assert "Could not be checked" in answer.text or "could not be checked" in answer.text
    assert ">Clear<" not in answer.text


def test_what_nobody_recognises_is_named(app: Flask, prescriber: FlaskClient) -> None:
    odd = a_supply(
        medication=Medication((Coding("local", "X-1"),), "Mixture Q"), drug=None, unrecognised=True
    )
    page = prescriber.get(a_patient(app, odd)).text
    assert "Not recognised, and so not judged: Mixture Q" in page


@pytest.mark.parametrize(
    "choice", ["set=cdc-2016&definition=fixed-window&days=90", "set=x&definition=y&days=z"]
)
def test_the_dose_can_be_asked_for_in_other_ways(app: Flask, prescriber: FlaskClient, choice: str) -> None:
    patient = a_patient(app)
    part = prescriber.get(f"{patient}?{choice}", headers={"HX-Request": "true"})
    assert part.status_code == 200
    assert "<html" not in part.text
    wanted = "cdc-2016" if "2016" in choice else "cdc-2022"
    assert f'<option value="{wanted}" selected>' in part.text


# --- checking an order -----------------------------------------------------------------------------------


def test_an_order_is_judged_as_it_is_typed_and_not_kept(app: Flask, prescriber: FlaskClient) -> None:
    patient = a_patient(app)
    part = send(
        prescriber, f"{patient}/order", an_order(do="check", days="30"), headers={"HX-Request": "true"}
    )
    assert part.status_code == 200
    assert "<html" not in part.text
    assert "1 tablet every 6 hours" in part.text
    with transaction(running_of(app).sessions, write=False) as session:
        asked = text("SELECT count(*) FROM decisions WHERE patient_id = :id")
        assert session.execute(asked, {"id": id_in(patient)}).scalar_one() == 0


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"quantity": "a dozen"}, "quantity", "Write a number"),
        ({"quantity": "0"}, "quantity", "Must be greater than 0"),
        ({"refills": "1.5"}, "refills", "Write a whole number"),
        ({"refills": "100"}, "refills", "less than or equal to 99"),
        ({"often": "sometimes"}, "often", "Choose one of the times"),
        ({"start": "tomorrow"}, "start", "Not a day"),
        ({"other_reason": "back pain"}, "other_reason", "ICD-10-CM"),
        ({"medicine": "", "rxcui": ""}, "medicine", "Name the medicine"),
        ({"dose": "１"}, "dose", "Write a number"),
        ({"loss": "eaten"}, "loss", "Not one of"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_what_cannot_be_read_is_said_beside_its_field_and_kept(
    app: Flask, prescriber: FlaskClient, changed: dict[str, str], field: str, words: str
) -> None:
    answer = send(prescriber, f"{a_patient(app)}/order/submit", an_order(**changed))
    assert answer.status_code == 422
    assert re.search(rf'id="{field}-fault">[^<]*{re.escape(words)}', answer.text), answer.text[-3000:]
    for name, typed in changed.items():
        if typed and name in {"quantity", "refills", "other_reason", "dose"}:
            assert f'value="{typed}"' in answer.text


def test_products_are_found_by_name(app: Flask, prescriber: FlaskClient) -> None:
    patient = a_patient(app)
    part = send(
        prescriber, f"{patient}/order", {"do": "search", "medicine": "tramadol 50"},
        headers={"HX-Request": "true"},
    ).text  # fmt: skip
    assert f'value="{TRAMADOL}"' in part
    assert "schedule IV" in part
    nothing = send(
        prescriber, f"{patient}/order", {"do": "search", "medicine": "zzzz"}, headers={"HX-Request": "true"}
    ).text
    assert "No product like" in nothing


def test_the_same_form_sent_twice_is_one_order(app: Flask, prescriber: FlaskClient) -> None:
    patient = a_patient(app)
    order = an_order()
    answers = [send(prescriber, f"{patient}/order/submit", order) for _ in range(2)]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    with transaction(running_of(app).sessions, write=False) as session:
        asked = text("SELECT count(*) FROM decisions WHERE patient_id = :id")
        assert session.execute(asked, {"id": id_in(patient)}).scalar_one() == 1


def test_an_order_can_be_changed_where_it_stands(app: Flask, prescriber: FlaskClient) -> None:
    patient = a_patient(app, conditions=(a_condition(),))
    decision = submit(prescriber, patient, as_needed="yes", most="4", other_reason="m54.50", days="30")
    page = prescriber.get(f"{patient}/order?from={id_in(decision)}").text
    for shown in (f'value="{OXYCODONE}" checked', 'value="12"', 'value="30"', 'value="M54.50"', 'value="4"'):
        assert shown in page
    assert '<option value="1-6h" selected>' in page
    # Another patient's order is not brought here.
    other = prescriber.get(f"{a_patient(app)}/order?from={id_in(decision)}").text
    assert "M54.50" not in other.partition("<main")[2]


def a_condition() -> Condition:
    return Condition("c-1", (Coding(ICD10CM, "M54.50", "Low back pain"),), active=True)


# --- the decision ------------------------------------------------------------------------------------------


def test_a_decision_shows_every_policy_with_its_source_and_what_it_was_made_on(
    app: Flask, prescriber: FlaskClient
) -> None:
    page = prescriber.get(submit(prescriber, a_patient(app), days="30")).text
    for policy in running_of(app).library.in_force(NOW.date()):
        assert f"<code>{policy.id}</code>" in page
        assert policy.sha256[:12] in page
        assert policy.review.author in page
    assert "Dispensings as of" in page
    assert "1 tablet every 6 hours" in page


def stopped(client: FlaskClient, patient: str) -> tuple[str, str, str]:
    """A decision with a soft stop: its path, the policy, and one of its reasons."""
    decision = submit(client, patient, phase="chronic", days="30", quantity="120")
    page = client.get(decision).text
    policy, reason = re.search(r'id="o-([a-z-]+?)-([a-z-]+)" value="\2"', page).groups()  # type: ignore[union-attr]
    action = re.search(rf'action="({re.escape(decision)}/([a-z0-9-]+)/override)"', page)
    assert action is not None
    del policy
    return decision, action[2], reason


def test_an_override_is_kept_once_and_the_second_is_told_by_whom(app: Flask, prescriber: FlaskClient) -> None:
    decision, policy, reason = stopped(prescriber, a_patient(app))
    typed = {"reason": reason, "comment": "Seen together on Friday"}
    first = send(prescriber, f"{decision}/{policy}/override", typed)
    assert first.status_code == 303
    assert "Seen together on Friday" in prescriber.get(decision).text
    second = send(prescriber, f"{decision}/{policy}/override", typed | {"comment": "My own words"})
    assert second.status_code == 409
    assert "was overridden by prescriber-at-work" in second.text


@pytest.mark.parametrize("reason", ["", "\u200b", "because"])
def test_a_reason_is_one_of_the_policys(app: Flask, prescriber: FlaskClient, reason: str) -> None:
    decision, policy, _ = stopped(prescriber, a_patient(app))
    typed = {"reason": reason, "comment": "What I typed"}
    answer = send(prescriber, f"{decision}/{policy}/override", typed)
    assert answer.status_code == 422
    assert "give one of the policy&#39;s reasons" in answer.text
    assert "What I typed" in answer.text


def test_an_order_whose_last_stop_is_overridden_on_its_page_is_looked_at_for_the_pharmacist(
    app: Flask, prescriber: FlaskClient
) -> None:
    """As over the API: what nothing stops any more is a supply, and stands beside the diazepam."""
    diazepam = a_supply(start=TODAY, days=30, drug=a_drug("diazepam", "3322", code="197591"))
    patient = a_patient(app, diazepam)
    decision = submit(prescriber, patient, phase="chronic", days="30", quantity="120")
    overrides = set(
        re.findall(rf'action="({re.escape(decision)}/[a-z0-9-]+/override)"', prescriber.get(decision).text)
    )
    assert overrides
    assert beside(app, patient) == []
    for action in overrides:
        page = prescriber.get(decision).text
        reason = re.search(
            rf'action="{re.escape(action)}".*?name="reason"[^>]*value="([a-z-]+)"', page, re.DOTALL
        )
        assert reason is not None
        assert send(prescriber, action, {"reason": reason[1]}).status_code == 303
    assert beside(app, patient) == ["order"]


def beside(app: Flask, patient: str) -> list[str]:
    """By what the patient's flags about an opioid beside a benzodiazepine were raised."""
    with transaction(running_of(app).sessions, write=False) as session:
        asked = text("SELECT source FROM flags WHERE patient_id = :patient AND kind = :kind")
        of = {"patient": id_in(patient), "kind": "opioid-with-benzodiazepine"}
        return list(session.execute(asked, of).scalars())


def test_a_finding_rests_for_a_while_and_not_for_longer_than_allowed(
    app: Flask, prescriber: FlaskClient
) -> None:
    decision, policy, reason = stopped(prescriber, a_patient(app))
    last = TODAY + timedelta(days=running_of(app).library.snooze_days)
    late = send(
        prescriber, f"{decision}/{policy}/snooze",
        {"reason": reason, "until": (last + timedelta(days=1)).isoformat()},
    )  # fmt: skip
    assert late.status_code == 422
    rests = send(prescriber, f"{decision}/{policy}/snooze", {"reason": reason, "until": last.isoformat()})
    assert rests.status_code == 303


def test_an_exception_is_asked_for_with_its_note(app: Flask, prescriber: FlaskClient) -> None:
    decision = submit(prescriber, a_patient(app), days="30", quantity="120")
    page = prescriber.get(decision).text
    action = re.search(r'action="([^"]+/exception)"', page)
    assert action is not None, "an acute course of thirty days is stopped"
    reason = re.search(r'id="e-[a-z-]+" value="([a-z-]+)"', page)
    typed = {"reason": reason[1] if reason else "Travel to a place without care", "note": "Seen today"}
    assert send(prescriber, action[1], typed).status_code == 303
    assert "exception open" in prescriber.get(decision).text
    assert send(prescriber, action[1], typed).status_code == 409


# --- how the patient does ------------------------------------------------------------


def test_a_peg_is_kept_and_drawn(app: Flask, prescriber: FlaskClient) -> None:
    patient = a_patient(app)
    answer = send(prescriber, f"{patient}/measurements/peg", {"pain": "6", "enjoyment": "5", "activity": "4"})
    assert answer.status_code == 303
    page = prescriber.get(patient).text
    assert "measured here" in page
    assert re.search(r'class="number">5</td>', page)


def test_an_answer_outside_the_scale_is_sent_back(app: Flask, prescriber: FlaskClient) -> None:
    answer = send(
        prescriber, f"{a_patient(app)}/measurements/peg", {"pain": "11", "enjoyment": "5", "activity": "4"}
    )
    assert answer.status_code == 422
    assert "Give a number from 0 to 10" in answer.text


def test_a_goal_names_an_activity_and_can_be_reached(app: Flask, prescriber: FlaskClient) -> None:
    patient = a_patient(app)
    goal = {
        "activity": "Walk to the shop", "baseline": "to the corner", "target": "there and back",
        "due_on": (TODAY + timedelta(days=60)).isoformat(),
    }  # fmt: skip
    assert send(prescriber, f"{patient}/goals/new", goal | {"activity": "Less pain"}).status_code == 422
    assert send(prescriber, f"{patient}/goals/new", goal).status_code == 303
    page = prescriber.get(patient).text
    assert "Walk to the shop" in page
    where = re.search(rf'href="({re.escape(patient)}/goals/[0-9a-f]+)"', page)
    assert where is not None
    assert send(prescriber, f"{where[1]}/given-up", {"version": "1", "reason": ""}).status_code == 422
    assert send(prescriber, f"{where[1]}/reached", {"version": "0"}).status_code == 409
    assert send(prescriber, f"{where[1]}/reached", {"version": "1"}).status_code == 303
    assert "Walk to the shop" not in prescriber.get(patient).text


def a_review(app: Flask, patient: str) -> str:
    """The path of the review that the clock plans for a patient."""
    running = running_of(app)
    by = Principal("clock", HERE, Role.PRESCRIBER)
    with transaction(running.sessions) as session:
        _, known_as = patients.known(session, id_in(patient), by=by)
        changed = reassessments.reconsider(session, running.library, known_as, by=by, now=NOW)
    (review,) = changed.planned
    return f"{patient}/reviews/{review}"


def on_therapy() -> list[Any]:
    """Oxycodone month after month for half a year."""
    medication = Medication((Coding(RXNORM, OXYCODONE, "oxycodone 5 MG"),), "oxycodone 5 MG")
    return [
        a_supply(start=TODAY - timedelta(days=n), days=30, quantity=90, medication=medication, drug=None)
        for n in (180, 150, 120, 90, 60, 30, 0)
    ]


def test_a_review_rests_on_a_measurement_of_function(app: Flask, prescriber: FlaskClient) -> None:
    patient = a_patient(app, *on_therapy())
    review = a_review(app, patient)
    assert "Nothing was measured" in prescriber.get(review).text
    refused = send(prescriber, review, {"do": "complete", "on": TODAY.isoformat(), "note": "Went well"})
    assert refused.status_code == 422
    assert "Went well" in refused.text

    send(prescriber, f"{patient}/measurements/peg", {"pain": "6", "enjoyment": "5", "activity": "4"})
    page = prescriber.get(review).text
    measured = re.search(r'name="measurement" id="m-[0-9a-f]+" value="([0-9a-f]+)" checked', page)
    assert measured is not None
    done = {"do": "complete", "on": TODAY.isoformat(), "note": "Went well", "measurement": measured[1]}
    assert send(prescriber, review, done).status_code == 303
    assert "The review is done" in prescriber.get(patient).text


def test_a_review_is_cancelled_with_a_reason(app: Flask, prescriber: FlaskClient) -> None:
    patient = a_patient(app, *on_therapy())
    review = a_review(app, patient)
    assert "Say why" in send(prescriber, review, {"do": "cancel", "reason": ""}).text
    assert send(prescriber, review, {"do": "cancel", "reason": "Moved away"}).status_code == 303
    # Another patient's page does not close it either.
    other = f"{a_patient(app)}/reviews/{id_in(review)}"
    assert prescriber.get(other).status_code == 404
    assert send(prescriber, other, {"do": "cancel", "reason": "x"}).status_code == 404


def test_an_option_put_to_the_patient_is_kept(app: Flask, prescriber: FlaskClient) -> None:
    patient = a_patient(app, conditions=(a_condition(),))
    page = prescriber.get(f"{patient}/alternatives").text
    treatment = re.search(r'name="treatment" value="([a-z0-9-]+)"', page)
    assert treatment is not None
    offer = {"treatment": treatment[1], "reply": "declined", "note": ""}
    assert send(prescriber, f"{patient}/alternatives/offers", offer).status_code == 303
    assert "The patient does not want it" in prescriber.get(f"{patient}/alternatives").text
    assert send(prescriber, f"{patient}/alternatives/offers", offer | {"reply": "maybe"}).status_code == 422
    assert send(prescriber, f"{patient}/alternatives/offers", offer | {"treatment": "x"}).status_code == 422


# --- what errors say ------------------------------------------------------------


def test_an_error_says_what_to_do_and_not_how_the_service_is_made(
    app: Flask, prescriber: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("ZZQCANARY")

    patient = a_patient(app)
    monkeypatch.setattr("stewardship.web.charting.patients.open_chart", broken)
    answer = prescriber.get(patient)
    assert answer.status_code == 500
    assert "The service has a fault" in answer.text
    assert "Try again" in answer.text
    assert "CANARY" not in answer.text
    assert "Traceback" not in answer.text


def test_a_theme_is_kept_and_leads_back_to_a_page_of_ours(client: FlaskClient) -> None:
    kept = client.post("/theme", data={"theme": "dark", "back": "/patients"})
    assert (kept.status_code, kept.headers["Location"]) == (303, "/patients")
    assert 'data-theme="dark"' in client.get("/").text
    for elsewhere in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        assert client.post("/theme", data={"theme": "light", "back": elsewhere}).headers["Location"] == "/"


@pytest.mark.parametrize(("zone", "shown"), [("Asia/Tokyo", "JST"), ("../etc/passwd", "UTC"), ("", "UTC")])
def test_moments_are_written_in_a_zone_that_exists(
    app: Flask, prescriber: FlaskClient, zone: str, shown: str
) -> None:
    prescriber.set_cookie("zone", zone)
    assert f" {shown}</time>" in prescriber.get(a_patient(app)).text

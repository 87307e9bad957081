"""Feedback, from the card that is shown to what is kept of it; and what feedback does not do."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from stewardship.app import create_app
from stewardship.cds_hooks import feedback as endpoint
from stewardship.db import AuditKeys, connect, transaction
from stewardship.domain.errors import Unavailable
from stewardship.domain.people import Principal, Role
from stewardship.services import feedback, organisations, tokens
from stewardship.services.feedback import CardStatus
from tests.builders import NOW
from tests.cds_hooks.conftest import ALLOWED, ORGANISATION, SETTINGS, Ehr, read
from tests.cds_hooks.requests import a_draft, a_hook, a_new_patient, nothing_before
from tests.intake.fhir import GONE, other

LATER = "2026-11-21T12:05:00Z"
SERVICE = "opioid-order-sign"


@pytest.fixture
def patient() -> str:
    return a_new_patient()


@pytest.fixture
def card(ehr, patient) -> dict[str, Any]:
    """A card that was shown: a course of ten days."""
    (only,) = ehr.ask(a_hook(patient, a_draft(patient, length=10)))["cards"]
    return only


def a_report(card: str, /, **said: Any) -> dict[str, Any]:
    given = {"card": card, "outcome": "overridden", "outcomeTimestamp": LATER}
    return {key: value for key, value in (given | said).items() if value is not GONE}


def give(ehr: Ehr, *reports: Any, service: str = SERVICE, **headers: str) -> TestResponse:
    return ehr.post({"feedback": list(reports)}, service=f"{service}/feedback", **headers)


def ended(sessions, card: str) -> feedback.Outcome:
    with transaction(sessions, write=False) as session:
        (found,) = (
            o for o in feedback.outcomes(session, organisation_id=ORGANISATION) if o.card.uuid == card
        )
    return found


# --- what is kept ---------------------------------------------------------------------------------------


def test_a_card_that_nobody_speaks_of_was_ignored(card, sessions):
    assert ended(sessions, card["uuid"]).status is CardStatus.IGNORED


def test_a_card_is_kept_with_its_decision_and_every_policy_behind_it(ehr, patient, sessions):
    strong = a_draft(patient, length=10)
    strong["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] = 4
    answer = ehr.ask(a_hook(patient, strong, prefetch=nothing_before(patient)))
    told = answer["extension"]["stewardship"]
    shown = [p for p in told["problems"] if p["card"]]
    assert [p["card"] for p in shown] == [card["uuid"] for card in answer["cards"]]
    assert any(len(p["policies"]) > 1 for p in shown)
    for problem in shown:
        kept = ended(sessions, problem["card"]).card
        assert list(kept.policies) == problem["policies"]
        assert told["decision"].endswith(f"/{kept.decision_id}")
        assert kept.topic == problem["topic"]


def test_a_card_about_what_was_not_read_is_kept_too(ehr, patient, sessions):
    (card,) = ehr.ask(a_hook(patient, other("MedicationOrder")))["cards"]
    kept = ended(sessions, card["uuid"])
    assert (kept.card.decision_id, kept.card.policies) == (None, ())
    assert give(ehr, a_report(card["uuid"])).status_code == 200


def test_an_override_is_kept_with_its_reason_and_comment(ehr, card, sessions):
    (reason, *_) = card["overrideReasons"]
    chosen = {"reason": reason, "userComment": "Fracture; seen again on Friday."}
    response = give(ehr, a_report(card["uuid"], overrideReason=chosen))
    assert (response.status_code, read(response)) == (200, {})
    found = ended(sessions, card["uuid"])
    assert found.status is CardStatus.OVERRIDDEN
    assert found.report is not None
    assert (found.report.reason_code, found.report.reason_system) == (reason["code"], reason["system"])
    assert found.report.comment == "Fracture; seen again on Friday."


def test_an_accepted_card_is_kept_with_the_suggestion(ehr, card, sessions):
    (suggestion,) = card["suggestions"]
    taken = [{"id": suggestion["uuid"]}]
    assert give(ehr, a_report(card["uuid"], outcome="accepted", acceptedSuggestions=taken)).status_code == 200
    found = ended(sessions, card["uuid"])
    assert found.status is CardStatus.ACCEPTED
    assert found.report is not None
    assert found.report.accepted == (suggestion["uuid"],)


def test_the_same_report_again_changes_nothing(ehr, card, sessions):
    for _ in range(2):
        assert give(ehr, a_report(card["uuid"])).status_code == 200
    with transaction(sessions, write=False) as session:
        asked = text("SELECT count(*) FROM card_feedback WHERE card_id = :card")
        assert session.execute(asked, {"card": card["uuid"]}).scalar() == 1


def test_the_latest_of_several_reports_counts_in_whatever_order_they_come(ehr, card, sessions):
    accepted = {"outcome": "accepted", "acceptedSuggestions": [{"id": card["suggestions"][0]["uuid"]}]}
    give(ehr, a_report(card["uuid"], outcomeTimestamp="2026-11-21T11:59:00Z", **accepted))
    give(ehr, a_report(card["uuid"], outcomeTimestamp="2026-11-21T11:58:00Z"))
    assert ended(sessions, card["uuid"]).status is CardStatus.ACCEPTED


def test_reports_of_several_cards_come_in_one_call(ehr, sessions):
    cards = []
    for patient in (a_new_patient(), a_new_patient()):
        cards += ehr.ask(a_hook(patient, a_draft(patient, length=10)))["cards"]
    give(ehr, *(a_report(card["uuid"]) for card in cards))
    assert {ended(sessions, card["uuid"]).status for card in cards} == {CardStatus.OVERRIDDEN}


@pytest.mark.parametrize("written", [str.upper, "urn:uuid:{}".format])
def test_a_uuid_is_known_however_it_is_written(ehr, card, sessions, written):
    assert give(ehr, a_report(written(card["uuid"]))).status_code == 200
    assert ended(sessions, card["uuid"]).status is CardStatus.OVERRIDDEN


# --- what feedback does not do ----------------------------------------------------------------------------


def test_an_override_that_is_reported_lifts_no_stop(ehr, patient, app, issued):
    answer = ehr.ask(a_hook(patient, a_draft(patient, length=10)))
    (card,) = answer["cards"]
    give(ehr, a_report(card["uuid"], overrideReason={"reason": card["overrideReasons"][0]}))
    address = answer["extension"]["stewardship"]["decision"]
    headers = {"Authorization": f"Bearer {issued[Role.PHARMACIST]}"}
    stored = read(app.test_client().get(address, headers=headers))
    assert stored["disposition"] == "blocked"
    assert stored["overrides"] == []


def test_a_report_shows_nothing_of_a_comment_in_the_log_or_the_audit(ehr, card, sessions, capfd):
    secret = "ZZQCANARY"
    give(ehr, a_report(card["uuid"], overrideReason={"userComment": secret}))
    assert secret not in "".join(capfd.readouterr())
    with transaction(sessions, write=False) as session:
        rows = session.execute(text("SELECT detail FROM audit_events WHERE action = 'card.feedback'")).all()
    assert rows
    assert secret not in str(rows)


# --- what is refused --------------------------------------------------------------------------------------


def issues(response: TestResponse) -> list[tuple[str, str]]:
    outcome = read(response)
    assert outcome["resourceType"] == "OperationOutcome"
    return [(issue.get("expression", [""])[0], issue["code"]) for issue in outcome["issue"]]


def test_an_unknown_card_is_refused_and_with_it_the_whole_call(ehr, card, sessions):
    response = give(ehr, a_report(card["uuid"]), a_report(str(uuid.uuid4())))
    assert response.status_code == 404
    assert issues(response) == [("", "not-found")]
    assert ended(sessions, card["uuid"]).status is CardStatus.IGNORED


def test_another_organisations_card_is_unknown(card, app, sessions):
    by = Principal("setup", "org-there", Role.ADMIN)
    with transaction(sessions) as session:
        organisations.ensure(session, "org-there", name="org-there", by=by, now=NOW)
        theirs = tokens.issue(
            session,
            organisation_id="org-there",
            role=Role.EHR,
            scopes=(),
            expires_at=NOW + timedelta(days=1),
            by=by,
            now=NOW,
        )
    assert give(Ehr(app, theirs), a_report(card["uuid"])).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"card": GONE}, "feedback[0].card"),
        ({"card": 5}, "feedback[0].card"),
        ({"outcome": GONE}, "feedback[0].outcome"),
        ({"outcome": "ignored"}, "feedback[0].outcome"),
        ({"outcomeTimestamp": GONE}, "feedback[0].outcomeTimestamp"),
        ({"outcomeTimestamp": "2026-11-21"}, "feedback[0].outcomeTimestamp"),
        ({"outcomeTimestamp": "2026-11-21T12:00:00"}, "feedback[0].outcomeTimestamp"),
        ({"outcome": "accepted"}, "feedback[0].acceptedSuggestions"),
        ({"outcome": "accepted", "acceptedSuggestions": []}, "feedback[0].acceptedSuggestions"),
        ({"acceptedSuggestions": [{"id": "x"}]}, "feedback[0].acceptedSuggestions"),
        ({"overrideReason": "because"}, "feedback[0].overrideReason"),
        ({"overrideReason": {"reason": {"code": "a b"}}}, "feedback[0].overrideReason.reason.code"),
        ({"overrideReason": {"userComment": "x\u202ey"}}, "feedback[0].overrideReason.userComment"),
    ],
)
def test_a_report_that_is_wrong_is_pointed_at(ehr, card, wrong, where):
    response = give(ehr, a_report(card["uuid"], **wrong))
    assert response.status_code == 400
    assert [place for place, _ in issues(response)] == [where]


@pytest.mark.parametrize("body", [b"{}", b'{"feedback": []}', b'{"feedback": {}}', b"[]", b"{"])
def test_a_body_without_reports_is_refused(ehr, body):
    assert ehr.post(body, service=f"{SERVICE}/feedback").status_code == 400


def test_fields_that_a_client_adds_are_dropped(ehr, card):
    extra = {"extension": {"com.example": 1}, "overrideReason": {"reason": None, "userComment": None}}
    assert give(ehr, a_report(card["uuid"], **extra)).status_code == 200


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.EHR])
def test_only_an_ehr_gives_feedback(app, issued, card, role):
    response = give(Ehr(app, issued[role]), a_report(card["uuid"]))
    assert (response.status_code, response.get_data()) == (403, b"")


def test_nobody_gives_feedback_unknown(app, card):
    response = give(Ehr(app, None), a_report(card["uuid"]))
    assert (response.status_code, response.get_data()) == (401, b"")


def test_there_is_no_feedback_on_a_service_that_there_is_not(ehr, card):
    assert give(ehr, a_report(card["uuid"]), service="no-such").status_code == 404


def test_the_browsers_of_allowed_origins_may_give_feedback(ehr, card):
    response = give(ehr, a_report(card["uuid"]), Origin=ALLOWED)
    assert response.headers["Access-Control-Allow-Origin"] == ALLOWED
    response = give(ehr, a_report(card["uuid"]), Origin="https://evil.example")
    assert "Access-Control-Allow-Origin" not in response.headers


# --- when it cannot be kept -------------------------------------------------------------------------------


@pytest.mark.parametrize(("cause", "status"), [(Unavailable("x"), 503), (ZeroDivisionError("ZZQ"), 500)])
def test_a_report_that_cannot_be_kept_is_an_error_and_never_a_card(ehr, card, monkeypatch, cause, status):
    def fails(*_args: Any, **_kwargs: Any) -> None:
        raise cause

    monkeypatch.setattr(endpoint.feedback, "give", fails)
    response = give(ehr, a_report(card["uuid"]))
    assert response.status_code == status
    assert "cards" not in read(response)
    assert "ZZQ" not in response.get_data(as_text=True)


def test_a_database_that_is_gone_is_an_error(library, issued, sessions, card, tmp_path):
    app = create_app(SETTINGS, library=library, sessions=sessions, clock=lambda: NOW)
    ehr = Ehr(app, issued[Role.EHR])
    ehr.ask(a_hook(a_new_patient()))  # whose token it is, is known for a moment
    gone = connect(f"sqlite:///{tmp_path / 'none' / 'x.db'}", audit_keys=AuditKeys.single(b"x" * 32))
    app.extensions["stewardship"] = replace(app.extensions["stewardship"], sessions=gone)
    assert give(ehr, a_report(card["uuid"])).status_code == 503


# --- the token ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("does", ["asks", "reports"])
def test_that_a_token_was_used_is_written_down(app, sessions, card, does):
    by = Principal("setup", ORGANISATION, Role.ADMIN)
    with transaction(sessions) as session:
        token = tokens.issue(
            session,
            organisation_id=ORGANISATION,
            role=Role.EHR,
            scopes=(),
            expires_at=NOW + timedelta(days=1),
            by=by,
            now=NOW,
            user_id=f"ehr-{does}",
        )
    ehr = Ehr(app, token)
    if does == "asks":
        ehr.ask(a_hook(a_new_patient()))
    else:
        give(ehr, a_report(card["uuid"]))
    with transaction(sessions, write=False) as session:
        asked = text("SELECT last_used_at FROM api_tokens WHERE user_id = :user")
        assert session.execute(asked, {"user": f"ehr-{does}"}).scalar() is not None

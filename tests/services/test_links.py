"""A link is good once and for a while, says nothing about anybody, and is answered by one of any number."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select

from stewardship.db import function_tables, outreach_tables, tables, transaction
from stewardship.declarations import load
from stewardship.domain.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from stewardship.domain.measurements import Reporter
from stewardship.services import links, measurements
from stewardship.services.links import LinkState
from tests.builders import NOW
from tests.services.declared import COMPLIANCE, ELSEWHERE, ORGANISATION, PHARMACIST, PRESCRIBER

SECRET = "only-for-the-tests-0123456789abcdef"
ANSWERS = {"pain": Decimal(7), "enjoyment": Decimal(6), "activity": Decimal(5)}


@pytest.fixture(scope="module")
def library():
    return load()


@pytest.fixture
def patient(clinic):
    row = {"organisation_id": ORGANISATION, "id": "1", "ehr_id": "MRN-ZZQ", "sex": "", "deceased": False}
    with transaction(clinic) as session:
        session.execute(insert(tables.Patient.__table__), row | {"recorded_at": NOW})
    return "MRN-ZZQ"


@pytest.fixture
def issue(clinic, library, patient):
    def issuing(instrument: str = "peg", **more: Any) -> tuple[links.Link, str]:
        given: dict[str, Any] = {"secret": SECRET, "by": PRESCRIBER, "now": NOW}
        with transaction(clinic) as session:
            return links.issue(session, library, patient, instrument, **(given | more))

    return issuing


def answer(clinic, library, token: str, answers=ANSWERS, *, now=NOW):
    with transaction(clinic) as session:
        return links.answer(session, library, token, answers, secret=SECRET, now=now)


def found(clinic, token: str, *, secret: str = SECRET) -> links.Link | None:
    with transaction(clinic, write=False) as session:
        return links.find(session, token, secret=secret)


def rows(clinic, table) -> list[Any]:
    with transaction(clinic, write=False) as session:
        return list(session.execute(select(table.__table__)))


def test_the_answers_are_kept_as_the_patients_and_the_link_is_used_up(clinic, library, issue, patient):
    link, token = issue()
    measured = answer(clinic, library, token, now=NOW + timedelta(hours=1))
    assert (measured.instrument, measured.reported_by) == ("peg", Reporter.PATIENT)
    assert measured.score is not None
    assert measured.score.value == Decimal("6.0")
    with transaction(clinic, write=False) as session:
        assert len(measurements.of_patient(session, library, patient, by=PRESCRIBER)) == 1
    again = found(clinic, token)
    assert again is not None
    assert again.state(NOW + timedelta(hours=1)) is LinkState.USED
    (kept,) = rows(clinic, function_tables.Measurement)
    # The link acted; nobody was signed in.
    assert kept.by_user == f"link-{link.id}"


def test_nothing_in_the_link_says_whose_it_is(issue, patient):
    link, token = issue()
    assert all(word not in token for word in (patient, link.id, "peg", ORGANISATION, PRESCRIBER.user_id))


def test_only_the_hash_of_the_token_is_kept(clinic, issue):
    _, token = issue()
    row = rows(clinic, outreach_tables.QuestionnaireLink)[0]
    secret_part = token.rpartition(".")[0]
    assert not any(secret_part in str(value) for value in row)


def test_looking_uses_nothing_up(clinic, library, issue):
    _, token = issue()
    for _ in range(3):
        link = found(clinic, token)
        assert link is not None
        assert link.state(NOW) is LinkState.OPEN
    answer(clinic, library, token)


def test_the_second_answer_is_refused(clinic, library, issue):
    _, token = issue()
    answer(clinic, library, token)
    with pytest.raises(Conflict) as refused:
        answer(clinic, library, token)
    assert refused.value.code == "used"
    assert len(rows(clinic, function_tables.Measurement)) == 1


def test_of_several_who_answer_at_once_one_is_heard(clinic, library, issue):
    _, token = issue()
    outcomes: list[str] = []
    together = threading.Barrier(4)

    def one() -> None:
        together.wait()
        try:
            answer(clinic, library, token)
            outcomes.append("kept")
        except Conflict as refused:
            outcomes.append(refused.code)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["kept", "used", "used", "used"]
    assert len(rows(clinic, function_tables.Measurement)) == 1


@pytest.mark.parametrize(
    ("later", "state"),
    [(timedelta(days=7) - timedelta(seconds=1), "open"), (timedelta(days=7), "expired")],
    ids=["just before", "at the end"],
)
def test_a_link_is_good_for_a_while(clinic, library, issue, later, state):
    _, token = issue(life=timedelta(days=7))
    link = found(clinic, token)
    assert link is not None
    assert link.state(NOW + later) == state
    if state == "expired":
        with pytest.raises(Conflict) as refused:
            answer(clinic, library, token, now=NOW + later)
        assert refused.value.code == "expired"


def test_a_link_that_was_revoked_is_refused(clinic, library, issue):
    link, token = issue()
    with transaction(clinic) as session:
        links.revoke(session, link.id, by=PHARMACIST, now=NOW)
        links.revoke(session, link.id, by=PHARMACIST, now=NOW)
    with pytest.raises(Conflict) as refused:
        answer(clinic, library, token)
    assert refused.value.code == "revoked"
    actions = [row.action for row in rows(clinic, tables.AuditEvent)]
    assert actions.count("questionnaire-link.revoked") == 1


def test_one_that_was_answered_is_not_revoked(clinic, library, issue):
    link, token = issue()
    answer(clinic, library, token)
    with pytest.raises(Conflict), transaction(clinic) as session:
        links.revoke(session, link.id, by=PRESCRIBER, now=NOW)


@pytest.mark.parametrize("spoil", ["", "x", "a.b", "{}x", "x{}", "{}.more", "\u00e9"])
def test_a_token_that_was_not_issued_is_nobodys(clinic, issue, spoil):
    _, token = issue()
    assert found(clinic, spoil.format(token)) is None


def test_a_token_that_another_key_signed_is_nobodys(clinic, issue):
    _, token = issue(secret="another-key-that-somebody-else-has-0123")
    assert found(clinic, token) is None


def test_answers_that_are_none_use_nothing_up(clinic, library, issue):
    _, token = issue()
    for wrong in ({"pain": Decimal(11)}, {"nothing-such": Decimal(1)}, {}):
        with pytest.raises(InvalidInput):
            answer(clinic, library, token, wrong)
    answer(clinic, library, token, {"pain": Decimal(7), "enjoyment": None, "activity": None})


@pytest.mark.parametrize(
    ("instrument", "code"),
    [("promis-physical-function", "licensed"), ("opioid-risk-tool", "not-alone"), ("none-such", "unknown")],
)
def test_what_patients_do_not_fill_in_alone_has_no_link(issue, instrument, code):
    with pytest.raises(InvalidInput) as refused:
        issue(instrument)
    assert refused.value.faults[0].code == code


@pytest.mark.parametrize("life", [timedelta(0), links.LONGEST_LIFE + timedelta(seconds=1)], ids=str)
def test_no_link_is_good_for_ever(issue, life):
    with pytest.raises(InvalidInput):
        issue(life=life)


def test_who_may_make_one(issue):
    issue(by=PHARMACIST)
    with pytest.raises(Forbidden):
        issue(by=COMPLIANCE)


def test_a_patient_of_another_organisation_is_none(issue, clinic):
    with pytest.raises(NotFound):
        issue(by=ELSEWHERE)
    link, _ = issue()
    with pytest.raises(NotFound), transaction(clinic) as session:
        links.read(session, link.id, by=ELSEWHERE)


def test_a_review_of_somebody_else_is_none(issue):
    with pytest.raises(NotFound):
        issue(review_id="r-unknown")


def test_without_a_key_there_are_no_links(issue, clinic):
    with pytest.raises(Unavailable):
        issue(secret="")
    assert rows(clinic, outreach_tables.QuestionnaireLink) == []


def test_answers_and_their_entry_in_the_record_are_one(clinic, library, issue, monkeypatch):
    _, token = issue()

    def refuse(*_: Any, **__: Any) -> None:
        raise Unavailable("no", code="audit-key-missing")

    with monkeypatch.context() as broken:
        broken.setattr(links.audit, "record", refuse)
        with pytest.raises(Unavailable):
            answer(clinic, library, token)
    assert rows(clinic, function_tables.Measurement) == []
    answer(clinic, library, token)

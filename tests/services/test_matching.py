"""Whose a dispensing is: sure matches are made, unsure ones wait for a person, wrong ones are undone."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from stewardship.db import import_tables, tables, transaction
from stewardship.domain.errors import Conflict, InvalidInput, NotFound
from stewardship.services import candidates
from tests.builders import NOW
from tests.services.declared import COMPLIANCE, ELSEWHERE, PHARMACIST
from tests.services.feeding import NEW, TERMS, a_report, bring, count, rows

NO_CARD = {"e01": "", "e02": "", "e03": ""}


def patients_of_supplies(clinic):
    return {row.patient_id for row in rows(clinic, select(tables.Supply.__table__.c.patient_id))}


def waiting(clinic):
    with transaction(clinic, write=False) as session:
        return candidates.waiting(session, by=COMPLIANCE)


def two_reports(clinic, **who):
    """Two fills, the second under a description that differs like this."""
    bring(clinic, a_report(NEW, 1))
    bring(clinic, a_report(NEW, 2, control="2", who=who))


@pytest.mark.parametrize(
    "differs",
    [
        {"e12": "2 OTHER ST", "e17": "5185550101"},
        {"e07": "Test-Patient 1", "e08": "testname"},
        {"e16": "122071234"},
        {"e16": "10001"},
        NO_CARD,
        {"e08": "OTHERNAME"},
        {"e19": "U"},
    ],
    ids=["address", "spelling", "long zip", "moved, same card", "no card", "same card and birth", "no sex"],
)
def test_the_same_person_in_other_words_is_one_patient(clinic, differs):
    two_reports(clinic, **differs)
    assert count(clinic, import_tables.Identity) == 2
    assert len(patients_of_supplies(clinic)) == 1
    assert waiting(clinic) == []


@pytest.mark.parametrize(
    ("differs", "rule"),
    [
        (NO_CARD | {"e16": "10001"}, "person-moved"),
        (NO_CARD | {"e19": "M"}, "person-alone"),
        (NO_CARD | {"e16": "000000000"}, "person-and-sex"),
        ({"e03": "S9999"}, "person-with-another-number"),
        ({"e07": "SOMEBODY", "e08": "ELSE", "e18": "19600101"}, "number-alone"),
    ],
)
def test_what_is_not_sure_waits_for_a_person_and_is_two_until_then(clinic, differs, rule):
    two_reports(clinic, **differs)
    assert len(patients_of_supplies(clinic)) == 2
    (one,) = waiting(clinic)
    assert one.rule == rule


@pytest.mark.parametrize(
    "differs",
    [
        NO_CARD | {"e08": "OTHERNAME"},
        NO_CARD | {"e18": "19700102"},
        {"e01": "NJ", "e08": "OTHERNAME", "e18": "19700102"},
        {"e02": "02", "e08": "OTHERNAME", "e18": "19700102"},
    ],
    ids=["name", "birth", "same number of another state", "same number of another kind"],
)
def test_others_are_others(clinic, differs):
    two_reports(clinic, **differs)
    assert len(patients_of_supplies(clinic)) == 2
    assert waiting(clinic) == []


def test_a_number_that_nobody_has_names_nobody(clinic):
    bring(clinic, a_report(NEW, 1, who={"e03": "00000000"}))
    bring(clinic, a_report(NEW, 2, of=2, control="2", who={"e03": "00000000"}))
    assert len(patients_of_supplies(clinic)) == 2
    assert waiting(clinic) == []


def test_of_two_who_fit_none_is_taken(clinic):
    bring(clinic, a_report(NEW, 1, who=NO_CARD | {"e19": "F"}))
    bring(clinic, a_report(NEW, 2, control="2", who=NO_CARD | {"e19": "M"}))
    bring(clinic, a_report(NEW, 3, control="3", who=NO_CARD | {"e19": "U"}))
    assert len(patients_of_supplies(clinic)) == 3
    assert len(waiting(clinic)) == 3


def test_an_animal_is_never_its_owner(clinic):
    two_reports(clinic, e20="02", e23="REX")
    assert len(patients_of_supplies(clinic)) == 1
    assert count(clinic, tables.Supply) == 1


def settle(clinic, how, *arguments, by=PHARMACIST, **more):
    with transaction(clinic) as session:
        return how(session, *arguments, by=by, now=NOW, **more)


def test_a_person_says_that_they_are_one(clinic):
    two_reports(clinic, **NO_CARD, e16="10001")
    (one,) = waiting(clinic)
    moved = settle(
        clinic, candidates.accept, one.identity_id, one.patient_id, reason="asked the patient", terms=TERMS
    )
    assert moved == 1
    assert patients_of_supplies(clinic) == {one.patient_id}
    assert waiting(clinic) == []
    # What comes under the same words later is his, too.
    bring(clinic, a_report(NEW, 3, control="3", who=NO_CARD | {"e16": "10001"}))
    assert patients_of_supplies(clinic) == {one.patient_id}


def test_a_person_says_that_they_are_two(clinic):
    two_reports(clinic, **NO_CARD, e16="10001")
    (one,) = waiting(clinic)
    settle(clinic, candidates.decline, one.identity_id, one.patient_id, reason="father and son")
    assert waiting(clinic) == []
    assert len(patients_of_supplies(clinic)) == 2
    with pytest.raises(Conflict):
        settle(clinic, candidates.decline, one.identity_id, one.patient_id, reason="again")


def test_a_wrong_match_is_undone_and_its_history_kept(clinic):
    two_reports(clinic, e08="OTHERNAME")
    (before,) = patients_of_supplies(clinic)
    table = import_tables.Identity.__table__.c
    second = next(
        row.id for row in rows(clinic, select(table.id, table.document)) if "OTHERNAME" in row.document
    )
    apart = settle(clinic, candidates.part, second, reason="twins", terms=TERMS)
    assert patients_of_supplies(clinic) == {before, apart}
    with transaction(clinic, write=False) as session:
        links = candidates.history(session, second, by=COMPLIANCE)
    assert [(link.patient_id, link.rule, link.reason) for link in links] == [
        (before, "number-and-part", ""),
        (apart, "parted", "twins"),
    ]
    # The next fill under the same words stays apart.
    bring(clinic, a_report(NEW, 3, control="3", who={"e08": "OTHERNAME"}))
    held = rows(clinic, select(tables.Supply.__table__.c.patient_id))
    assert [row.patient_id for row in held].count(apart) == 2


def of_three(clinic):
    """A third description that may be either of two patients; its identity and theirs."""
    bring(clinic, a_report(NEW, 1, who=NO_CARD | {"e19": "F"}))
    bring(clinic, a_report(NEW, 2, control="2", who=NO_CARD | {"e19": "M"}))
    bring(clinic, a_report(NEW, 3, control="3", who=NO_CARD | {"e19": "U"}))
    # The second waits for the first, and the third for both of them.
    by_identity = {}
    for one in waiting(clinic):
        by_identity.setdefault(one.identity_id, []).append(one.patient_id)
    ((identity, patients),) = [(i, p) for i, p in by_identity.items() if len(p) == 2]
    return identity, patients


def said(clinic, identity):
    with transaction(clinic, write=False) as session:
        return [
            (s.patient_id, s.act, s.reason) for s in candidates.settlements(session, identity, by=COMPLIANCE)
        ]


def test_whoever_was_passed_over_is_asked_about_again_when_the_match_was_wrong(clinic):
    identity, (right, wrong) = of_three(clinic)
    settle(clinic, candidates.accept, identity, wrong, reason="same address", terms=TERMS)
    assert [one.identity_id for one in waiting(clinic)].count(identity) == 0
    settle(clinic, candidates.part, identity, reason="a cousin", terms=TERMS)
    assert [one.patient_id for one in waiting(clinic) if one.identity_id == identity] == [right]
    settle(clinic, candidates.accept, identity, right, reason="asked him", terms=TERMS)
    with transaction(clinic, write=False) as session:
        links = candidates.history(session, identity, by=COMPLIANCE)
    assert [link.patient_id for link in links][1::2] == [wrong, right]
    assert said(clinic, identity) == [
        (wrong, "accepted", "same address"),
        (right, "passed-over", "same address"),
        (wrong, "parted", "a cousin"),
        (right, "reopened", "a cousin"),
        (right, "accepted", "asked him"),
    ]


def test_one_who_was_declined_is_not_asked_about_again_by_itself(clinic):
    identity, (one, other) = of_three(clinic)
    settle(clinic, candidates.decline, identity, one, reason="two")
    settle(clinic, candidates.accept, identity, other, reason="one", terms=TERMS)
    settle(clinic, candidates.part, identity, reason="wrong", terms=TERMS)
    assert [w for w in waiting(clinic) if w.identity_id == identity] == []


def test_a_declined_match_is_opened_again_and_both_charts_say_so(clinic):
    two_reports(clinic, **NO_CARD, e16="10001")
    (one,) = waiting(clinic)
    which = one.identity_id, one.patient_id
    settle(clinic, candidates.decline, *which, reason="father and son")
    settle(clinic, candidates.reopen, *which, reason="there is no son")
    assert [(w.identity_id, w.patient_id) for w in waiting(clinic)] == [which]
    assert [act for _, act, _ in said(clinic, one.identity_id)] == ["declined", "reopened"]
    with pytest.raises(Conflict):
        settle(clinic, candidates.reopen, *which, reason="again")
    settle(clinic, candidates.accept, *which, reason="one", terms=TERMS)
    with pytest.raises(Conflict, match="part the identity"):
        settle(clinic, candidates.reopen, *which, reason="again")


def test_what_a_system_of_records_says_of_its_own_patient_is_not_parted(clinic):
    from stewardship.domain.dispensings import Identity
    from stewardship.services import matching

    with transaction(clinic) as session:
        patient = "p" * 32
        row = {"organisation_id": PHARMACIST.organisation_id, "id": patient, "ehr_id": "e-1", "sex": ""}
        session.execute(tables.Patient.__table__.insert(), row | {"deceased": False, "recorded_at": NOW})
        told = {patient: Identity("TESTPATIENT1", "TESTNAME", None)}
        matching.recorded(session, told, TERMS.matching, by=PHARMACIST, now=NOW)
    (row,) = rows(clinic, select(import_tables.Identity.__table__.c.id))
    with pytest.raises(InvalidInput, match="correct it there"):
        settle(clinic, candidates.part, row.id, reason="no", terms=TERMS)


def test_of_two_who_settle_a_match_at_once_the_second_is_told_who_was_first(clinic):
    from concurrent.futures import ThreadPoolExecutor

    two_reports(clinic, **NO_CARD, e16="10001")
    (one,) = waiting(clinic)
    which = one.identity_id, one.patient_id

    def accept():
        return settle(clinic, candidates.accept, *which, reason="one", terms=TERMS)

    def decline():
        return settle(clinic, candidates.decline, *which, reason="two")

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(accept), pool.submit(decline)]
    lost = [done.exception() for done in both if done.exception()]
    assert len(lost) == 1
    assert isinstance(lost[0], Conflict)
    assert PHARMACIST.user_id in str(lost[0])
    assert len(said(clinic, one.identity_id)) == 1


@pytest.mark.parametrize("reason", ["", "   ", "\u200b", "x" * 501])
def test_a_match_is_not_undone_without_a_reason(clinic, reason):
    bring(clinic, a_report())
    (row,) = rows(clinic, select(import_tables.Identity.__table__.c.id))
    with pytest.raises(InvalidInput):
        settle(clinic, candidates.part, row.id, reason=reason, terms=TERMS)


def test_another_organisations_matches_are_not_there(clinic):
    two_reports(clinic, **NO_CARD, e16="10001")
    (one,) = waiting(clinic)
    with pytest.raises(NotFound):
        settle(clinic, candidates.decline, one.identity_id, one.patient_id, reason="not ours", by=ELSEWHERE)
    with pytest.raises(NotFound):
        settle(clinic, candidates.part, one.identity_id, reason="not ours", terms=TERMS, by=ELSEWHERE)

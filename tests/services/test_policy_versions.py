"""What policy versions add to findings is kept once, and shown as it was when it decided something."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import select, text

from stewardship.db import documents, tables, transaction
from stewardship.domain.errors import Unavailable
from stewardship.domain.policy import Breach, CannotTell, Enforcement, Finding, Met, Outcome, Severity
from stewardship.services import answers, decisions, orders, policy_versions
from tests.builders import NOW, a_chart, an_order
from tests.services.declared import ELSEWHERE, ONE_PHARMACIST, PRESCRIBER, Declared, a_policy

FACTS = {
    "days": Decimal("4.50"),
    "on": date(2026, 11, 1),
    "of": ("a", "b"),
    "n": {"m": Decimal(2)},
    "k": True,
}
SOFT = a_policy("soft", Breach(FACTS))
HARD = a_policy("hard", CannotTell(("x",)), enforcement=Enforcement.HARD_STOP, exception=ONE_PHARMACIST)
REWORDED = replace(SOFT, title="Another title", sha256="1" * 64)


def submit(session, *policies, order="order-1", by=PRESCRIBER):
    return orders.submit(session, Declared(policies), an_order(id=order), a_chart(), by=by, now=NOW)


def kept(sessions):
    columns = [tables.PolicyVersion.policy_id, tables.PolicyVersion.organisation_id]
    with transaction(sessions, write=False) as session:
        return sorted(tuple(row) for row in session.execute(select(*columns)))


def said(sessions, checked):
    with transaction(sessions, write=False) as session:
        return [f.said for f in decisions.read(session, checked.decision_id, by=PRESCRIBER).findings]


def test_a_stored_finding_reads_as_the_one_that_was_answered(clinic):
    library = Declared([HARD, SOFT, a_policy("well", Met({"days": 3}))])
    with transaction(clinic) as session:
        checked = submit(session, *library.policies)
    answered = answers.decision_json(checked.decision, library, patient_id="p-1")["findings"]
    assert said(clinic, checked) == answered


def test_every_field_of_a_finding_is_kept_under_the_name_that_faces_give_it():
    finding = Finding("p", 1, Outcome.PASS, Enforcement.SILENT, Severity.INFO, snoozed_until=date(2027, 1, 1))
    stored = documents.decode_shown(documents.encode_shown(finding))
    assert stored | answers.policy_json(SOFT) == answers.finding_json(finding, SOFT)


def test_an_answer_put_together_from_documents_says_the_same(clinic):
    policies = [HARD, SOFT]
    library = Declared(policies)
    with transaction(clinic) as session:
        (checked,) = orders.check(
            session, library, [an_order()], a_chart(), channel="cds-hooks", by=PRESCRIBER, now=NOW
        )
    answered = answers.decision_json(checked.decision, library, patient_id="p-1")["findings"]
    text = documents.encode_shown(policy_versions.told(checked.documents, policies, order='an "order"'))
    assert documents.decode_shown(text) == [{**one, "order": 'an "order"'} for one in answered]


def test_a_finding_is_stored_without_what_its_policy_version_says(clinic):
    with transaction(clinic) as session:
        submit(session, SOFT)
        (document,) = session.execute(select(tables.Finding.document)).scalars()
    assert not set(documents.decode_shown(document)) & set(answers.policy_json(SOFT))


def test_a_version_is_kept_once_for_each_organisation(clinic):
    for number, by in enumerate([PRESCRIBER, PRESCRIBER, ELSEWHERE, PRESCRIBER]):
        with transaction(clinic) as session:
            submit(session, SOFT, order=f"order-{number}", by=by)
    assert kept(clinic) == [("soft", "org-1"), ("soft", "org-2")]


def test_a_decision_keeps_the_words_of_its_own_version(clinic):
    with transaction(clinic) as session:
        before = submit(session, SOFT, order="before")
        after = submit(session, REWORDED, order="after")
        stored = decisions.read(session, after.decision_id, by=PRESCRIBER)
    assert [said(clinic, one)[0]["title"] for one in (before, after)] == ["The policy soft", "Another title"]
    assert stored.policies == (("soft", 1, "1" * 64),)


def test_a_version_whose_first_use_was_rolled_back_is_kept_with_the_next(clinic):
    with pytest.raises(RuntimeError), transaction(clinic) as session:
        submit(session, SOFT)
        submit(session, SOFT, order="order-2")
        raise RuntimeError
    with transaction(clinic) as session:
        checked = submit(session, SOFT)
    assert said(clinic, checked)[0]["title"] == SOFT.title


def test_a_decision_whose_policy_version_is_gone_says_so(clinic):
    with transaction(clinic) as session:
        checked = submit(session, SOFT)
        if session.get_bind().dialect.name == "sqlite":
            session.execute(text("DROP TRIGGER policy_versions_no_delete"))
        else:
            session.execute(text("ALTER TABLE policy_versions DISABLE TRIGGER USER"))
        session.execute(text("DELETE FROM policy_versions"))
        with pytest.raises(Unavailable, match="soft version 1"):
            decisions.read(session, checked.decision_id, by=PRESCRIBER)

"""Orders: the same judgement for all three ways in, and what each of them keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from threading import Barrier, Thread

import pytest
from sqlalchemy import func, insert, select

from stewardship.db import documents, tables, transaction
from stewardship.domain.chart import Chart, Condition, Patient
from stewardship.domain.errors import Conflict, InvalidInput, PatientMismatch
from stewardship.domain.orders import Order, SupplyKind
from stewardship.domain.policy import Breach, CannotTell, Disposition, Enforcement, Met, NotApplicable
from stewardship.services import audit, decisions, orders, verification
from tests.builders import NOW, a_chart, a_supply, an_order
from tests.services.declared import PRESCRIBER, Declared, a_policy

LATER = NOW + timedelta(minutes=5)
STOPS = Declared([a_policy("stop", Breach({"days_supply": Decimal("4.50")}))])
FREE = Declared([a_policy("free", Met({"days_supply": 3}))])


class SeesSupplies:
    """A rule that tells which supplies lie on the chart."""

    def check(self, order, chart):
        return Met({"supplies": tuple(f"{s.kind.value} {s.id}" for s in chart.supplies)})


SEES = Declared([a_policy("sees", rule=SeesSupplies())])


def seen(checked):
    return checked.decision.findings[0].facts["supplies"]


def rows(session, table):
    return session.execute(select(func.count()).select_from(table)).scalar_one()


def check(session, library, *drafts, chart=None, now=NOW, by=PRESCRIBER):
    return orders.check(session, library, drafts, chart or a_chart(), channel="cds-hooks", by=by, now=now)


def submit(session, library, order=None, chart=None, now=NOW, by=PRESCRIBER):
    return orders.submit(session, library, order or an_order(), chart or a_chart(), by=by, now=now)


def test_a_screen_keeps_nothing(clinic):
    with transaction(clinic) as session:
        before = rows(session, tables.AuditEvent)
        (checked,) = orders.screen(session, STOPS, [an_order()], a_chart(), by=PRESCRIBER, now=NOW)
        assert checked.decision.disposition is Disposition.NEEDS_REASON
        assert checked.decision_id is None
        assert rows(session, tables.Decision) == rows(session, tables.Patient) == 0
        assert rows(session, tables.AuditEvent) == before


def test_the_three_ways_in_decide_alike(clinic):
    answers = (
        Met({"a": 1}),
        Breach({"a": Decimal("1.5")}),
        CannotTell(("order.days_supply",)),
        NotApplicable("no"),
    )
    library = Declared([a_policy(f"p{n}", answer) for n, answer in enumerate(answers)])
    with transaction(clinic) as session:
        (screened,) = orders.screen(session, library, [an_order()], a_chart(), by=PRESCRIBER, now=NOW)
        (checked,) = check(session, library, an_order())
        submitted = submit(session, library)
    assert screened.decision == checked.decision == submitted.decision


def test_a_check_keeps_the_decision_with_everything_it_rests_on(clinic):
    order, chart = an_order(), a_chart(a_supply())
    with transaction(clinic) as session:
        (checked,) = check(session, STOPS, order, chart=chart)
    with transaction(clinic, write=False) as session:
        row = session.execute(select(tables.Decision)).scalar_one()
        assert row.id == checked.decision_id
        assert documents.decode(row.order_document, Order) == order
        assert documents.decode(row.chart_document, Chart) == chart
        assert decisions.read(session, row.id, by=PRESCRIBER).policies == (("stop", 1, "0" * 64),)
        assert (row.disposition, row.channel, row.by_user) == ("needs-reason", "cds-hooks", "u-prescriber")


def test_every_policy_leaves_a_finding_with_its_facts_exactly(clinic):
    library = Declared([*FREE.policies, *STOPS.policies])
    with transaction(clinic) as session:
        (checked,) = check(session, library, an_order())
    with transaction(clinic, write=False) as session:
        found = decisions.read(session, checked.decision_id, by=PRESCRIBER).findings
        assert [(f.policy, f.said["outcome"]) for f in found] == [("free", "pass"), ("stop", "breach")]
        (aloud,) = session.execute(select(tables.Finding)).scalars()
        assert '"days_supply":4.50' in aloud.document
        assert documents.decode_shown(aloud.document)["facts"] == {"days_supply": Decimal("4.50")}


def test_only_findings_that_speak_have_rows(clinic):
    library = Declared([*FREE.policies, *STOPS.policies])
    with transaction(clinic) as session:
        check(session, library, an_order())
        row = session.execute(select(tables.Decision)).scalar_one()
        assert session.execute(select(tables.Finding.policy_id)).scalars().all() == ["stop"]
    assert [said["policy"] for said in documents.decode_shown(row.silent_document)] == ["free"]


def test_a_decision_from_before_silent_findings_stood_together_reads_the_same(clinic):
    library = Declared([*FREE.policies, *STOPS.policies])
    with transaction(clinic) as session:
        (checked,) = check(session, library, an_order())
        before = a_copy_as_it_was_kept_before(session, checked)
    with transaction(clinic, write=False) as session:
        now = decisions.read(session, checked.decision_id, by=PRESCRIBER)
        assert decisions.read(session, before, by=PRESCRIBER).findings == now.findings


def test_a_decision_from_before_silent_findings_stood_together_is_verified_as_it_was(clinic):
    library = Declared([*FREE.policies, *STOPS.policies])
    with transaction(clinic) as session:
        (checked,) = check(session, library, an_order())
        a_copy_as_it_was_kept_before(session, checked)
    with transaction(clinic, write=False) as session:
        assert verification.verify(session, organisation_id="org-1").fault is None


def a_copy_as_it_was_kept_before(session, checked):
    """The same decision under another id, with a row and a part of its digest for each finding."""
    kept = session.execute(select(tables.Decision.__table__)).mappings().one()
    row = {**kept, "id": "before", "silent_document": None}
    session.execute(insert(tables.Decision), row)
    said = [kept[name] for name in ("patient_id", "order_id", "channel", "disposition", "by_user", "by_role")]
    said += [kept[name] for name in ("order_document", "chart_document", "policies_document")]
    said.append(kept["as_of"].isoformat())
    for finding in checked.decision.findings:
        words = {
            "policy_id": finding.policy,
            "outcome": finding.outcome.value,
            "enforcement": finding.enforcement.value,
            "severity": finding.severity.value,
            "document": documents.encode_shown(finding),
        }
        mine = {"organisation_id": "org-1", "decision_id": "before", "version": finding.version}
        session.execute(insert(tables.Finding), mine | words)
        said += [*words.values(), str(finding.version)]
    detail = {"sha256": documents.digest(*said)}
    audit.record(session, "order.checked", subject="before", by=PRESCRIBER, now=NOW, detail=detail)
    return "before"


def test_a_check_runs_as_well_in_a_late_transaction(clinic):
    with transaction(clinic) as session:
        submit(session, FREE, an_order(id="known"))
    with transaction(clinic, late=True) as session:
        (checked,) = check(session, SEES, an_order(id="new"), now=LATER)
    with transaction(clinic, write=False) as session:
        assert seen(checked) == ("prescription known",)
        assert rows(session, tables.Decision) == 2


def test_without_orders_the_chart_alone_is_looked_at(clinic):
    with transaction(clinic) as session:
        (checked,) = check(session, Declared([]))
        row = session.execute(select(tables.Decision)).scalar_one()
        assert (checked.order, row.order_id, row.order_document) == (None, None, None)


def test_a_failed_audit_write_changes_nothing(clinic, monkeypatch):
    def fails(*_args, **_kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(audit, "record", fails)
    with pytest.raises(OSError, match="no space"), transaction(clinic) as session:
        submit(session, FREE)
    with transaction(clinic, write=False) as session:
        for table in (tables.Patient, tables.Decision, tables.Finding, tables.Order):
            assert rows(session, table) == 0


def test_a_submitted_order_that_nothing_stops_is_a_prescription_later(clinic):
    with transaction(clinic) as session:
        submit(session, FREE, an_order(id="first"))
        second = submit(session, SEES, an_order(id="second"), now=LATER)
    assert seen(second) == ("prescription first",)


def test_a_submitted_order_that_is_stopped_is_no_prescription(clinic):
    with transaction(clinic) as session:
        submit(session, STOPS, an_order(id="first"))
        second = submit(session, SEES, an_order(id="second"), now=LATER)
    assert seen(second) == ()


def test_a_checked_draft_is_no_prescription_later(clinic):
    with transaction(clinic) as session:
        check(session, FREE, an_order(id="first"))
        second = submit(session, SEES, an_order(id="second"), now=LATER)
    assert seen(second) == ()


def test_an_order_is_not_its_own_history(clinic):
    own = a_supply(kind=SupplyKind.PRESCRIPTION, id="order-1")
    with transaction(clinic) as session:
        submit(session, FREE, an_order(id="order-1"))
        (again,) = check(session, SEES, an_order(id="order-1"), chart=a_chart(own), now=LATER)
    assert seen(again) == ()


def test_orders_of_one_signing_lie_beside_each_other_as_drafts(clinic):
    with transaction(clinic) as session:
        checked = check(session, SEES, an_order(id="a"), an_order(id="b"))
    assert [seen(one) for one in checked] == [("draft b",), ("draft a",)]


def test_only_selected_orders_are_judged(clinic):
    with transaction(clinic) as session:
        checked = check(session, SEES, an_order(id="a"), an_order(id="b", selected=False))
    assert [(one.order.id, seen(one)) for one in checked] == [("a", ("draft b",))]


def test_when_none_is_selected_all_are_judged(clinic):
    with transaction(clinic) as session:
        checked = check(session, SEES, an_order(id="a", selected=False))
    assert [one.order.id for one in checked] == ["a"]


def test_the_same_order_submitted_again_gets_its_first_answer(clinic):
    with transaction(clinic) as session:
        first = submit(session, STOPS)
        again = submit(session, FREE, now=LATER)
        assert again == first
        assert rows(session, tables.Decision) == 1


def test_another_order_under_the_same_id_is_refused_and_names_the_decision(clinic):
    with transaction(clinic) as session:
        first = submit(session, FREE, an_order(days=3))
        with pytest.raises(Conflict, match=first.decision_id):
            submit(session, FREE, an_order(days=4), now=LATER)


def test_an_order_without_an_id_gets_one(clinic):
    with transaction(clinic) as session:
        checked = submit(session, FREE, an_order(id=""))
    assert checked.order.id == checked.decision.order_id != ""


def test_two_orders_that_are_signed_at_once_do_not_overlook_each_other(clinic):
    start, found = Barrier(2), []

    def sign(name):
        start.wait()
        with transaction(clinic) as session:
            found.append(seen(submit(session, SEES, an_order(id=name), now=NOW)))

    both = [Thread(target=sign, args=(name,)) for name in ("a", "b")]
    for one in both:
        one.start()
    for one in both:
        one.join(30)
    assert sorted(map(len, found)) == [0, 1]


def test_one_order_that_is_submitted_twice_at_once_is_one(clinic):
    start, found = Barrier(2), []

    def sign():
        start.wait()
        with transaction(clinic) as session:
            found.append(submit(session, FREE).decision_id)

    both = [Thread(target=sign) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(30)
    assert len(found) == 2
    assert len(set(found)) == 1


def test_an_order_of_another_patient_than_the_chart_is_refused(clinic):
    with transaction(clinic) as session, pytest.raises(PatientMismatch) as refused:
        check(session, FREE, an_order(patient_id="p-2"))
    assert "p-1" not in refused.value.message
    assert "p-2" not in refused.value.message


@pytest.mark.parametrize("bad", ["x" * 201, "a\x00b", "a\nb"])
def test_an_id_that_cannot_be_kept_is_refused_before_anything_is(clinic, bad):
    with transaction(clinic) as session, pytest.raises(InvalidInput) as refused:
        submit(session, FREE, an_order(id=bad))
    assert refused.value.faults[0].pointer == "/order/id"


def test_what_the_database_knows_is_joined_with_what_the_request_brought(clinic):
    with transaction(clinic) as session:
        submit(session, FREE, an_order(id="known"))
        (checked,) = check(
            session, SEES, an_order(id="new"), chart=a_chart(a_supply(id="brought")), now=LATER
        )
    assert seen(checked) == ("prescription known", "dispensing brought")


def test_another_organisations_history_is_not_seen(clinic):
    from tests.services.declared import ELSEWHERE

    with transaction(clinic) as session:
        submit(session, FREE, an_order(id="theirs"), by=ELSEWHERE)
        (checked,) = check(session, SEES, an_order(id="ours"), now=LATER)
    assert seen(checked) == ()


def test_a_stored_decision_can_be_made_again_from_its_documents(clinic):
    chart = a_chart(
        a_supply(), conditions=(Condition("c-1", ()),), patient=replace(Patient("p-1"), sex="female")
    )
    with transaction(clinic) as session:
        submit(session, SEES, chart=chart)
        row = session.execute(select(tables.Decision)).scalar_one()
    (stored,) = documents.decode_shown(row.silent_document)
    from stewardship.domain.policy import decide

    again = decide(
        SEES.in_force(NOW.date()),
        documents.decode(row.order_document, Order),
        documents.decode(row.chart_document, Chart),
    )
    assert documents.decode_shown(documents.encode_shown(again.findings[0])) == stored


def test_cannot_tell_is_kept_as_such_with_its_softened_stop(clinic):
    library = Declared([a_policy("p", CannotTell(("order.days_supply",)), enforcement=Enforcement.HARD_STOP)])
    with transaction(clinic) as session:
        submit(session, library)
        row = session.execute(select(tables.Finding)).scalar_one()
    assert (row.outcome, row.enforcement) == ("cannot-tell", "soft-stop")

"""A policy may let an exception rest on a certified prescriber: then nobody else's signature is taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from stewardship.db import Sessions, transaction
from stewardship.declarations.places import POLICIES
from stewardship.declarations.policies import References, read_policy
from stewardship.domain.chart import Chart, Patient
from stewardship.domain.errors import DeclarationError, Forbidden
from stewardship.domain.orders import Order
from stewardship.domain.people import Principal, Role
from stewardship.domain.policy import Breach, Enforcement, ExceptionPath
from stewardship.domain.prescribers import Certification, CertificationKind, Prescriber
from stewardship.services import decisions, orders, prescribers
from tests.builders import NOW, TODAY, an_order
from tests.plans.tapering import declared
from tests.services.declared import ORGANISATION, PHARMACIST, PRESCRIBER, Declared, a_policy

PAIN_DOCTOR = Principal("u-pain", ORGANISATION, Role.PRESCRIBER)
DOUBLE = declared().boards.qualifications["double-board-certified"]
COSIGNED = ExceptionPath(1, ("prescriber",), ("prescriber",), requires=DOUBLE)
ASKED_BY = ExceptionPath(1, ("pharmacist",), requires=DOUBLE, requires_of="requester")


def certified(until: date = date(2030, 12, 31), user: str = "u-pain") -> Prescriber:
    kinds = (
        (CertificationKind.PRIMARY, "anesthesiology"),
        (CertificationKind.PAIN_MEDICINE, "pain-medicine"),
    )
    return Prescriber(
        "", "1234567893", "anesthesiology", user,
        tuple(Certification(kind, "aba", said, date(2020, 1, 1), until) for kind, said in kinds),
    )  # fmt: skip


def stopped(database: Sessions, path: ExceptionPath) -> str:
    """A decision with a hard stop that has this way past it."""
    policy = a_policy(
        answer=Breach({}), enforcement=Enforcement.HARD_STOP, exception=path, title=f"{path.requires_of}"
    )
    order: Order = replace(an_order(), patient_id="p-1")
    with transaction(database) as session:
        made = orders.submit(
            session, Declared([policy]), order, Chart(Patient("p-1"), NOW), by=PRESCRIBER, now=NOW
        )
    assert made.decision_id is not None
    return made.decision_id


def request(database: Sessions, decision: str) -> str:
    with transaction(database) as session:
        return decisions.request_exception(
            session, decision, "a-policy", reason="benefit", by=PRESCRIBER, now=NOW
        )


def register(database: Sessions, prescriber: Prescriber) -> None:
    with transaction(database) as session:
        prescribers.keep(session, declared(), prescriber, by=PRESCRIBER, now=NOW)


def sign(database: Sessions, exception: str, *, approve: bool = True) -> str:
    with transaction(database) as session:
        return decisions.countersign(
            session, exception, approve=approve, by=PAIN_DOCTOR, now=NOW
        ).status.value


def test_a_countersignature_is_taken_from_a_certified_prescriber_alone(clinic: Sessions) -> None:
    exception = request(clinic, stopped(clinic, COSIGNED))
    with pytest.raises(Forbidden, match="not in the registry") as refused:
        sign(clinic, exception)
    assert refused.value.code == "qualification"
    register(clinic, certified())
    assert sign(clinic, exception) == "approved"


def test_a_certification_that_ended_yesterday_is_none(clinic: Sessions) -> None:
    exception = request(clinic, stopped(clinic, COSIGNED))
    register(clinic, certified(until=date(2026, 11, 20)))
    with pytest.raises(Forbidden, match="pain-medicine certification ended on 2026-11-20"):
        sign(clinic, exception)
    register(clinic, certified(until=TODAY))
    assert sign(clinic, exception) == "approved"


def test_to_decline_nobody_has_to_be_certified(clinic: Sessions) -> None:
    exception = request(clinic, stopped(clinic, COSIGNED))
    assert sign(clinic, exception, approve=False) == "declined"


def test_an_exception_may_be_granted_to_a_certified_prescriber_alone(clinic: Sessions) -> None:
    decision = stopped(clinic, ASKED_BY)
    with pytest.raises(Forbidden, match="needs a requester who is certified"):
        request(clinic, decision)
    register(clinic, certified(user=PRESCRIBER.user_id))
    exception = request(clinic, decision)
    with transaction(clinic) as session:
        state = decisions.countersign(session, exception, by=PHARMACIST, now=NOW)
    assert state.status.value == "approved"


def test_without_a_qualification_nothing_has_changed(clinic: Sessions) -> None:
    exception = request(clinic, stopped(clinic, ExceptionPath(1, ("prescriber",))))
    assert sign(clinic, exception) == "approved"


# --- in a policy file -------------------------------------------------------------------------------------

REFERENCES = References(
    factor_sets=declared().factor_sets,
    exemptions=declared().exemptions,
    tolerances={
        p.rule.tolerance.id: p.rule.tolerance for p in declared().policies if p.kind == "no-long-acting-start"
    },  # type: ignore[attr-defined]
    phase_bounds=declared().phase_bounds,
    qualifications=declared().boards.qualifications,
)


def a_file(tmp_path: Path, exception: str) -> Path:
    """The published policy on long-acting opioids as a draft of a later version, with another way past it."""
    text = (POLICIES / "no-long-acting.v1.toml").read_text()
    made = tmp_path / "no-long-acting.v9.toml"
    text = text.replace("version = 1", "version = 9", 1)
    made.write_text(text.replace('countersignatures = 1\nroles = ["pharmacist"]', exception, 1))
    return made


def test_a_policy_file_may_ask_for_it(tmp_path: Path) -> None:
    path = a_file(
        tmp_path,
        'countersignatures = 1\nroles = ["prescriber"]\nincluding = ["prescriber"]\n'
        'requires = "double-board-certified"',
    )
    exception = read_policy(path, REFERENCES, {}).exception
    assert exception is not None
    assert (exception.requires, exception.requires_of) == (DOUBLE, "countersigner")


@pytest.mark.parametrize(
    ("exception", "says"),
    [
        ('countersignatures = 1\nroles = ["prescriber"]\nincluding = ["prescriber"]\nrequires = "wise"',
         "there is no 'wise'"),
        ('countersignatures = 1\nroles = ["pharmacist"]\nrequires = "board-certified"',
         "needs a prescriber among"),
    ],
    ids=["unknown", "nobody could be certified"],
)  # fmt: skip
def test_a_file_that_asks_for_what_there_is_not_is_refused(tmp_path: Path, exception: str, says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        read_policy(a_file(tmp_path, exception), REFERENCES, {})

"""Plans of the demonstration, each at another stage: one just begun, one that waits for a referral that is
overdue, one in which a block has opened the way, and a taper that is paused.

They are made by the services, as a clinic would make them, relative to the day of the first start.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy.orm import Session

from stewardship.declarations import Library
from stewardship.demo.clinic import Clinic
from stewardship.domain.care import Coverage, Preference, SaidBy, Stance
from stewardship.domain.chart import Chart
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.domain.goals import FunctionGoal
from stewardship.domain.pain_plan import Contact, NewStep
from stewardship.domain.patient_facts import pain_codes
from stewardship.domain.people import Principal
from stewardship.domain.plan_referrals import ReferralStatus
from stewardship.domain.plan_steps import Basis, Function
from stewardship.domain.suitability import Response
from stewardship.domain.taper import AskedBy, SharedDecision
from stewardship.domain.taper_schedule import NotPlanned, Schedule
from stewardship.services import patient_wishes, plans, tapers
from stewardship.services.plans import Answered, NewPlan, NewReferral
from stewardship.services.tapers import Wanted

#: Kinds of patient of the clinic (``clinic.toml``).
_BEGUN, _WAITING, _OPENED = (
    "knee-arthritis-tramadol",
    "chronic-low-back-unreviewed",
    "chronic-low-back-stable",
)
_FACET = Coding(ICD10CM, "M47.816", "Spondylosis without myelopathy or radiculopathy, lumbar region")
_TAPERED = ("high-dose", "long-acting-established", "chronic-low-back-stable")


def make(session: Session, clinic: Clinic, library: Library, *, by: Principal, now: datetime) -> None:
    """All of them."""
    maker = _Maker(session, clinic, library, by, now)
    maker.just_begun()
    maker.waiting_for_a_referral()
    maker.opened_by_a_block()
    maker.paused_taper()


class _Maker:
    def __init__(
        self, session: Session, clinic: Clinic, library: Library, by: Principal, now: datetime
    ) -> None:
        self.session = session
        self.clinic = clinic
        self.library = library
        self.by = by
        self.now = now

    def just_begun(self) -> None:
        """Exercise and a topical NSAID for a knee; surgery is not wanted."""
        patient = self.clinic.patient(_BEGUN)
        wish = Preference("surgery", Stance.DECLINED, self._day(20), SaidBy.PATIENT, "no operation this year")
        patient_wishes.prefer(self.session, self.library, patient, wish, by=self.by, now=self.now)
        plan_id = self._plan(patient, "Play with the grandchildren on the floor", since=20)
        version = self._step(plan_id, 1, "exercise", on=20)
        self._begin(plan_id, version, "exercise", on=18)

    def waiting_for_a_referral(self) -> None:
        """Physical therapy did not help; the letter to pain medicine was never answered."""
        plan_id = self._plan(self.clinic.patient(_WAITING), "Stand long enough to cook", since=90)
        version = self._step(plan_id, 1, "physical-therapy", on=90, visits=8)
        version = self._begin(plan_id, version, "physical-therapy", on=88)
        self._answer(
            plan_id, version, "physical-therapy", Answered(on=self._day(50), relief_percent=5, ends=True)
        )
        letter = NewReferral(
            "pain-medicine", "no relief by physical therapy", "routine", "primary-care", self._day(45)
        )
        plans.refer(self.session, self.library, plan_id, letter, by=self.by, now=self.now)

    def opened_by_a_block(self) -> None:
        """Exercise helped in part, a block of the facet joints showed the source, and the report is back."""
        charts = self.clinic.charts
        stable = [p for p, kind in self.clinic.kinds.items() if kind == _OPENED]
        patient = next((p for p in stable if charts[p].patient.sex == "male"), stable[0])
        goal = "Work four hours without lying down"
        plan_id = self._plan(patient, goal, since=150, codings=(_FACET,))
        version = self._step(plan_id, 1, "exercise", on=150)
        version = self._begin(plan_id, version, "exercise", on=148)
        helped = Answered(on=self._day(100), response=Response.PARTIAL, function=Function.SAME, ends=True)
        version = self._answer(plan_id, version, "exercise", helped)
        letter = NewReferral(
            "pain-medicine", "facet pain?", "routine", "primary-care", self._day(95), step="facet-injection"
        )
        version = self._step(
            plan_id, version, "facet-injection", on=95, target="L4/5 right", basis=(Basis.EXAMINATION,),
            skipped="exercise alone did not carry through the working day",
        )  # fmt: skip
        referral = plans.refer(self.session, self.library, plan_id, letter, by=self.by, now=self.now)
        for number, (to, ago) in enumerate(
            ((ReferralStatus.ACCEPTED, 90), (ReferralStatus.SEEN, 30), (ReferralStatus.REPORTED, 21)), 1
        ):
            plans.note_referral(
                self.session, self.library, referral, to, on=self._day(ago), version=number, by=self.by,
                now=self.now,
            )  # fmt: skip
        version = self._begin(plan_id, version, "facet-injection", on=30)
        relieved = Answered(
            on=self._day(29), relief_percent=80, lasted_hours=Decimal(6), function=Function.BETTER,
            target="L4/5 right",
        )  # fmt: skip
        version = self._answer(plan_id, version, "facet-injection", relieved)
        contact = Contact("pain-medicine", "demo-pain-clinic", "blocks", self._day(30), self._day(21))
        plans.coordinate(
            self.session, self.library, plan_id, contact, version=version, by=self.by, now=self.now
        )
        payer = Coverage("pain-medicine", self._day(95), referral_needed=True, visits_left=3)
        patient_wishes.cover(self.session, self.library, patient, payer, by=self.by, now=self.now)

    def paused_taper(self) -> None:
        """Somebody who asked for a taper, and paused it during an illness in the family."""
        decision = SharedDecision(self._day(50), AskedBy.PATIENT, True, "To drive again", naloxone=True)
        for patient, wanted in self._candidates():
            found = self._preview(patient, wanted)
            if not isinstance(found, Schedule):
                continue
            taper_id = tapers.begin(
                self.session, self.library, patient, wanted, decision, by=self.by, now=self.now
            )
            on, why = self._day(8), "illness in the family"
            tapers.pause(self.session, taper_id, on=on, reason=why, version=1, by=self.by, now=self.now)
            return

    def _preview(self, patient: str, wanted: Wanted) -> Schedule | NotPlanned:
        session, library, by = self.session, self.library, self.by
        return tapers.preview(
            session, library, patient, wanted, asked_by=AskedBy.PATIENT, by=by, now=self.now
        )

    def _candidates(self) -> list[tuple[str, Wanted]]:
        """Patients on an opioid in whole pieces, and what they take."""
        found = []
        for patient, kind in self.clinic.kinds.items():
            if kind in _TAPERED:
                codes = _taken(self.clinic.charts[patient])
                found += [(patient, Wanted(code, self._day(45))) for code in codes]
        return found

    # --- acts --------------------------------------------------------------------------------------

    def _day(self, ago: int) -> date:
        return self.now.date() - timedelta(ago)

    def _plan(self, patient: str, activity: str, *, since: int, codings: tuple[Coding, ...] = ()) -> str:
        chart = self.clinic.charts[patient]
        goal = FunctionGoal(activity, "not at all", "on most days", self.now.date() + timedelta(60))
        asked = NewPlan(
            codings=codings or pain_codes(chart, self.library.alternatives.conditions),
            goals=(goal,),
            owner="primary-care",
            on=self._day(since),
            chronic=True,
        )
        return plans.start(self.session, self.library, patient, asked, by=self.by, now=self.now)

    def _step(
        self,
        plan_id: str,
        version: int,
        treatment: str,
        *,
        on: int,
        target: str = "",
        basis: tuple[Basis, ...] = (),
        skipped: str = "",
        visits: int | None = None,
    ) -> int:
        new = NewStep(
            treatment, treatment, self._day(on), target=target, basis=basis, skipped=skipped, visits=visits
        )
        return plans.add_step(
            self.session, self.library, plan_id, new, version=version, by=self.by, now=self.now
        )

    def _begin(self, plan_id: str, version: int, step: str, *, on: int) -> int:
        day = self._day(on)
        return plans.begin_step(
            self.session, self.library, plan_id, step, on=day, version=version, by=self.by, now=self.now
        )

    def _answer(self, plan_id: str, version: int, step: str, said: Answered) -> int:
        return plans.record_response(
            self.session, self.library, plan_id, step, said, version=version, by=self.by, now=self.now
        )


def _taken(chart: Chart) -> list[str]:
    """The RxNorm codes of the opioids that were supplied last."""
    newest = chart.opioid_analgesics[-1:]
    return [e.drug.code.code for e in newest if e.drug is not None]

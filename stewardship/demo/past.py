"""What the clinic's record systems asked here in the last three months, and what people did about it.

About 150 orders of the kinds of ``stream.toml``, each checked on a day of its own on the chart as it stood
then, by the policies of that day; cards that were shown, what prescribers reported about them, overrides
with coded reasons, exceptions and their countersignatures. Everything runs through the services with the
moment of then, so that each decision can be replayed. Seeded: the same day gives the same past.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from stewardship.declarations import Library
from stewardship.demo.clinic import Clinic
from stewardship.demo.prescribers import NUMBER, npi
from stewardship.demo.recipes import Recipes
from stewardship.demo.stream import Mix, Signed, read, stream
from stewardship.domain.chart import Chart
from stewardship.domain.drugs import DrugClass
from stewardship.domain.people import Principal, Role
from stewardship.domain.policy import Enforcement, Finding, Policy
from stewardship.domain.problems import problems
from stewardship.services import decisions, feedback, orders
from stewardship.services.orders import Checked

_SEED = 2311
#: The days before the first start on which orders were checked, and how many on each.
_FIRST, _EVERY, _A_DAY = 90, 3, 5
#: Of a hundred: stops that a prescriber overrides, cards that somebody reports about, exceptions that are
#: asked for, and those of them that the first who is asked declines or that wait.
_OVERRIDDEN, _REPORTED, _ASKED_FOR, _DECLINED, _WAIT = 45, 55, 40, 25, 15
_CARDS = uuid.UUID("3c1b7d52-1f5e-4a53-9d7c-0f4f1f0a7b15")


def make(
    session: Session, clinic: Clinic, library: Library, recipes: Recipes, *, by: Principal, now: datetime
) -> None:
    """Put the past on record. ``by`` says whose it is; its record system and its people act."""
    desk = _Past(session, library, by.organisation_id, random.Random(_SEED))  # noqa: S311 - to be repeatable
    mix = read()
    for ago in range(_FIRST, 0, -_EVERY):
        # In the middle of a working day (UTC), whenever the demonstration is started.
        then = (now - timedelta(days=ago)).replace(hour=15, minute=0, second=0, microsecond=0)
        stood = _as_it_stood(clinic, then.date())
        of_day = _possible(mix, stood, seed=_SEED + ago)
        for signed in stream(of_day, stood, recipes, library, now=then, orders=_A_DAY):
            if signed.chart.as_of < now:
                desk.work(signed, ago)


def _possible(mix: Mix, clinic: Clinic, *, seed: int) -> Mix:
    """The kinds of order for which there are patients on that day."""
    there = set(clinic.kinds.values())
    possible = [kind for kind in mix.order if there.issuperset(kind.kinds)]
    return msgspec.structs.replace(mix, order=possible, seed=seed)


def _as_it_stood(clinic: Clinic, day: date) -> Clinic:
    """The clinic on an earlier day: what was written later is not there, nor are patients who take an opioid
    now and had none then."""
    charts = {patient: _earlier(chart, day) for patient, chart in clinic.charts.items()}
    kept = [p for p, chart in charts.items() if _takes(chart) or not _takes(clinic.charts[p])]
    return Clinic({p: charts[p] for p in kept}, {p: clinic.kinds[p] for p in kept})


def _takes(chart: Chart) -> bool:
    return any(s.drug is None or s.drug.is_a(DrugClass.OPIOID_ANALGESIC) for s in chart.supplies)


def _earlier(chart: Chart, day: date) -> Chart:
    return replace(
        chart,
        supplies=tuple(s for s in chart.supplies if _before(day, s.start_on)),
        conditions=tuple(c for c in chart.conditions if _before(day, c.recorded_on or c.onset)),
        observations=tuple(o for o in chart.observations if _before(day, o.on)),
        procedures=tuple(p for p in chart.procedures if _before(day, p.on)),
        plans=tuple(p for p in chart.plans if _before(day, p.from_on)),
        goals=tuple(g for g in chart.goals if _before(day, g.from_on)),
        encounters=tuple(e for e in chart.encounters if _before(day, e.from_on)),
    )


def _before(day: date, when: date | None) -> bool:
    return when is None or when <= day


@dataclass(frozen=True)
class _Past:
    """Those who worked here then."""

    session: Session
    library: Library
    organisation: str
    rng: random.Random

    def work(self, signed: Signed, ago: int) -> None:
        """An order is checked when it is signed, and people do what they do about what was found."""
        prescriber = signed.order.prescriber or npi(self.rng.randint(1, NUMBER))
        order = replace(signed.order, id=f"past-{ago:02d}-{signed.order.id}", prescriber=prescriber)
        beside = tuple(replace(other, id=f"{order.id}-beside") for other in signed.beside)
        then = signed.chart.as_of + timedelta(minutes=self.rng.randint(0, 110))
        chart = replace(signed.chart, as_of=then, data_as_of=signed.chart.data_as_of and then)
        ehr = Principal("demo-ehr", self.organisation, Role.EHR)
        checked = orders.check(
            self.session,
            self.library,
            [order, *beside],
            chart,
            channel="cds-hooks/order-sign",
            by=ehr,
            now=then,
        )
        for one in checked:
            self.tell(one, ehr, then)
            self.answer(one, Principal(prescriber, self.organisation, Role.PRESCRIBER), then)

    def odds(self, of_hundred: int) -> bool:
        """Whether this one is among so many of a hundred."""
        return self.rng.randint(1, 100) <= of_hundred

    def tell(self, checked: Checked, ehr: Principal, then: datetime) -> None:
        """The record system shows a card for each problem; somebody may report what became of it."""
        cards = [
            feedback.ShownCard(
                str(uuid.uuid5(_CARDS, f"{checked.decision_id}/{problem.topic}")),
                checked.decision_id,
                tuple(finding.policy for finding in problem.findings),
                problem.lead.enforcement.value,
                problem.topic,
            )
            for problem in problems(checked.decision.findings)
        ]
        feedback.cards_shown(self.session, cards, by=ehr, now=then)
        reports = [
            feedback.Report(
                card.uuid,
                self.rng.choice([feedback.CardOutcome.ACCEPTED, feedback.CardOutcome.OVERRIDDEN]),
                at=then + timedelta(seconds=self.rng.randint(5, 240)),
            )
            for card in cards
            if self.odds(_REPORTED)
        ]
        if reports:
            later = then + timedelta(minutes=5)
            feedback.give(self.session, service="order-sign", reports=reports, by=ehr, now=later)

    def answer(self, checked: Checked, prescriber: Principal, then: datetime) -> None:
        """Soft stops are overridden or heeded; for some hard stops an exception is asked for."""
        for finding in checked.decision.findings:
            policy = self.library.policy(finding.policy, finding.version)
            if policy is None or checked.decision_id is None:
                continue
            if finding.enforcement is Enforcement.SOFT_STOP and policy.overrides and self.odds(_OVERRIDDEN):
                reason = self.rng.choice([one.code for one in policy.overrides])
                at = then + timedelta(seconds=self.rng.randint(20, 900))
                decisions.override(
                    self.session, checked.decision_id, finding.policy, reason=reason, by=prescriber, now=at
                )
            elif finding.enforcement is Enforcement.HARD_STOP:
                self.ask(checked.decision_id, finding, policy, prescriber, then)

    def ask(
        self, decision: str, finding: Finding, policy: Policy, prescriber: Principal, then: datetime
    ) -> None:
        """Ask that a hard stop be lifted, where anybody may; the pharmacist and the officer say yes or no."""
        path = policy.exception
        if path is None or path.requires_of == "requester" or not self.odds(_ASKED_FOR):
            return
        reasons = [one.code for one in policy.overrides] or ["Discussed with the patient and the pharmacy."]
        note = "Withdrawal is likely if the medicine stops at once." if path.requires_note else ""
        request = decisions.request_exception(
            self.session,
            decision,
            finding.policy,
            reason=self.rng.choice(reasons),
            note=note,
            by=prescriber,
            now=then + timedelta(minutes=4),
        )
        if self.odds(_WAIT):
            return
        signed: dict[str, Any] = {"approve": not self.odds(_DECLINED)}
        for hours, role in ((2, Role.PHARMACIST), (5, Role.COMPLIANCE)):
            if role.value not in path.roles:
                continue
            who = Principal(f"demo-{role.value}", self.organisation, role)
            at = then + timedelta(hours=hours, minutes=self.rng.randint(0, 59))
            state = decisions.countersign(self.session, request, **signed, by=who, now=at)
            if state.status != "open":
                return

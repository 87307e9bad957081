"""People of a clinic at work on function, each call in a transaction of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from stewardship.db import Sessions, transaction
from stewardship.declarations import Library
from stewardship.domain.chart import Chart, Patient
from stewardship.domain.measurements import Measured
from stewardship.domain.orders import Supply
from stewardship.domain.people import Principal
from stewardship.services import goals, history, measurements, reassessments
from tests.builders import NOW, a_supply
from tests.services.declared import PRESCRIBER

OXYCODONE = "1049621"


@dataclass
class Acting:
    """A clinic on a day, and who acts there."""

    sessions: Sessions
    library: Library
    now: datetime = NOW
    by: Principal = PRESCRIBER

    @property
    def today(self) -> date:
        return self.now.date()

    def later(self, days: int) -> Acting:
        return Acting(self.sessions, self.library, self.now + timedelta(days), self.by)

    def takes(self, patient_id: str, *supplies: Supply, **more: Any) -> None:
        """These supplies, and whatever else, are on record of a patient."""
        given: dict[str, Any] = {
            "patient": Patient(patient_id, date(1980, 5, 1), "female"),
            "as_of": self.now,
        }
        with transaction(self.sessions) as session:
            chart = Chart(**(given | more), supplies=supplies)
            history.record(session, chart, by=self.by, now=self.now)

    def oxycodone(self, days: int, *, ago: int = 0, per_day: int = 4, **more: Any) -> Supply:
        """Oxycodone 5 mg, dispensed so many days ago."""
        drug = self.library.catalogue.by_rxcui(OXYCODONE)
        assert drug is not None
        given: dict[str, Any] = {
            "start": self.today - timedelta(ago),
            "days": days,
            "drug": drug,
            "quantity": per_day * days,
            "prescriber": "dr-1",
        }
        return a_supply(**(given | more))

    def measure(
        self,
        patient: str,
        instrument: str = "peg",
        *,
        source: str = "clinician",
        named: str = "",
        **answers: int,
    ) -> Measured:
        """The answers of now; a PEG of 7, 7 and 7 unless said otherwise."""
        given: Mapping[str, Decimal] = {name: Decimal(value) for name, value in answers.items()}
        if not given:
            given = dict.fromkeys(("pain", "enjoyment", "activity"), Decimal(7))
        with transaction(self.sessions) as session:
            return measurements.record(
                session,
                self.library,
                patient,
                instrument,
                given,
                taken_at=self.now,
                source=source,
                by=self.by,
                now=self.now,
                measurement_id=named,
            )

    def goal(self, patient: str, **more: Any) -> goals.GoalRecord:
        given: dict[str, Any] = {
            "activity": "walk to the shop",
            "baseline": "ten minutes with a stop",
            "target": "twenty-five minutes without one",
            "due_on": self.today + timedelta(90),
        }
        with transaction(self.sessions) as session:
            return goals.set_goal(session, self.library, patient, **(given | more), by=self.by, now=self.now)

    def reconsider(self, patient: str) -> reassessments.Changes:
        with transaction(self.sessions) as session:
            return reassessments.reconsider(session, self.library, patient, by=self.by, now=self.now)

    def open_due(self, limit: int = 200) -> int:
        with transaction(self.sessions) as session:
            return reassessments.open_due(
                session,
                self.library,
                self.by.organisation_id,
                today=self.today,
                now=self.now,
                by=self.by,
                limit=limit,
            )

    def reviews(self, patient: str) -> tuple[reassessments.ReviewRecord, ...]:
        with transaction(self.sessions, write=False) as session:
            return reassessments.of_patient(session, patient, by=self.by)

    def open_review(self, patient: str) -> reassessments.ReviewRecord:
        (found,) = [r for r in self.reviews(patient) if r.closed_at is None]
        return found

    def complete(self, review_id: str, *measured: str, **more: Any) -> reassessments.ReviewRecord:
        given: dict[str, Any] = {"on": self.today, "note": "Looked at together."}
        with transaction(self.sessions) as session:
            return reassessments.complete(
                session,
                self.library,
                review_id,
                measurements=measured,
                **(given | more),
                by=self.by,
                now=self.now,
            )

    def cancel(self, review_id: str, reason: str = "seen by the pain clinic") -> reassessments.ReviewRecord:
        with transaction(self.sessions) as session:
            return reassessments.cancel(
                session, self.library, review_id, reason=reason, by=self.by, now=self.now
            )

    def worklist(self, clinician: str | None = None) -> list[reassessments.Item]:
        with transaction(self.sessions, write=False) as session:
            return reassessments.worklist(
                session, self.by.organisation_id, clinician=clinician, today=self.today
            )

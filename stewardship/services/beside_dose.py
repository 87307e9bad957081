"""Function of one patient beside the daily dose, of what is on record."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from stewardship.db.charts import chart_of, known_patient
from stewardship.domain.beside_dose import BesideDose
from stewardship.domain.errors import NotFound
from stewardship.domain.flags import history
from stewardship.domain.people import Principal
from stewardship.services import calendars, measurements
from stewardship.services.function_flags import FlagsOfFunction


def seen(
    session: Session,
    library: FlagsOfFunction,
    patient_id: str,
    instrument_id: str,
    *,
    days: int,
    by: Principal,
    now: datetime,
) -> BesideDose:
    """The last ``days`` days of a patient (the EHR's id). Raises ``NotFound`` when nothing was measured with
    that instrument."""
    calendar = calendars.of(session, library, by.organisation_id)
    there = calendars.there(now, calendar)
    known = known_patient(session, organisation_id=by.organisation_id, patient_id=patient_id)
    found = measurements.trend(session, library, patient_id, by=by, now=now)
    trend = next((t for t in found if t.instrument.id == instrument_id), None)
    if known.id is None or trend is None:
        raise NotFound("nothing was measured with that instrument")
    chart = chart_of(session, library, known, organisation_id=by.organisation_id, as_of=there)
    common = library.flags.common
    return BesideDose(
        trend,
        history(chart.supplies, common, as_of=chart.today).steps,
        chart.today - timedelta(days),
        chart.today,
        common.factor_set.id,
    )

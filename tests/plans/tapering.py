"""What tests of tapers start from: an ordinary person on oxycodone tablets for a year and a half."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from stewardship.declarations import Library, load
from stewardship.domain.tablets import WEEK
from stewardship.domain.taper import AskedBy, SharedDecision, Taper, begin
from stewardship.domain.taper_schedule import Benzodiazepine, NotPlanned, Schedule, TaperFacts, plan

OXYCODONE_5, MORPHINE_ER_15, HYDROCODONE_5, METHADONE_10 = "1049621", "891881", "857002", "864706"
START = date(2026, 12, 1)
DECIDED = SharedDecision(date(2026, 11, 21), AskedBy.PATIENT, True, "To drive again", naloxone=True)


@cache
def declared() -> Library:
    """All declarations, read once."""
    return load()


def facts(code: str = OXYCODONE_5, mg: str | None = "60", days: int | None = 540, **more: Any) -> TaperFacts:
    """Oxycodone 60 mg a day for eighteen months, for pain, without a benzodiazepine."""
    given: dict[str, Any] = {"for_pain": True, "benzodiazepine": Benzodiazepine.NONE}
    drug = declared().catalogue.by_rxcui(code)
    return TaperFacts(drug, None if mg is None else Decimal(mg), days, **(given | more))


def asked(*args: Any, **more: Any) -> Schedule | NotPlanned:
    """What is planned for these facts."""
    library = declared()
    return plan(facts(*args, **more), catalogue=library.catalogue, terms=library.tapers, starts_on=START)


def schedule(*args: Any, **more: Any) -> Schedule:
    """The schedule, which there is."""
    found = asked(*args, **more)
    assert isinstance(found, Schedule), found
    return found


def refusal(*args: Any, **more: Any) -> str:
    """The code of why there is none."""
    found = asked(*args, **more)
    assert isinstance(found, NotPlanned)
    return found.code


def a_taper(*args: Any, **more: Any) -> Taper:
    """A taper that was decided on together, to begin on 1 December."""
    return begin(schedule(*args, **more), taper_id="t-1", patient_id="p-1", decision=DECIDED)


def daily(taper: Taper, day: date) -> Decimal:
    """Milligrams a day that are planned, on average."""
    return taper.mg_per_week_on(day) / WEEK

"""The data types of FHIR R4, read tolerantly: dates, codes, amounts and references.

Every function takes what stands in the document, whatever it is, and answers with the value or with
nothing. When something of a wrong type or form stands there, the path is added to ``faults`` and the
value is not guessed; the value itself is never repeated.

Dates
-----
A day is the calendar day as it was written, in the writer's own zone: a prescription of the evening of
the 20th in Denver is of the 20th, although it is the 21st in UTC. FHIR allows a year or a month alone.
Such a date is read on the side on which a check errs towards being shown: as the *last* day that it can
mean, but not after ``no_later_than``, for supplies and for the onset of pain (supply seems fresher, pain
seems younger), and as the *first* day for everything that counts as evidence (a review, a plan, a
diagnosis that exempts), which then seems older.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

from stewardship.domain import codes
from stewardship.domain.codes import Coding
from stewardship.domain.dosage import Quantity
from stewardship.domain.units import Units

#: Any object of the document.
Json: TypeAlias = Mapping[str, Any]
Faults: TypeAlias = list[str]

#: The addresses by which FHIR names the code systems that the service reads.
SYSTEMS = {
    "http://www.nlm.nih.gov/research/umls/rxnorm": codes.RXNORM,
    "urn:oid:2.16.840.1.113883.6.88": codes.RXNORM,
    "http://hl7.org/fhir/sid/ndc": codes.NDC,
    "urn:oid:2.16.840.1.113883.6.69": codes.NDC,
    "http://hl7.org/fhir/sid/icd-10-cm": codes.ICD10CM,
    "urn:oid:2.16.840.1.113883.6.90": codes.ICD10CM,
    "http://snomed.info/sct": codes.SNOMED,
    "urn:oid:2.16.840.1.113883.6.96": codes.SNOMED,
    "http://loinc.org": codes.LOINC,
    "urn:oid:2.16.840.1.113883.6.1": codes.LOINC,
    "http://www.ama-assn.org/go/cpt": codes.CPT,
    "urn:oid:2.16.840.1.113883.6.12": codes.CPT,
}

#: Hours in a unit of time, as supply is counted: a month of supply is 30 days, a year 365.
HOURS = {
    "h": Decimal(1),
    "d": Decimal(24),
    "wk": Decimal(7 * 24),
    "mo": Decimal(30 * 24),
    "a": Decimal(365 * 24),
}
_TIME_WORDS = {
    "hour": "h",
    "hours": "h",
    "day": "d",
    "days": "d",
    "week": "wk",
    "weeks": "wk",
    "month": "mo",
    "months": "mo",
    "year": "a",
    "years": "a",
}


def words(value: Any) -> str:
    """A text, or nothing."""
    return value if type(value) is str else ""


def objects(value: Any, path: str, faults: Faults) -> list[Json]:
    """The objects of a list; a lone object where a list is due is a list of one."""
    if value is None:
        return []
    if type(value) is dict:
        return [value]
    if type(value) is not list:
        faults.append(path)
        return []
    for item in value:
        if type(item) is not dict:
            faults.append(path)
            return [item for item in value if type(item) is dict]
    return value


def codings(concept: Any, path: str, faults: Faults) -> tuple[Coding, ...]:
    """The codings of a CodeableConcept that have a code."""
    if concept is None:
        return ()
    if type(concept) is not dict:
        faults.append(path)
        return ()
    found = []
    for coding in objects(concept.get("coding"), path, faults):
        code = coding.get("code")
        if type(code) is str and code:
            system = words(coding.get("system"))
            found.append(Coding(SYSTEMS.get(system, system), code, words(coding.get("display"))))
        elif code is not None:
            faults.append(f"{path}.coding.code")
    return tuple(found)


def all_codings(concepts: Any, path: str, faults: Faults) -> tuple[Coding, ...]:
    """The codings of every CodeableConcept of a list."""
    if concepts is None:
        return ()
    found: tuple[Coding, ...] = ()
    for concept in objects(concepts, path, faults):
        found += codings(concept, path, faults)
    return found


def code_of(value: Any) -> str:
    """The code of a Coding, of a CodeableConcept's first coding, or a bare code."""
    if type(value) is dict:
        inner = value.get("coding")
        if type(inner) is list and inner:
            inner = inner[0]
        return words((inner if type(inner) is dict else value).get("code"))
    return words(value)


def number(value: Any, path: str, faults: Faults, *, least: int | None = 0) -> Decimal | None:
    """A number of at least ``least``, exactly as written; a number in quotes is none."""
    if value is None:
        return None
    if type(value) is int:
        value = Decimal(value)
    if type(value) is not Decimal or (least is not None and value < least):
        faults.append(path)
        return None
    return value


def whole(value: Any, path: str, faults: Faults) -> int | None:
    """A whole number that is not negative."""
    found = number(value, path, faults)
    if found is None:
        return None
    if found != found.to_integral_value():
        faults.append(path)
        return None
    return int(found)


def quantity(value: Any, path: str, faults: Faults, units: Units) -> Quantity | None:
    """An amount with its unit. One that is only a bound (``<5``) or has no value is not an amount."""
    if value is None:
        return None
    if type(value) is not dict or "comparator" in value or "value" not in value:
        faults.append(path)
        return None
    amount = _amount(value["value"], path, faults)
    if amount is None:
        return None
    return Quantity(amount, units.canonical(words(value.get("code")), words(value.get("unit"))))


def _amount(value: Any, path: str, faults: Faults) -> Decimal | None:
    """The value of a quantity; one that is there and empty is a fault too."""
    if type(value) is int:
        value = Decimal(value)
    if type(value) is not Decimal or value < 0:
        faults.append(f"{path}.value")
        return None
    return value


def hours(value: Any, path: str, faults: Faults) -> Decimal | None:
    """A Duration in hours. Without a unit of time that is known, it is not a duration."""
    if value is None:
        return None
    if type(value) is not dict or "comparator" in value or "value" not in value:
        faults.append(path)
        return None
    amount = _amount(value["value"], path, faults)
    unit = words(value.get("code")) or words(value.get("unit"))
    per_unit = HOURS.get(unit) or HOURS.get(_TIME_WORDS.get(unit.lower(), ""))
    if per_unit is None:
        faults.append(path)
        return None
    return None if amount is None else amount * per_unit


def days(value: Any, path: str, faults: Faults) -> Decimal | None:
    """A Duration in days."""
    found = hours(value, path, faults)
    return None if found is None else found / 24


def day(value: Any, path: str, faults: Faults, *, no_later_than: date | None = None) -> date | None:
    """The calendar day of a FHIR date, dateTime or instant; see the module on years and months alone."""
    if value is None:
        return None
    if type(value) is str and value.isascii():
        try:
            if len(value) in (4, 7):
                return _partial(value, no_later_than)
            if value[4:8:3] == "--" and (len(value) == 10 or value[10:11] == "T"):
                return date.fromisoformat(value[:10])
        except ValueError:
            pass
    faults.append(path)
    return None


@lru_cache(maxsize=512)
def _partial(value: str, no_later_than: date | None) -> date:
    """The first day of a year or a month; or its last, but not after the day given."""
    if not value.replace("-", "", 1).isdigit():
        raise ValueError(value)
    year, month = int(value[:4]), int(value[5:7] or 1)
    first = date(year, month, 1)
    if no_later_than is None or first >= no_later_than:
        return first
    following = (year, month + 1) if len(value) == 7 and month < 12 else (year + 1, 1)
    if following[0] > 9999:
        return no_later_than
    return min(date(*following, 1) - timedelta(days=1), no_later_than)


def period(value: Any, path: str, faults: Faults) -> tuple[Any, Any]:
    """The two ends of a Period, as they stand."""
    if value is None:
        return None, None
    if type(value) is not dict:
        faults.append(path)
        return None, None
    return value.get("start"), value.get("end")

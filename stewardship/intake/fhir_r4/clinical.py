"""Condition, Observation, Procedure, ServiceRequest, CarePlan, Goal, Encounter and Patient.

Each function answers with what the chart holds, or with ``None`` when the record tells of nothing:
entered in error, refuted, revoked, not done.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from stewardship.domain.chart import Condition, Encounter, Goal, Observation, Patient, Plan, Procedure
from stewardship.domain.codes import Coding
from stewardship.intake.fhir_r4.elements import (
    Faults,
    Json,
    all_codings,
    code_of,
    codings,
    day,
    number,
    objects,
    period,
    words,
)
from stewardship.intake.fhir_r4.resources import Desk

_ACTIVE = {
    "active": True,
    "recurrence": True,
    "relapse": True,
    "inactive": False,
    "remission": False,
    "resolved": False,
}
#: Diagnoses that are still in question are neither active nor inactive.
_IN_QUESTION = frozenset({"unconfirmed", "provisional", "differential"})


def read_patient(resource: Json, *, known_as: str, faults: Faults) -> Patient:
    """Who it is, by id; names and addresses are not read. Of an incomplete date of birth the first day
    is taken."""
    return Patient(
        known_as,
        birth_date=day(resource.get("birthDate"), "birthDate", faults),
        sex=words(resource.get("gender")),
        deceased=resource.get("deceasedBoolean") is True or resource.get("deceasedDateTime") is not None,
    )


def read_condition(resource: Json, *, known_as: str, desk: Desk, faults: Faults) -> Condition | None:
    """A diagnosis or problem that is not refuted."""
    verification = code_of(resource.get("verificationStatus"))
    if verification in ("refuted", "entered-in-error"):
        return None
    abated = _abated(resource, faults)
    active = _ACTIVE.get(code_of(resource.get("clinicalStatus")))
    if active is None and abated is not None:
        active = False
    if active and verification in _IN_QUESTION:
        active = None
    code = resource.get("code")
    written = codings(code, "code", faults)
    onset = resource.get("onsetDateTime")
    path = "onsetDateTime"
    if onset is None:
        onset, path = period(resource.get("onsetPeriod"), "onsetPeriod", faults)[0], "onsetPeriod.start"
    return Condition(
        id=known_as,
        codings=written,
        sets=desk.code_sets.of_any(written),
        active=active,
        onset=day(onset, path, faults, no_later_than=desk.today),
        recorded_on=day(resource.get("recordedDate"), "recordedDate", faults),
        abated_on=abated,
        category=_category(resource, faults),
        encounter=desk.resources.id_of(resource.get("encounter")),
        text=words(code.get("text")) if type(code) is dict else "",
    )


def _abated(resource: Json, faults: Faults) -> date | None:
    if resource.get("abatementDateTime") is not None:
        return day(resource["abatementDateTime"], "abatementDateTime", faults)
    end = period(resource.get("abatementPeriod"), "abatementPeriod", faults)[1]
    return day(end, "abatementPeriod.end", faults)


def _category(resource: Json, faults: Faults) -> str:
    for concept in objects(resource.get("category"), "category", faults):
        code = code_of(concept)
        if code:
            return code
    return ""


def read_observations(resource: Json, *, known_as: str, desk: Desk, faults: Faults) -> list[Observation]:
    """A measurement or test result, and each of its components as one of its own."""
    status = words(resource.get("status"))
    if status in ("entered-in-error", "cancelled"):
        return []
    on = _when(resource, "effective", faults)
    if on is None:
        on = day(resource.get("issued"), "issued", faults)
    category = _category(resource, faults)
    found = [_observation(resource, known_as, on, status, category, desk, faults)]
    for place, component in enumerate(objects(resource.get("component"), "component", faults), 1):
        found.append(_observation(component, f"{known_as}#{place}", on, status, category, desk, faults))
    return found


def _observation(
    part: Json, known_as: str, on: date | None, status: str, category: str, desk: Desk, faults: Faults
) -> Observation:
    written = codings(part.get("code"), "code", faults)
    value, unit, said = _measured(part, faults)
    coded: tuple[Coding, ...] = ()
    if part.get("valueCodeableConcept") is not None:
        coded = codings(part["valueCodeableConcept"], "valueCodeableConcept", faults)
    elif part.get("interpretation") is not None:
        # "POS" or "NEG" beside a text: the coded form of the same result.
        coded = all_codings(part["interpretation"], "interpretation", faults)
    return Observation(
        known_as,
        written,
        desk.code_sets.of_any(written),
        on=on,
        value=value,
        unit=unit,
        coded=coded,
        said=said,
        status=status,
        category=category,
    )


def _measured(part: Json, faults: Faults) -> tuple[Decimal | None, str, str]:
    """The value, its unit, and what was said instead of a value. A bound (``<5``) is said, not measured."""
    if part.get("valueQuantity") is not None:
        written = part["valueQuantity"]
        if type(written) is not dict:
            faults.append("valueQuantity")
            return None, "", ""
        unit = words(written.get("code")) or words(written.get("unit"))
        value = number(written.get("value"), "valueQuantity.value", faults, least=None)
        if "comparator" in written:
            return None, unit, f"{words(written['comparator'])}{value}"
        return value, unit, ""
    if part.get("valueInteger") is not None:
        return number(part["valueInteger"], "valueInteger", faults, least=None), "", ""
    if type(part.get("valueBoolean")) is bool:
        return None, "", "true" if part["valueBoolean"] else "false"
    return None, "", words(part.get("valueString"))


def read_procedure(resource: Json, *, known_as: str, desk: Desk, faults: Faults) -> Procedure | None:
    """Something done, or under way (then ``done`` is false); of a period, its first day."""
    status = words(resource.get("status"))
    if status in ("entered-in-error", "not-done"):
        return None
    written = codings(resource.get("code"), "code", faults)
    performers = objects(resource.get("performer"), "performer", faults)
    by = desk.resources.id_of(performers[0].get("actor")) if performers else ""
    return Procedure(
        known_as,
        written,
        desk.code_sets.of_any(written),
        on=_when(resource, "performed", faults),
        done=status == "completed",
        status=status,
        by=by or desk.resources.id_of(resource.get("recorder")),
    )


def read_service_request(resource: Json, *, known_as: str, desk: Desk, faults: Faults) -> Procedure | None:
    """Something ordered, and therefore not done: a referral, a test."""
    status = words(resource.get("status"))
    if status in ("entered-in-error", "revoked", "draft") or resource.get("doNotPerform") is True:
        return None
    if words(resource.get("intent")) in ("proposal", "plan"):
        return None
    written = codings(resource.get("code"), "code", faults)
    return Procedure(
        known_as,
        written,
        desk.code_sets.of_any(written),
        on=day(resource.get("authoredOn"), "authoredOn", faults),
        done=False,
        status=status,
        by=desk.resources.id_of(resource.get("requester")),
    )


def read_plan(resource: Json, *, known_as: str, desk: Desk, faults: Faults) -> Plan | None:
    """A plan. It was last reviewed when it was written, or when progress or a note was last added; when
    the server last touched the record (``meta.lastUpdated``) is no review."""
    status = words(resource.get("status"))
    if status in ("entered-in-error", "revoked", "draft"):
        return None
    written = all_codings(resource.get("category"), "category", faults)
    start, end = period(resource.get("period"), "period", faults)
    from_on = day(start, "period.start", faults)
    reviews = [from_on, day(resource.get("created"), "created", faults)]
    notes = objects(resource.get("note"), "note", faults)
    for activity in objects(resource.get("activity"), "activity", faults):
        notes += objects(activity.get("progress"), "activity.progress", faults)
    reviews += [day(note.get("time"), "note.time", faults) for note in notes]
    return Plan(
        known_as,
        written,
        desk.code_sets.of_any(written),
        active=status == "active",
        from_on=from_on,
        until=day(end, "period.end", faults),
        reviewed_on=max((on for on in reviews if on is not None), default=None),
    )


def read_goal(resource: Json, *, known_as: str, desk: Desk, faults: Faults) -> Goal | None:
    """What the patient wants to be able to do, unless it was only proposed, or given up."""
    status = words(resource.get("lifecycleStatus"))
    if status in ("entered-in-error", "cancelled", "rejected", "proposed"):
        return None
    description = resource.get("description")
    written = codings(description, "description", faults)
    targets = objects(resource.get("target"), "target", faults)
    due = day(targets[0].get("dueDate"), "target.dueDate", faults) if targets else None
    return Goal(
        known_as,
        said=words(description.get("text")) if type(description) is dict else "",
        codings=written,
        sets=desk.code_sets.of_any(written),
        active=status in ("planned", "accepted", "active"),
        from_on=day(resource.get("startDate"), "startDate", faults),
        due_on=due,
    )


def read_encounter(resource: Json, *, known_as: str, desk: Desk, faults: Faults) -> Encounter | None:
    """A visit that has begun; its codes are those of its type."""
    if words(resource.get("status")) in ("entered-in-error", "cancelled", "planned"):
        return None
    written = all_codings(resource.get("type"), "type", faults)
    start, end = period(resource.get("period"), "period", faults)
    return Encounter(
        known_as,
        written,
        desk.code_sets.of_any(written),
        setting=code_of(resource.get("class")),
        from_on=day(start, "period.start", faults),
        until=day(end, "period.end", faults),
    )


def _when(resource: Json, stem: str, faults: Faults) -> date | None:
    """The day of ``effective[x]`` or ``performed[x]``; of a period the first day, which is the older."""
    for key in (f"{stem}DateTime", f"{stem}Instant"):
        if resource.get(key) is not None:
            return day(resource[key], key, faults)
    start, end = period(resource.get(f"{stem}Period"), f"{stem}Period", faults)
    return day(end if start is None else start, f"{stem}Period", faults)

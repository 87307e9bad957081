"""CarePlan, Goal and ServiceRequest -> plans for pain with their referrals.

What the writer (``api.fhir_plans``) says comes back as it was. A plan of another system is read as far as R4
has elements for it: a treatment by its SNOMED CT code, a goal by its words, a referral by its status; what
could not be read is named by its place, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from stewardship.domain.alternatives import Alternatives
from stewardship.domain.codes import ICD10CM, SNOMED, Coding
from stewardship.domain.errors import Fault, InvalidInput, PatientMismatch
from stewardship.domain.goals import FunctionGoal
from stewardship.domain.pain_plan import Contact, PainPlan, PlanTerms
from stewardship.domain.plan_referrals import Happened, Referral, ReferralStatus
from stewardship.domain.plan_steps import Basis, Function, Outcome, PlanStatus, Step
from stewardship.domain.suitability import Response
from stewardship.intake.fhir_r4 import plan_words as said
from stewardship.intake.fhir_r4.elements import (
    Faults,
    Json,
    all_codings,
    codings,
    day,
    objects,
    period,
    words,
)
from stewardship.intake.fhir_r4.resources import Resources

_KINDS = ("CarePlan", "Goal", "ServiceRequest")
_NOT_STATED = "not stated"
_IN_ERROR = frozenset({"entered-in-error", "draft", "unknown"})


@dataclass(frozen=True, slots=True)
class BroughtPlan:
    """A plan and its referrals."""

    plan: PainPlan
    referrals: tuple[Referral, ...]


@dataclass(frozen=True, slots=True)
class Brought:
    """The plans of a document."""

    plans: tuple[BroughtPlan, ...]


def read_plans(document: Any, *, alternatives: Alternatives, terms: PlanTerms) -> Brought:
    """The plans of one patient. Raises ``PatientMismatch`` for more than one, ``InvalidInput`` when there is
    no plan, when one lacks its id, and when anything of it could not be read."""
    resources = Resources(document)
    patient_id = _patient(resources)
    reader = _Reader(resources, alternatives, terms, patient_id)
    found = [
        reader.plan(place, own_id, resource)
        for place, (own_id, resource) in enumerate(resources.of("CarePlan"))
        if words(resource.get("status")) not in _IN_ERROR
    ]
    if not found:
        raise InvalidInput("the document holds no CarePlan that is in force or over")
    if reader.unread:
        what = "this cannot be read as part of a plan"
        faults = tuple(Fault(f"/{place}", "unreadable", what) for place in reader.unread)
        raise InvalidInput("parts of the plan cannot be read: none is taken in without them", faults=faults)
    return Brought(tuple(found))


def _patient(resources: Resources) -> str:
    named = set()
    for kind in _KINDS:
        for _, resource in resources.of(kind):
            named.add(resources.id_of(resource.get("subject")))
    named.discard("")
    if len(named) > 1:
        raise PatientMismatch("the document is about more than one patient")
    if not named:
        raise InvalidInput("the document does not say which patient it is about")
    return named.pop()


class _Reader:
    def __init__(
        self, resources: Resources, alternatives: Alternatives, terms: PlanTerms, patient_id: str
    ) -> None:
        self.resources = resources
        self.terms = terms
        self.patient_id = patient_id
        self.unread: list[str] = []
        self.known = alternatives.treatments
        self.by_code = {
            (c.system, c.code): t.id for t in reversed(tuple(self.known.values())) for c in t.codes
        }

    # --- plan ---------------------------------------------------------------------------------------

    def plan(self, place: int, own_id: str, resource: Json) -> BroughtPlan:
        path, faults = f"CarePlan[{place}]", list[str]()
        plan_id = _identifier(resource) or own_id
        if not plan_id:
            faults.append("id")
        told = _named(resource, said.PLAN)
        start, end = period(resource.get("period"), "period", faults)
        started_on = day(start, "period.start", faults)
        if started_on is None:
            faults.append("period.start")
        status = said.READ_PLAN_STATUS.get(words(resource.get("status")))
        if status is None:
            faults.append("status")
        activities = objects(resource.get("activity"), "activity", faults)
        steps = [
            self._step(number, a, started_on or date.min, faults)
            for number, a in enumerate(activities)
            if "detail" in a
        ]
        plan = PainPlan(
            id=plan_id,
            patient_id=self.patient_id,
            codings=self._conditions(resource, faults),
            started_on=started_on or date.min,
            owner=_text(told, "owner") or next(iter(self.terms.disciplines)),
            goals=self._goals(resource, faults),
            chronic=told.get("chronic"),
            steps=tuple(step for step in steps if step is not None),
            contacts=tuple(_contact(one) for one in _all(resource, said.CONTACT)),
            status=status or PlanStatus.ACTIVE,
            ended_on=day(end, "period.end", faults),
            note="; ".join(words(n.get("text")) for n in objects(resource.get("note"), "note", faults)),
        )
        if plan.owner not in self.terms.disciplines:
            faults.append("extension.owner")
        self.unread += [f"{path}.{fault}" for fault in faults]
        return BroughtPlan(plan, self._referrals(plan, activities))

    def _conditions(self, resource: Json, faults: Faults) -> tuple[Coding, ...]:
        found: list[Coding] = []
        for reference in objects(resource.get("addresses"), "addresses", faults):
            condition = self.resources.resolve(reference, within=resource)
            if condition is not None:
                found += codings(condition.get("code"), "addresses", faults)
        kept = tuple(c for c in dict.fromkeys(found) if c.system in (ICD10CM, SNOMED))
        if not kept:
            faults.append("addresses")
        return kept

    def _goals(self, resource: Json, faults: Faults) -> tuple[FunctionGoal, ...]:
        found = []
        for number, reference in enumerate(objects(resource.get("goal"), "goal", faults)):
            goal = self.resources.resolve(reference, within=resource)
            target = objects((goal or {}).get("target"), "goal.target", faults)[:1]
            description = (goal or {}).get("description")
            activity = words(description.get("text")) if type(description) is dict else ""
            due = day(target[0].get("dueDate"), "goal.target.dueDate", faults) if target else None
            if goal is None or not activity or due is None:
                faults.append(f"goal[{number}]")
                continue
            baseline = _text(_named(goal, said.GOAL), "baseline") or _NOT_STATED
            aim = words(target[0].get("detailString")) or _NOT_STATED
            found.append(FunctionGoal(activity, baseline, aim, due))
        if not found:
            faults.append("goal")
        return tuple(found)

    # --- steps --------------------------------------------------------------------------------------

    def _step(self, number: int, activity: Json, started: date, faults: Faults) -> Step | None:
        path = f"activity[{number}]"
        detail = activity["detail"] if type(activity["detail"]) is dict else {}
        treatment = self._treatment(detail.get("code"), faults)
        status = said.READ_STEP_STATUS.get(words(detail.get("status")))
        if words(detail.get("status")) == "entered-in-error":
            return None
        if not treatment or status is None:
            faults.append(f"{path}.detail.{'status' if treatment else 'code'}")
            return None
        told = _named(activity, said.STEP)
        start, end = period(detail.get("scheduledPeriod"), f"{path}.detail.scheduledPeriod", faults)
        outcomes = []
        for one in _all(activity, said.RESPONSE):
            try:
                outcomes.append(_outcome(one))
            except (ValueError, KeyError, TypeError):
                faults.append(f"{path}.extension")
        basis = _text(told, "basis").split()
        if not set(basis) <= set(Basis):
            faults.append(f"{path}.extension.basis")
            basis = []
        return Step(
            id=_text(told, "id") or f"step-{number + 1}",
            treatment=treatment,
            discipline=_text(told, "discipline") or self.terms.gives(self.known[treatment]),
            status=status,
            planned_on=_date(told, "planned_on") or started,
            review_on=_date(told, "review_on"),
            started_on=day(start, f"{path}.detail.scheduledPeriod", faults),
            ended_on=day(end, f"{path}.detail.scheduledPeriod", faults),
            after=_text(told, "after"),
            basis=tuple(Basis(one) for one in basis),
            skipped=_text(told, "skipped"),
            visits=told.get("visits"),
            outcomes=tuple(outcomes),
            target=_text(told, "target"),
            note=_text(told, "note") if told else words(detail.get("description")),
        )

    def _treatment(self, concept: Any, faults: Faults) -> str:
        found = codings(concept, "activity.detail.code", faults)
        own = next((c.code for c in found if c.system == said.TREATMENTS and c.code in self.known), "")
        named = (self.by_code.get((c.system, c.code), "") for c in found)
        return own or next(filter(None, named), "")

    # --- referrals ----------------------------------------------------------------------------------

    def _referrals(self, plan: PainPlan, activities: Iterable[Json]) -> tuple[Referral, ...]:
        found = []
        for number, activity in enumerate(activities):
            reference = activity.get("reference")
            request = self.resources.resolve(reference, within=activity) if reference else None
            if request is None or request.get("resourceType") != "ServiceRequest":
                continue
            faults: list[str] = []
            referral = self._referral(plan, self.resources.id_of(reference), request, faults)
            if referral is not None:
                found.append(referral)
            self.unread += [f"ServiceRequest[{number}].{fault}" for fault in faults]
        return tuple(found)

    def _referral(self, plan: PainPlan, own_id: str, request: Json, faults: Faults) -> Referral | None:
        told = _named(request, said.REFERRAL)
        coded = codings(request.get("code"), "code", faults)
        discipline = next((c.code for c in coded if c.system == said.DISCIPLINES), "")
        sent = day(request.get("authoredOn"), "authoredOn", faults)
        status = said.READ_REFERRAL_STATUS.get(words(request.get("status")))
        reasons = objects(request.get("reasonCode"), "reasonCode", faults)
        reason = "; ".join(filter(None, (words(r.get("text")) for r in reasons)))
        if not reason:
            reason = "; ".join(c.display or c.code for c in all_codings(reasons, "reasonCode", faults))
        for name, missing in (
            ("code", discipline not in self.terms.disciplines),
            ("authoredOn", sent is None),
            ("status", status is None),
            ("reasonCode", not reason),
        ):
            if missing:
                faults.append(name)
        if faults or sent is None or status is None:
            return None
        urgent = words(request.get("priority")) in said.URGENT
        urgency = _text(told, "urgency") or ("urgent" if urgent else "routine")
        source = _text(told, "source") or "other"
        for name, value, known in (
            ("priority", urgency, self.terms.urgencies),
            ("extension.source", source, self.terms.referral_sources),
        ):
            if value not in known:
                faults.append(name)
        return Referral(
            id=_identifier(request) or own_id,
            plan_id=plan.id,
            patient_id=self.patient_id,
            discipline=discipline,
            reason=reason,
            urgency=urgency,
            source=source,
            happened=self._happened(request, status, sent, faults),
            step=_text(told, "step"),
            to=_text(told, "to"),
        )

    def _happened(
        self, request: Json, status: ReferralStatus, sent: date, faults: Faults
    ) -> tuple[Happened, ...]:
        found = []
        for event in _all(request, said.EVENT):
            on = _date(event, "on")
            if on is None or _text(event, "status") not in set(ReferralStatus):
                faults.append("extension.event")
                continue
            found.append(Happened(ReferralStatus(_text(event, "status")), on, _text(event, "note")))
        if found:
            return tuple(found)
        made = [Happened(ReferralStatus.SENT, sent)]
        if status is not ReferralStatus.SENT:
            # When it was answered is not said: not before it was sent.
            made.append(Happened(status, sent))
        return tuple(made)


# --- named values of our extensions ---------------------------------------------------------------------


def _all(element: Mapping[str, Any], url: str) -> list[dict[str, Any]]:
    """The named values of each extension of that address; ill-typed ones are left out."""
    listed = element.get("extension")
    found = [e for e in listed if type(e) is dict and e.get("url") == url] if type(listed) is list else []
    return [_values(extension) for extension in found]


def _named(element: Mapping[str, Any], url: str) -> dict[str, Any]:
    return next(iter(_all(element, url)), {})


def _values(extension: Mapping[str, Any]) -> dict[str, Any]:
    inner = extension.get("extension")
    made: dict[str, Any] = {}
    for part in inner if type(inner) is list else ():
        if type(part) is not dict or type(part.get("url")) is not str:
            continue
        for name, kind in _TYPES.items():
            value = part.get(name)
            if type(value) in kind:
                made[part["url"]] = value
    return made


_TYPES: Mapping[str, tuple[type, ...]] = {
    "valueString": (str,),
    "valueDate": (str,),
    "valueBoolean": (bool,),
    "valueInteger": (int,),
    "valueDecimal": (Decimal, int),
}


def _text(values: Mapping[str, Any], name: str) -> str:
    return words(values.get(name))


def _date(values: Mapping[str, Any], name: str) -> date | None:
    try:
        return date.fromisoformat(_text(values, name)) if _text(values, name) else None
    except ValueError:
        return None


def _outcome(values: Mapping[str, Any]) -> Outcome:
    computed, function = _text(values, "computed"), _text(values, "function")
    lasted = values.get("lasted_hours")
    return Outcome(
        on=date.fromisoformat(_text(values, "on")),
        response=Response(_text(values, "response")),
        computed=Response(computed) if computed else None,
        relief_percent=values.get("relief_percent"),
        lasted_hours=None if lasted is None else Decimal(lasted),
        function=Function(function) if function else None,
        target=_text(values, "target"),
        note=_text(values, "note"),
        anaesthetic=_text(values, "anaesthetic"),
        attended=values.get("attended"),
    )


def _contact(values: Mapping[str, Any]) -> Contact:
    return Contact(
        _text(values, "discipline"),
        _text(values, "who"),
        _text(values, "does"),
        _date(values, "last_contact_on"),
        _date(values, "reported_on"),
    )


def _identifier(resource: Json) -> str:
    """The id that we gave it, if we did."""
    for identifier in objects(resource.get("identifier"), "identifier", []):
        if identifier.get("system") == said.IDENTIFIERS:
            return words(identifier.get("value"))
    return ""

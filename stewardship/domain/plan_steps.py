"""One step of a plan for pain, what it did, and what that comes to.

A diagnostic block is a test and a treatment: its target, the relief, how long it lasted and what could be
done then are all recorded, for they decide what comes next. Function leads: relief without it is partial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from stewardship.domain.errors import Fault, InvalidInput
from stewardship.domain.suitability import Response
from stewardship.domain.treatments import Source, Treatment


class PlanStatus(StrEnum):
    """Where a plan stands."""

    ACTIVE = "active"
    COMPLETED = "completed"
    STOPPED = "stopped"


class StepStatus(StrEnum):
    """Where a step stands."""

    PLANNED = "planned"
    ACTIVE = "active"
    COMPLETED = "completed"
    STOPPED = "stopped"
    DECLINED = "declined"  # by the patient


class Function(StrEnum):
    """What the patient could do, compared with before."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"


class Basis(StrEnum):
    """On what a step with a needle or a knife is decided; imaging alone is never enough."""

    IMAGING = "imaging"
    HISTORY = "history"
    EXAMINATION = "examination"
    NEUROLOGICAL = "neurological"
    BLOCK = "block"
    FUNCTION = "function"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step did, on a day: the class of the response and what it rests on. ``None`` is "not asked".

    ``relief_percent`` and ``function`` are against before, ``lasted_hours`` how long the relief lasted.
    ``target`` is what a test was aimed at and ``anaesthetic`` with what; ``attended`` are the visits or
    sessions since the response before. ``computed`` is the class that relief and function come to; it may
    differ from the one that a person gave, and then both are shown.
    """

    on: date
    response: Response
    computed: Response | None = None
    relief_percent: int | None = None
    lasted_hours: Decimal | None = None
    function: Function | None = None
    target: str = ""
    note: str = ""
    anaesthetic: str = ""
    attended: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A treatment in a plan. ``discipline`` gives it; ``review_on`` is when somebody looks what it did.

    ``after`` is the id of a step that comes first, ``basis`` on what an intervention was decided, ``skipped``
    why rungs below it were passed over. ``visits`` are those that it is planned for, ``outcomes`` all that
    was recorded of it.
    """

    id: str
    treatment: str
    discipline: str
    status: StepStatus
    planned_on: date
    review_on: date | None = None
    started_on: date | None = None
    ended_on: date | None = None
    after: str = ""
    basis: tuple[Basis, ...] = ()
    skipped: str = ""
    visits: int | None = None
    outcomes: tuple[Outcome, ...] = ()
    target: str = ""
    note: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it is to come, or goes on."""
        return self.status in (StepStatus.PLANNED, StepStatus.ACTIVE)

    def attended_by(self, day: date) -> int:
        """The visits that took place up to a day, as far as they were recorded."""
        return sum(o.attended or 0 for o in self.outcomes if o.on <= day)

    @property
    def last(self) -> Outcome | None:
        """What was recorded last."""
        return self.outcomes[-1] if self.outcomes else None


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which relief in percent a response is meaningful, and from which it is something."""

    meaningful_percent: int
    partial_percent: int
    sources: tuple[Source, ...] = ()
    verified: bool = False


@dataclass(frozen=True, slots=True)
class ResponseTerms:
    """The thresholds of a treatment, of a test and of a trial with an external device; which are trials."""

    treatment: Threshold
    test: Threshold
    trial: Threshold
    trials: frozenset[str]

    def of(self, treatment: Treatment) -> Threshold:
        """The threshold that a treatment is held to."""
        if treatment.id in self.trials:
            return self.trial
        return self.test if treatment.diagnostic else self.treatment


def computed(
    treatment: Treatment, relief_percent: int | None, function: Function | None, terms: ResponseTerms
) -> Response | None:
    """The class that relief and function come to; ``None`` without either. A treatment is meaningful by
    function alone; a test only by relief, for that is what it asks."""
    threshold = terms.of(treatment)
    is_test = bool(treatment.diagnostic)
    if relief_percent is None:
        if is_test or function is None:
            return None
        return Response.MEANINGFUL if function is Function.BETTER else Response.NONE
    if relief_percent >= threshold.meaningful_percent:
        # Before an implant the trial has to show more than relief.
        enough = (
            function is Function.BETTER if treatment.id in terms.trials else function is not Function.WORSE
        )
        return Response.MEANINGFUL if enough else Response.PARTIAL
    if not is_test and function is Function.BETTER:
        return Response.MEANINGFUL
    return Response.PARTIAL if relief_percent >= threshold.partial_percent else Response.NONE


def outcome(
    treatment: Treatment,
    terms: ResponseTerms,
    *,
    on: date,
    response: Response | None = None,
    relief_percent: int | None = None,
    lasted_hours: Decimal | None = None,
    function: Function | None = None,
    target: str = "",
    note: str = "",
    anaesthetic: str = "",
    attended: int | None = None,
) -> Outcome:
    """What a step did. Without a class, it is the one that relief and function come to.

    Raises ``InvalidInput`` naming all that is missing: a class or what makes one; of a test its target, the
    relief, how long it lasted, and function; of harm, in words what it was.
    """
    found = computed(treatment, relief_percent, function, terms)
    faults = []
    if response is Response.DECLINED:
        faults.append(Fault("/response", "declined", "what was declined was not tried: decline the step"))
    if response is None and found is None:
        faults.append(
            Fault("/response", "required", "give the class of the response, or relief, or function")
        )
    if response is Response.HARM and not note.strip():
        faults.append(Fault("/note", "required", "say what harm was done, for those who think of it again"))
    if treatment.diagnostic and response is not Response.HARM:
        asked: Mapping[str, object | None] = {
            "target": target.strip() or None,
            "relief_percent": relief_percent,
            "lasted_hours": lasted_hours,
            "function": function,
        }
        faults += [
            Fault(f"/{name}", "required", "of a test the target, relief, duration and function are recorded")
            for name, value in asked.items()
            if value is None
        ]
    if faults:
        raise InvalidInput("the response does not say all that it must", faults=tuple(faults))
    given = response or found
    assert given is not None  # noqa: S101 - one of them is there, or it was refused above
    return Outcome(
        on,
        given,
        found,
        relief_percent,
        lasted_hours,
        function,
        target.strip(),
        note,
        anaesthetic.strip(),
        attended,
    )

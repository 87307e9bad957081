"""Everything known about a patient as of a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from stewardship.domain.codes import Coding
from stewardship.domain.currency import PharmacyData, pharmacy_data
from stewardship.domain.drugs import DrugClass
from stewardship.domain.episodes import Exposure, Span, exposures, spans, undated
from stewardship.domain.orders import Supply, SupplyKind
from stewardship.domain.values import quick


@quick
@dataclass(frozen=True, slots=True)
class Patient:
    """Who it is about: an id, never a name."""

    id: str
    birth_date: date | None = None
    sex: str = ""
    deceased: bool = False


@quick
@dataclass(frozen=True, slots=True)
class Condition:
    """A diagnosis or problem. ``sets`` are the code sets its codings are in. ``active`` is ``None``
    when the clinical status is not stated; refuted and entered-in-error records are left out.
    ``category`` is ``encounter-diagnosis`` or ``problem-list-item`` when stated."""

    id: str
    codings: tuple[Coding, ...]
    sets: frozenset[str] = frozenset()
    active: bool | None = None
    onset: date | None = None
    recorded_on: date | None = None
    abated_on: date | None = None
    category: str = ""
    encounter: str = ""
    text: str = ""


@quick
@dataclass(frozen=True, slots=True)
class Observation:
    """A measurement or test result. One of ``value`` (with ``unit``), ``coded`` and ``said`` may be set."""

    id: str
    codings: tuple[Coding, ...]
    sets: frozenset[str] = frozenset()
    on: date | None = None
    value: Decimal | None = None
    unit: str = ""
    coded: tuple[Coding, ...] = ()
    said: str = ""
    status: str = ""
    category: str = ""


@quick
@dataclass(frozen=True, slots=True)
class Procedure:
    """Something done (or planned or ordered: ``done`` says which): PDMP review, counselling, block."""

    id: str
    codings: tuple[Coding, ...]
    sets: frozenset[str] = frozenset()
    on: date | None = None
    done: bool = True
    status: str = ""
    by: str = ""


@quick
@dataclass(frozen=True, slots=True)
class Plan:
    """A care plan or a treatment plan for pain. ``reviewed_on`` is its last revision or review."""

    id: str
    codings: tuple[Coding, ...]
    sets: frozenset[str] = frozenset()
    active: bool = True
    from_on: date | None = None
    until: date | None = None
    reviewed_on: date | None = None


@quick
@dataclass(frozen=True, slots=True)
class Goal:
    """What the patient wants to be able to do."""

    id: str
    said: str = ""
    codings: tuple[Coding, ...] = ()
    sets: frozenset[str] = frozenset()
    active: bool = True
    from_on: date | None = None
    due_on: date | None = None


@quick
@dataclass(frozen=True, slots=True)
class Encounter:
    """A visit. ``sets`` of its type codes tell an office visit from a hospice encounter."""

    id: str
    codings: tuple[Coding, ...] = ()
    sets: frozenset[str] = frozenset()
    setting: str = ""
    from_on: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Something about the patient that could not be known: ``history-missing``, ``history-error``,
    ``history-incomplete``, ``history-unavailable``, ``record-missing``, ``resource-unreadable`` ... and what
    it is about.

    Codes that begin with ``record-`` are about something else than prescriptions and dispensings."""

    code: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Snooze:
    """A finding put to rest with a coded reason until a day, the day included: for one policy, and for
    one drug (``Drug.opioid_codes``, or ``""`` for every order of the patient). It rests findings of its
    own loudness or softer, never a louder one. ``enforcement`` is the one that was put to rest."""

    policy: str
    drug: str
    until: date
    enforcement: str
    reason: str = ""


@dataclass(frozen=True)
class Chart:
    """Everything known about one patient as of ``as_of``, an aware UTC instant.

    ``data_as_of`` tells how current the dispensing data is (``None``: no feed). ``gaps`` name what
    could not be read; a rule that needs a look-back must not treat silence as absence then.
    """

    patient: Patient
    as_of: datetime
    supplies: tuple[Supply, ...] = ()
    conditions: tuple[Condition, ...] = ()
    observations: tuple[Observation, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    plans: tuple[Plan, ...] = ()
    goals: tuple[Goal, ...] = ()
    encounters: tuple[Encounter, ...] = ()
    gaps: tuple[Gap, ...] = ()
    snoozes: tuple[Snooze, ...] = ()
    data_as_of: datetime | None = None

    @cached_property
    def today(self) -> date:
        """The day of ``as_of`` (UTC)."""
        return self.as_of.date()

    @cached_property
    def exposures(self) -> tuple[Exposure, ...]:
        """The supplies, each prescription merged with its dispensings, in order of their first day."""
        return exposures(self.supplies, as_of=self.today)

    @cached_property
    def opioid_analgesics(self) -> tuple[Exposure, ...]:
        """The exposures to recognised opioids for pain."""
        return self.exposures_to(DrugClass.OPIOID_ANALGESIC)

    def exposures_to(self, drug_class: DrugClass) -> tuple[Exposure, ...]:
        """The exposures to recognised products of a class, in order of their first day."""
        key = ("exposures to", drug_class)
        known: tuple[Exposure, ...] | None = self.kept.get(key)
        if known is None:
            known = self.kept[key] = tuple(
                [e for e in self.exposures if e.drug is not None and drug_class in e.drug.classes]
            )
        return known

    @cached_property
    def opioid_spans(self) -> list[Span]:
        """The days with an opioid for pain in hand, without those of drafts, as spans of ordinals."""
        draft = SupplyKind.DRAFT
        return spans([e for e in self.opioid_analgesics if e.supply.kind is not draft])

    @cached_property
    def kept(self) -> dict[tuple[object, ...], Any]:
        """What was worked out about this chart before, for the rules that ask the same: a chart never
        changes. Keys are of whoever keeps something."""
        return {}

    @cached_property
    def unknown_drugs(self) -> tuple[str, ...]:
        """What the catalogue does not know among the supplies that may still be taken."""
        return tuple(sorted({e.supply.medication.label for e in self.exposures if e.drug is None}))

    @cached_property
    def pharmacy_data(self) -> PharmacyData | None:
        """How current the dispensings are; ``None`` when no pharmacy reports of the patient."""
        return pharmacy_data(self.data_as_of, ((gap.code, gap.about) for gap in self.gaps))

    @cached_property
    def history_gaps(self) -> tuple[str, ...]:
        """Why the medication history may be less than whole: codes of gaps, undated supplies."""
        codes = {gap.code for gap in self.gaps if not gap.code.startswith("record-")}
        if undated(self.supplies):
            codes.add("supply-without-date")
        return tuple(sorted(codes))
